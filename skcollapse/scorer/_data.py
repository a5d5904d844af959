"""Rows and labels as they come, in NumPy and as class indices."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import assert_all_finite

from skcollapse.moments import RowMoments


def look_at(X, y, weight, classes):
    moments = RowMoments(X, class_indices(y, classes), len(classes), weight)
    # The means show NaN and infinity, and are the smaller to look at.
    if not np.isfinite(moments.means[moments.counts > 0]).all():
        assert_all_finite(X, input_name="X")
    return moments


def find_classes(y, head):
    """Return the labels that the rows of the head stand for, or those that there are.

    More rows than labels are row numbers.
    """
    found = np.unique(y)
    if head is None:
        return found
    if head.classes is not None:
        return head.classes
    n_classes = len(head.coef)
    if len(found) == n_classes:
        return found
    if found.dtype.kind in "iu" and found[0] >= 0 and found[-1] < n_classes:
        return np.arange(n_classes)
    raise ValueError(
        f"classifier has {n_classes} class vectors and y {len(found)} classes. Pass as "
        "many, or row numbers as labels."
    )


def class_indices(y, classes):
    if y.dtype.kind in "iu" and np.array_equal(classes, np.arange(len(classes))):
        # Row numbers already.
        indices, unknown = y, (y < 0) | (y >= len(classes))
    else:
        indices = np.searchsorted(classes, y).clip(0, len(classes) - 1)
        unknown = classes[indices] != y
    if unknown.any():
        raise ValueError(
            f"y holds {y[unknown][0]!r}, which is not one of the classes {classes!r}."
        )
    return indices


def features_of(estimator, X):
    """Return what an estimator, or the last transformer of a pipeline, makes of X."""
    if hasattr(estimator, "transform"):
        return estimator.transform(X)
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        return estimator[:-1].transform(X)
    raise TypeError(
        f"{estimator!r} has no transform: there are no features to measure. Put the "
        "transformer before it into a Pipeline."
    )
