"""Which device computes, and for whom."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path

import torch
from filelock import FileLock

from skcollapse._utils.checks import is_auto, plain


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device that a ``device`` parameter stands for, or raise.

    "auto" is the current CUDA device where there is one, and the CPU elsewhere.
    """
    if is_auto(device):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        # Only an allocation tells whether the device is really there.
        torch.empty(0, device=resolved)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device={plain(device)!r} cannot be used here ({reason}). Use "
            "device='auto' or 'cpu'."
        ) from error
    return resolved


@contextmanager
def exclusive_device(device: torch.device) -> Iterator[None]:
    """Wait for a CUDA device until the other workers of the same search have left it.

    Side by side they would need the memory of one times their number. Threads wait for
    each other, and so do a process and those that it has started; not those of others,
    who may need the device for days. Nobody waits for the CPU.
    """
    if device.type != "cuda":
        yield
        return
    # A thread that has the lock already does not wait for itself.
    with FileLock(_lock_file(device), is_singleton=True):
        try:
            yield
        finally:
            if parent_process():
                # What torch keeps for later is lost to the next worker.
                torch.cuda.empty_cache()


def _lock_file(device: torch.device) -> Path:
    starter = parent_process()
    family = starter.pid if starter else os.getpid()
    # Indices may stand for other devices in another process.
    name = torch.cuda.get_device_properties(device).uuid
    return Path(tempfile.gettempdir()) / f"skcollapse-{family}-{name}.lock"
