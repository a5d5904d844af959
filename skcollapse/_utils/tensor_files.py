"""Tensors and what belongs to them, in a file that survives being interrupted.

A checkpoint is one .safetensors file, so that any reader of the format opens it. The
rest is JSON in its header, beside a digest of everything. Nothing is pickled.
"""

import contextlib
import glob
import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock, Timeout

# The only two entries of the header.
_META, _DIGEST = "meta", "sha256"
# Bytes of the header: what it says is many times larger in memory.
_MOST_HEADER = 2**23


# What reading damaged or foreign files brings about.
_DAMAGE = (OSError, ValueError, TypeError, RuntimeError, OverflowError)


class Checkpoint(NamedTuple):
    """Tensors on the CPU, and the rest as JSON gives it back: with lists for tuples."""

    tensors: dict[str, torch.Tensor]
    meta: dict[str, Any]


class DamagedCheckpoint(ValueError):
    """A file that is not a whole checkpoint."""


def write_checkpoint(
    path: str | PathLike[str], tensors: dict[str, torch.Tensor], meta: dict[str, Any]
) -> None:
    """Write a checkpoint, and keep the one before it.

    A new file is written beside the old one, forced to the disk, and takes its name:
    whenever the process or the machine stops, at least one whole checkpoint is there.
    The one before keeps the name with ``.previous`` added, unless it is damaged. One
    process at a time may write.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/run.safetensors"
    ...     write_checkpoint(path, {"weight": torch.ones(2)}, {"epoch": 1})
    ...     write_checkpoint(path, {"weight": torch.zeros(2)}, {"epoch": 2})
    ...     read_checkpoint(path)
    Checkpoint(tensors={'weight': tensor([0., 0.])}, meta={'epoch': 2})
    """
    torch_files = _safetensors().torch
    path = Path(path)
    try:
        text = json.dumps(meta)
    except (TypeError, ValueError) as error:
        raise TypeError(f"meta must be a dict that JSON can say: {error}") from error
    # Copies: the format knows neither strides nor memory that is shared.
    tensors = {
        name: tensor.detach()
        .to("cpu", copy=True)
        .clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    data = torch_files.save(tensors, {_META: text, _DIGEST: _digest(tensors, text)})
    if _header_size(data) > _MOST_HEADER:
        raise ValueError(f"There are too many tensors for one file: {len(tensors)}.")
    _remove_leftovers(path)
    # Names of one's own, so that several processes may write at once.
    written, before = (_beside(path, f".{os.getpid()}.{n}.tmp") for n in range(2))
    try:
        with written.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A damaged file must not take the place of a whole one.
        with contextlib.suppress(FileNotFoundError, DamagedCheckpoint):
            read_file(path)
            # A second name, so that there is a whole file by the first all the time;
            # some file systems know no second names.
            try:
                os.link(path, before)
            except OSError:
                before = path
            os.replace(before, _beside(path, ".previous"))
        os.replace(written, path)
    finally:
        written.unlink(missing_ok=True)
        if before != path:
            before.unlink(missing_ok=True)
    _sync_folder(path.parent)


def read_checkpoint(path: str | PathLike[str]) -> Checkpoint | None:
    """Read the newest whole checkpoint, or return None if there is none.

    Warns if that is not the newest file, or if no file that is there is whole.
    """
    path = Path(path)
    previous = _beside(path, ".previous")
    problems = []
    for file in (path, previous):
        try:
            checkpoint = read_file(file)
        except FileNotFoundError:
            problems.append(f"{file} is not there")
        except DamagedCheckpoint as error:
            problems.append(f"{file} is damaged ({error})")
        else:
            if problems:
                _warn(f"{problems[0]}; going on from {file}")
            return checkpoint
    if path.exists() or previous.exists():
        _warn(f"No checkpoint can be read: {' and '.join(problems)}")
    return None


def read_file(path: str | PathLike[str]) -> Checkpoint:
    """Return the checkpoint of one file; raise DamagedCheckpoint if it is not whole."""
    safetensors, path = _safetensors(), Path(path)
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        # Of a pipe one would wait for the other end.
        if not path.is_file():
            raise ValueError("it is no regular file")
        # Opened once: by the next time it may be another file.
        with path.open("rb") as opened:
            size = _header_size(opened.read(8))
            if size > _MOST_HEADER:
                raise ValueError("its header is too long")
            opened.seek(0)
            data = opened.read()
        loaded = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + size]).get("__metadata__", {})
        tensors = {name: tensor.clone() for name, tensor in loaded.items()}
        text, digest = header[_META], header[_DIGEST]
        if _digest(tensors, text) != digest:
            raise ValueError("its digest is that of other data")
        return Checkpoint(tensors, json.loads(text))
    except KeyError as error:
        raise DamagedCheckpoint(f"its header has no {error}") from error
    except (*_DAMAGE, safetensors.SafetensorError) as error:
        raise DamagedCheckpoint(str(error).partition("\n")[0]) from error


@contextlib.contextmanager
def exclusive(path: str | PathLike[str]) -> Iterator[None]:
    """Keep a checkpoint to oneself, or raise ValueError if it cannot be written.

    The lock is a file with ``.lock`` added, which stays; the operating system frees it
    when its holder dies.
    """
    path = Path(path)
    lock = FileLock(_beside(path, ".lock"))
    try:
        if not path.parent.is_dir():
            raise OSError("there is no such folder")
        for file in (path, _beside(path, ".previous")):
            if file.is_dir():
                raise OSError(f"{file.name} is a folder")
        lock.acquire(blocking=False)
    except Timeout as error:
        raise ValueError(
            f"checkpoint={str(path)!r} is in use by another fit. Wait for it, or "
            "choose another path."
        ) from error
    except NotImplementedError:
        pass  # In a file system without locks nobody can be kept out.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"checkpoint={str(path)!r} cannot be written: {reason}."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            "Checkpoints need the package safetensors: pip install safetensors"
        ) from error
    return safetensors


def _header_size(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")


def _remove_leftovers(path: Path) -> None:
    """Remove what writers left that were killed."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.tmp"):
        pid = left.name.removeprefix(path.name).split(".")[1]
        if pid.isdigit() and (int(pid) == os.getpid() or not _is_running(int(pid))):
            left.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    if os.name != "posix":  # there, to ask would be to kill
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=3)


def _digest(tensors: dict[str, torch.Tensor], text: str) -> str:
    """Return the SHA-256 of names, dtypes, shapes, values and the JSON text."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        described = f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0"
        digest.update(described.encode())
        # NumPy has no bfloat16, but bytes of it.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Force the new names in a folder to the disk, where folders can be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
