"""Randomness of one's own: the stream of the user is neither read nor changed."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def draw_seeds(rng: np.random.RandomState, n_seeds: int) -> list[int]:
    """Return integers to seed further generators with, by one draw."""
    generator = torch.Generator().manual_seed(int(rng.randint(2**31)))
    return torch.randint(2**62, (n_seeds,), generator=generator).tolist()


@contextmanager
def isolated_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators that dropout draws from; put their state back after.

    They belong to the process: threads that train networks with dropout at the same
    time draw from one stream, and do not reproduce.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        # torch.manual_seed would seed every other device too.
        torch.default_generator.manual_seed(seed)
        for cuda in devices:
            with torch.cuda.device(cuda):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def deterministic_algorithms(enabled: bool) -> Iterator[None]:
    """Let torch use algorithms only that give the same bits each time, if enabled."""
    if not enabled:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
