"""From parameters to class vectors, and to which class gets which."""

from typing import Any

import numpy as np

from skcollapse._utils.checks import check_choice, is_auto
from skcollapse._utils.numbers import as_float64
from skcollapse.fitting import TrainingData
from skcollapse.moments import ClassMoments
from skcollapse.projectors import fit_scaling
from skcollapse.targets import TARGETS, ClassGeometry, assign_code, class_similarity


def resolve_target(
    target: Any,
    class_counts: np.ndarray,
    n_components: int | None,
    random_state: np.random.RandomState,
) -> ClassGeometry:
    """Return the geometry that a ``target`` parameter stands for, or raise."""
    if isinstance(target, str) and target in TARGETS:
        n_components = components_of(n_components)
        return TARGETS[target].build(class_counts, n_components, random_state)
    try:
        vectors = as_float64("target", target)
    except ValueError:
        vectors = None
    if vectors is None or not vectors.ndim:
        raise ValueError(
            f"target must be one of {', '.join(map(repr, TARGETS))}, or an array of "
            f"class vectors; got {target!r}."
        )
    n_classes = len(class_counts)
    if vectors.ndim != 2 or len(vectors) != n_classes or not vectors.size:
        raise ValueError(
            f"target must have the shape (n_classes, n_components) with a row for each "
            f"of the {n_classes} classes; got the shape {vectors.shape}."
        )
    if n_components not in (None, vectors.shape[1]):
        raise ValueError(
            f"n_components={n_components} does not fit a target with "
            f"{vectors.shape[1]} columns. Leave it None."
        )
    if not np.isfinite(vectors).all():
        raise ValueError("target must hold finite numbers; got NaN or infinity.")
    if not np.linalg.norm(vectors, axis=1).all():
        raise ValueError("target must have no zero row: it is a class vector.")
    return ClassGeometry(vectors, vectors)


def check_assignment(assignment: Any) -> None:
    """Raise ValueError unless there is such an assignment."""
    check_choice("assignment", assignment, ("auto", "identity"))


def components_of(n_components: int | None) -> int | None:
    """Return the number of components that was asked for; None is the default.

    scikit-learn's checks ask any estimator for one component: that is the default too.
    """
    return None if n_components == 1 else n_components


def assigned(
    code: np.ndarray,
    data: TrainingData,
    assignment: str,
    scaling: str | None,
    random_state: np.random.RandomState,
) -> ClassGeometry:
    """Return the geometry of a code, similar classes close together if "auto".

    Features are scaled before class means are compared; "auto" is "standard" there.
    """
    n_classes, n_components = code.shape
    # With dimensions enough all vectors of a code are alike; and before an extractor is
    # trained nothing is known of what it makes similar.
    learns = not isinstance(data.X, np.ndarray)
    if assignment == "auto" and not learns and n_classes > n_components + 1:
        similarity = _similarity(data, "standard" if is_auto(scaling) else scaling)
        code = assign_code(code, similarity, random_state=random_state)
    return ClassGeometry(code, code)


def _similarity(data, scaling):
    """Return cosines of the class means of scaled features; 0 for absent classes."""
    data, n_classes = data.drop_zero_weight(), data.n_classes
    center, scale = fit_scaling(data.X, data.row_cost / data.row_cost.sum(), scaling)
    moments = ClassMoments(n_classes, data.X.shape[1], scatter=False)
    moments.update(data.X, data.y, data.weight)
    present = moments.counts > 0
    similarity = np.zeros((n_classes, n_classes))
    if present.sum() > 1:
        means = (moments.means[present] - center) / scale
        similarity[np.ix_(present, present)] = class_similarity(means)
    return similarity
