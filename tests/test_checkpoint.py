"""Checkpoints: whole or not there, whenever the writer is stopped."""

import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("safetensors", reason="needs safetensors")

from skcollapse._utils import tensor_files as module
from skcollapse._utils.tensor_files import (
    exclusive,
    read_checkpoint,
    read_file,
    write_checkpoint,
)

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.uint8,
    torch.bool,
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def contents(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "weight": torch.tensor(rng.normal(size=(5, 3)), dtype=torch.float32),
        "steps": torch.tensor(seed),
    }


def write(path, epoch):
    write_checkpoint(path, contents(epoch), {"epoch": epoch})


def assert_epoch(checkpoint, epoch):
    assert checkpoint.meta == {"epoch": epoch}
    assert checkpoint.tensors.keys() == contents().keys()
    for name, tensor in contents(epoch).items():
        assert torch.equal(checkpoint.tensors[name], tensor)


# --- what is written is read --------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (4,), (2, 3), (2, 0, 3)], ids=str)
def test_every_dtype_and_shape(path, dtype, shape):
    values = (100 * torch.rand(shape, generator=torch.manual_seed(0))).to(dtype)
    write_checkpoint(path, {"values": values}, {})
    tensor = read_checkpoint(path).tensors["values"]
    assert (tensor.dtype, tensor.shape) == (dtype, shape)
    assert torch.equal(tensor, values)


def test_strides_shared_memory_and_gradients(path):
    weight = torch.nn.Parameter(torch.arange(24.0).reshape(1, 2, 3, 4))
    tensors = {
        "tied": weight,
        "tied too": weight,
        "transposed": weight[0, 0].T,
        "channels last": weight.detach().to(memory_format=torch.channels_last),
    }
    write_checkpoint(path, tensors, {})
    read = read_checkpoint(path).tensors
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor)
        assert not read[name].requires_grad


def test_meta_is_what_json_says(path):
    meta = {
        "losses": [1.5, math.inf, 1e-300],
        "state": {"position": 2**64 + 1, "name": "K\u00fcche \0 \n"},
        "none": None,
    }
    write_checkpoint(path, {}, meta)
    assert read_checkpoint(path).meta == meta
    write_checkpoint(path, {}, {"loss": math.nan})
    assert math.isnan(read_checkpoint(path).meta["loss"])


def test_any_reader_opens_it(path):
    from safetensors import safe_open

    write(path, 3)
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["meta"]) == {"epoch": 3}
        np.testing.assert_array_equal(file.get_tensor("weight"), contents(3)["weight"])


def test_the_file_may_be_replaced_while_it_is_in_use(path):
    write(path, 1)
    first = read_checkpoint(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert_epoch(first, 1)


def test_nothing_is_unpickled(path):
    path.write_bytes(pickle.dumps({"epoch": 1}))
    with pytest.warns(UserWarning, match="No checkpoint can be read"):
        assert read_checkpoint(path) is None


# --- damage -------------------------------------------------------------------------


def test_none_there(path):
    assert read_checkpoint(path) is None
    assert read_checkpoint(path.parent / "no" / "folder") is None
    path.mkdir()
    with pytest.warns(UserWarning, match="No checkpoint can be read"):
        assert read_checkpoint(path) is None


def test_the_previous_one_is_kept(path):
    for epoch in (1, 2, 3):
        write(path, epoch)
    assert_epoch(read_checkpoint(path), 3)
    assert_epoch(read_checkpoint(f"{path}.previous"), 2)
    assert sorted(os.listdir(path.parent)) == [path.name, f"{path.name}.previous"]


def test_truncated_anywhere(path):
    write(path, 1)
    write(path, 2)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.warns(
            UserWarning, match=r"is damaged .*; going on from .*previous"
        ):
            assert_epoch(read_checkpoint(path), 1)


def test_a_flipped_bit_anywhere(path):
    write(path, 1)
    write(path, 2)
    data = path.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        # Padding of the header may change and say the same.
        if data[place : place + 1] == b" ":
            continue
        with pytest.warns(UserWarning, match="is damaged"):
            assert_epoch(read_checkpoint(path), 1)


def test_a_missing_newest_one(path):
    write(path, 1)
    write(path, 2)
    path.unlink()
    with pytest.warns(UserWarning, match="is not there; going on from"):
        assert_epoch(read_checkpoint(path), 1)


def test_both_damaged(path):
    write(path, 1)
    write(path, 2)
    for file in (path, path.with_name(f"{path.name}.previous")):
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"damaged .* and .*previous is damaged"):
        assert read_checkpoint(path) is None


def test_a_damaged_one_does_not_displace_a_whole_one(path):
    write(path, 1)
    write(path, 2)
    path.write_bytes(b"")
    write(path, 3)
    assert_epoch(read_checkpoint(path), 3)
    assert_epoch(read_checkpoint(f"{path}.previous"), 1)


def test_a_safetensors_file_of_others(path):
    from safetensors.torch import save_file

    save_file(contents(), path)
    with pytest.warns(UserWarning, match="has no 'meta'"):
        assert read_checkpoint(path) is None


# --- interrupted writers ------------------------------------------------------------


