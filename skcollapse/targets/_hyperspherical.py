"""Maximally uniform codes on the sphere, for any number of classes and dimensions."""

import numpy as np

from skcollapse._utils.checks import check_choice, check_integer, check_number, is_auto
from skcollapse._utils.random_state import resolve_random_state
from skcollapse._utils.types import Counts, Seed
from skcollapse.targets._codes import is_known_optimum, starts, symmetric_code
from skcollapse.targets._descent import cosines_of, minimise, polish
from skcollapse.targets._energies import Energy, GaussianLogDeterminant, RieszEnergy
from skcollapse.targets._etf import simplex_etf
from skcollapse.targets._frames import haar_frame
from skcollapse.targets._max_min import sharpen
from skcollapse.targets._target import ClassGeometry, Target

# What "auto" spends: pairs of classes over all starts, and the number of starts.
_AUTO_PAIRS = 400_000
_AUTO_STARTS = 128
# The search, from all starts: its iterations, and the longest gradient relative to 1/K
# below which a start is clear enough to be compared.
_SEARCH_ITER = 300
_SEARCH_TOLERANCE = 1e-3
_ANNEALING_ITER = 100
# Codes that are polished, and what that may cost in pairs of classes.
_N_POLISHED = 6
_POLISH_PAIRS = 2e8
# Exponents through which the Riesz energy becomes the minimum distance. A low one to
# begin with leads to codes of low energy, a high one to more varied codes: the starts
# share three of them.
_FIRST_EXPONENTS = (4.0, 16.0, 64.0)
_SEARCH_EXPONENT = 1024.0
_POLISH_EXPONENTS = [4.0**power for power in range(6, 11)]
# Variables up to which linear programs are affordable.
_MAX_VARIABLES = 300


def _spacing(n_classes: int, n_components: int) -> float:
    """Return the distance between neighbours, up to a constant factor."""
    return n_classes ** (-1 / (n_components - 1))


