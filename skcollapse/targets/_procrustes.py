"""The simplex ETF closest to given class means."""

import numpy as np
from scipy.linalg import svd

from skcollapse.targets._frames import from_coordinates, to_coordinates


def _check_means(means):
    """Return `means` as float64, or raise unless an ETF of its shape exists."""
    means = np.asarray(means, dtype=np.float64)
    if means.ndim != 2 or len(means) < 2:
        raise ValueError(
            "means must hold one row for each of at least two classes, got an array "
            f"of shape {means.shape}."
        )
    n_classes, n_components = means.shape
    if n_components < n_classes - 1:
        raise ValueError(
            f"means has {n_components} columns for {n_classes} classes: a simplex ETF "
            f"needs at least n_classes - 1 = {n_classes - 1}."
        )
    finite = np.isfinite(means).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"means must be finite, but row {np.argmin(finite)} is not. Leave out the "
            "classes without samples."
        )
    return means


def nearest_etf(means):
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
    means = _check_means(means)
    left, _, right = svd(to_coordinates(means), full_matrices=False)
    etf = from_coordinates(left @ right)
    etf *= np.sqrt(len(means) / (len(means) - 1))
    return etf
