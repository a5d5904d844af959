"""The simplex equiangular tight frame: any, and the nearest to given means."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import svd

from skcollapse._utils.checks import check_integer
from skcollapse._utils.random_state import resolve_random_state
from skcollapse._utils.types import Counts, Seed
from skcollapse.targets._frames import (
    centred_frame,
    check_n_components,
    check_vectors,
    from_coordinates,
    to_coordinates,
)
from skcollapse.targets._target import ClassGeometry, Target


def simplex_etf(
    n_classes: int,
    n_components: int | None = None,
    *,
    random_state: Seed = None,
) -> np.ndarray:
    r"""Draw a randomly turned simplex equiangular tight frame (ETF).

    The rows are :math:`\sqrt{K/(K-1)}\, (I - \mathbf{1}\mathbf{1}^\top\!/K)\, U^\top`
    (Definition 1 of [1]_) with :math:`U` Haar-uniform: unit vectors that sum to zero,
    every two of them at a cosine of :math:`-1/(K-1)`, the largest angle that
    :math:`K` vectors can share.

    Parameters
    ----------
    n_classes : int
        Number of class vectors, :math:`K \geq 2`.
    n_components : int, default=None
        Their dimension, :math:`d \geq K - 1`. None stands for :math:`K - 1`.
    random_state : int, RandomState instance or None, default=None
        Seed of the rotation. Pass an int for the same frame at every call.

    Returns
    -------
    etf : ndarray of shape (n_classes, n_components), dtype float64
        Class vectors as rows.

    Raises
    ------
    ValueError
        If `n_classes` is below 2 or `n_components` below ``n_classes - 1``.

    References
    ----------
    .. [1] Yang et al., "Inducing Neural Collapse in Imbalanced Learning", NeurIPS 2022,
       arXiv:2203.09081.

    Examples
    --------
    >>> from skcollapse.targets import simplex_etf
    >>> etf = simplex_etf(3, 8, random_state=0)
    >>> etf.shape
    (3, 8)
    >>> (etf @ etf.T).round(12)
    array([[ 1. , -0.5, -0.5],
           [-0.5,  1. , -0.5],
           [-0.5, -0.5,  1. ]])
    """
    n_classes = check_integer("n_classes", n_classes, 2)
    n_components = check_n_components(n_components, n_classes)
    etf = centred_frame(n_classes, n_components, resolve_random_state(random_state))
    etf *= np.sqrt(n_classes / (n_classes - 1))
    return etf


def nearest_etf(means: ArrayLike) -> np.ndarray:
    r"""Find the simplex ETF closest to the centred class means.

    With :math:`\bar M = (I - \mathbf{1}\mathbf{1}^\top\!/K) M`, it solves

    .. math:: \min_{s > 0,\; E \text{ a simplex ETF}} \; \lVert \bar M - s E \rVert_F .

    The scale does not change the best :math:`E`, so this is an orthogonal Procrustes
    problem: one thin singular value decomposition solves exactly what [1]_ approaches
    with a Riemannian trust region.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_components)
        Class means as rows, with `n_components` at least ``n_classes - 1``. Their
        common offset and scale do not matter.

    Returns
    -------
    etf : ndarray of shape (n_classes, n_components), dtype float64
        Unit rows. The best scale is
        ``s = np.sum(etf * means) / n_classes``.

    Raises
    ------
    ValueError
        If `means` is not a finite matrix of at least two rows, or has fewer than
        ``n_classes - 1`` columns.

    Notes
    -----
    When the centred means span fewer than :math:`K - 1` dimensions, many frames are
    equally close; the one returned depends on the means alone.

    References
    ----------
    .. [1] Markou, Ajanthan and Gould, "Guiding Neural Collapse", NeurIPS 2024,
       arXiv:2411.01248.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.targets import nearest_etf, simplex_etf
    >>> etf = simplex_etf(4, 6, random_state=0)
    >>> np.allclose(nearest_etf(3 * etf + 7), etf)
    True
    """
    means = check_vectors("means", means, "Leave out the classes without samples.")
    n_classes, n_components = means.shape
    if n_components < n_classes - 1:
        raise ValueError(
            f"means has {n_components} columns for {n_classes} classes: a simplex ETF "
            f"needs at least n_classes - 1 = {n_classes - 1}."
        )
    left, _, right = svd(to_coordinates(means), full_matrices=False)
    etf = from_coordinates(left @ right)
    etf *= np.sqrt(n_classes / (n_classes - 1))
    return etf


class SimplexETF(Target):
    """The target "etf", of which class vectors and class means coincide."""

    def build(
        self,
        class_counts: Counts,
        n_components: int | None = None,
        random_state: Seed = None,
    ) -> ClassGeometry:
        """Return the ETF; the class sizes do not matter."""
        etf = simplex_etf(len(class_counts), n_components, random_state=random_state)
        return ClassGeometry(classifier=etf, means=etf)
