"""From parameters to class vectors, and to which class gets which."""

import numpy as np

from skcollapse._utils.checks import check_choice
from skcollapse.moments import ClassMoments
from skcollapse.projectors.scaling import fit_scaling
from skcollapse.targets import (
    TARGETS,
    ClassGeometry,
    assign_code,
    class_similarity,
)

# Targets whose vectors can be given to the classes in any order.
_ASSIGNABLE = ("hyperspherical",)
ASSIGNMENTS = ("auto", "identity")


def resolve_target(
    target, class_counts, n_components, assignment, rows, scaling, random_state
):
    """Return the geometry that a ``target`` parameter stands for.

    Parameters
    ----------
    target : str or array-like of shape (n_classes, n_components)
        A name in ``TARGETS``, or class vectors.
    class_counts : ndarray of shape (n_classes,)
    n_components : int or None
    assignment : {"auto", "identity"}
    rows : Rows
        Looked at by "auto" only.
    scaling : {"auto", "global", "standard", None}
    random_state : int, RandomState or None

    Returns
    -------
    ClassGeometry

    Raises
    ------
    ValueError
        If there is no such target or assignment, or the array does not fit the classes.
    """
    check_choice("assignment", assignment, ASSIGNMENTS)
    if isinstance(target, str):
        if target not in TARGETS:
            names = ", ".join(map(repr, TARGETS))
            raise ValueError(
                f"target must be one of {names}, or an array of class vectors; got "
                f"{target!r}."
            )
        n_components = components_of(n_components)
        geometry = TARGETS[target](class_counts, n_components, random_state)
        if target in _ASSIGNABLE:
            code = assigned(
                geometry.classifier, assignment, rows, scaling, random_state
            )
            geometry = ClassGeometry(code, code)
        return geometry
    vectors = np.asarray(target, dtype=np.float64)
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


def components_of(n_components):
    """Return the number of components that was asked for; None is the default.

    scikit-learn's checks ask any estimator for one component: that is the default too.
    """
    return None if n_components == 1 else n_components


def assigned(code, assignment, rows, scaling, random_state):
    """Return the vectors of a code, similar classes close together if "auto".

    Parameters
    ----------
    code : ndarray of shape (n_classes, n_components)
    assignment : {"auto", "identity"}
    rows : Rows
    scaling : {"auto", "global", "standard", None}
        How features are scaled before class means are compared: "auto" is "standard".
    random_state : RandomState

    Returns
    -------
    ndarray of shape (n_classes, n_components)
    """
    n_classes, n_components = code.shape
    # With dimensions enough all vectors of a code are alike; and before an extractor is
    # trained nothing is known of what it makes similar.
    learns = not isinstance(rows.X, np.ndarray)
    if assignment == "identity" or learns or n_classes <= n_components + 1:
        return code
    similarity = _similarity_of_rows(rows, n_classes, scaling)
    return assign_code(code, similarity, random_state=random_state)


def _similarity_of_rows(rows, n_classes, scaling):
    """Return cosines of the class means of scaled features; 0 for absent classes."""
    rows = rows.counted()
    scaling = "standard" if scaling == "auto" else scaling
    center, scale = fit_scaling(rows.X, rows.cost / rows.cost.sum(), scaling)
    moments = ClassMoments(n_classes, rows.X.shape[1], scatter=False)
    moments.update(rows.X, rows.y, rows.weight)
    present = moments.counts > 0
    similarity = np.zeros((n_classes, n_classes))
    if present.sum() > 1:
        means = (moments.means[present] - center) / scale
        similarity[np.ix_(present, present)] = class_similarity(means)
    return similarity
