"""The simplex-encoded-labels interpolation (SELI) geometry of unequal classes."""

import warnings

import numpy as np
from scipy.linalg import norm, svd
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning

from skcollapse._utils.checks import check_number
from skcollapse._utils.numbers import check_class_counts
from skcollapse._utils.random_state import resolve_random_state
from skcollapse._utils.types import Counts, Seed
from skcollapse.targets._frames import centred_frame, check_n_components
from skcollapse.targets._target import ClassGeometry, Target

# Of the geometry under a ridge penalty.
_MAX_ITER = 20_000
# Largest relative excess of the dual norm that passes for a solution.
_TOLERANCE = 1e-5
# Relative singular values below which it is in doubt whether they vanish.
_SMALL = 1e-6
_MAX_STEPS = 50


def seli(
    class_counts: Counts,
    n_components: int | None = None,
    *,
    ridge: float = 0.0,
    random_state: Seed = None,
) -> ClassGeometry:
    r"""Compute the geometry that cross-entropy reaches on classes of unequal size.

    Features that may move freely, trained to zero loss, do not end in a simplex ETF
    when the classes differ in size. They end where the logits of the class means are
    :math:`P = I - \mathbf{1}\mathbf{1}^\top\!/K` and class vectors and features are as
    small as they can be: the SELI geometry (Definitions 1 and 2 of [1]_). With
    :math:`D = \mathrm{diag}(n_1, \dots, n_K)` and the singular value decomposition
    :math:`P D^{1/2} = V \Lambda U^\top`, its Gram matrices are

    .. math:: W W^\top = V \Lambda V^\top = (P D P)^{1/2}, \qquad
              M M^\top = (W W^\top)^{+}, \qquad W M^\top = P .

    Parameters
    ----------
    class_counts : array-like of shape (n_classes,)
        Class sizes :math:`n_k`: positive, not necessarily whole (sums of weights).
    n_components : int, default=None
        Dimension of the vectors, :math:`d \geq K - 1`. None stands for :math:`K - 1`.
    ridge : float, default=0.0
        Penalty :math:`\lambda` in the loss that the geometry minimises, the
        cross-entropy summed over all samples plus
        :math:`\tfrac{\lambda}{2} (\lVert W \rVert_F^2 + \lVert H \rVert_F^2)` with
        :math:`H` the features of all samples. Zero is the limit
        :math:`\lambda \to 0`, which is approached at a logarithmic rate only, so that
        trained networks are better described by the positive value they were
        trained with.
    random_state : int, RandomState instance or None, default=None
        Seed of the rotation. Pass an int for the same geometry at every call; the same
        seed gives balanced classes the class vectors of :func:`simplex_etf`, up to
        scale.

    Returns
    -------
    geometry : ClassGeometry
        Named tuple of `classifier` :math:`W` and `means` :math:`M`, two ndarrays of
        shape (n_classes, n_components) and dtype float64 in the same coordinates.
        ``classifier @ means.T`` is :math:`P` for ``ridge=0`` and the optimal logits
        otherwise. The rows of `classifier` sum to zero; those of `means` do so for
        ``ridge=0``.

    Raises
    ------
    ValueError
        If a class size is not positive and finite, `n_components` is below
        ``n_classes - 1``, or `ridge` is negative or so large that all vectors vanish:
        :math:`\lambda \geq \lVert P D^{1/2} \rVert_2`.

    Warns
    -----
    ConvergenceWarning
        If the iteration for a positive `ridge` ended before the optimality conditions
        held.

    Notes
    -----
    Nothing larger than :math:`K \times K` is formed. For ``ridge=0`` the result is
    exact, from one singular value decomposition. A positive `ridge` leads to a convex
    problem in the :math:`K \times K` logits, cross-entropy plus
    :math:`\lambda \lVert Z D^{1/2} \rVert_*` (the regularisation path of [1]_), solved
    through its factors with L-BFGS: tens to hundreds of products of
    :math:`K \times K` matrices. Class vectors of the smallest classes coincide exactly
    ("minority collapse") where the penalty exceeds the square root of their size.

    References
    ----------
    .. [1] Thrampoulidis et al., "Imbalance Trouble", NeurIPS 2022, arXiv:2208.05512.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.targets import seli
    >>> W, M = seli([100, 100, 10, 10], 5, random_state=0)
    >>> (W @ M.T).round(12)
    array([[ 0.75, -0.25, -0.25, -0.25],
           [-0.25,  0.75, -0.25, -0.25],
           [-0.25, -0.25,  0.75, -0.25],
           [-0.25, -0.25, -0.25,  0.75]])

    Large classes get longer class vectors, small classes the smaller angle:

    >>> lengths = np.linalg.norm(W, axis=1)
    >>> lengths.round(3)
    array([2.618, 2.618, 1.853, 1.853])
    >>> cosines = W @ W.T / np.outer(lengths, lengths)
    >>> cosines[[0, 2], [1, 3]].round(3)
    array([-0.459,  0.079])
    """
    counts = check_class_counts(class_counts)
    n_classes = len(counts)
    n_components = check_n_components(n_components, n_classes)
    ridge = check_number("ridge", ridge, 0)
    frame = centred_frame(n_classes, n_components, resolve_random_state(random_state))
    # Logits of the class means, each column times the root of its class size.
    logits = (np.eye(n_classes) - 1 / n_classes) * np.sqrt(counts)
    if ridge > 0:
        logits = _ridge_path(logits, counts, ridge)
    left, sizes, right = svd(logits)
    # A rounding error e in place of a zero would leave sqrt(e) in the class vectors.
    sizes[sizes <= n_classes * np.finfo(np.float64).eps * sizes[0]] = 0
    # The symmetric root V L^{1/2} V^T does not depend on the choice of V.
    halves = np.sqrt(sizes)[:, None] * (left.T @ frame)
    return ClassGeometry(
        classifier=left @ halves,
        means=right.T @ halves / np.sqrt(counts)[:, None],
    )


class SELI(Target):
    """The target "seli": larger classes have longer class vectors."""

    def build(
        self,
        class_counts: Counts,
        n_components: int | None = None,
        random_state: Seed = None,
    ) -> ClassGeometry:
        """Return the SELI geometry of the class sizes."""
        return seli(class_counts, n_components, random_state=random_state)


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


def _ridge_path(sel: np.ndarray, counts: np.ndarray, ridge: float) -> np.ndarray:
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
