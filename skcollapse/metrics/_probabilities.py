"""Checks of predicted probabilities, and weights that make classes equal."""

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skcollapse._utils.sample_weight import check_sample_weight


def check_probabilities(y_true, y_prob, labels, sample_weight):
    """Return class indices, probabilities and weights of the rows, or raise.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
    y_prob : array-like of shape (n_samples, n_classes) or (n_samples,)
        One column stands for the second of two classes.
    labels : array-like of shape (n_classes,) or None
    sample_weight : array-like of shape (n_samples,) or None

    Returns
    -------
    index : ndarray of shape (n_samples,), int64
        Column of the true class.
    y_prob : ndarray of shape (n_samples, n_classes), float64 or float32
    weight : ndarray of shape (n_samples,), float64
    """
    y_true = column_or_1d(y_true)
    y_prob = check_array(
        y_prob,
        ensure_2d=False,
        dtype=[np.float64, np.float32],
        input_name="y_prob",
    )
    check_consistent_length(y_true, y_prob)
    classes = np.unique(y_true if labels is None else column_or_1d(labels))
    unknown = np.setdiff1d(y_true, classes).tolist()
    if unknown:
        raise ValueError(
            f"y_true holds {unknown[0]!r}, which is not one of labels "
            f"{classes.tolist()!r}."
        )
    y_prob = two_columns(y_prob)
    if y_prob.shape[1] != len(classes):
        raise ValueError(
            f"y_prob must have a column for each of the {len(classes)} classes "
            f"{classes.tolist()!r}, got {y_prob.shape[1]}. Pass labels= where y_true "
            "does not hold every class."
        )
    _check_distributions(y_prob)
    weight = np.ones(len(y_true))
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, len(y_true))
    return np.searchsorted(classes, y_true), y_prob, weight


def two_columns(y_prob):
    """Return (n, 2) probabilities where there is one column, and others as they are."""
    if y_prob.ndim == 1:
        y_prob = y_prob[:, None]
    return np.hstack([1 - y_prob, y_prob]) if y_prob.shape[1] == 1 else y_prob


def _check_distributions(y_prob):
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


def balanced(weight, index):
    """Return weights with which every class that has any weighs one."""
    totals = np.bincount(index, weight)[index]
    return np.divide(weight, totals, where=weight > 0, out=np.zeros_like(weight))
