"""How evenly directions spread over the sphere, and how far apart they are."""

import numpy as np
from scipy.optimize import nnls

from skcollapse._utils.checks import check_number
from skcollapse.measures._inputs import (
    Vectors,
    class_vectors,
    pair_distances,
    pair_indices,
    unit,
)

# Excess of a point over the supporting hyperplane of the nearest one, by rounding.
_TOLERANCE = 1e-12


def uniformity(vectors: Vectors, s: float = 0.0) -> float:
    r"""Measure the mean repulsion of pairs of directions.

    With unit rows :math:`u_k`, the mean over all pairs of
    :math:`-\log \lVert u_k - u_l \rVert` for ``s=0`` and of
    :math:`\lVert u_k - u_l \rVert^{-s}` for positive `s`, the Riesz energy. Less is
    more uniform; simplex vertices have the least of all. See section 3 of Liu, Yu,
    Weller and Schölkopf, ICLR 2023, arXiv:2303.06484.

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

    Examples
    --------
    >>> from skcollapse.measures import uniformity
    >>> round(uniformity([[1.0, 0.0], [-2.0, 0.0]]), 4)
    -0.6931
    >>> uniformity([[1.0, 0.0], [-2.0, 0.0]], s=1.0)
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
    >>> from skcollapse.measures import min_angle
    >>> min_angle([[1.0, 0.0], [0.0, 3.0]])
    90.0
    """
    units = unit(class_vectors(vectors, "vectors"))
    closest = np.argmin(pair_distances(units))
    first, second = pair_indices(closest, len(units))
    # Unlike the arc cosine, exact for small angles and for straight ones.
    gap, total = units[first] - units[second], units[first] + units[second]
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(gap), np.linalg.norm(total))))


def one_vs_rest_margin(vectors: Vectors) -> np.ndarray:
    r"""Compute the distance of each class vector to the convex hull of the others.

    With :math:`u_k = w_k / \lVert w_k \rVert`,

    .. math:: \rho_k = \min_{\lambda \geq 0,\, \sum_l \lambda_l = 1}
              \Bigl\lVert u_k - \sum_{l \neq k} \lambda_l u_l \Bigr\rVert .

    The softmax code of [1]_ maximises the smallest of them, the one-vs-rest margin
    :math:`\min_k \rho_k`. In generalised neural collapse (GNC2) the class vectors tend
    to that code.

    Parameters
    ----------
    vectors : array-like of shape (n_classes, n_components)
        Class vectors or centred class means as rows. Their lengths do not matter.

    Returns
    -------
    margins : ndarray of shape (n_classes,), dtype float64
        From 0 to 2, exact but for rounding. The margin of [1]_ is ``margins.min()``.

    Raises
    ------
    ValueError
        If `vectors` is not a finite matrix of at least two rows without a zero row.

    References
    ----------
    .. [1] Jiang et al., "Generalized Neural Collapse for a Large Number of Classes",
       ICML 2024, definition 3.1, arXiv:2310.05351.

    Examples
    --------
    The vectors of a simplex are at K / (K - 1) from the centre of the others:

    >>> from skcollapse.measures import one_vs_rest_margin
    >>> from skcollapse.targets import simplex_etf
    >>> one_vs_rest_margin(simplex_etf(5, random_state=0)).round(9)
    array([1.25, 1.25, 1.25, 1.25, 1.25])
    """
    directions = unit(class_vectors(vectors, "vectors"))
    if np.isnan(directions).any():
        row = np.argmax(np.isnan(directions[:, 0]))
        raise ValueError(f"vectors must not be zero, but row {row} has no direction.")
    return np.array(
        [
            _distance_to_hull(row, np.delete(directions, index, axis=0))
            for index, row in enumerate(directions)
        ]
    )


def _distance_to_hull(point: np.ndarray, others: np.ndarray) -> float:
    """Return the distance of a point to the convex hull of the rows of `others`.

    With the differences V as rows, the weights of the nearest point are those of the
    non-negative least squares problem min |V^T x|^2 + (1^T x - 1)^2: for x = a times
    the weights of a point p, the best a leaves |p|^2 / (1 + |p|^2), which rises with
    |p|. Few rows have a part in it. It is solved on the nearest rows, to which those
    are added that lie before the supporting hyperplane at the solution.
    """
    differences = others - point
    used = np.zeros(len(others), bool)
    n_first = min(len(others), 2 * others.shape[1] + 2)
    nearest = np.argpartition(np.sum(differences**2, axis=1), n_first - 1)[:n_first]
    used[nearest] = True
    while True:
        rows = differences[used]
        system = np.vstack([rows.T, np.ones(len(rows))])
        weights, _ = nnls(system, np.eye(len(system))[-1])
        closest = weights @ rows / weights.sum()
        square = closest @ closest
        before = differences @ closest < square - _TOLERANCE
        before &= ~used
        if not before.any():
            return float(np.sqrt(square))
        used |= before