def _best_few(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the codes with the least values, the best of those that almost agree."""
    order = np.argsort(values, kind="stable")
    _, first = np.unique(values[order].round(5), return_index=True)
    return codes[order[first[:_N_POLISHED]]]


def _least_energy(energy: Energy, codes: np.ndarray) -> np.ndarray:
    n_classes, n_components = codes.shape[1:]
    codes, values = minimise(
        energy,
        codes,
        max_iter=_SEARCH_ITER,
        tol=_SEARCH_TOLERANCE,
        first_step=_spacing(n_classes, n_components),
    )
    codes = _best_few(codes, values)
    max_products = int(_POLISH_PAIRS / n_classes**2 / len(codes))
    codes = np.stack([polish(energy, code, max_products) for code in codes])
    return codes[energy.value_and_slope(cosines_of(codes))[0].argmin()]


def _anneal(codes: np.ndarray, exponent: float) -> tuple[np.ndarray, np.ndarray]:
    """Raise the exponent of the Riesz energy; return codes and their last energies."""
    step = _spacing(*codes.shape[1:])
    while exponent <= _SEARCH_EXPONENT:
        codes, values = minimise(
            RieszEnergy(exponent),
            codes,
            max_iter=_ANNEALING_ITER,
            tol=_SEARCH_TOLERANCE,
            first_step=step,
        )
        exponent, step = 4 * exponent, step / 4
    return codes, values


def _largest_separation(codes: np.ndarray) -> np.ndarray:
    n_classes, n_components = codes.shape[1:]
    groups = len(_FIRST_EXPONENTS)
    annealed = [
        _anneal(codes[first::groups], exponent)
        for first, exponent in enumerate(_FIRST_EXPONENTS[: len(codes)])
    ]
    codes, values = (np.concatenate(parts) for parts in zip(*annealed, strict=True))
    codes = _best_few(codes, values)
    share = len(codes) * len(_POLISH_EXPONENTS)
    max_products = int(_POLISH_PAIRS / n_classes**2 / share)
    for exponent in _POLISH_EXPONENTS:
        energy = RieszEnergy(exponent)
        codes = np.stack([polish(energy, code, max_products) for code in codes])
    if n_classes * (n_components - 1) <= _MAX_VARIABLES:
        codes = np.stack([sharpen(code) for code in codes])
    cosines = cosines_of(codes)
    cosines[:, range(n_classes), range(n_classes)] = -1
    return codes[cosines.max((-2, -1)).argmin()]


def hyperspherical_code(
    n_classes: int,
    n_components: int,
    *,
    criterion: str = "mhe",
    s: float = 1.0,
    n_init: int | str = "auto",
    random_state: Seed = None,
) -> np.ndarray:
    r"""Compute unit vectors that are as uniform on the sphere as can be found.

    In fewer than :math:`K - 1` dimensions there is no simplex ETF. What takes its
    place [1]_ [2]_ is a code :math:`w_1, \dots, w_K` that optimises one of

    - "mhe": minimum hyperspherical energy, :math:`\min \sum_{i<j} \lVert w_i - w_j
      \rVert^{-s}`, and :math:`\min \sum_{i<j} \log \lVert w_i - w_j \rVert^{-1}` for
      :math:`s = 0`;
    - "mhs": maximum hyperspherical separation, :math:`\max \min_{i<j} \lVert w_i - w_j
      \rVert` (in three dimensions, the problem of Tammes);
    - "mgd": maximum Gram determinant, :math:`\max \log\det G` with
      :math:`G_{ij} = \exp(-\varepsilon^2 \lVert w_i - w_j \rVert^2)` and
      :math:`\varepsilon = \max(1, K^{1/(d-1)} / 4)`, for which the matrix stays well
      conditioned.

    Parameters
    ----------
    n_classes : int
        Number of class vectors, :math:`K \geq 2`.
    n_components : int
        Their dimension, :math:`d \geq 2`, or 1 for two classes.
    criterion : {"mhe", "mhs", "mgd"}, default="mhe"
        What is optimised.
    s : float, default=1.0
        Exponent of the energy, at least 0. Used by "mhe" alone.
    n_init : int or "auto", default="auto"
        Number of starts. "auto" takes 128 for few classes, 40 for a hundred and one for
        more than 632. The first ones are structured (a symmetric code of the
        same size, a spiral in three dimensions, the cross-polytope and the farthest of
        random points), the others random. Without effect where the optimum is known.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts and of the rotation of the result. Pass an int for the same
        code at every call.

    Returns
    -------
    code : ndarray of shape (n_classes, n_components), dtype float64
        Unit vectors as rows, randomly turned. Their order has no meaning.

    Raises
    ------
    ValueError
        If `n_classes` is below 2; `n_components` or `n_init` is below 1;
        `n_components` is 1 for more than two classes; `criterion` is unknown; or `s` is
        negative or not finite.

    Notes
    -----
    For :math:`K \leq d + 1` the simplex is optimal under every criterion. Other codes
    are returned in closed form where a proof exists: for "mhe" and "mhs", regular
    polygons, the cross-polytope at :math:`K = 2d` and the sharp codes with (K, d) =
    (12, 3), (120, 4), (240, 8), (56, 7), (27, 6) and (16, 5) [3]_; for "mhs" also
    orthogonal simplices for :math:`K < 2d` [4]_, and (24, 4) and (10, 4).

    All else is a search: from each start by L-BFGS on the product of spheres, the
    best few then by a Riemannian trust region with exact Hessian products, to machine
    precision where that takes few of them. For "mhs" the Riesz energy is
    minimised with rising exponents, and a code of up to 300 variables then sharpened by
    linear programs on its contacts. Large codes have many local optima of
    almost the same value, of which the result is one. The memory is that of
    a few :math:`K \times K` matrices for each start.

    References
    ----------
    .. [1] Liu, Yu, Weller and Schölkopf, "Generalizing and Decoupling Neural Collapse
       via Hyperspherical Uniformity Gap", ICLR 2023, Section 3. arXiv:2303.06484.
    .. [2] Jiang, Zhou, Wang, Qu, Mixon, You and Zhu, "Generalized Neural Collapse for a
       Large Number of Classes", ICML 2024. arXiv:2310.05351.
    .. [3] Cohn and Kumar, "Universally optimal distribution of points on spheres",
       J. Amer. Math. Soc. 20, 2007, Table 1. arXiv:math/0607446.
    .. [4] Rankin, "The closest packing of spherical caps in n dimensions", Proc.
       Glasgow Math. Assoc. 2, 1955.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.targets import hyperspherical_code
    >>> code = hyperspherical_code(7, 3, criterion="mhs", random_state=0)
    >>> code.shape
    (7, 3)
    >>> cosines = code @ code.T - 2 * np.eye(7)
    >>> round(float(np.degrees(np.arccos(cosines.max()))), 4)
    77.8695
    """
    n_classes = check_integer("n_classes", n_classes, 2)
    least, hint = 1, ""
    if n_classes > 2:
        least, hint = 2, "On a line there is room for two classes only."
    n_components = check_integer("n_components", n_components, least, hint=hint)
    check_choice("criterion", criterion, ("mhe", "mhs", "mgd"))
    s = check_number("s", s, 0)
    if is_auto(n_init):
        n_starts = int(np.clip(_AUTO_PAIRS // n_classes**2, 1, _AUTO_STARTS))
    else:
        n_starts = check_integer("n_init", n_init, 1, also=("auto",))
    rng = resolve_random_state(random_state)
    if n_classes <= n_components + 1:
        return simplex_etf(n_classes, n_components, random_state=rng)
    turn = haar_frame(n_components, n_components, rng)
    if is_known_optimum(n_classes, n_components, criterion):
        return symmetric_code(n_classes, n_components) @ turn
    codes = starts(n_starts, n_classes, n_components, rng)
    if criterion == "mhs":
        code = _largest_separation(codes)
    elif criterion == "mhe":
        code = _least_energy(RieszEnergy(s), codes)
    else:
        # A rate of the order of the inverse spacing.
        epsilon = max(1.0, 1 / (4 * _spacing(n_classes, n_components)))
        code = _least_energy(GaussianLogDeterminant(epsilon), codes)
    code = code @ turn
    return code / np.linalg.norm(code, axis=1, keepdims=True)


class HypersphericalCode(Target):
    """The target "hyperspherical", of which class vectors and class means coincide."""

    assignable = True
    centred = False

    def min_components(self, n_classes: int) -> int:
        """Return 2, or 1 for two classes."""
        return min(n_classes - 1, 2)

    def build(
        self,
        class_counts: Counts,
        n_components: int | None = None,
        random_state: Seed = None,
    ) -> ClassGeometry:
        """Return the code of least Riesz energy, by default in K - 1 dimensions."""
        n_classes = len(class_counts)
        n_components = n_classes - 1 if n_components is None else n_components
        code = hyperspherical_code(n_classes, n_components, random_state=random_state)
        return ClassGeometry(classifier=code, means=code)
