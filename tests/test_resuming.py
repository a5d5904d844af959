"""Fits that are interrupted go on to the same bits."""

import contextlib
import io
import re
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.projectors import MLP
from skcollapse.training import RandomCropFlip, Trainer

pytest.importorskip("safetensors")

from skcollapse._utils.tensor_files import read_checkpoint, write_checkpoint

EPOCHS = 5


def network():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
        )


X, Y = load_digits(return_X_y=True)
X, Y = (X[:150] / 16).astype(np.float32).reshape(-1, 1, 8, 8), Y[:150]
PLAIN = {
    "extractor": network(),
    "train_extractor": True,
    "max_iter": EPOCHS,
    "random_state": 0,
}


def trainer(**parameters):
    return Trainer(batch_size=40, learning_rate_init=0.01, **parameters)


FITS = {
    "plain": ETFClassifier(**PLAIN, trainer=trainer()),
    "everything": ETFClassifier(
        **PLAIN,
        solver="sgd",
        class_weight="balanced",
        trainer=trainer(
            mixup_alpha=0.5,
            early_stopping=True,
            augment=RandomCropFlip(padding=1),
            ema_decay=0.8,
            warmup_epochs=1,
            freeze_epochs=1,
            deferred=2,
            sampler="square_root",
            clip_norm=1.0,
            accumulate=2,
            deterministic=True,
        ),
    ),
    "scaled": ETFClassifier(
        **PLAIN,
        trainer=trainer(
            learning_rate="multi_step",
            milestones=(2, 4),
            autocast="float16",
            cutmix_alpha=1.0,
        ),
    ),
    "one_cycle": ETFClassifier(**PLAIN, trainer=trainer(learning_rate="one_cycle")),
    "proxies": HUGClassifier(**PLAIN, trainer=trainer(), proxy="orthogonal"),
    "perceptron": ETFClassifier(
        projector=MLP((8,)), max_iter=EPOCHS, trainer=Trainer(), random_state=0
    ),
}
every_fit = pytest.mark.parametrize("name", FITS)


def rows(name):
    return (X if FITS[name].extractor is not None else X.reshape(len(X), -1)), Y


class Lines(io.StringIO):
    """Standard output that remembers iterations, and interrupts after so many."""

    def __init__(self, most=10**9):
        super().__init__()
        self.iterations, self.most = [], most

    def write(self, text):
        self.iterations += map(int, re.findall(r"iteration (\d+)", text))
        if len(self.iterations) > self.most:
            raise KeyboardInterrupt
        return super().write(text)


def fit_aloud(model, data, most=10**9):
    """Fit a model; return the iterations that it has told of."""
    with contextlib.redirect_stdout(Lines(most)) as lines:
        model.set_params(verbose=True).fit(*data)
    return lines.iterations


def interrupt(model, data, epochs):
    """Fit a model, and interrupt it when so many epochs are over and another nearly."""
    with pytest.raises(KeyboardInterrupt):
        fit_aloud(model, data, epochs)
    assert not hasattr(model, "classes_")


def assert_same_fit(first, second, X):
    assert first.loss_curve_ == second.loss_curve_
    assert first.validation_scores_ == second.validation_scores_
    assert_array_equal(first.predict_log_proba(X), second.predict_log_proba(X))
    if first.extractor_ is not None:
        state = second.extractor_.state_dict()
        for key, value in first.extractor_.state_dict().items():
            assert torch.equal(value, state[key]), key


@every_fit
@pytest.mark.parametrize("epochs", [1, 3])
def test_an_interrupted_fit_goes_on_to_the_same(name, epochs, tmp_path):
    X, y = rows(name)
    whole = clone(FITS[name]).fit(X, y)
    path = tmp_path / "run.safetensors"
    model = clone(FITS[name]).set_params(trainer__checkpoint=path)
    interrupt(model, (X, y), epochs)
    # What is interrupted while it is told of is not left yet.
    epochs_left = list(range(epochs + 1, len(whole.loss_curve_) + 1))
    assert fit_aloud(model, (X, y)) == epochs_left
    assert_same_fit(model, whole, X)
    # A fit that is over is there at once.
    assert fit_aloud(model, (X, y)) == []
    assert_same_fit(model, whole, X)