@pytest.mark.parametrize("step", range(1, 10))
def test_stopped_at_any_step(path, monkeypatch, step):
    """Stop the writer before each of its calls to the operating system."""

    class Stopped(BaseException):
        pass

    write(path, 1)
    write(path, 2)
    calls = []

    def counted(function):
        def call(*args):
            calls.append(function)
            if len(calls) == step:
                raise Stopped
            return function(*args)

        return call

    for name in ("fsync", "link", "replace", "open", "close"):
        monkeypatch.setattr(module.os, name, counted(getattr(os, name)))
    try:
        write(path, 3)
    except Stopped:
        monkeypatch.undo()
    else:
        monkeypatch.undo()
        assert step > len(calls) >= 5
        assert_epoch(read_checkpoint(path), 3)
        return
    # A whole file is there by its own name all the time.
    replaced = calls[:-1].count(os.replace)
    assert_epoch(read_checkpoint(path), 3 if replaced == 2 else 2)
    write(path, 4)
    assert_epoch(read_checkpoint(path), 4)


# Imported once: a killed writer then costs milliseconds.
KILLER = """
import os, random, signal, sys, time, warnings
import torch
from skcollapse._utils.tensor_files import read_checkpoint, write_checkpoint

def write_for_ever(path, first, told):
    epoch = first
    while True:
        values = torch.full((20_000,), epoch)
        write_checkpoint(path, {"a": values, "b": values[:7]}, {"epoch": epoch})
        os.write(told, b"%d\\n" % epoch)
        epoch += 1

path, last = sys.argv[1], 0
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "(?s).*is not there; going on from .*previous")
for _ in range(40):
    listening, told = os.pipe()
    writer = os.fork()
    if not writer:
        write_for_ever(path, last + 1, told)
    os.close(told)
    with os.fdopen(listening) as lines:
        start = time.monotonic()
        written = [int(lines.readline())]
        # Somewhere in the next two.
        time.sleep(random.uniform(0, 2 * (time.monotonic() - start)))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        written += map(int, lines)
    found = read_checkpoint(path)
    epoch = found.meta["epoch"]
    # Two renames make a checkpoint the newest; between them the one before is.
    assert written[-1] <= epoch <= written[-1] + 1, (written, epoch)
    assert (found.tensors["a"] == epoch).all()
    assert (found.tensors["b"] == epoch).all()
    last = epoch
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_while_writing(path):
    package = Path(module.__file__).parents[2]
    killer = subprocess.run(
        [sys.executable, "-c", KILLER, str(path)],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killer.returncode == 0, killer.stderr


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_no_file_behind(path, monkeypatch, failing):
    write(path, 1)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, failing, full)
    with pytest.raises(OSError, match="No space left"):
        write(path, 2)
    monkeypatch.undo()
    assert os.listdir(path.parent) == [path.name]
    assert_epoch(read_checkpoint(path), 1)


def test_what_a_killed_writer_left_is_replaced(path):
    other = path.with_name("other")
    other.write_bytes(b"of others")
    path.with_name(f"{path.name}.tmp").symlink_to(other)
    write(path, 1)
    assert_epoch(read_checkpoint(path), 1)
    assert other.read_bytes() == b"of others"
    assert not path.is_symlink()


# --- one process at a time -----------------------------------------------------------

HOLDER = """
import os, sys, time
from skcollapse._utils.tensor_files import exclusive
with exclusive(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_others_are_refused_until_the_holder_is_gone(path):
    in_use = pytest.raises(
        ValueError, match=r"checkpoint='.*' is in use by another fit"
    )
    with exclusive(path), in_use, exclusive(path):
        pass
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])},
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    with in_use, exclusive(path):
        pass
    holder.kill()
    holder.communicate()
    with exclusive(path):
        write(path, 1)
    assert_epoch(read_checkpoint(path), 1)


def test_file_systems_without_locks(path, monkeypatch):
    def acquire(*args, **kwargs):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(module.FileLock, "acquire", acquire)
    with exclusive(path), exclusive(path):
        write(path, 1)
    assert_epoch(read_checkpoint(path), 1)


def test_a_path_that_is_none():
    refused = pytest.raises(ValueError, match=r"checkpoint='a.*b' cannot be written")
    with refused, exclusive("a\0b"):
        pass


def test_a_lock_is_free_after_an_error(path):
    for _ in range(2):
        with pytest.raises(KeyError), exclusive(path):
            raise KeyError


# --- what is refused ----------------------------------------------------------------


@pytest.mark.parametrize("meta", [{"path": Path()}, {1, 2}, {"loss": torch.ones(1)}])
def test_meta_beyond_json_is_refused(path, meta):
    write(path, 1)
    with pytest.raises(TypeError, match="meta must be a dict that JSON can say"):
        write_checkpoint(path, {}, meta)
    assert_epoch(read_checkpoint(path), 1)


def test_a_folder_that_is_not_there(path):
    with pytest.raises(FileNotFoundError):
        write(path.parent / "no" / "file.safetensors", 1)


def test_a_header_that_no_reader_takes_is_not_written(path, monkeypatch):
    write(path, 1)
    monkeypatch.setattr(module, "_MOST_HEADER", 1000)
    with pytest.raises(ValueError, match="too many tensors for one file: 50"):
        write_checkpoint(path, {str(k): torch.ones(1) for k in range(50)}, {})
    assert_epoch(read_checkpoint(path), 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(ValueError, match="no regular file"):
        read_file(path)


def test_without_the_package(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for call in (lambda: write(path, 1), lambda: read_checkpoint(path)):
        with pytest.raises(ImportError, match="pip install safetensors"):
            call()
    assert not list(path.parent.iterdir())
