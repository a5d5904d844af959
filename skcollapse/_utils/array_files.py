"""Arrays in files, read without ever running what a file says.

NumPy's .npy and .npz, and .safetensors where that package is installed. Arrays are
mapped into memory where they lie in the file as they are, so that more than fits into
memory can be read.
"""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.lib import format as npy

# Booleans, numbers and strings.
_KINDS = "biufUS"
_NPY_HEADERS = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}

# What damaged, encrypted or foreign files bring about.
_DAMAGE: tuple[type[Exception], ...] = (OSError, ValueError, TypeError, KeyError)
_DAMAGE += (EOFError, SyntaxError, MemoryError, RuntimeError, struct.error)
_DAMAGE += (tokenize.TokenError, zipfile.BadZipFile, zlib.error)


Reader = Callable[[Path, str | None, bool], np.ndarray]


class ArrayFileError(ValueError):
    """A file that holds no such array; the message is one line and names the file."""


def read_array(
    path: str | PathLike[str],
    key: str | None = None,
    *,
    ndim: int | None = None,
    mmap: bool = True,
) -> np.ndarray:
    """Read an array of booleans, numbers or strings, or raise ArrayFileError.

    The key may be left out if the file holds one array alone. Where the format allows,
    and the file is not compressed, the array is mapped into memory, read-only. bfloat16
    comes in float32.
    """
    path = Path(path)
    with _one_line_errors(path):
        array = _reader(path)(path, key, mmap)
        if array.dtype.kind not in _KINDS:
            raise ArrayFileError(f"holds no plain numbers but {array.dtype}")
        if ndim is not None and array.ndim != ndim:
            raise ArrayFileError(
                f"{_quoted(key)}must have {ndim} axes; got the shape {array.shape}"
            )
        return array


def _quoted(key: str | None) -> str:
    return "" if key is None else f"{key!r} "


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ArrayFileError(f"{path}: there is no such file") from error
    except ArrayFileError as error:
        raise ArrayFileError(f"{path}: {error}") from error
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArrayFileError(f"{path}: cannot be read ({reason})") from error


def _reader(path: Path) -> Reader:
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise ArrayFileError(
            f"the suffix must be one of {', '.join(READERS)}, not {suffix!r}"
        )
    return READERS[suffix]


def _choose(key: str | None, keys: Iterable[str]) -> str:
    """Return the key of an array, given those of the file."""
    keys = sorted(keys)
    listed = ", ".join(map(repr, keys)) or "none"
    if key is None and len(keys) == 1:
        return keys[0]
    if key is None:
        raise ArrayFileError(f"holds several arrays, choose one of {listed}")
    if key not in keys:
        raise ArrayFileError(f"holds no array {key!r}; it has {listed}")
    return key


def _read_npy(path: Path, key: str | None, mmap: bool) -> np.ndarray:
    if key is not None:
        raise ArrayFileError(f"holds one array without a name, so none named {key!r}")
    with path.open("rb") as stream:
        return _read_stream(stream, path, 0 if mmap else None)


def _read_npz(path: Path, key: str | None, mmap: bool) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        members = {
            info.filename.removesuffix(".npy"): info for info in archive.filelist
        }
        member = members[_choose(key, members)]
        stored = member.compress_type == zipfile.ZIP_STORED
        with archive.open(member) as stream:
            start = _data_offset(path, member) if mmap and stored else None
            return _read_stream(stream, path, start)


def _data_offset(path: Path, member: zipfile.ZipInfo) -> int:
    """Return where the data of a member of a zip file starts."""
    with path.open("rb") as file:
        # The lengths of name and extra field stand in the header before the data, and
        # differ from those in the directory at the end of the file.
        file.seek(member.header_offset + 26)
        name, extra = np.frombuffer(file.read(4), "<u2").tolist()
    return member.header_offset + 30 + name + extra


def _read_stream(stream: IO[bytes], path: Path, start: int | None) -> np.ndarray:
    """Read an array in .npy format, or map it if it starts somewhere in the file."""
    version = npy.read_magic(stream)
    if version not in _NPY_HEADERS:
        raise ArrayFileError(f"holds no plain numbers (.npy version {version})")
    shape, fortran_order, dtype = _NPY_HEADERS[version](stream)
    if dtype.hasobject:
        raise ArrayFileError("holds Python objects, which are never loaded")
    # An empty array cannot be mapped.
    if start is not None and shape and 0 not in shape:
        order: Literal["C", "F"] = "F" if fortran_order else "C"
        return np.memmap(path, dtype, "r", start + stream.tell(), shape, order)
    stream.seek(0)
    return npy.read_array(stream, allow_pickle=False)


def _read_safetensors(path: Path, key: str | None, mmap: bool) -> np.ndarray:
    import torch

    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ArrayFileError("needs the package safetensors to be read") from error
    try:
        with safe_open(path, framework="pt") as file:
            tensor = file.get_tensor(_choose(key, file.keys()))
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    # NumPy has no bfloat16.
    tensor = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    array = tensor.numpy() if mmap else tensor.numpy().copy()
    array.flags.writeable = not mmap
    return array


READERS: dict[str, Reader] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
}