def test_checkpoints_are_left_now_and_then(tmp_path):
    path = tmp_path / "runs" / "run.safetensors"
    path.parent.mkdir()
    model = clone(FITS["plain"]).set_params(trainer__checkpoint=path)
    model.set_params(trainer__checkpoint_every=2)
    interrupt(model, (X, Y), 4)
    shutil.copytree(path.parent, tmp_path / "copy")
    copy = clone(model).set_params(trainer__checkpoint=tmp_path / "copy" / path.name)
    assert fit_aloud(copy, (X, Y)) == [5]
    path.unlink()
    with pytest.warns(UserWarning, match="is not there"):
        model.fit(X, Y)
    assert_same_fit(model, clone(FITS["plain"]).fit(X, Y), X)


@pytest.mark.parametrize("cut", [0, 10, 0.5, -1])
def test_a_truncated_checkpoint_gives_way_to_the_one_before(cut, tmp_path):
    path = tmp_path / "run.safetensors"
    model = clone(FITS["plain"]).set_params(trainer__checkpoint=path)
    interrupt(model, (X, Y), 3)
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content)) if cut == 0.5 else cut])
    with pytest.warns(UserWarning, match="is damaged"):
        model.fit(X, Y)
    assert_same_fit(model, clone(FITS["plain"]).fit(X, Y), X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.1}, "alpha"),
        ({"trainer__clip_norm": 1.0}, "trainer__"),
        ({"random_state": 1}, "random_state"),
        ({"max_iter": 9}, "max_iter"),
        ({"extractor": nn.Flatten()}, "network"),
        ({"trainer__augment": RandomCropFlip()}, "augment"),
        ({"projector": MLP((4,))}, "projector"),
        ({"target": np.eye(10)}, "target"),
    ],
    ids=str,
)
def test_other_parameters_are_another_fit(change, message, tmp_path):
    path = tmp_path / "run.safetensors"
    model = clone(FITS["plain"]).set_params(trainer__checkpoint=path)
    model.set_params(max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match=f"left by a fit with other .*{message}"):
        clone(model).set_params(**change).fit(X, Y)
    again = clone(model).set_params(verbose=True, extractor=network())
    assert_same_fit(again.fit(X, Y), model, X)


def test_other_rows_are_another_fit(tmp_path):
    path = str(tmp_path / "run.safetensors")
    model = clone(FITS["plain"]).set_params(trainer__checkpoint=path, max_iter=1)
    model.fit(X, Y)
    for other, message in (
        ((X + 1, Y), "X"),
        ((X[1:], Y[1:]), "X, y"),
        ((X, np.roll(Y, 1)), "y"),
        ((X, Y, np.r_[2.0, np.ones(len(Y) - 1)]), "weights"),
    ):
        with pytest.raises(ValueError, match=f"left by a fit with other {message}"):
            model.fit(*other)


# --- paths and files that will not do -------------------------------------------------


@pytest.mark.parametrize("kind", ["missing", "folder", "previous", "file", "readonly"])
def test_paths_that_cannot_be_written_are_named_before_the_first_epoch(kind, tmp_path):
    path = tmp_path / "run.safetensors"
    match kind:
        case "missing":
            path = tmp_path / "no" / "run.safetensors"
        case "folder":
            path.mkdir()
        case "previous":
            (tmp_path / "run.safetensors.previous").mkdir()
        case "file":
            (tmp_path / "file").touch()
            path = tmp_path / "file" / "run.safetensors"
        case "readonly":
            # A lock of somebody else: permissions do not stop everybody.
            (tmp_path / "run.safetensors.lock").mkdir()
    model = clone(FITS["perceptron"]).set_params(trainer__checkpoint=path)
    with (
        contextlib.redirect_stdout(Lines()) as lines,
        pytest.raises(ValueError, match=r"checkpoint='.*run.safetensors' cannot be wr"),
    ):
        model.set_params(verbose=True).fit(*rows("perceptron"))
    assert lines.iterations == []


