"""How evenly directions spread over the sphere."""

import numpy as np

from skcollapse._utils.checks import check_number
from skcollapse.measures._inputs import (
    Vectors,
    class_vectors,
    pair_distances,
    pair_indices,
    unit,
)

__all__ = ["min_angle", "uniformity"]


def uniformity(vectors: Vectors, s: float = 0.0) -> float:
    r"""Measure the mean repulsion of pairs of directions.

    With unit rows :math:`u_k`, the mean over all pairs of
    :math:`-\log \lVert u_k - u_l \rVert` for ``s=0`` and of
    :math:`\lVert u_k - u_l \rVert^{-s}` for positive `s`, the Riesz energy of [1]_.
    Less is more uniform; simplex vertices have the least of all.

    Parameters
    ----------
    vectors : array-like of shape (n_classes, n_features) or moments
        Scaled to unit length, not centred.
    s : float, default=0.0
        Exponent.

    Returns
    -------
    uniformity : float
        Infinite if two directions coincide.

    References
    ----------
    .. [1] Liu, Yu, Weller and Schölkopf, "Generalizing and Decoupling Neural Collapse
       via Hyperspherical Uniformity Gap", ICLR 2023. arXiv:2303.06484, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import uniformity
    >>> round(uniformity(np.array([[1.0, 0.0], [-2.0, 0.0]])), 4)
    -0.6931
    >>> uniformity(np.array([[1.0, 0.0], [-2.0, 0.0]]), s=1.0)
    0.5
    """
    s = check_number("s", s, 0)
    squares = pair_distances(unit(class_vectors(vectors, "vectors")))
    with np.errstate(divide="ignore"):
        if s == 0:
            return float(np.mean(-np.log(squares) / 2))
        return float(np.mean(squares ** (-s / 2)))


def min_angle(vectors: Vectors) -> float:
    """Return the smallest angle between two of the vectors, in degrees.

    Parameters
    ----------
    vectors : array-like of shape (n_classes, n_features) or moments
        Not centred.

    Returns
    -------
    angle : float
        From 0 to 180.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import min_angle
    >>> min_angle(np.array([[1.0, 0.0], [0.0, 3.0]]))
    90.0
    """
    units = unit(class_vectors(vectors, "vectors"))
    closest = np.argmin(pair_distances(units))
    first, second = pair_indices(closest, len(units))
    # Unlike the arc cosine, exact for small angles and for straight ones.
    gap, total = units[first] - units[second], units[first] + units[second]
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(gap), np.linalg.norm(total))))
