"""What every entry of the registry of measures keeps: one suite for all of them."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import ortho_group

from skcollapse.measures import MEASURES, MeasureInputs
from skcollapse.moments import ClassMoments, RowMoments

EVERYTHING = frozenset({"classifier", "rows", "spread", "class spread", "scatter"})
COUNTS, D = np.array([40, 30, 20, 9, 4]), 6
K = len(COUNTS)


def problem(seed=0):
    """Return rows, labels, class vectors and biases."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(K), COUNTS)
    X = rng.standard_normal((K, D))[y] + 0.5 * rng.standard_normal((len(y), D))
    return X, y, rng.standard_normal((K, D)), rng.standard_normal(K)


def inputs(X, y, coef, intercept, n_classes=K, **options):
    moments = RowMoments(X, y, n_classes)
    return MeasureInputs(moments, EVERYTHING, (coef, intercept), **options)


def moved(X, y, coef, intercept, matrix, offset=0.0):
    """Map rows; the classifier decides for the images as it did for the rows."""
    inverse = np.linalg.inv(matrix)
    # Rows of the classifier are vectors in the space of the rows, up to scale.
    coef = coef @ inverse.T
    return X @ matrix + offset, y, coef, intercept - coef.sum(axis=1) * offset


@pytest.fixture(params=MEASURES)
def measure(request):
    return MEASURES[request.param]


@pytest.fixture(params=[0, 1])
def seed(request):
    return request.param


def assert_invariant(measure, before, after, rtol=1e-7):
    value = measure(before)
    assert isinstance(value, float)
    assert np.isfinite(value)
    assert_allclose(measure(after), value, rtol=rtol, atol=1e-9)


def test_order_of_rows(measure, seed):
    X, y, *head = problem(seed)
    order = np.random.default_rng(seed).permutation(len(y))
    assert_invariant(measure, inputs(X, y, *head), inputs(X[order], y[order], *head))


def test_names_of_classes(measure, seed):
    X, y, coef, intercept = problem(seed)
    names = np.random.default_rng(seed).permutation(K)
    back = np.argsort(names)
    renamed = inputs(X, names[y], coef[back], intercept[back])
    assert_invariant(measure, inputs(X, y, coef, intercept), renamed)


def test_classes_without_rows(measure, seed):
    X, y, coef, intercept = problem(seed)
    # Class vectors far from all rows, which never decide.
    apart = np.zeros((2 * K, D)), np.full(2 * K, -1e3)
    apart[0][1::2], apart[1][1::2] = coef, intercept
    more = inputs(X, 2 * y + 1, *apart, n_classes=2 * K)
    assert_invariant(measure, inputs(X, y, coef, intercept), more)


def test_streamed_moments(measure):
    X, y, *head = problem()
    whole = inputs(X, y, *head)
    moments = ClassMoments(K, D, scatter="class")
    for rows in np.array_split(np.arange(len(y)), 4):
        moments.update(X[rows], y[rows])
    streamed = replace(whole, moments=moments, agreement_by_class=whole.agreement())
    assert_invariant(measure, whole, streamed)


@pytest.mark.parametrize(
    ("measure", "kind"),
    [(measure, kind) for measure in MEASURES.values() for kind in measure.invariant],
)
def test_declared_invariances(measure, kind, seed):
    rng = np.random.default_rng(seed)
    matrix, offset = np.eye(D), 0.0
    if kind == "rotation":
        matrix = ortho_group.rvs(D, random_state=seed)
    elif kind == "translation":
        offset = 10.0
    elif kind == "scaling":
        matrix = 1e3 * np.eye(D)
    else:
        matrix = rng.standard_normal((D, D)) + 3 * np.eye(D)
    before = problem(seed)
    after = moved(*before, matrix, offset)
    assert_invariant(measure, inputs(*before), inputs(*after), rtol=1e-6)


def test_what_is_missing_is_nan(measure):
    plain = replace(inputs(*problem()), has=frozenset(), head=None)
    assert np.isnan(measure(plain)) == bool(measure.needs)
    assert set(measure.needs) <= EVERYTHING


@pytest.mark.parametrize(
    "measure", [m for m in MEASURES.values() if m.collapsed is not None]
)
def test_value_at_collapse(measure):
    etf = 3 * (np.eye(K) - 1 / K)
    y = np.repeat(np.arange(K), 7)
    found = measure(inputs(etf[y], y, etf, np.zeros(K)))
    assert_allclose(found, measure.collapsed, atol=1e-9)