def test_a_second_fit_on_the_same_path_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    model = clone(FITS["perceptron"]).set_params(trainer__checkpoint=path)
    other = clone(model)

    class Meanwhile(Lines):
        def write(self, text):
            super().write(text)
            if len(self.iterations) == 2:
                with pytest.raises(ValueError, match="in use by another fit"):
                    other.fit(*rows("perceptron"))

    with contextlib.redirect_stdout(Meanwhile()):
        model.set_params(verbose=True).fit(*rows("perceptron"))
    assert_same_fit(other.fit(*rows("perceptron")), model, rows("perceptron")[0])


JUNK = [None, True, -1, "x", [], {}, [None], {"a": 1}]


def changes(tensors, meta):
    """Yield checkpoints that are changed in one place."""
    for name, tensor in tensors.items():
        yield {k: v for k, v in tensors.items() if k != name}, meta
        for changed in (tensor[None], tensor.reshape(-1)[:0], tensor.new_ones(7)):
            yield {**tensors, name: changed}, meta
    for name in meta:
        yield tensors, {k: v for k, v in meta.items() if k != name}
        for value in JUNK:
            if value != meta[name] and not (name == "done" and value is True):
                yield tensors, {**meta, name: value}
    for name in ("tol", "exhausted", "__class__"):
        yield tensors, {**meta, "watch": {**meta["watch"], name: "x"}}
    yield tensors, {**meta, "watch": {**meta["watch"], "n_idle": "x"}}
    yield tensors, {**meta, "watch": {**meta["watch"], "scores": ["x"]}}
    yield {**tensors, "optimizer.99.step": torch.ones(())}, meta
    yield {**tensors, "optimizer.x": torch.ones(())}, meta
    yield {**tensors, "stranger": torch.ones(())}, meta


def test_forged_checkpoints_are_refused_and_named(tmp_path):
    path, forged = tmp_path / "run.safetensors", tmp_path / "forged.safetensors"
    model, data = clone(FITS["perceptron"]), rows("perceptron")
    model.set_params(trainer__ema_decay=0.9, trainer__early_stopping=True)
    interrupt(model.set_params(trainer__checkpoint=path), data, 3)
    model.set_params(trainer__checkpoint=forged, verbose=False)
    refused = 0
    for tensors, meta in changes(*read_checkpoint(path)):
        for file in tmp_path.glob("forged*"):
            file.unlink()
        write_checkpoint(forged, tensors, meta)
        with pytest.raises(ValueError, match=r"checkpoint='.*forged.safetensors'"):
            model.fit(*data)
        refused += 1
    assert refused > 100


SCRIPT = """
    import sys
    import torch
    from tests.test_resuming import FITS, X, Y
    torch.set_num_threads(1)
    model = FITS["everything"].set_params(max_iter=400, verbose=True)
    model.set_params(trainer__n_iter_no_change=400, trainer__checkpoint=sys.argv[1])
    model.fit(X, Y)
"""


@pytest.mark.slow
def test_a_killed_fit_goes_on_to_the_same(tmp_path):
    path = tmp_path / "run.safetensors"
    script = textwrap.dedent(SCRIPT)
    for lines in (3, 7):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE
        )
        for _ in range(lines):
            assert b"iteration" in process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    parameters = {"max_iter": 400, "trainer__n_iter_no_change": 400}
    model = clone(FITS["everything"]).set_params(**parameters)
    whole = clone(model).fit(X, Y)
    model.set_params(trainer__checkpoint=str(path))
    assert_same_fit(model.fit(X, Y), whole, X)
