"""Fits that are interrupted go on to the same bits."""

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
from skcollapse.classifiers._base import ProjectionClassifier
from skcollapse.training import RandomCropFlip, Trainer
from skcollapse._utils.tensor_files import read_checkpoint

pytest.importorskip("safetensors")

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
    "batch_size": 40,
    "max_iter": EPOCHS,
    "learning_rate_init": 0.01,
    "random_state": 0,
}
FITS = {
    "plain": ETFClassifier(**PLAIN),
    "everything": ETFClassifier(
        **PLAIN,
        solver="sgd",
        mixup_alpha=0.5,
        early_stopping=True,
        class_weight="balanced",
        augment=RandomCropFlip(padding=1),
        trainer=Trainer(
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
        learning_rate="multi_step",
        trainer=Trainer(autocast="float16", milestones=(2, 4), cutmix_alpha=1.0),
    ),
    "one_cycle": ETFClassifier(**PLAIN, learning_rate="one_cycle"),
    "proxies": HUGClassifier(**PLAIN, proxy="orthogonal"),
    "perceptron": ETFClassifier(
        projector="mlp", hidden_layer_sizes=(8,), max_iter=EPOCHS, random_state=0
    ),
}
every_fit = pytest.mark.parametrize("name", FITS)


def rows(name):
    return (X if FITS[name].extractor is not None else X.reshape(len(X), -1)), Y


def interrupt(model, data, monkeypatch, epochs):
    """Fit a model, and interrupt it when so many epochs are over and another nearly."""
    seen = []

    def say(estimator, step):
        seen.append(step)
        if len(seen) > epochs:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ProjectionClassifier, "_say", say)
        with pytest.raises(KeyboardInterrupt):
            model.fit(*data)
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
def test_an_interrupted_fit_goes_on_to_the_same(name, epochs, tmp_path, monkeypatch):
    X, y = rows(name)
    whole = clone(FITS[name]).fit(X, y)
    path = tmp_path / "run.safetensors"
    model = clone(FITS[name]).set_params(checkpoint=path)
    interrupt(model, (X, y), monkeypatch, epochs)
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(
            ProjectionClassifier, "_say", lambda _, step: seen.append(step.n_iter)
        )
        model.fit(X, y)
    # What is interrupted while it is told of is not left yet.
    assert seen == list(range(epochs + 1, len(whole.loss_curve_) + 1))
    assert_same_fit(model, whole, X)
    # A fit that is over is there at once.
    seen.clear()
    assert_same_fit(model.fit(X, y), whole, X)
    assert not seen


def test_checkpoints_are_left_now_and_then(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    model = clone(FITS["plain"]).set_params(checkpoint=path)
    model.set_params(trainer=Trainer(checkpoint_every=2))
    interrupt(model, (X, Y), monkeypatch, 4)
    assert len(read_checkpoint(path).meta["loss_curve"]) == 4
    path.unlink()
    with pytest.warns(UserWarning, match="is not there"):
        model.fit(X, Y)
    assert_same_fit(model, clone(FITS["plain"]).fit(X, Y), X)


@pytest.mark.parametrize("cut", [0, 10, 0.5, -1])
def test_a_truncated_checkpoint_gives_way_to_the_one_before(cut, tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    model = clone(FITS["plain"]).set_params(checkpoint=path)
    interrupt(model, (X, Y), monkeypatch, 3)
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content)) if cut == 0.5 else cut])
    with pytest.warns(UserWarning, match="is damaged"):
        model.fit(X, Y)
    assert_same_fit(model, clone(FITS["plain"]).fit(X, Y), X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.1}, "alpha"),
        ({"trainer": Trainer(clip_norm=1.0)}, "trainer__"),
        ({"random_state": 1}, "random_state"),
        ({"max_iter": 9}, "max_iter"),
        ({"extractor": nn.Flatten()}, "network"),
        ({"augment": RandomCropFlip()}, "augment"),
        ({"target": np.eye(10)}, "target"),
    ],
    ids=str,
)
def test_other_parameters_are_another_fit(change, message, tmp_path):
    model = clone(FITS["plain"]).set_params(checkpoint=tmp_path / "run.safetensors")
    model.set_params(max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match=f"left by a fit with other .*{message}"):
        clone(model).set_params(**change).fit(X, Y)
    again = clone(model).set_params(verbose=True, extractor=network())
    assert_same_fit(again.fit(X, Y), model, X)


def test_other_rows_are_another_fit(tmp_path):
    path = str(tmp_path / "run.safetensors")
    model = clone(FITS["plain"]).set_params(checkpoint=path, max_iter=1).fit(X, Y)
    for other, message in (
        ((X + 1, Y), "X"),
        ((X[1:], Y[1:]), "X, y"),
        ((X, np.roll(Y, 1)), "y"),
        ((X, Y, np.r_[2.0, np.ones(len(Y) - 1)]), "weights"),
    ):
        with pytest.raises(ValueError, match=f"left by a fit with other {message}"):
            model.fit(*other)


SCRIPT = """
    import sys
    import torch
    from tests.test_resuming import FITS, X, Y
    torch.set_num_threads(1)
    model = FITS["everything"].set_params(checkpoint=sys.argv[1], max_iter=400)
    model.set_params(n_iter_no_change=400, verbose=True).fit(X, Y)
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
    parameters = {"max_iter": 400, "n_iter_no_change": 400}
    model = clone(FITS["everything"]).set_params(**parameters)
    whole = clone(model).fit(X, Y)
    assert_same_fit(model.set_params(checkpoint=path).fit(X, Y), whole, X)
