"""Rows and labels as they come, as moments, labels and class indices."""

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import assert_all_finite

from skcollapse.moments import RowMoments
from skcollapse.scorer._head import Head


def compute_moments(
    X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, classes: np.ndarray
) -> RowMoments:
    """Return the moments of finite rows, or raise."""
    moments = RowMoments(X, class_indices(y, classes, weight), len(classes), weight)
    # The means show NaN and infinity, and are fewer.
    if not np.isfinite(moments.means[moments.counts > 0]).all():
        assert_all_finite(X, input_name="X")
    return moments


def find_classes(
    y: np.ndarray, weight: np.ndarray | None, head: Head | None
) -> np.ndarray:
    """Return the labels that the rows of the head stand for, or those that there are.

    Labels whose rows all have weight 0 are not there. More rows of the head than labels
    are row numbers.
    """
    if head is not None and head.classes is not None:
        return head.classes
    found = np.unique(y if weight is None else y[weight > 0])
    if head is None:
        return found
    n_classes = len(head.coef)
    if len(found) == n_classes:
        return found
    if found.dtype.kind in "iu" and found[0] >= 0 and found[-1] < n_classes:
        return np.arange(n_classes)
    raise ValueError(
        f"classifier has {n_classes} class vectors and y {len(found)} classes. Pass as "
        "many, or row numbers as labels."
    )


def class_indices(
    y: np.ndarray, classes: np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """Return the class index of each label, some index for rows of weight 0."""
    if y.dtype.kind in "iu" and np.array_equal(classes, np.arange(len(classes))):
        # Row numbers already.
        indices, unknown = y, (y < 0) | (y >= len(classes))
    else:
        indices = np.searchsorted(classes, y).clip(0, len(classes) - 1)
        unknown = classes[indices] != y
    if not unknown.any():
        return indices
    counted = unknown if weight is None else unknown & (weight > 0)
    if counted.any():
        label = y[counted][:1].tolist()[0]
        raise ValueError(
            f"y holds {label!r}, which is not one of the classes {classes!r}."
        )
    return np.where(unknown, 0, indices)


def transformed(estimator: Any, X: Any) -> Any:
    """Return what an estimator, or the last transformer of a pipeline, makes of X."""
    if hasattr(estimator, "transform"):
        return estimator.transform(X)
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        return estimator[:-1].transform(X)
    raise TypeError(
        f"{estimator!r} has no transform: there are no features to measure. Put the "
        "transformer before it into a Pipeline."
    )
