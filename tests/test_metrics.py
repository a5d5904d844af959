"""Metrics: by hand, beside independent implementations, and what must not matter."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import balanced_accuracy_score, log_loss

from skcollapse.metrics import (
    balanced_log_loss,
    expected_calibration_error,
    geometric_mean_recall,
    head_tail_gap,
    shot_accuracy,
    worst_class_recall,
)

# Recalls by hand: a 3/4, b 1/2, c 0/1, d 2/2.
TRUE = list("aaaabbcdd")
PREDICTED = list("aaabbaadd")
COUNTS = {"a": 500, "b": 100, "c": 3, "d": 19}


def by_label(metric):
    """Return a metric of labels, with counts where it takes them."""
    takes_counts = metric in (shot_accuracy, head_tail_gap)
    return lambda *args, class_counts=COUNTS, **options: metric(
        *args, **({"class_counts": class_counts} if takes_counts else {}), **options
    )


LABEL_METRICS = [
    pytest.param(by_label(metric), id=metric.__name__)
    for metric in (
        shot_accuracy,
        head_tail_gap,
        worst_class_recall,
        geometric_mean_recall,
    )
]
PROBABILITY_METRICS = [
    balanced_log_loss,
    expected_calibration_error,
    lambda *args, **options: expected_calibration_error(
        *args, class_balanced=True, n_bins=4, **options
    ),
]


def predictions(seed=0, n=400, n_classes=6):
    """Return labels of unequal classes, probabilities, and decisions."""
    rng = np.random.default_rng(seed)
    y = rng.choice(n_classes, n, p=np.arange(1, n_classes + 1)[::-1] / 21)
    y[:n_classes] = np.arange(n_classes)
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), y] += 1.5
    prob = np.exp(logits)
    prob /= prob.sum(axis=1, keepdims=True)
    return y, prob, prob.argmax(axis=1)


# --- by hand -----------------------------------------------------------------------


def test_shots_by_hand():
    expected = {"few": 0.5, "medium": 0.5, "many": 0.75}
    assert shot_accuracy(TRUE, PREDICTED, class_counts=COUNTS) == expected
    # Thresholds belong to the medium classes.
    found = shot_accuracy(TRUE, PREDICTED, class_counts=COUNTS, thresholds=(3, 99))
    assert found == {"medium": 0.5, "many": 0.625}


def test_worst_and_geometric_mean_by_hand():
    assert worst_class_recall(TRUE, PREDICTED) == 0
    assert geometric_mean_recall(TRUE, PREDICTED) == 0
    rest = {"labels": ["a", "b", "d"]}
    assert worst_class_recall(TRUE, PREDICTED, **rest) == 0.5
    mean = geometric_mean_recall(TRUE, PREDICTED, **rest)
    assert mean == pytest.approx((0.75 * 0.5) ** (1 / 3))
    corrected = geometric_mean_recall(TRUE, PREDICTED, correction=0.01)
    assert corrected == pytest.approx((0.75 * 0.5 * 0.01) ** (1 / 4))


def test_recalls_that_are_all_zero():
    wrong = ["d"] * 7 + ["a"] * 2
    assert geometric_mean_recall(TRUE, wrong) == 0
    assert worst_class_recall(TRUE, wrong) == 0
    found = shot_accuracy(TRUE, wrong, class_counts=COUNTS)
    assert found == {"few": 0, "medium": 0, "many": 0}
    assert head_tail_gap(TRUE, wrong, class_counts=COUNTS) == 0


def test_gap_by_hand():
    # Small is below sqrt(3 * 500) = 38.7.
    gap = head_tail_gap(TRUE, PREDICTED, class_counts=COUNTS)
    assert gap == (0.75 + 0.5) / 2 - (0 + 1) / 2
    # Classes without training samples are small, and do not say what else is.
    counts = {"a": 500, "b": 500, "c": 0, "d": 500}
    gap = head_tail_gap(TRUE, PREDICTED, class_counts=counts)
    assert gap == (0.75 + 0.5 + 1) / 3


def test_log_loss_by_hand():
    prob = [[0.5, 0.5], [0.25, 0.75], [0.2, 0.8]]
    expected = (-(np.log(0.5) + np.log(0.25)) / 2 - np.log(0.8)) / 2
    assert balanced_log_loss(["n", "n", "y"], prob) == pytest.approx(expected)
    column = [row[1] for row in prob]
    assert balanced_log_loss(["n", "n", "y"], column) == pytest.approx(expected)
    certain = balanced_log_loss([0, 1], [[1.0, 0.0], [1.0, 0.0]])
    assert certain == pytest.approx(-np.log(np.finfo(float).eps) / 2)


def test_calibration_error_by_hand():
    # Bins of width 1/2: of confidence 0.5, which is the first, one of two is right; of
    # 0.8 and 0.9, one of two.
    prob = [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.1, 0.9, 0.0]]
    error = expected_calibration_error([0, 1, 1, 2], prob, n_bins=2)
    assert error == pytest.approx((abs(1 - 1.0) + abs(1 - 1.7)) / 4)
    # Rows of class 1 count half as much.
    error = expected_calibration_error(
        [0, 1, 1, 2], prob, n_bins=2, class_balanced=True
    )
    assert error == pytest.approx((abs(1 - 0.75) + abs(0.5 - 0.4 - 0.9)) / 3)


# --- beside independent implementations -------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_beside_imbalanced_learn(weighted):
    metrics = pytest.importorskip("imblearn.metrics", reason="needs imbalanced-learn")
    y, _, predicted = predictions()
    weight = np.random.default_rng(1).uniform(size=len(y)) if weighted else None
    found = geometric_mean_recall(y, predicted, sample_weight=weight)
    expected = metrics.geometric_mean_score(
        y, predicted, average="multiclass", sample_weight=weight
    )
    assert found == pytest.approx(expected, abs=1e-12)
    sensitivity = metrics.sensitivity_score(
        y, predicted, average=None, sample_weight=weight
    )
    worst = worst_class_recall(y, predicted, sample_weight=weight)
    assert worst == pytest.approx(sensitivity.min(), abs=1e-12)
    for correction in (0.0, 0.01):
        found = geometric_mean_recall(TRUE, PREDICTED, correction=correction)
        expected = metrics.geometric_mean_score(
            TRUE, PREDICTED, average="multiclass", correction=correction
        )
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n_bins", [1, 7, 15])
def test_beside_torchmetrics(n_bins):
    torchmetrics = pytest.importorskip(
        "torchmetrics.functional.classification", reason="needs torchmetrics"
    )
    torch = pytest.importorskip("torch")
    y, prob, predicted = predictions()
    target = torch.from_numpy(y)
    expected = torchmetrics.multiclass_calibration_error(
        torch.from_numpy(prob), target, num_classes=6, n_bins=n_bins
    )
    found = expected_calibration_error(y, prob, n_bins=n_bins)
    # Bins of torchmetrics are in float32.
    assert found == pytest.approx(float(expected), abs=1e-6)
    recalls = torchmetrics.multiclass_recall(
        torch.from_numpy(predicted), target, num_classes=6, average=None
    )
    assert worst_class_recall(y, predicted) == pytest.approx(float(recalls.min()))
    counts = [200, 150, 100, 50, 10, 0]
    shots = shot_accuracy(y, predicted, class_counts=counts)
    groups = {"few": [4, 5], "medium": [2, 3], "many": [0, 1]}
    expected = {shot: float(recalls[own].mean()) for shot, own in groups.items()}
    assert shots == pytest.approx(expected)


def test_beside_scikit_learn():
    y, prob, predicted = predictions()
    shots = shot_accuracy(y, predicted, class_counts=[200] * 6)
    assert shots["many"] == pytest.approx(balanced_accuracy_score(y, predicted))
    losses = [
        log_loss(y[y == k], prob[y == k], labels=np.arange(6)) for k in np.unique(y)
    ]
    assert balanced_log_loss(y, prob) == pytest.approx(np.mean(losses))
    single = balanced_log_loss(y, prob.astype(np.float32))
    assert single == pytest.approx(np.mean(losses), rel=1e-5)


def test_calibration_error_is_that_of_its_definition():
    y, prob, _ = predictions(3)
    n_bins, total = 10, 0.0
    for m in range(n_bins):
        confidence = prob.max(axis=1)
        own = (confidence > m / n_bins) & (confidence <= (m + 1) / n_bins)
        if own.any():
            right = prob[own].argmax(axis=1) == y[own]
            total += own.mean() * abs(right.mean() - confidence[own].mean())
    found = expected_calibration_error(y, prob, n_bins=n_bins)
    assert found == pytest.approx(total, abs=1e-12)


# --- labels, counts and absent classes --------------------------------------------


@pytest.mark.parametrize("metric", LABEL_METRICS)
@pytest.mark.parametrize(
    "name",
    [
        {"a": 3, "b": 1, "c": 0, "d": 2}.get,
        {"a": 1.0, "b": -1.0, "c": 0.0, "d": 2.0}.get,
        np.str_,
        lambda label: np.array([label], dtype=object)[0],
    ],
)
def test_labels_of_any_type(metric, name):
    counts = {name(label): count for label, count in COUNTS.items()}
    true, predicted = [[name(k) for k in labels] for labels in (TRUE, PREDICTED)]
    found = metric(true, predicted, class_counts=counts)
    assert found == pytest.approx(metric(TRUE, PREDICTED))
    column = np.array(true)[:, None]
    assert metric(column, predicted, class_counts=counts) == pytest.approx(found)


def test_labels_that_are_bool():
    true, predicted = [True, True, False], [True, False, False]
    counts = {True: 200, False: 5}
    shots = shot_accuracy(true, predicted, class_counts=counts)
    assert shots == {"few": 1.0, "many": 0.5}
    assert shot_accuracy(true, predicted, class_counts=[5, 200]) == shots


@pytest.mark.parametrize("metric", [shot_accuracy, head_tail_gap])
def test_counts_in_every_form(metric):
    pandas = pytest.importorskip("pandas")
    expected = metric(TRUE, PREDICTED, class_counts=COUNTS)
    y_train = np.repeat(list(COUNTS), list(COUNTS.values()))
    in_order = [COUNTS[label] for label in "dcba"]
    for counts, labels in [
        (Counter(y_train.tolist()), None),
        (pandas.Series(y_train).value_counts(), None),
        (list(COUNTS.values()), None),
        (np.array(list(COUNTS.values()), dtype=np.float32), None),
        (in_order, list("dcba")),
        (COUNTS | {"e": 50}, None),
    ]:
        found = metric(TRUE, PREDICTED, class_counts=counts, labels=labels)
        assert found == expected


@pytest.mark.parametrize("metric", LABEL_METRICS)
def test_classes_that_are_not_tested_are_left_out(metric):
    without_c = [k for k, label in enumerate(TRUE) if label != "c"]
    true, predicted = [[rows[k] for k in without_c] for rows in (TRUE, PREDICTED)]
    found = metric(true, predicted)
    assert found == metric(TRUE, PREDICTED, labels=["a", "b", "d"])
    assert found == metric(true, predicted, labels=["a", "b", "c", "d"])
    # What was predicted for a class without rows does not matter.
    weight = [float(label != "c") for label in TRUE]
    assert metric(TRUE, PREDICTED, sample_weight=weight) == found


def test_a_single_class():
    shots = shot_accuracy(["a"] * 4, list("aaab"), class_counts=COUNTS)
    assert shots == {"many": 0.75}
    assert worst_class_recall(["a"] * 4, list("aaab")) == 0.75
    assert geometric_mean_recall(["a"] * 4, list("aaab")) == 0.75
    with pytest.raises(ValueError, match=r"no rows of a small class .* Test on rows"):
        head_tail_gap(["a"] * 4, list("aaab"), class_counts=COUNTS)
    with pytest.raises(ValueError, match="no rows of a large class"):
        head_tail_gap(["c"] * 4, list("aaab"), class_counts=COUNTS)
    for metric in PROBABILITY_METRICS:
        with pytest.raises(
            ValueError, match=r"1 classes \['a'\], got the shape .*Pass labels="
        ):
            metric(["a"], [[0.9, 0.1]])
        assert metric(["a"], [[0.9, 0.1]], labels=["a", "b"]) > 0


# --- what must not matter ----------------------------------------------------------


# Each computes nine metrics twice.
few_examples = settings(max_examples=25)


@st.composite
def labelled_rows(draw):
    """Draw labels, probabilities, class counts and integer weights."""
    n_classes = draw(st.integers(2, 5))
    n = draw(st.integers(n_classes, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = rng.integers(n_classes, size=n)
    prob = rng.dirichlet(np.ones(n_classes), size=n)
    counts = rng.integers(1, 300, size=n_classes)
    # Of two classes, one is large and one is small.
    y[:n_classes], counts[:2] = np.arange(n_classes), (300, 1)
    weight = rng.integers(0, 4, size=n)
    weight[:n_classes] += 1
    return y, prob, counts, weight


def all_metrics(y, prob, counts, sample_weight=None):
    """Return all metrics as one array."""
    labels = np.arange(len(counts))
    predicted = prob.argmax(axis=1)
    options = {"labels": labels, "sample_weight": sample_weight}
    shots = shot_accuracy(y, predicted, class_counts=counts, **options)
    return np.array(
        [shots.get(shot, -1) for shot in ("few", "medium", "many")]
        + [head_tail_gap(y, predicted, class_counts=counts, **options)]
        + [worst_class_recall(y, predicted, **options)]
        + [geometric_mean_recall(y, predicted, **options)]
        + [metric(y, prob, **options) for metric in PROBABILITY_METRICS]
    )


@few_examples
@given(data=labelled_rows(), seed=st.integers(0, 99))
def test_names_of_the_classes_do_not_matter(data, seed):
    y, prob, counts, weight = data
    new = np.random.default_rng(seed).permutation(len(counts))
    renamed = new[y], prob[:, np.argsort(new)], counts[np.argsort(new)]
    assert_allclose(
        all_metrics(*renamed, weight), all_metrics(*data), rtol=1e-9, atol=1e-12
    )


@few_examples
@given(data=labelled_rows(), seed=st.integers(0, 99))
def test_order_of_the_rows_does_not_matter(data, seed):
    y, prob, counts, weight = data
    order = np.random.default_rng(seed).permutation(len(y))
    shuffled = y[order], prob[order], counts, weight[order]
    assert_allclose(all_metrics(*shuffled), all_metrics(*data), rtol=1e-9, atol=1e-12)


@few_examples
@given(data=labelled_rows())
def test_a_weight_is_so_many_rows(data):
    y, prob, counts, weight = data
    repeated = np.repeat(y, weight), np.repeat(prob, weight, axis=0), counts
    assert_allclose(all_metrics(*repeated), all_metrics(*data), rtol=1e-9, atol=1e-12)
    assert_allclose(
        all_metrics(y, prob, counts, 0.3 * weight),
        all_metrics(*data),
        rtol=1e-9,
        atol=1e-12,
    )


@few_examples
@given(data=labelled_rows())
def test_rows_of_a_class_do_not_outweigh_others(data):
    y, prob, counts, _ = data
    # Class 0 stands there five times as often.
    index = np.concatenate([np.arange(len(y)), *[np.flatnonzero(y == 0)] * 4])
    found = all_metrics(y[index], prob[index], counts)
    balanced = np.arange(len(found)) != len(found) - 2  # all but the plain error
    expected = all_metrics(y, prob, counts)
    assert_allclose(found[balanced], expected[balanced], rtol=1e-9, atol=1e-12)


# --- bad input ---------------------------------------------------------------------


@pytest.mark.parametrize("metric", [shot_accuracy, head_tail_gap])
def test_bad_counts(metric):
    for counts, message in [
        ({"a": 5, "b": 5, "d": 5}, "no number for class 'c'; its classes are"),
        (COUNTS | {"c": -1}, "class 'c' must be a finite number, at least 0; got -1"),
        (COUNTS | {"c": np.nan}, "class 'c' must be a finite number, .* got nan"),
        (COUNTS | {"c": np.inf}, "class 'c' must be a finite number, .* got inf"),
        (COUNTS | {"c": "3"}, "class 'c' must be .* got '3'"),
        ([500, 100, 3], r"each of the 4 classes \['a', .* got the shape \(3,\)"),
        ([500, 100, -3, 19], "class 'c' must be .* got -3"),
        (None, r"got the shape \(\). Pass a dict"),
    ]:
        with pytest.raises(ValueError, match=f"class_counts .*{message}"):
            metric(TRUE, PREDICTED, class_counts=counts)


def test_a_gap_needs_a_tail():
    for counts in (dict.fromkeys("abcd", 9), [7, 7, 7, 7]):
        with pytest.raises(ValueError, match="no rows of a small class"):
            head_tail_gap(TRUE, PREDICTED, class_counts=counts)
    with pytest.raises(ValueError, match="no rows of a large class"):
        head_tail_gap(TRUE, PREDICTED, class_counts=[0, 0, 0, 0])


@pytest.mark.parametrize(
    "thresholds",
    [(100, 20), (20, 20), (20,), (1, 2, 3), 20, (-1, 5), (np.nan, 5), ("a", "b"), None],
)
def test_bad_thresholds(thresholds):
    with pytest.raises(ValueError, match="thresholds must be two increasing numbers"):
        shot_accuracy(TRUE, PREDICTED, class_counts=COUNTS, thresholds=thresholds)


@pytest.mark.parametrize("metric", LABEL_METRICS)
def test_bad_labels_and_weights(metric):
    for args, options, message in [
        (([], []), {}, "y_true holds no rows"),
        ((TRUE, PREDICTED[1:]), {}, "inconsistent numbers of samples"),
        (([[0, 1], [1, 0]], [0, 1]), {}, "1d array"),
        ((TRUE, PREDICTED), {"labels": ["e"]}, r"no row of labels=\['e'\]"),
        ((TRUE, PREDICTED), {"labels": ["a", "a"]}, "each of them once"),
        ((TRUE, PREDICTED), {"sample_weight": [1.0]}, "sample_weight .* shape"),
        ((TRUE, PREDICTED), {"sample_weight": [-1.0] * 9}, "weight must not be neg"),
        ((TRUE, PREDICTED), {"sample_weight": [0.0] * 9}, "zero for every row"),
        (([0.1, 0.7], [0.2, 0.3]), {}, "continuous"),
    ]:
        with pytest.raises(ValueError, match=message):
            metric(*args, **options)


@pytest.mark.parametrize("correction", [-0.1, 1.5, np.nan])
def test_bad_correction(correction):
    with pytest.raises(
        ValueError,
        match=f"correction must be a finite number, at least 0 and .* got {correction}",
    ):
        geometric_mean_recall(TRUE, PREDICTED, correction=correction)


@pytest.mark.parametrize(
    "metric", PROBABILITY_METRICS, ids=["loss", "error", "balanced error"]
)
def test_bad_probabilities(metric):
    y, prob = [0, 1, 1], np.array([[0.5, 0.5], [0.1, 0.9], [0.2, 0.8]])
    for args, options, message in [
        ((y, 2 * prob), {}, "y_prob .* from 0 to 1, got values from 0.2 to 1.8"),
        ((y, prob - 0.2), {}, "y_prob .* got values from -0.1"),
        ((y, prob * [1, 0.5]), {}, "row 0 sums to 0.75"),
        ((y, prob * np.nan), {}, "y_prob contains NaN"),
        (([0, 1, 2], prob), {}, "each of the 3 classes .* got the shape"),
        ((y, prob), {"labels": [0, 1, 2]}, "each of the 3 classes"),
        ((y, prob), {"labels": [0, 2]}, "y_true holds 1, which is not one of labels"),
        ((y[1:], prob), {}, "inconsistent numbers of samples"),
        ((y, prob), {"sample_weight": [1, 1, -1]}, "weight must not be neg"),
    ]:
        with pytest.raises(ValueError, match=message):
            metric(*args, **options)


@pytest.mark.parametrize("n_bins", [0, -3, 2.5, "15"])
def test_bad_bins(n_bins):
    with pytest.raises(
        ValueError, match=f"n_bins must be an integer, at least 1; got {n_bins!r}"
    ):
        expected_calibration_error([0, 1], [0.2, 0.8], n_bins=n_bins)
