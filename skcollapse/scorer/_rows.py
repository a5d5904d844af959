"""From rows, labels and a classifier as they come to moments, indices and a head."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import assert_all_finite

from skcollapse._utils.numbers import as_float64
from skcollapse.moments import RowMoments


class Head(NamedTuple):
    """A linear classifier: (K, d) class vectors, (K,) biases, and labels if known."""

    coef: np.ndarray
    intercept: np.ndarray
    classes: np.ndarray | None


def resolve_head(classifier: Any) -> Head | None:
    """Return the head that a ``classifier`` parameter stands for, or None; or raise."""
    if classifier is None:
        return None
    if hasattr(classifier, "fit") and not hasattr(classifier, "coef_"):
        raise ValueError(
            f"classifier={classifier!r} has no coef_: it must be a fitted linear "
            "classifier. Cloning unfits an estimator; FrozenEstimator prevents that."
        )
    classes = getattr(classifier, "classes_", None)
    if hasattr(classifier, "coef_"):
        coef, intercept = classifier.coef_, classifier.intercept_
    elif hasattr(classifier, "weight"):
        coef, intercept = classifier.weight, classifier.bias
    elif isinstance(classifier, tuple) and len(classifier) == 2:
        coef, intercept = classifier
    else:
        coef, intercept = classifier, None
    coef = as_float64("classifier", coef)
    if coef.ndim == 0:
        raise ValueError(f"classifier must hold class vectors; got {classifier!r}.")
    coef = np.atleast_2d(coef)
    if intercept is None:
        intercept = np.zeros(len(coef))
    # A linear classifier without a bias has the intercept 0.
    intercept = as_float64("classifier", intercept)
    if intercept.shape not in ((), (1,), (len(coef),)):
        raise ValueError(
            f"classifier must hold a bias for each of its {len(coef)} class vectors, "
            f"got the shape {intercept.shape}."
        )
    intercept = np.broadcast_to(intercept, (len(coef),))
    if coef.ndim != 2 or not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise ValueError(
            "classifier must hold finite class vectors in an array of shape "
            f"(n_classes, n_features), got the shape {coef.shape}."
        )
    if len(coef) == 1:
        # One score for two classes: half of it for the one, against the other.
        coef, intercept = (np.concatenate([-a, a]) / 2 for a in (coef, intercept))
    return Head(coef, intercept, classes)


def check_head(head: Head | None, n_classes: int, n_features: int) -> None:
    """Raise unless a head, if there is one, fits the features."""
    shape = n_classes, n_features
    if head is not None and head.coef.shape != shape:
        raise ValueError(
            f"classifier must hold class vectors of shape {shape}, a row for each "
            f"class; got the shape {head.coef.shape}."
        )


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
        unknown = np.ones(len(y), dtype=bool)
        if (classes.dtype.kind in "US") == (y.dtype.kind in "US"):
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
        f"estimator={estimator!r} has no transform: there are no features to measure. "
        "Put the transformer before it into a Pipeline."
    )
