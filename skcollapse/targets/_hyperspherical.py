"""Maximally uniform codes on the sphere, for any number of classes and dimensions."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state

from skcollapse.targets._energies import GaussianLogDeterminant, RieszEnergy
from skcollapse.targets._etf import simplex_etf
from skcollapse.targets._frames import check_n_classes, haar_frame
from skcollapse.targets._geometry import ClassGeometry
from skcollapse.targets._known_codes import is_known_optimum, symmetric_code
from skcollapse.targets._max_min import sharpen
from skcollapse.targets._sphere import minimise, polish
from skcollapse.targets._starts import starts

# What "auto" spends: pairs of classes over all starts, and the number of starts.
_AUTO_PAIRS = 400_000
_AUTO_STARTS = 64
# Longest gradient, relative to 1/K, at which a start has converged.
_TOLERANCE = 1e-6
_MAX_ITER = 1000
# Exponents through which the Riesz energy becomes the minimum distance. From low ones
# all starts would end where the energy is lowest, which is somewhere else.
_EXPONENTS = [64.0, 256.0, 1024.0, 4096.0]
_ANNEALING_ITER = 100
_ANNEALING_TOLERANCE = 1e-3
# The codes that are sharpened, and the variables up to which that is affordable.
_N_SHARPENED = 8
_MAX_VARIABLES = 1000


def _check(n_classes, n_components, criterion, s, n_init):
    """Return the sizes as ints, `s` as a float and `n_init` as an int, or raise."""
    n_classes = check_n_classes(n_classes)
    for name, value in (("n_components", n_components), ("n_init", n_init)):
        if name == "n_init" and value == "auto":
            continue
        valid = isinstance(value, Integral) and not isinstance(value, bool)
        if not valid or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
    if n_components == 1 and n_classes > 2:
        raise ValueError(
            f"n_components=1 has room for two classes, not for n_classes={n_classes}. "
            "Use at least 2."
        )
    if criterion not in ("mhe", "mhs", "mgd"):
        raise ValueError(
            f"criterion must be 'mhe', 'mhs' or 'mgd', got {criterion!r}."
        )
    if not (isinstance(s, Real) and np.isfinite(s) and s >= 0):
        raise ValueError(f"s must be a finite number of at least 0, got {s!r}.")
    if n_init == "auto":
        n_init = int(np.clip(_AUTO_PAIRS // n_classes**2, 2, _AUTO_STARTS))
    return n_classes, int(n_components), float(s), int(n_init)


def _spacing(n_classes, n_components):
    """About half the distance to the next of K points, up to a constant factor."""
    return n_classes ** (-1 / (n_components - 1))


def _least_energy(energy, codes):
    n_classes, n_components = codes.shape[1:]
    codes, values = minimise(
        energy,
        codes,
        max_iter=_MAX_ITER,
        tol=_TOLERANCE,
        first_step=_spacing(n_classes, n_components),
    )
    return polish(energy, codes[values.argmin()])


def _smallest_distance(codes):
    cosines = codes @ codes.swapaxes(-2, -1)
    index = np.arange(codes.shape[-2])
    cosines[..., index, index] = -1
    return np.sqrt(2 - 2 * cosines.max((-2, -1)))


def _largest_separation(codes):
    n_classes, n_components = codes.shape[1:]
    step = _spacing(n_classes, n_components)
    for exponent in _EXPONENTS:
        codes, _ = minimise(
            RieszEnergy(exponent),
            codes,
            max_iter=_ANNEALING_ITER,
            tol=_ANNEALING_TOLERANCE,
            first_step=step,
        )
        step /= 4
    separation = _smallest_distance(codes)
    if n_classes * (n_components - 1) > _MAX_VARIABLES:
        return codes[separation.argmax()]
    # The best of each kind: starts that found the same code agree to this rounding.
    _, first = np.unique((-separation).round(7), return_index=True)
    candidates = np.stack([sharpen(codes[i]) for i in first[:_N_SHARPENED]])
    return candidates[_smallest_distance(candidates).argmax()]


def hyperspherical_code(
    n_classes, n_components, *, criterion="mhe", s=1.0, n_init="auto", random_state=None
):
    n_classes, n_components, s, n_init = _check(
        n_classes, n_components, criterion, s, n_init
    )
    random_state = check_random_state(random_state)
    if n_classes <= n_components + 1:
        return simplex_etf(n_classes, n_components, random_state=random_state)
    turn = haar_frame(n_components, n_components, random_state)
    if is_known_optimum(n_classes, n_components, criterion):
        return symmetric_code(n_classes, n_components) @ turn
    codes = starts(n_init, n_classes, n_components, random_state)
    if criterion == "mhs":
        code = _largest_separation(codes)
    elif criterion == "mhe":
        code = _least_energy(RieszEnergy(s), codes)
    else:
        epsilon = max(1.0, 1 / (4 * _spacing(n_classes, n_components)))
        code = _least_energy(GaussianLogDeterminant(epsilon), codes)
    code = code @ turn
    return code / np.linalg.norm(code, axis=1, keepdims=True)


def build(class_counts, n_components, random_state):
    """Return the code of least Riesz energy as the target "hyperspherical".

    Class vectors and class means coincide. Without `n_components` it is the simplex.
    """
    n_classes = len(class_counts)
    n_components = n_classes - 1 if n_components is None else n_components
    code = hyperspherical_code(n_classes, n_components, random_state=random_state)
    return ClassGeometry(classifier=code, means=code)
