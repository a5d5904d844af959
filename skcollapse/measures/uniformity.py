"""How uniform the directions of class vectors are."""

from numbers import Real

import numpy as np
from scipy.spatial.distance import pdist

from skcollapse.measures._directions import unit_rows


def uniformity(vectors, s=0.0):
    r"""Compute the mean energy of pairs of class vectors: less if more uniform.

    With :math:`u_k = w_k / \lVert w_k \rVert`, it is the hyperspherical energy [1]_

    .. math:: \frac{2}{K (K-1)} \sum_{k<l} \lVert u_k - u_l \rVert^{-s} \quad (s > 0),
              \qquad
              \frac{2}{K (K-1)} \sum_{k<l} \log \frac{1}{\lVert u_k - u_l \rVert}
              \quad (s = 0).

    Parameters
    ----------
    vectors : array-like of shape (n_classes, n_components)
        Class vectors or centred class means as rows. Their lengths do not matter.
    s : float, default=0.0
        Exponent of the Riesz energy; 0 stands for the logarithmic energy.

    Returns
    -------
    energy : float
        Infinite if two of the vectors have the same direction.

    Raises
    ------
    ValueError
        If `vectors` is not a finite matrix of at least two rows without a zero row, or
        `s` is negative or not finite.

    See Also
    --------
    min_angle : The angle of the closest pair.
    skcollapse.targets.hyperspherical_code : Vectors that minimise it.

    References
    ----------
    .. [1] Liu et al., "Learning towards Minimum Hyperspherical Energy", NeurIPS 2018,
       equation 1. arXiv:1805.09298.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import uniformity
    >>> round(uniformity(np.eye(3)), 6)  # -log(2) / 2
    -0.346574
    >>> round(uniformity(np.eye(3), s=2), 6)
    0.5
    """
    if not (isinstance(s, Real) and np.isfinite(s) and s >= 0):
        raise ValueError(f"s must be a finite number of at least 0, got {s!r}.")
    distances = pdist(unit_rows(vectors))
    if not distances.all():
        return float("inf")
    energies = -np.log(distances) if s == 0 else distances ** -float(s)
    return float(energies.mean())


def min_angle(vectors):
    r"""Compute the angle of the closest two class vectors, in degrees.

    Parameters
    ----------
    vectors : array-like of shape (n_classes, n_components)
        Class vectors or centred class means as rows. Their lengths do not matter.

    Returns
    -------
    angle : float
        Between 0 and 180 degrees.

    Raises
    ------
    ValueError
        If `vectors` is not a finite matrix of at least two rows without a zero row.

    See Also
    --------
    uniformity : The mean energy of all pairs.

    Notes
    -----
    The angle of unit vectors is
    :math:`2 \operatorname{atan2}(\lVert u - v \rVert, \lVert u + v \rVert)`, to full
    precision also near 0 and 180 degrees, where the arc cosine has lost half of it.

    Examples
    --------
    >>> from skcollapse.measures import min_angle
    >>> from skcollapse.targets import simplex_etf
    >>> round(min_angle(simplex_etf(4, random_state=0)), 6)
    109.471221
    """
    unit = unit_rows(vectors)
    distances = pdist(unit)
    closest = distances.argmin()
    first, second = (rows[closest] for rows in np.triu_indices(len(unit), 1))
    total = np.linalg.norm(unit[first] + unit[second])
    return float(np.degrees(2 * np.arctan2(distances[closest], total)))
