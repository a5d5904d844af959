"""What must not matter: units, repetitions and the order of rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.projectors import Kernel

pytestmark = pytest.mark.filterwarnings("ignore:L-BFGS stopped at max_iter")
_RNG = np.random.default_rng(0)
Y = np.arange(60) % 4
X = 2 * _RNG.normal(size=(4, 6))[Y] + 3 * _RNG.normal(size=(60, 6))
NEW = 4 * _RNG.normal(size=(20, 6))
REPEATS = _RNG.integers(1, 4, 60)
both = pytest.mark.parametrize("classifier", [ETFClassifier, HUGClassifier])
PARAMETERS = [
    {},
    {"projector": "kernel"},
    {"projector": "kernel", "alpha": 1e-2, "solver": "closed_form"},
    {"projector": Kernel(30), "alpha": 1e-2, "feature_scaling": "standard"},
    {"projector": "kernel", "solver": "closed_form", "feature_scaling": "standard"},
    {"projector": "linear", "solver": "closed_form", "cv": 3},
]
varied = pytest.mark.parametrize("parameters", PARAMETERS)


def fit(classifier, X, y, parameters, **options):
    return classifier(**parameters, random_state=0).fit(X, y, **options)


@both
@varied
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_of_two_change_no_bit(classifier, parameters, dtype):
    rows, new = X.astype(dtype), NEW.astype(dtype)
    plain = fit(classifier, rows, Y, parameters).predict_proba(new)
    factor = dtype(8)
    scaled = fit(classifier, factor * rows, Y, parameters).predict_proba(factor * new)
    assert_array_equal(plain, scaled)


@varied
@pytest.mark.parametrize("factor", [3.0, 1e-5])
def test_units_do_not_matter(parameters, factor):
    plain = fit(ETFClassifier, X, Y, parameters).predict_proba(NEW)
    scaled = fit(ETFClassifier, factor * X, Y, parameters).predict_proba(factor * NEW)
    assert_allclose(plain, scaled, atol=1e-6)


@varied
def test_order_does_not_matter_to_landmarks(parameters):
    # Folds, which choose what is auto, do follow the order.
    fixed = {"projector": "kernel", "alpha": 1e-2, "cv": None}
    parameters = {"feature_scaling": "global", **parameters, **fixed}
    order = np.random.default_rng(1).permutation(len(Y))
    plain = fit(ETFClassifier, X, Y, parameters).predict_proba(NEW)
    shuffled = fit(ETFClassifier, X[order], Y[order], parameters).predict_proba(NEW)
    assert_allclose(plain, shuffled, atol=1e-6)


@both
@varied
@pytest.mark.parametrize("grouped", [False, True])
def test_weights_are_repetitions_to_the_bit(classifier, parameters, grouped):
    again = np.repeat(np.arange(len(Y)), REPEATS)
    groups = np.arange(len(Y)) // 8
    parts = [{"groups": groups}, {"groups": groups[again]}] if grouped else [{}, {}]
    weighted = fit(classifier, X, Y, parameters, sample_weight=REPEATS, **parts[0])
    repeated = fit(classifier, X[again], Y[again], parameters, **parts[1])
    assert_array_equal(weighted.transform(NEW), repeated.transform(NEW))
    assert_array_equal(weighted.predict_proba(NEW), repeated.predict_proba(NEW))
    assert_array_equal(weighted.class_counts_, repeated.class_counts_)


def test_rows_of_several_labels_and_one_place_stay_apart():
    rows, labels = np.repeat(X[:40], 2, axis=0), np.arange(80) % 2
    model = fit(ETFClassifier, rows, labels, {"projector": "linear", "alpha": 1e-2})
    assert_allclose(model.predict_proba(NEW), 0.5, atol=1e-6)


def test_splits_of_the_user_count_all_rows():
    again = np.repeat(np.arange(len(Y)), 2)
    splits = [(np.arange(0, 120, 2), np.arange(1, 120, 2))]
    model = ETFClassifier(projector="linear", cv=splits, random_state=0)
    model.fit(X[again], Y[again])
    assert len(model.selection_results_["log_loss"]) > 1
