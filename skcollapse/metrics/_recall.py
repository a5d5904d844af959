"""Recalls of the classes, and what sums them up: worst, geometric mean, mean."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import gmean
from sklearn.metrics import recall_score
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skcollapse._utils.arrays import check_labels_once
from skcollapse._utils.checks import check_number
from skcollapse._utils.numbers import check_sample_weight


def class_recalls(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes that have rows, and the recall of each, or raise.

    Classes are in the order of `labels`, by default the sorted ones of `y_true`.
    """
    true, predicted = column_or_1d(y_true), column_or_1d(y_pred)
    check_consistent_length(true, predicted)
    if len(true) == 0:
        raise ValueError("y_true holds no rows: pass at least one.")
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, len(true))
    classes = np.unique(true)
    if labels is not None:
        check_labels_once("labels", labels)
        classes = np.asarray(labels)
    recalls = recall_score(
        true,
        predicted,
        labels=classes,
        average=None,
        sample_weight=sample_weight,
        zero_division=np.nan,
    )
    tested = ~np.isnan(recalls)
    if not tested.any():
        raise ValueError(
            f"y_true holds no row of labels={labels!r} with a positive weight: there "
            "is no recall."
        )
    return classes[tested], recalls[tested]


def mean_recall(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Return the balanced accuracy.

    scikit-learn's `balanced_accuracy_score` is the same number, but warns of classes
    that were predicted and not tested, as is usual for rare ones.
    """
    return float(class_recalls(y_true, y_pred, sample_weight=sample_weight)[1].mean())


def worst_class_recall(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the smallest recall of a class.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True and predicted labels, of any type that can be sorted.
    labels : array-like of shape (n_classes,), default=None
        Classes to look at. None for those of `y_true`.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight of 2 is a row that stands twice, a weight of 0 a row left out.

    Returns
    -------
    recall : float
        Between 0 and 1. Classes without rows have no recall and are left out.

    Raises
    ------
    ValueError
        If no class has rows, or labels, lengths or weights are not valid.

    Examples
    --------
    >>> from skcollapse.metrics import worst_class_recall
    >>> worst_class_recall(["a", "a", "b", "b"], ["a", "a", "a", "b"])
    0.5
    """
    _, recalls = class_recalls(
        y_true, y_pred, labels=labels, sample_weight=sample_weight
    )
    return float(recalls.min())


def geometric_mean_recall(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    correction: float = 0.0,
) -> float:
    r"""Return the geometric mean of the recalls of the classes, the G-mean.

    :math:`\bigl(\prod_k r_k\bigr)^{1/K}` over the classes that have rows.

    See Kubat and Matwin, "Addressing the Curse of Imbalanced Training Sets", ICML 1997,
    and Sun, Kamel and Wang, "Boosting for Learning Multiple Classes", ICDM 2006.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True and predicted labels, of any type that can be sorted.
    labels : array-like of shape (n_classes,), default=None
        Classes to look at. None for those of `y_true`.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight of 2 is a row that stands twice, a weight of 0 a row left out.
    correction : float, default=0.0
        What stands for a recall of zero, from 0 to 1. With 0 one class that is never
        recognised makes the mean 0, whatever the others are, and candidates that each
        miss a class are equal. A small number, such as 0.001, lets the others decide.

    Returns
    -------
    mean : float
        Between 0 and 1; 0 too if all recalls are zero. Classes without rows have no
        recall and are left out.

    Raises
    ------
    ValueError
        If no class has rows, or `correction`, labels, lengths or weights are not valid.

    Examples
    --------
    >>> from skcollapse.metrics import geometric_mean_recall
    >>> y_true, y_pred = [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 0]
    >>> round(geometric_mean_recall(y_true, y_pred), 3)
    0.707
    >>> geometric_mean_recall(y_true, [0, 0, 0, 0, 0, 0])
    0.0
    >>> round(geometric_mean_recall(y_true, [0] * 6, correction=0.01), 3)
    0.1
    """
    correction = check_number("correction", correction, 0, 1)
    recalls = class_recalls(y_true, y_pred, labels=labels, sample_weight=sample_weight)
    # Older versions of SciPy take the logarithm of zero aloud.
    with np.errstate(divide="ignore"):
        return float(gmean(np.where(recalls[1] == 0, correction, recalls[1])))
