"""The difference between large and small classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skcollapse.measures import minority_classes
from skcollapse.metrics._class_counts import counts_of, resolve_counts
from skcollapse.metrics._recall import class_recalls


def head_tail_gap(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    class_counts: Mapping[Any, float] | ArrayLike,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Return the mean recall of large classes less that of small ones.

    Small are classes with fewer training samples than the geometric mean
    :math:`\sqrt{n_\min n_\max}` of the extremes, as in
    :func:`~skcollapse.measures.minority_classes`, and those with none.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, of any type that can be sorted.
    y_pred : array-like of shape (n_samples,)
        Predicted labels.
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

    See Also
    --------
    shot_accuracy : Groups by fixed numbers of training samples.

    Examples
    --------
    >>> from skcollapse.metrics import head_tail_gap
    >>> y_true, y_pred = [0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 0]
    >>> head_tail_gap(y_true, y_pred, class_counts=[500, 400, 5])
    0.5
    """
    classes, recalls = class_recalls(
        y_true, y_pred, labels=labels, sample_weight=sample_weight
    )
    counts = resolve_counts(class_counts, y_true, y_pred, labels)
    in_tail = counts_of(classes, counts) < _tail_bound(np.array(list(counts.values())))
    if in_tail.all() or not in_tail.any():
        side = "large" if in_tail.all() else "small"
        raise ValueError(
            f"y_true holds no rows of a {side} class by class_counts={counts!r}: there "
            "is no gap between head and tail. Test on rows of both."
        )
    return float(recalls[~in_tail].mean() - recalls[in_tail].mean())


def _tail_bound(counts: np.ndarray) -> float:
    """Return the size below which classes are small."""
    counts = counts[counts > 0]
    return counts[~minority_classes(counts)].min() if len(counts) else np.inf
