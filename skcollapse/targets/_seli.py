"""The simplex-encoded-labels interpolation (SELI) geometry of unequal classes."""

import numpy as np
from scipy.linalg import svd
from sklearn.utils import check_random_state

from skcollapse._utils.arrays import check_class_counts
from skcollapse._utils.checks import check_number
from skcollapse._utils.types import Counts, Seed
from skcollapse.targets._frames import centred_frame, check_n_components
from skcollapse.targets._ridge_path import ridge_path
from skcollapse.targets._target import ClassGeometry, Target


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

    See Also
    --------
    simplex_etf : The geometry of classes of equal size.

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
    .. [1] Thrampoulidis, Kini, Vakilian and Behnia, "Imbalance Trouble: Revisiting
       Neural-Collapse Geometry", NeurIPS 2022. arXiv:2208.05512.

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
    frame = centred_frame(n_classes, n_components, check_random_state(random_state))
    # Logits of the class means, each column times the root of its class size.
    logits = (np.eye(n_classes) - 1 / n_classes) * np.sqrt(counts)
    if ridge > 0:
        logits = ridge_path(logits, counts, ridge)
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
