"""Recall of classes by the number of their training samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skcollapse._utils.checks import check_number
from skcollapse._utils.numbers import as_float64
from skcollapse.measures import minority_classes
from skcollapse.metrics._class_counts import counts_by_label, counts_of
from skcollapse.metrics._recall import class_recalls

SHOTS = "few", "medium", "many"
THRESHOLDS = 20, 100

ClassCounts = Mapping[Any, float] | ArrayLike
Thresholds = Sequence[float] | np.ndarray


def check_thresholds(thresholds: Thresholds) -> tuple[float, float]:
    """Return the two thresholds, or raise."""
    try:
        low, high = thresholds
        low = check_number("thresholds[0]", low, 0)
        return low, check_number("thresholds[1]", high, low, open_ends="low")
    except (TypeError, ValueError) as error:
        raise ValueError(
            "thresholds must be two increasing numbers, the fewest training samples of "
            f"a medium class and the most; got {thresholds!r}."
        ) from error


def shot_of(counts: ArrayLike, thresholds: Thresholds = THRESHOLDS) -> np.ndarray:
    """Return the group of each class, as an index into `SHOTS`."""
    low, high = check_thresholds(thresholds)
    counts = as_float64("counts", counts)
    if not (counts >= 0).all() or np.isinf(counts).any():
        raise ValueError(f"counts must be finite and at least 0; got {counts!r}.")
    return (counts >= low).astype(int) + (counts > high)


def shot_accuracy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    class_counts: ClassCounts,
    thresholds: Thresholds = THRESHOLDS,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> dict[str, float]:
    """Return the mean recall of classes with few, medium and many training samples.

    As in section 4 of Liu et al., "Large-Scale Long-Tailed Recognition in an Open
    World", CVPR 2019, arXiv:1904.05160.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True and predicted labels, of any type that can be sorted.
    class_counts : mapping or array-like of shape (n_classes,)
        Training samples of the classes, 0 for a class that had none. A mapping from
        labels, such as a dict, a Counter or the Series that ``value_counts`` of pandas
        returns, may hold classes that were not tested. An array is in the order of
        `labels`.
    thresholds : tuple of two numbers, default=(20, 100)
        A class with fewer training samples than the first has few, one with more than
        the second has many.
    labels : array-like of shape (n_classes,), default=None
        Classes to look at. None for those of `y_true`; an array of counts is in the
        order of the sorted labels of `y_true` and `y_pred` then.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight of 2 is a row that stands twice, a weight of 0 a row left out.

    Returns
    -------
    recalls : dict of str to float
        Of "few", "medium" and "many" those that have classes with rows; the others are
        not in the dict, and classes without rows are left out of the means. All classes
        of a group weigh the same.

    Raises
    ------
    ValueError
        If a class of `y_true` has no count, or counts, thresholds, labels, lengths or
        weights are not valid.

    Examples
    --------
    >>> from skcollapse.metrics import shot_accuracy
    >>> y_true = ["cat", "cat", "dog", "dog", "fox", "fox"]
    >>> y_pred = ["cat", "cat", "dog", "cat", "cat", "cat"]
    >>> shot_accuracy(y_true, y_pred, class_counts={"cat": 900, "dog": 90, "fox": 9})
    {'few': 0.0, 'medium': 0.5, 'many': 1.0}
    >>> shot_accuracy(y_true, y_pred, class_counts=[900, 90, 30])
    {'medium': 0.25, 'many': 1.0}
    """
    recalls, tested, _ = _recalls_and_counts(
        y_true, y_pred, class_counts, labels, sample_weight
    )
    group = shot_of(tested, thresholds)
    return {SHOTS[k]: float(recalls[group == k].mean()) for k in np.unique(group)}


def head_tail_gap(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    class_counts: ClassCounts,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Return the mean recall of large classes less that of small ones.

    Small are classes with fewer training samples than the geometric mean
    :math:`\sqrt{n_\min n_\max}` of the extremes, as in
    :func:`~skcollapse.measures.minority_classes`, and those with none.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True and predicted labels, of any type that can be sorted.
    class_counts : mapping or array-like of shape (n_classes,)
        Training samples of the classes: a mapping from labels, or an array in the order
        of `labels`, as in :func:`shot_accuracy`. All of them say which are small.
    labels : array-like of shape (n_classes,), default=None
        Classes to look at. None for those of `y_true`; an array of counts is in the
        order of the sorted labels of `y_true` and `y_pred` then.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight of 2 is a row that stands twice, a weight of 0 a row left out.

    Returns
    -------
    gap : float
        Between -1 and 1; positive if large classes are recognised better. Classes
        without rows are left out.

    Raises
    ------
    ValueError
        If no large or no small class has rows, as where all classes are of one size; if
        a class of `y_true` has no count, or counts, labels, lengths or weights are not
        valid.

    Examples
    --------
    >>> from skcollapse.metrics import head_tail_gap
    >>> y_true, y_pred = [0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 0]
    >>> head_tail_gap(y_true, y_pred, class_counts=[500, 400, 5])
    0.5
    """
    recalls, tested, counts = _recalls_and_counts(
        y_true, y_pred, class_counts, labels, sample_weight
    )
    sizes = np.array([count for count in counts.values() if count > 0])
    in_tail = tested < (sizes[~minority_classes(sizes)].min() if len(sizes) else np.inf)
    if in_tail.all() or not in_tail.any():
        side = "large" if in_tail.all() else "small"
        raise ValueError(
            f"y_true holds no rows of a {side} class by class_counts={counts!r}: there "
            "is no gap between head and tail. Test on rows of both."
        )
    return float(recalls[~in_tail].mean() - recalls[in_tail].mean())


def _recalls_and_counts(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    class_counts: ClassCounts,
    labels: ArrayLike | None,
    sample_weight: ArrayLike | None,
) -> tuple[np.ndarray, np.ndarray, dict[Any, float]]:
    """Return recalls and counts of the tested classes, and the counts by label."""
    classes, recalls = class_recalls(
        y_true, y_pred, labels=labels, sample_weight=sample_weight
    )
    labels = np.union1d(y_true, y_pred) if labels is None else np.asarray(labels)
    counts = counts_by_label(class_counts, labels)
    return recalls, counts_of(classes, counts), counts
