"""Codes: known to be the most uniform of their size, or to begin a search with.

For Riesz energies (s >= 0, the logarithmic one included) and for the minimum distance,
the regular polygons, simplices, cross-polytopes, the icosahedron, the 600-cell and the
kissing configurations of E8 in 8, 7, 6 and 5 dimensions are optimal (Cohn and Kumar,
2007, arXiv:math/0607446, theorem 1.2). For the minimum distance alone, so are sets of
mutually orthogonal simplices (K <= 2d; Rankin, 1955), the 24-cell (arXiv:2404.18794)
and the ten points in four dimensions that are next in the line of E8 (arXiv:0708.3947).
"""

from collections.abc import Callable
from functools import partial
from itertools import permutations, product

import numpy as np
from numpy.random import RandomState
from scipy.linalg import block_diag, svd

from skcollapse.targets._frames import from_coordinates

# Symmetric codes are stationary: turned off course a little, they leave a saddle point.
_NUDGE = 1e-3
_GOLDEN = (1 + np.sqrt(5)) / 2
_SIGNS = list(product([-1, 1], repeat=2))


def _polygon(n_classes: int) -> np.ndarray:
    """Return the regular polygon in the plane."""
    angles = 2 * np.pi / n_classes * np.arange(n_classes)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _simplex(n_classes: int) -> np.ndarray:
    simplex = from_coordinates(np.eye(n_classes - 1))
    return simplex * np.sqrt(n_classes / (n_classes - 1))


def _orthogonal_simplices(n_classes: int, n_components: int) -> np.ndarray:
    """Return d + 2 <= K <= 2d vectors: simplices in K - d orthogonal subspaces."""
    sizes = [
        len(part) for part in np.array_split(range(n_classes), n_classes - n_components)
    ]
    return block_diag(*(_simplex(size) for size in sizes))


def _icosahedron() -> np.ndarray:
    corners = [
        np.roll([0, one, two * _GOLDEN], shift)
        for shift in range(3)
        for one, two in _SIGNS
    ]
    return np.array(corners) / np.sqrt(1 + _GOLDEN**2)


def _cell_24() -> np.ndarray:
    """Return the roots of D4: all signs and places of two ones."""
    roots = [np.roll((a, b, 0, 0), shift) for shift in range(4) for a, b in _SIGNS]
    roots += [np.roll((a, 0, b, 0), shift) for shift in range(2) for a, b in _SIGNS]
    return np.array(roots) / np.sqrt(2)


def _cell_600() -> np.ndarray:
    """Return the icosians: 8 + 16 + 96 unit quaternions."""
    even = [p for p in permutations(range(4)) if np.linalg.det(np.eye(4)[list(p)]) > 0]
    icosians = [
        np.array([a * _GOLDEN, b, c / _GOLDEN, 0])[list(order)] / 2
        for a, b, c in product([-1, 1], repeat=3)
        for order in even
    ]
    axes = np.vstack([np.eye(4), -np.eye(4)])
    halves = np.array(list(product([-0.5, 0.5], repeat=4)))
    return np.vstack([axes, halves, icosians])


def _e8_kissing(n_components: int) -> np.ndarray:
    """Return the roots of E8 or, in lower dimensions, the nearest to one of the last.

    240 points in 8 dimensions, 56 in 7, 27 in 6, 16 in 5 and 10 in 4.
    """
    pairs = [(i, j) for i in range(8) for j in range(i)]
    points = np.zeros((240, 8))
    signed = [(i, j, a, b) for i, j in pairs for a, b in _SIGNS]
    for row, (i, j, a, b) in enumerate(signed):
        points[row, [i, j]] = a, b
    halves = np.array(list(product([-0.5, 0.5], repeat=8)))
    points[len(signed) :] = halves[(halves < 0).sum(axis=1) % 2 == 0]
    points /= np.sqrt(2)
    for dimension in range(7, n_components - 1, -1):
        cosines = points[1:] @ points[0]
        nearest = points[1:][np.isclose(cosines, cosines.max())]
        nearest = nearest - nearest.mean(axis=0)
        # Coordinates in the subspace that they span, on the unit sphere.
        left, sizes, _ = svd(nearest, full_matrices=False)
        points = left[:, :dimension] * sizes[:dimension]
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points


_UNIVERSAL: dict[tuple[int, int], Callable[[], np.ndarray]] = {
    (12, 3): _icosahedron,
    (120, 4): _cell_600,
    (240, 8): partial(_e8_kissing, 8),
    (56, 7): partial(_e8_kissing, 7),
    (27, 6): partial(_e8_kissing, 6),
    (16, 5): partial(_e8_kissing, 5),
}
_FARTHEST: dict[tuple[int, int], Callable[[], np.ndarray]] = {
    (24, 4): _cell_24,
    (10, 4): partial(_e8_kissing, 4),
}


def symmetric_code(n_classes: int, n_components: int) -> np.ndarray | None:
    """Return a highly symmetric code of more than d + 1 points, or None."""
    if n_components == 2:
        return _polygon(n_classes)
    if n_classes <= 2 * n_components:
        return _orthogonal_simplices(n_classes, n_components)
    code = (_UNIVERSAL | _FARTHEST).get((n_classes, n_components))
    return code() if code else None


def is_known_optimum(n_classes: int, n_components: int, criterion: str) -> bool:
    """Whether `symmetric_code` is the optimum, by a proof in the literature."""
    size = n_classes, n_components
    universal = n_components == 2 or n_classes == 2 * n_components or size in _UNIVERSAL
    return {
        "mhe": universal,
        "mhs": universal or n_classes < 2 * n_components or size in _FARTHEST,
        "mgd": False,
    }[criterion]


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _random_codes(
    n_starts: int, n_classes: int, n_components: int, random_state: RandomState
) -> np.ndarray:
    """Draw codes of independent points, uniform on the sphere."""
    return _unit(random_state.standard_normal((n_starts, n_classes, n_components)))


def _spiral(n_classes: int) -> np.ndarray:
    """Return the Fibonacci lattice, a spiral of equal steps in height on the sphere."""
    index = np.arange(n_classes)
    height = 1 - (2 * index + 1) / n_classes
    angle = np.pi * (3 - np.sqrt(5)) * index
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def _cross_polytope_and_more(
    n_classes: int, n_components: int, random_state: RandomState
) -> np.ndarray:
    """Return both ends of each axis, and after them the farthest of random points."""
    code = np.empty((n_classes, n_components))
    n_axes = min(n_classes, 2 * n_components)
    code[:n_axes] = np.vstack([np.eye(n_components), -np.eye(n_components)])[:n_axes]
    pool = _random_codes(1, 4 * n_classes, n_components, random_state)[0]
    nearest = (pool @ code[:n_axes].T).max(axis=1)
    for row in range(n_axes, n_classes):
        code[row] = pool[nearest.argmin()]
        np.maximum(nearest, pool @ code[row], out=nearest)
    return code


def starts(
    n_starts: int, n_classes: int, n_components: int, random_state: RandomState
) -> np.ndarray:
    """Return (n_starts, n_classes, n_components) codes, the structured ones first."""
    codes = _random_codes(n_starts, n_classes, n_components, random_state)
    structured = [symmetric_code(n_classes, n_components)]
    if n_components == 3:
        structured.append(_spiral(n_classes))
    structured.append(_cross_polytope_and_more(n_classes, n_components, random_state))
    known = [code for code in structured if code is not None][:n_starts]
    noise = _random_codes(len(known), n_classes, n_components, random_state)
    codes[: len(known)] = _unit(np.stack(known) + _NUDGE * noise)
    return codes
