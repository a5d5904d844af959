"""Randomness of one's own: the stream of the user is neither read nor changed."""

from contextlib import contextmanager

import torch


def draw_seeds(generator, n_seeds):
    """Return integers to seed further generators with.

    Parameters
    ----------
    generator : torch.Generator
    n_seeds : int
    """
    seeds = torch.randint(
        2**62, (n_seeds,), generator=generator, device=generator.device
    )
    return seeds.tolist()


@contextmanager
def isolated_randomness(seed, device):
    """Seed the global generators that dropout draws from; put their state back after.

    They belong to the process: threads that train networks with dropout at the same
    time draw from one stream, and do not reproduce.

    Parameters
    ----------
    seed : int
    device : torch.device
        The CPU, or the CUDA device that draws.
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
def deterministic_algorithms(enabled):
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
