"""The simplex ETF closest to given class means."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import svd

from skcollapse.targets._frames import check_vectors, from_coordinates, to_coordinates


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

    See Also
    --------
    simplex_etf : A randomly turned ETF.

    Notes
    -----
    When the centred means span fewer than :math:`K - 1` dimensions, many frames are
    equally close; the one returned depends on the means alone.

    References
    ----------
    .. [1] Markou, Ajanthan and Gould, "Guiding Neural Collapse: Optimising Towards the
       Nearest Simplex Equiangular Tight Frame", NeurIPS 2024. arXiv:2411.01248.

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
