"""Checks of predicted probabilities, and weights that make classes equal."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skcollapse._utils.sample_weight import check_sample_weight


def check_probabilities(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    labels: ArrayLike | None,
    sample_weight: ArrayLike | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns of the true classes, probabilities and weights, or raise."""
    true, dtypes = column_or_1d(y_true), [np.float64, np.float32]
    prob = check_array(y_prob, ensure_2d=False, dtype=dtypes, input_name="y_prob")
    check_consistent_length(true, prob)
    classes = np.unique(true if labels is None else column_or_1d(labels))
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
            f"{classes.tolist()!r}, got {prob.shape[1]}. Pass labels= where y_true "
            "does not hold every class."
        )
    _check_distributions(prob)
    weight = np.ones(len(true))
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, len(true))
    return np.searchsorted(classes, true), prob, weight


def two_columns(y_prob: np.ndarray) -> np.ndarray:
    """Return (n, 2) probabilities where there is one column, and others as they are."""
    if y_prob.ndim == 1:
        y_prob = y_prob[:, None]
    return np.hstack([1 - y_prob, y_prob]) if y_prob.shape[1] == 1 else y_prob


def _check_distributions(y_prob: np.ndarray) -> None:
    if y_prob.min() < 0 or y_prob.max() > 1:
        raise ValueError(
            "y_prob must hold probabilities from 0 to 1, got values from "
            f"{y_prob.min():g} to {y_prob.max():g}. Pass what predict_proba returns."
        )
    sums = y_prob.sum(axis=1, dtype=np.float64)
    far = np.abs(sums - 1) > np.sqrt(np.finfo(y_prob.dtype).eps)
    if far.any():
        row = np.argmax(far)
        raise ValueError(
            f"y_prob must sum to one in every row, but row {row} sums to "
            f"{sums[row]:g}. Pass what predict_proba returns."
        )


def balanced(weight: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return weights with which every class that has any weighs one."""
    totals = np.bincount(index, weight)[index]
    return np.divide(weight, totals, where=weight > 0, out=np.zeros_like(weight))
