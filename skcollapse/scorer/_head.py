"""From the ``classifier`` parameter to class vectors and biases."""

from typing import Any, NamedTuple

import numpy as np

from skcollapse._utils.arrays import as_float64


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
    coef = np.atleast_2d(as_float64("classifier", coef))
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
