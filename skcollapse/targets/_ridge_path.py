"""Optimal logits of the unconstrained-features model under a ridge penalty."""

import warnings

import numpy as np
from scipy.linalg import norm, svd
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning

_MAX_ITER = 20_000
# Largest relative excess of the dual norm that passes for a solution.
_TOLERANCE = 1e-5
# Relative singular values below which it is in doubt whether they vanish.
_SMALL = 1e-6
_MAX_STEPS = 50


def _cross_entropy(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the loss of each column, whose label is its index, and the gradient.

    Confident predictions keep their relative accuracy: no 1 - p is ever formed.
    """
    margins = logits - np.diagonal(logits)
    np.fill_diagonal(margins, -np.inf)
    losses = np.logaddexp(0.0, logsumexp(margins, axis=0))
    gradient = np.exp(margins - losses)
    np.fill_diagonal(gradient, -gradient.sum(axis=0))
    return losses, gradient


def ridge_path(sel: np.ndarray, counts: np.ndarray, ridge: float) -> np.ndarray:
    r"""Minimise the cross-entropy plus `ridge` times the nuclear norm.

    The samples of a class share their logits at the optimum, since the problem is
    convex and symmetric in them. That leaves K columns,

    .. math:: \min_Z \sum_k n_k \mathrm{CE}(z_k, k)
              + \lambda \lVert Z D^{1/2} \rVert_*, \qquad D = \mathrm{diag}(n_k).

    From the weighted SEL matrix, :math:`(I - 11^\top/K) D^{1/2}`, it leads to
    :math:`Z D^{1/2}` at the optimum.
    """
    left, sizes, right = svd(sel)
    if ridge >= sizes[0]:
        raise ValueError(
            f"ridge={ridge!r} leaves no geometry: all class vectors vanish from "
            f"{sizes[0]:.6g} on, the largest singular value of the SEL matrix for "
            "these class_counts. Use a smaller ridge."
        )
    roots = np.sqrt(counts)

    def data_term(weighted_logits: np.ndarray) -> tuple[float, np.ndarray]:
        losses, gradient = _cross_entropy(weighted_logits / roots)
        return counts @ losses, gradient * roots

    # The nuclear norm is the least (|W|^2 + |G|^2) / 2 over the factors of W G^T. With
    # K - 1 columns every local minimum is global: deficient rank suffices by itself
    # (Haeffele and Vidal, arXiv:1506.07540); full rank exhausts the gradient, whose
    # columns sum to zero, so that it cannot exceed the penalty in a further direction.
    # The start is the best multiple of the SEL matrix, where that has a closed form.
    others = len(counts) - 1
    odds = others * (counts.sum() / (ridge * sizes.sum()) - 1)
    root = np.sqrt(max(np.log(max(odds, 1.0)), 0.1) * sizes[:others])
    start = np.stack([left[:, :others] * root, right[:others].T * root])

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        vectors, features = flat.reshape(start.shape)
        value, gradient = data_term(vectors @ features.T)
        slope = np.stack([gradient @ features, gradient.T @ vectors])
        return value / ridge + flat @ flat / 2, slope.ravel() / ridge + flat

    vectors, features = minimize(
        objective,
        start.ravel(),
        jac=True,
        method="L-BFGS-B",
        # As far as rounding allows: the line search then ends the iteration.
        options={"ftol": 0, "gtol": 0, "maxiter": _MAX_ITER, "maxfun": 2 * _MAX_ITER},
    ).x.reshape(start.shape)
    weighted_logits = vectors @ features.T
    _, gradient = data_term(weighted_logits)
    if norm(gradient, 2) > (1 + _TOLERANCE) * ridge:
        warnings.warn(
            f"The geometry at ridge={ridge!r} is less accurate than usual: the solver "
            "stopped early. A larger ridge is easier.",
            ConvergenceWarning,
            stacklevel=3,
        )
    # The factors reach singular values that are zero at the optimum only in the limit.
    # Proximal gradient steps, with the step length 2 of a 1/2-smooth data term, make
    # them exactly zero at once or, where `ridge` is just at the edge, within a few.
    for _ in range(_MAX_STEPS):
        _, gradient = data_term(weighted_logits)
        left, sizes, right = svd(weighted_logits - 2 * gradient)
        sizes = np.maximum(sizes - 2 * ridge, 0)
        weighted_logits = left * sizes @ right
        if not np.any((sizes > 0) & (sizes < _SMALL * sizes[0])):
            break
    return weighted_logits
