"""Features that fits to the same rows share: of kernels, and of frozen networks."""

import pickle

import numpy as np
import pytest
import torch
from joblib import Memory, parallel_backend
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from torch.utils.data import TensorDataset

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.extract import FeatureExtractor
from skcollapse.projectors import Kernel

X, y = (part[:110] for part in load_iris(return_X_y=True))
GRID = {"loss": ["logit_adjusted", "cross_entropy"], "alpha": [1e-3]}


def fitted(memory, X=X, y=y, **parameters):
    return ETFClassifier(memory=memory, random_state=0, **parameters).fit(X, y)


def entries(folder):
    return len(list(folder.rglob("output.pkl")))


@pytest.mark.parametrize("solver", ["auto", "closed_form"])
def test_same_to_the_bit(tmp_path, solver):
    without = fitted(None, solver=solver)
    for _ in range(2):  # the first writes, the second reads
        within = fitted(str(tmp_path), solver=solver)
        np.testing.assert_array_equal(
            within.decision_function(X), without.decision_function(X)
        )


def test_candidates_share(tmp_path):
    # One family of features: which of several are refitted differs by candidate.
    kernel = {"projector": "kernel", "feature_scaling": "standard"}
    fitted(str(tmp_path), **kernel)
    first = entries(tmp_path)
    assert first > 0
    fitted(str(tmp_path), loss="cross_entropy", alpha=1e-3, **kernel)
    fitted(Memory(str(tmp_path), verbose=0), alpha=1e-2, **kernel)
    assert entries(tmp_path) == first


@pytest.mark.parametrize(
    "change",
    [
        {"X": X + np.eye(len(X), 4) * 1e-9},
        {"y": np.where(np.arange(len(y)) == 0, 1, y)},
        {"class_weight": {0: 1, 1: 1, 2: 2}},
        {"feature_scaling": None},
        {"projector": Kernel(n_landmarks=7)},
        {"projector": Kernel(gamma=0.3)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_rows_and_kernels_share_nothing(tmp_path, change):
    fitted(str(tmp_path))
    first = entries(tmp_path)
    within = fitted(str(tmp_path), **change)
    assert entries(tmp_path) > first
    without = fitted(None, **change)
    np.testing.assert_array_equal(within.predict_proba(X), without.predict_proba(X))


@pytest.mark.parametrize(
    "backend", [pytest.param("loky", marks=pytest.mark.slow), "threading"]
)
def test_workers_share(tmp_path, backend):
    def search(memory):
        model = ETFClassifier(memory=memory, random_state=0)
        return GridSearchCV(model, GRID, scoring="neg_log_loss", cv=3, n_jobs=2)

    with parallel_backend(backend):
        within = search(str(tmp_path)).fit(X, y)
        first = entries(tmp_path)
        search(str(tmp_path)).fit(X, y)
        assert entries(tmp_path) == first > 0
        without = search(None).fit(X, y)
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(
            within.cv_results_[name], without.cv_results_[name]
        )


def test_linear_projectors_keep_nothing(tmp_path):
    fitted(str(tmp_path), projector="linear")
    assert entries(tmp_path) == 0


def test_memory_can_be_emptied_and_bounded(tmp_path):
    memory = Memory(str(tmp_path), verbose=0)
    fitted(memory)
    kept = entries(tmp_path)
    memory.reduce_size(items_limit=kept - 1)
    assert entries(tmp_path) == kept - 1
    before = fitted(memory).predict_proba(X)  # what is missing is computed anew
    memory.clear(warn=False)
    np.testing.assert_array_equal(fitted(memory).predict_proba(X), before)


def test_clone_and_pickle(tmp_path):
    model = fitted(Memory(str(tmp_path), verbose=0))
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    copy = clone(loaded).fit(X, y)
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("classifier", [ETFClassifier, HUGClassifier])
def test_bad_memory(classifier):
    with pytest.raises(ValueError, match="'memory' should be None"):
        classifier(memory=3).fit(X, y)


class Network(torch.nn.Module):
    """Counts, for the class, the rows that go in."""

    n_rows = 0

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = torch.nn.Linear(4, 8)

    def forward(self, x):
        Network.n_rows += len(x)
        return self.layer(x).relu()


@pytest.mark.parametrize(
    "wrap", [lambda module: module, lambda module: FeatureExtractor(module.forward)]
)
def test_frozen_features_are_extracted_once(tmp_path, wrap):
    for seed, more in ((0, len(X)), (0, 0), (1, len(X)), (0, 0)):
        before = Network.n_rows
        network = wrap(Network(seed))
        within = fitted(str(tmp_path), extractor=network, projector="linear")
        assert Network.n_rows == before + more
        without = fitted(None, extractor=network, projector="linear")
        np.testing.assert_array_equal(within.predict_proba(X), without.predict_proba(X))


def test_a_search_extracts_once_for_each_fold(tmp_path):
    model = ETFClassifier(
        extractor=Network(), projector="linear", random_state=0, memory=str(tmp_path)
    )
    before = Network.n_rows
    GridSearchCV(model, GRID, cv=3).fit(X, y)
    candidates = len(GRID["loss"])
    # For training: two thirds of the rows three times, then all. For testing: a third
    # three times, each candidate anew.
    assert Network.n_rows - before == 3 * len(X) + candidates * len(X)


def test_data_sets_are_read_each_time(tmp_path):
    network = Network()
    rows = TensorDataset(torch.from_numpy(X).float(), torch.from_numpy(y))
    for _ in range(2):
        before = Network.n_rows
        fitted(str(tmp_path), rows, None, extractor=network, projector="linear")
        assert Network.n_rows == before + len(X)
