"""Measures of predicted probabilities: log-loss and calibration."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import log_loss
from sklearn.utils import check_array
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skcollapse._utils.arrays import check_labels_once
from skcollapse._utils.checks import check_choice, check_integer
from skcollapse._utils.numbers import check_sample_weight


def balanced_log_loss(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Return the mean over the classes of the mean log-loss of their rows.

    :math:`-\frac1K \sum_k \frac1{n_k} \sum_{i: y_i = k} \log p_{ik}` over the classes
    that have rows.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, of any type that can be sorted.
    y_prob : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities of the sorted classes, or of the second of two. They are clipped
        as :func:`sklearn.metrics.log_loss` does, at the precision of their dtype.
    labels : array-like of shape (n_classes,), default=None
        All classes. None for those of `y_true`.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight of 2 is a row that stands twice, a weight of 0 a row left out.

    Returns
    -------
    loss : float
        Not negative. Classes without rows are left out of the mean.

    Raises
    ------
    ValueError
        If `y_prob` does not hold probabilities, or has not a column for each class, as
        where classes are absent from `y_true` and `labels` is not given; if labels,
        lengths or weights are not valid.

    Examples
    --------
    >>> from skcollapse.metrics import balanced_log_loss
    >>> loss = balanced_log_loss([0, 0, 0, 1], [[1, 0], [1, 0], [1, 0], [0.75, 0.25]])
    >>> round(loss, 4)  # log(4) / 2
    0.6931
    """
    index, prob, weight = _check_probabilities(y_true, y_prob, labels, sample_weight)
    weight = _balanced(weight, index)
    columns = np.arange(prob.shape[1])
    return float(log_loss(index, prob, labels=columns, sample_weight=weight))


def expected_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    n_bins: int = 15,
    class_balanced: bool = False,
) -> float:
    r"""Return how far confidence is from accuracy.

    The confidence of a row is the probability of the class that is predicted. With the
    rows in bins :math:`B_m` of equal width by confidence,
    :math:`\sum_m \frac{|B_m|}{n} \, |\operatorname{acc}(B_m) -
    \operatorname{conf}(B_m)|`.

    Equation 3 of Guo, Pleiss, Sun and Weinberger, ICML 2017, arXiv:1706.04599.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, of any type that can be sorted.
    y_prob : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities of the sorted classes, or of the second of two.
    labels : array-like of shape (n_classes,), default=None
        All classes. None for those of `y_true`.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight of 2 is a row that stands twice, a weight of 0 a row left out.
    n_bins : int, default=15
        Bins, open on the left and closed on the right.
    class_balanced : bool, default=False
        Have all classes of `y_true` weigh the same, however many rows they have.

    Returns
    -------
    error : float
        Between 0 and 1; 0 if accuracy is what confidence says in every bin.

    Raises
    ------
    ValueError
        As :func:`balanced_log_loss`, or if `n_bins` is not a positive integer.

    Examples
    --------
    >>> from skcollapse.metrics import expected_calibration_error
    >>> y_true = ["a", "a", "a", "b"]
    >>> y_prob = [[0.9, 0.1]] * 4
    >>> round(expected_calibration_error(y_true, y_prob), 3)  # 3 of 4 are right
    0.15
    >>> round(expected_calibration_error(y_true, y_prob, class_balanced=True), 3)
    0.4
    """
    n_bins = check_integer("n_bins", n_bins, 1)
    check_choice("class_balanced", class_balanced, (False, True))
    index, prob, weight = _check_probabilities(y_true, y_prob, labels, sample_weight)
    if class_balanced:
        weight = _balanced(weight, index)
    confidence = prob.max(axis=1).astype(np.float64)
    surplus = weight * ((prob.argmax(axis=1) == index) - confidence)
    edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    by_bin = np.bincount(np.searchsorted(edges, confidence), surplus)
    return float(np.abs(by_bin).sum() / weight.sum())


def _check_probabilities(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    labels: ArrayLike | None,
    sample_weight: ArrayLike | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns of the true classes, probabilities and weights, or raise."""
    true, dtypes = column_or_1d(y_true), [np.float64, np.float32]
    prob = check_array(y_prob, ensure_2d=False, dtype=dtypes, input_name="y_prob")
    check_consistent_length(true, prob)
    classes = np.unique(true)
    if labels is not None:
        classes = check_labels_once("labels", labels)
    unknown = np.setdiff1d(true, classes).tolist()
    if unknown:
        raise ValueError(
            f"y_true holds {unknown[0]!r}, which is not one of labels "
            f"{classes.tolist()!r}."
        )
    prob = two_columns(prob)
    if prob.shape[1] != len(classes):
        raise ValueError(
            f"y_prob must have a column for each of the {len(classes)} classes "
            f"{classes.tolist()!r}, got the shape {prob.shape}. Pass labels= "
            "where y_true does not hold every class."
        )
    if prob.min() < 0 or prob.max() > 1:
        raise ValueError(
            "y_prob must hold probabilities from 0 to 1, got values from "
            f"{prob.min():g} to {prob.max():g}. Pass what predict_proba returns."
        )
    sums = prob.sum(axis=1, dtype=np.float64)
    far = np.abs(sums - 1) > np.sqrt(np.finfo(prob.dtype).eps)
    if far.any():
        row = np.argmax(far)
        raise ValueError(
            f"y_prob must sum to one in every row, but row {row} sums to "
            f"{sums[row]:g}. Pass what predict_proba returns."
        )
    weight = np.ones(len(true))
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, len(true))
    return np.searchsorted(classes, true), prob, weight


def two_columns(y_prob: np.ndarray) -> np.ndarray:
    """Return (n, 2) probabilities where there is one column, and others as they are."""
    if y_prob.ndim == 1:
        y_prob = y_prob[:, None]
    return np.hstack([1 - y_prob, y_prob]) if y_prob.shape[1] == 1 else y_prob


def _balanced(weight: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return weights with which every class that has any weighs one."""
    totals = np.bincount(index, weight)[index]
    return np.divide(weight, totals, where=weight > 0, out=np.zeros_like(weight))
