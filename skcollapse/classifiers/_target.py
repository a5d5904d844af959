"""From the ``target`` parameter to class vectors."""

import numpy as np

from skcollapse.targets import TARGETS, ClassGeometry


def resolve_target(target, class_counts, n_components, random_state):
    """Return the geometry that a ``target`` parameter stands for.

    Parameters
    ----------
    target : str or array-like of shape (n_classes, n_components)
        A name in ``TARGETS``, or class vectors.
    class_counts : ndarray of shape (n_classes,)
    n_components : int or None
    random_state : int, RandomState or None

    Returns
    -------
    ClassGeometry

    Raises
    ------
    ValueError
        If there is no such target, or the array does not fit the classes.
    """
    if isinstance(target, str):
        if target not in TARGETS:
            names = ", ".join(map(repr, TARGETS))
            raise ValueError(
                f"target must be one of {names}, or an array of class vectors; got "
                f"{target!r}."
            )
        # scikit-learn's checks ask any estimator for one component: the fewest it has.
        n_components = None if n_components == 1 else n_components
        return TARGETS[target](class_counts, n_components, random_state)
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
