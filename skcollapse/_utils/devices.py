"""Which device computes, and for whom."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    return _private_folder() / f"{family}-{name}.lock"


def _private_folder() -> Path:
    """Return a folder that no other user can write to, or raise PermissionError.

    Workers must find it too. In the shared folder for temporary files, somebody could
    have put another under its name.
    """
    if not hasattr(os, "getuid"):
        return Path(tempfile.gettempdir())  # Windows has one for each user.
    folder = Path(tempfile.gettempdir()) / f"skcollapse-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    if not private or found.st_uid != os.getuid():
        raise PermissionError(
            f"{folder} is no folder for you alone: remove it, or set TMPDIR."
        )
    return folder
