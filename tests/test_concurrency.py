"""Threads that predict while others fit, processes that are forked, no memory left."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from skcollapse import ETFClassifier, HUGClassifier, NeuralCollapseScorer
from skcollapse.linear import ClosedForm

_RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
X = _RNG.normal(size=(3, 5))[Y] * 3 + _RNG.normal(size=(60, 5))
OTHER = _RNG.normal(size=(60, 7)), np.array(["a", "b"])[Y % 2]
QUICK = {"solver": "closed_form", "projector": "linear", "random_state": 0}
both = pytest.mark.parametrize("classifier", [ETFClassifier, HUGClassifier])


class Hooked(ClosedForm):
    """Calls a function in the middle of a fit."""

    def __init__(self, hook=None):
        self.hook = hook

    def solve(self, *args, **kwargs):
        self.hook()
        return super().solve(*args, **kwargs)


class Head:
    """A linear classifier that calls a function when it is looked at."""

    intercept_ = None

    def __init__(self, hook, shape):
        self.hook, self.shape = hook, shape

    @property
    def coef_(self):
        self.hook()
        return np.ones(self.shape)


def views(model):
    return [
        getattr(model, name)(X)
        for name in ("predict", "predict_proba", "transform", "decision_function")
    ]


@both
def test_a_fit_shows_nothing_before_its_end(classifier):
    model = classifier(**QUICK).fit(X, Y)
    before, state = views(model), dict(vars(model))
    seen = []

    def look():
        seen.append(views(model))
        assert {**vars(model), "solver": None} == {**state, "solver": None}

    model.solver = Hooked(look)
    model.fit(*OTHER)
    assert seen
    for view in seen:
        for then, now in zip(before, view, strict=True):
            assert_array_equal(then, now)
    assert model.n_features_in_ == 7
    assert list(model.classes_) == ["a", "b"]


def test_a_measurement_shows_nothing_before_its_end():
    scorer = NeuralCollapseScorer(metric="cdnv").fit(X, Y)
    before, seen = scorer.predict(X), []
    head = Head(lambda: seen.append(scorer.predict(X)), (1, 7))
    scorer.set_params(classifier=head)
    scorer.fit(*OTHER)
    assert seen
    assert_array_equal(seen[0], before)
    assert scorer.n_features_in_ == 7


@both
def test_predictions_beside_fits_are_of_one_of_them(classifier):
    model = classifier(**QUICK).fit(X, Y)
    data = [(X, Y), (X[::-1] ** 2, np.array(["a", "b", "c"])[Y]), (X, np.full(60, 1))]
    # The third has one class only, and fails.
    expected = [views(classifier(**QUICK).fit(*some)) for some in data[:2]]
    stop, errors = time.monotonic() + 2, []

    def fit():
        while time.monotonic() < stop:
            for some in data:
                try:
                    model.fit(*some)
                except ValueError as error:
                    if "2 classes" not in str(error):
                        errors.append(error)

    def predict():
        try:
            while time.monotonic() < stop:
                for seen, *known in zip(views(model), *expected, strict=True):
                    alike = [one for one in known if one.dtype.kind == seen.dtype.kind]
                    assert any(np.array_equal(seen, one) for one in alike)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for work in (fit, predict, predict)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors


NO_MEMORY = [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")]


@both
@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda e: type(e).__name__)
def test_without_memory_a_fit_changes_nothing(classifier, error):
    def fail():
        raise error

    model = classifier(**QUICK).fit(X, Y)
    model.solver = Hooked(fail)
    before, state = views(model), dict(vars(model))
    with pytest.raises(type(error)):
        model.fit(*OTHER)
    assert vars(model) == state
    for then, now in zip(before, views(model), strict=True):
        assert_array_equal(then, now)
    scorer = NeuralCollapseScorer(metric="cdnv").fit(X, Y)
    scorer.classifier, before = Head(fail, (1, 7)), scorer.predict(X)
    state = dict(vars(scorer))
    with pytest.raises(type(error)):
        scorer.fit(*OTHER)
    assert vars(scorer) == state
    assert_array_equal(scorer.predict(X), before)


FORKED = """
import os, signal, numpy as np, torch
torch.set_num_threads(3)
from skcollapse import ETFClassifier, NeuralCollapseScorer
from skcollapse.extract import FeatureExtractor
X = np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32)
y = np.arange(3000) % 3
layers = torch.nn.Linear(64, 512), torch.nn.GELU(), torch.nn.Linear(512, 3)
net = torch.nn.Sequential(*layers)
extractor = FeatureExtractor(net, device="cpu")
model = ETFClassifier(projector="linear", device="cpu", random_state=0)
torch.ones(4_000_000).exp().sum()
extractor.transform(X)
model.fit(X, y)
child = os.fork()
if not child:
    signal.alarm(60)
    extractor.transform(X)
    model.fit(X, y)
    ETFClassifier(solver="adamw", max_iter=1, device="cpu").fit(X, y)
    NeuralCollapseScorer().fit(X, y)
    os._exit(0)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
def test_forked_processes_fit():
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=180)
