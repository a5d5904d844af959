"""Arrays in files, read without ever running what a file says.

NumPy's .npy and .npz, and .safetensors where that package is installed. Arrays are
mapped into memory where they lie in the file as they are, so that more than fits into
memory can be read.
"""

import math
import zipfile
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

# Compressed arrays that would take more than this, and more than this many times their
# size in the file, are not made by compressing features.
_MOST_BYTES, _MOST_RATIO = 2**30, 100

Reader = Callable[[Path, str | None, bool, bool], np.ndarray]


class ArrayFileError(ValueError):
    """A file that holds no such array; the message is one line and names the file."""


def read_array(
    path: str | PathLike[str],
    key: str | None = None,
    *,
    ndim: int | None = None,
    mmap: bool = True,
    verify: bool = True,
) -> np.ndarray:
    """Read an array of booleans, numbers or strings, or raise ArrayFileError.

    The key may be left out if the file holds one array alone. Where the format allows,
    and the file is not compressed, the array is mapped into memory, read-only; with
    ``verify`` its checksum, where the format has one, is computed first, which reads it
    once. bfloat16 comes in float32.
    """
    path = Path(path)
    with _one_line_errors(path):
        read = _reader(path)
        # Of a pipe one would wait for the other end, and a device has none.
        if path.exists() and not path.is_file():
            raise OSError("it is no regular file")
        array = read(path, key, mmap, verify)
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
    # Whatever damaged, encrypted or foreign files bring about.
    except Exception as error:
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


def _read_npy(path: Path, key: str | None, mmap: bool, verify: bool) -> np.ndarray:
    if key is not None:
        raise ArrayFileError(f"holds one array without a name, so none named {key!r}")
    with path.open("rb") as stream:
        size = path.stat().st_size
        return _read_stream(stream, size, (path, 0) if mmap else None)


def _read_npz(path: Path, key: str | None, mmap: bool, verify: bool) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        members = {
            info.filename.removesuffix(".npy"): info for info in archive.filelist
        }
        member = members[_choose(key, members)]
        size, packed = member.file_size, member.compress_size
        stored = member.compress_type == zipfile.ZIP_STORED
        if stored and size != packed:
            raise ArrayFileError("cannot be read (its directory contradicts itself)")
        if size > max(_MOST_BYTES, _MOST_RATIO * packed):
            raise ArrayFileError(
                f"holds {size} bytes in {packed}; an array that is really so even can "
                "be saved without compression"
            )
        place = (path, _data_offset(path, member)) if mmap and stored else None
        if place and verify:
            with archive.open(member) as stream:
                # At the end the checksum is compared.
                while stream.read(2**20):
                    pass
        with archive.open(member) as stream:
            return _read_stream(stream, size, place, exact=True)


def _data_offset(path: Path, member: zipfile.ZipInfo) -> int:
    """Return where the data of a member of a zip file starts."""
    with path.open("rb") as file:
        # The lengths of name and extra field stand in the header before the data, and
        # differ from those in the directory at the end of the file.
        file.seek(member.header_offset + 26)
        name, extra = np.frombuffer(file.read(4), "<u2").tolist()
    return member.header_offset + 30 + name + extra


def _read_stream(
    stream: IO[bytes], size: int, place: tuple[Path, int] | None, *, exact: bool = False
) -> np.ndarray:
    """Read an array in .npy format, or map it if it starts at a place in a file.

    ``size`` are the bytes that there are, which the header and the array must take
    ``exact`` or at most.
    """
    version = npy.read_magic(stream)
    if version not in _NPY_HEADERS:
        raise ArrayFileError(f"holds no plain numbers (.npy version {version})")
    shape, fortran_order, dtype = _NPY_HEADERS[version](stream)
    if dtype.hasobject:
        raise ArrayFileError("holds Python objects, which are never loaded")
    # Python integers do not overflow.
    end = stream.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or not dtype.itemsize:
        raise ArrayFileError(f"cannot be read (the shape {shape} of {dtype})")
    if end > size or (exact and end != size):
        raise ArrayFileError(
            f"cannot be read (an array of shape {shape} and {dtype} takes {end} bytes, "
            f"but {size} are there)"
        )
    # An empty array cannot be mapped.
    if place is not None and shape and 0 not in shape:
        path, start = place
        order: Literal["C", "F"] = "F" if fortran_order else "C"
        return np.memmap(path, dtype, "r", start + stream.tell(), shape, order)
    stream.seek(0)
    return npy.read_array(stream, allow_pickle=False)


def _read_safetensors(
    path: Path, key: str | None, mmap: bool, verify: bool
) -> np.ndarray:
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
