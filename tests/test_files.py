"""Arrays in files, good and bad."""

import os
import pickle
import resource
import sys
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skcollapse._utils import array_files
from skcollapse._utils.array_files import ArrayFileError, read_array

ARRAYS = {
    "matrix": np.arange(12.0).reshape(3, 4),
    "half": np.ones((2, 3), np.float16),
    "fortran": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "big-endian": np.arange(5, dtype=">f4"),
    "tensor": np.arange(24).reshape(2, 3, 4),
    "scalar": np.array(3.5),
    "empty": np.empty((0, 4)),
    "names": np.array(["cat", "dog"]),
    "truth": np.array([True, False]),
}


@pytest.fixture(params=["npy", "npz", "compressed"])
def saved(request, tmp_path):
    """Return a function that saves an array beside others, and gives path and key."""

    def save(array):
        if request.param == "npy":
            np.save(tmp_path / "a.npy", array, allow_pickle=True)
            return tmp_path / "a.npy", None
        write = np.savez if request.param == "npz" else np.savez_compressed
        write(tmp_path / "a.npz", before=[1.0], X=array, y=[1, 2, 3])
        return tmp_path / "a.npz", "X"

    return save


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("mmap", [True, False])
def test_what_was_saved_is_read(saved, name, mmap):
    path, key = saved(ARRAYS[name])
    array = read_array(path, key, mmap=mmap)
    assert_array_equal(array, ARRAYS[name])
    assert array.dtype == ARRAYS[name].dtype
    assert array.shape == ARRAYS[name].shape


def test_arrays_are_mapped_where_they_lie_as_they_are(saved):
    path, key = saved(ARRAYS["matrix"])
    mapped = read_array(str(path), key)
    with zipfile.ZipFile(path) if key else path.open("rb") as file:
        compressed = key and file.getinfo("X.npy").compress_type != zipfile.ZIP_STORED
    assert isinstance(mapped, np.memmap) == (not compressed)
    if not compressed:
        assert not mapped.flags.writeable
    assert not isinstance(read_array(path, key, mmap=False), np.memmap)


def test_the_only_array_needs_no_key(tmp_path):
    np.savez(tmp_path / "a.npz", ARRAYS["matrix"])
    assert_array_equal(read_array(tmp_path / "a.npz"), ARRAYS["matrix"])


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1, "a", None], dtype=object), "Python objects, which are never"),
        (np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), "no plain numbers"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "no plain numbers"),
        (np.ones(3), r"must have 2 axes; got the shape \(3,\)"),
    ],
)
def test_other_arrays_are_refused(saved, array, message, mmap):
    path, key = saved(array)
    with pytest.raises(ArrayFileError, match=message) as info:
        read_array(path, key, ndim=2, mmap=mmap)
    assert str(info.value).startswith(f"{path}: ")
    assert "\n" not in str(info.value)


