"""Data that are hard on the arithmetic: odd widths, extreme cells and magnitudes."""

import re
from functools import cache

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from torch.utils.data import Dataset

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.projectors import Kernel

X, Y = load_wine(return_X_y=True)
TRAIN, TEST, TRAIN_Y, TEST_Y = train_test_split(
    X, Y, random_state=0, stratify=Y, train_size=89
)
SOLVERS = {
    "auto": ETFClassifier(random_state=0),
    "closed_form": ETFClassifier(solver="closed_form", random_state=0),
    "lbfgs_path": ETFClassifier(solver="lbfgs_path", random_state=0),
    "lbfgs": ETFClassifier(solver="lbfgs", alpha=1e-3, random_state=0),
    "hug": HUGClassifier(random_state=0),
}
every_solver = pytest.mark.parametrize("name", SOLVERS)


# --- widths ------------------------------------------------------------------------


def blobs(n_rows, n_features, n_classes=2, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n_rows) % n_classes
    centers = 3 * rng.normal(size=(n_classes, n_features))
    return centers[y] + rng.normal(size=(n_rows, n_features)), y


@pytest.mark.parametrize("n_features", [257, 385, 513, 769])
def test_odd_widths_of_rows(n_features):
    X, y = blobs(n_features + 3, n_features)
    model = ETFClassifier(projector="linear", cv=2, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.95


@pytest.mark.parametrize("width", [257, 385])
@pytest.mark.parametrize("solver", ["auto", "closed_form"])
def test_odd_widths_of_kernel_features(width, solver):
    # Landmarks that are distinct have a kernel of full rank if it is narrow.
    X, y = blobs(width + 40, 7)
    model = ETFClassifier(
        projector=Kernel(n_landmarks=width - 7, gamma=2.0),
        feature_scaling="standard",
        solver=solver,
        cv=[(np.arange(len(y)), np.arange(20))],
        random_state=0,
    ).fit(X, y)
    assert model.score(X, y) > 0.95


@pytest.mark.parametrize("seed", range(25))
def test_the_default_fits_data_of_any_shape(seed):
    rng = np.random.default_rng(seed)
    n_classes = int(rng.integers(2, 5))
    n_features = int(2 ** rng.uniform(0, 8.5))
    X, y = blobs(int(rng.integers(2 * n_classes, 90)), n_features, n_classes, seed)
    X = X.astype(rng.choice([np.float32, np.float64]))
    model = ETFClassifier(random_state=0).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
    if n_features > 2:
        assert balanced_accuracy_score(y, model.predict(X)) > 0.8


# --- data sets that nothing makes features of --------------------------------------


class Guarded(Dataset):
    """Pairs that a reader who never ends is stopped at."""

    n_reads = 0

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        self.n_reads += 1
        assert self.n_reads <= 4 * len(X), "The data set is read without end."
        return X[index % len(X)], Y[index % len(X)]


@pytest.mark.parametrize("labels", [None, Y], ids=["none", "labels"])
@pytest.mark.parametrize("classifier", [ETFClassifier, HUGClassifier])
def test_data_sets_without_an_extractor_are_refused(classifier, labels):
    model = classifier(projector="linear", solver="closed_form")
    with pytest.raises((ValueError, TypeError), match=r"\bX must .*[Dd]ata ?set"):
        model.fit(Guarded(), labels)
    assert not hasattr(model, "classes_")
    model.fit(X, Y)
    for method in (model.predict, model.predict_proba, model.transform):
        with pytest.raises((ValueError, TypeError), match=r"\bX must .*[Dd]ata ?set"):
            method(Guarded())


def test_partial_fits_to_data_sets_without_an_extractor_are_refused():
    model = ETFClassifier(projector="linear", solver="adamw")
    with pytest.raises((ValueError, TypeError), match=r"\bX must .*[Dd]ata ?set"):
        model.partial_fit(Guarded(), Y, classes=[0, 1, 2])


# --- one extreme cell --------------------------------------------------------------


@pytest.fixture(scope="module")
def clean():
    """Return the balanced accuracy of a fit to rows without an extreme cell."""
    model = ETFClassifier(random_state=1).fit(TRAIN, TRAIN_Y)
    return balanced_accuracy_score(TEST_Y, model.predict(TEST))


@pytest.mark.parametrize("value", [1e7, 1e8, 1e9, 1e10, -1e9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["single", "double"])
def test_one_extreme_cell_costs_the_default_little(value, dtype, clean):
    for row, column in ((5, 3), (40, 12)):
        spoilt = TRAIN.astype(dtype)
        spoilt[row, column] = value
        model = ETFClassifier(random_state=1).fit(spoilt, TRAIN_Y)
        accuracy = balanced_accuracy_score(TEST_Y, model.predict(TEST.astype(dtype)))
        assert accuracy > clean - 0.03, (row, column)


@pytest.mark.parametrize("name", ["closed_form", "lbfgs_path", "hug"])
def test_one_extreme_cell_costs_others_little(name):
    spoilt = TRAIN.copy()
    spoilt[5, 3] = 1e9
    model = clone(SOLVERS[name]).fit(spoilt, TRAIN_Y)
    assert balanced_accuracy_score(TEST_Y, model.predict(TEST)) > 0.93


def test_one_extreme_pixel_costs_the_default_little():
    X, y = load_digits(return_X_y=True)
    spoilt = X[:500].copy()
    spoilt[5, 3] = 1e10
    accuracy = [
        balanced_accuracy_score(
            y[500:], ETFClassifier(random_state=1).fit(rows, y[:500]).predict(X[500:])
        )
        for rows in (X[:500], spoilt)
    ]
    assert accuracy[1] > accuracy[0] - 0.03


# --- extreme magnitudes ------------------------------------------------------------


@cache
def usual(name):
    """Return the balanced accuracy at the magnitudes of the data."""
    return balanced_accuracy_score(Y, clone(SOLVERS[name]).fit(X, Y).predict(X))


@every_solver
@pytest.mark.parametrize(
    ("dtype", "factor"),
    [
        (np.float32, 1e19),
        (np.float32, 1e34),
        (np.float64, 1e155),
        (np.float64, 1e300),
        (np.float32, 1e-23),
        (np.float32, 1e-38),
        (np.float64, 1e-23),
        (np.float64, 1e-160),
    ],
    ids=str,
)
def test_magnitudes_are_fitted_or_named(name, dtype, factor):
    scaled = X.astype(dtype) * dtype(factor)
    model = clone(SOLVERS[name])
    try:
        model.fit(scaled, Y)
    except ValueError as error:
        message = str(error)
    else:
        message = None
    if message is not None:
        assert re.search(r"\bX\b.*\b[Ss]cale", message, re.DOTALL), message
        return
    accuracy = balanced_accuracy_score(Y, model.predict(scaled))
    assert np.isfinite(model.predict_proba(scaled)).all()
    assert accuracy > usual(name) - 0.03
