"""Recall of classes with many, medium and few training samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skcollapse._utils.checks import check_number
from skcollapse.metrics._class_counts import counts_of, resolve_counts
from skcollapse.metrics._recall import class_recalls

SHOTS = "few", "medium", "many"
THRESHOLDS = 20, 100

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
    counts = np.asarray(counts)
    return (counts >= low).astype(int) + (counts > high)


def shot_accuracy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    class_counts: Mapping[Any, float] | ArrayLike,
    thresholds: Thresholds = THRESHOLDS,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> dict[str, float]:
    """Return the mean recall of classes with few, medium and many training samples.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, of any type that can be sorted.
    y_pred : array-like of shape (n_samples,)
        Predicted labels.
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

    See Also
    --------
    skcollapse.display.ShotAccuracyDisplay : Draws the recall of each class.

    References
    ----------
    .. [1] Liu, Miao, Zhan, Wang, Gong and Yu, "Large-Scale Long-Tailed Recognition in
       an Open World", CVPR 2019. arXiv:1904.05160, section 4.

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
    classes, recalls = class_recalls(
        y_true, y_pred, labels=labels, sample_weight=sample_weight
    )
    counts = resolve_counts(class_counts, y_true, y_pred, labels)
    group = shot_of(counts_of(classes, counts), thresholds)
    return {SHOTS[k]: float(recalls[group == k].mean()) for k in np.unique(group)}