def test_missing_keys_are_answered_with_those_there_are(tmp_path):
    np.savez(tmp_path / "a.npz", features=[1.0], labels=[0])
    with pytest.raises(
        ArrayFileError, match="no array 'X'; it has 'features', 'labels'"
    ):
        read_array(tmp_path / "a.npz", "X")
    with pytest.raises(ArrayFileError, match="choose one of 'features', 'labels'"):
        read_array(tmp_path / "a.npz")
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(ArrayFileError, match="choose one of none"):
        read_array(tmp_path / "empty.npz")
    np.save(tmp_path / "a.npy", [1.0])
    with pytest.raises(ArrayFileError, match="without a name, so none named 'X'"):
        read_array(tmp_path / "a.npy", "X")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_files_that_are_something_else(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(ArrayFileError, match="there is no such file"):
        read_array(path)
    for content in (b"", b"x,y\n1,2\n", pickle.dumps([1, 2]), b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(ArrayFileError, match="cannot be read") as info:
            read_array(path)
        assert "\n" not in str(info.value)
    path.unlink()
    path.mkdir()
    with pytest.raises(ArrayFileError, match="cannot be read"):
        read_array(path)


@pytest.mark.parametrize(
    "header", [b"{'shape': (\n", b"{'shape': (01,)}", b"{'shape': (2,)}", b"\xff\0"]
)
def test_damaged_headers(tmp_path, header):
    length = len(header).to_bytes(2, "little")
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\1\0" + length + header)
    with pytest.raises(ArrayFileError, match="cannot be read"):
        read_array(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.csv", "a", "a.pkl", "a.pt"])
def test_suffixes_say_what_is_read(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ArrayFileError, match=r"one of .npy, .npz, .safetensors, not"):
        read_array(tmp_path / name)


class Malicious:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def test_pickles_are_never_loaded(tmp_path):
    array = np.array([Malicious()], dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", array)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Malicious()))
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("arr_0.npy", pickle.dumps(Malicious()))
    for name in ("a.npy", "a.npz", "b.npy", "b.npz"):
        for mmap in (True, False):
            with pytest.raises(ArrayFileError):
                read_array(tmp_path / name, mmap=mmap)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


@given(
    suffix=st.sampled_from([".npy", ".npz"]),
    mmap=st.booleans(),
    length=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=3),
)
def test_damaged_files_give_one_line_or_an_array(folder, suffix, mmap, length, changes):
    path = folder / f"a{suffix}"
    (np.save if suffix == ".npy" else np.savez)(path, np.arange(6.0).reshape(2, 3))
    content = bytearray(path.read_bytes())
    for position, value in changes:
        content[int(position * (len(content) - 1))] = value
    path.unlink()
    path.write_bytes(content[: round(length * len(content))])
    message = ""
    try:
        read_array(path, mmap=mmap)
    except ArrayFileError as error:  # and nothing else
        message = str(error)
    assert "\n" not in message


# --- files that say what is not so --------------------------------------------------


def npy(shape, descr="<f8", data=b""):
    """Return a .npy file that says something of its data."""
    header = str({"descr": descr, "fortran_order": False, "shape": shape})
    header = header.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + data


def zip_of(path, method=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


SHAPES = {
    "too long": (44, 2),
    "negative": (-1, 2),
    "both negative": (-10, -8),
    "overflow": (2**62, 4),
    "to what is there": (2**61 + 10, 8),
    "beyond any": (10**30, 10**30),
    "empty and beyond": (0, 2**62, 2**62),
}


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_shapes_that_the_file_does_not_have(tmp_path, suffix, shape, mmap):
    path = tmp_path / f"a{suffix}"
    data = np.arange(80.0).tobytes()
    if suffix == ".npy":
        path.write_bytes(npy(shape, data=data))
    else:
        # What follows is not X.
        zip_of(path, X=npy(shape, data=data), y=npy((80,), data=data))
    with pytest.raises(ArrayFileError, match=r"cannot be read") as info:
        read_array(path, None if suffix == ".npy" else "X", mmap=mmap, verify=False)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("descr", ["<U0", "|S0", "|V0", "<U2000000000", "<U536870911"])
@pytest.mark.parametrize("shape", [(10**12,), (1,)])
def test_strings_without_length_or_end(tmp_path, descr, shape):
    (tmp_path / "a.npy").write_bytes(npy(shape, descr, b"abcd" * 8))
    for mmap in (True, False):
        with pytest.raises(ArrayFileError):
            read_array(tmp_path / "a.npy", mmap=mmap)


def test_a_member_has_the_length_of_its_header(tmp_path):
    zip_of(tmp_path / "a.npz", X=npy((3,), data=b"\0" * 32))
    for mmap in (True, False):
        with pytest.raises(ArrayFileError, match="takes 152 bytes, but 160 are there"):
            read_array(tmp_path / "a.npz", mmap=mmap)


@pytest.mark.parametrize("field", ["file_size", "compress_size"])
def test_a_directory_that_contradicts_itself(tmp_path, field):
    path = tmp_path / "a.npz"
    zip_of(path, X=npy((10,), data=bytes(80)), y=npy((10,), data=bytes(80)))
    content = bytearray(path.read_bytes())
    # The directory at the end says both sizes of each member.
    entry = content.index(b"PK\1\2") + (24 if field == "file_size" else 20)
    content[entry : entry + 4] = (300).to_bytes(4, "little")
    path.write_bytes(content)
    for verify in (True, False):
        with pytest.raises(ArrayFileError, match="its directory contradicts itself"):
            read_array(path, "X", verify=verify)


def test_mapped_members_are_verified(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, X=np.arange(1e6).reshape(-1, 10), y=np.arange(5))
    content = bytearray(path.read_bytes())
    content[4_000_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArrayFileError, match=r"cannot be read \(Bad CRC-32"):
        read_array(path, "X")
    with pytest.raises(ArrayFileError, match=r"cannot be read \(Bad CRC-32"):
        read_array(path, "X", mmap=False)
    changed = read_array(path, "X", verify=False)
    assert isinstance(changed, np.memmap)
    assert (changed != np.arange(1e6).reshape(-1, 10)).sum() == 1
    assert_array_equal(read_array(path, "y"), np.arange(5))


def test_links_pipes_and_devices(tmp_path):
    np.save(tmp_path / "real.npy", ARRAYS["matrix"])
    link = tmp_path / "link.npy"
    link.symlink_to("real.npy")
    assert_array_equal(read_array(link), ARRAYS["matrix"])
    for suffix in (".npy", ".npz", ".safetensors"):
        paths = [tmp_path / f"{name}{suffix}" for name in ("zero", "pipe", "loop")]
        paths[0].symlink_to("/dev/zero")
        os.mkfifo(paths[1])
        paths[2].symlink_to(paths[2])
        for path in paths:
            with pytest.raises(ArrayFileError) as info:
                read_array(path)
            assert "\n" not in str(info.value)
    (tmp_path / "lost.npy").symlink_to("nowhere")
    with pytest.raises(ArrayFileError, match="there is no such file"):
        read_array(tmp_path / "lost.npy")


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_compressed_bombs(tmp_path, monkeypatch, method):
    path = tmp_path / "a.npz"
    zip_of(path, method, X=npy((4_000_000,), data=bytes(32_000_000)))
    assert path.stat().st_size < 50_000
    assert read_array(path).shape == (4_000_000,)
    monkeypatch.setattr(array_files, "_MOST_BYTES", 2**24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArrayFileError, match="holds 32000128 bytes in") as info:
        read_array(path)
    assert "\n" not in str(info.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**13
    # What the directory does not admit is not unpacked.
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2") + 24
    content[entry : entry + 4] = (208).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ArrayFileError, match="cannot be read"):
        read_array(path)


def test_damage_of_compressed_members(tmp_path):
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = tmp_path / f"{method}.npz"
        data = np.random.default_rng(0).normal(size=50).tobytes()
        zip_of(path, method, X=npy((50,), data=data))
        content = path.read_bytes()
        for place in range(0, len(content), 7):
            changed = bytearray(content)
            changed[place] ^= 255
            path.write_bytes(changed)
            with suppress(ArrayFileError):  # and nothing else
                assert read_array(path).tobytes() == data


def test_safetensors(tmp_path):
    pytest.importorskip("safetensors", reason="needs safetensors")
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "a.safetensors"
    X = torch.arange(6.0).reshape(2, 3)
    save_file({"X": X, "y": torch.tensor([0, 1]), "half": X.bfloat16()}, path)
    for mmap in (True, False):
        assert_array_equal(read_array(path, "X", mmap=mmap, ndim=2), X)
        assert_array_equal(read_array(path, "half", mmap=mmap), X)
        assert read_array(path, "X", mmap=mmap).flags.owndata == (not mmap)
    with pytest.raises(ArrayFileError, match="no array 'Z'; it has 'X', 'half', 'y'"):
        read_array(path, "Z")
    with pytest.raises(ArrayFileError, match="must have 2 axes"):
        read_array(path, "y", ndim=2)
    for content in (b"", b"x" * 100, path.read_bytes()[:-1]):
        path.write_bytes(content)
        with pytest.raises(ArrayFileError, match="cannot be read") as info:
            read_array(path, "X")
        assert "\n" not in str(info.value)
    with pytest.raises(ArrayFileError, match="no such file"):
        read_array(tmp_path / "b.safetensors")


def test_safetensors_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "a.safetensors").touch()
    with pytest.raises(ArrayFileError, match="needs the package safetensors"):
        read_array(tmp_path / "a.safetensors")
