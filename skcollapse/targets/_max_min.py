"""Sharpen a code of large minimum distance to a local maximum of it."""

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from skcollapse.targets._descent import retract

_MAX_STEPS = 40
# A linear program is solved to 1e-7 of the radius of its box: a gain below this share
# is none, and a radius below the other leaves an error below rounding.
_NO_GAIN = 1e-6
_SMALLEST_RADIUS = 1e-9


def _tangent_bases(points: np.ndarray) -> np.ndarray:
    """Return (K, d, d - 1) bases of the tangent spaces, by Householder reflections."""
    n_components = points.shape[1]
    sign = np.where(points[:, -1:] > 0, -1.0, 1.0)
    mirror = points.copy()
    mirror[:, -1:] -= sign
    scale = 2 / np.sum(mirror**2, axis=1)
    outer = mirror[:, :, None] * mirror[:, None, :-1] * scale[:, None, None]
    return np.eye(n_components)[:, :-1] - outer


def _pair_cosines(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the cosines of points and others, but for those of the same index."""
    cosines = points @ others.T
    np.fill_diagonal(cosines, -1)
    return cosines


def _linear_program(
    points: np.ndarray, cosines: np.ndarray, radius: float
) -> tuple[np.ndarray, float, np.ndarray]:
    """Find the best tangent step in a box, as far as distances are linear in it.

    Returns the step, the fall of the largest cosine that it promises, and which points
    it cannot do without.
    """
    n_classes, n_free = len(points), points.shape[1] - 1
    largest = cosines.max()
    # Below the reach, no pair can become the closest one within the box.
    reach = largest - 4 * radius * np.sqrt(n_free)
    first, second = np.nonzero(np.triu(cosines > reach, 1))
    bases = _tangent_bases(points)
    # In units of the radius: minimise t subject to c + dc <= t for every pair.
    entries = np.hstack(
        [
            np.einsum("pd,pdf->pf", points[second], bases[first]),
            np.einsum("pd,pdf->pf", points[first], bases[second]),
            np.full((len(first), 1), -1.0),
        ]
    )
    free = np.arange(n_free)
    columns = np.hstack(
        [
            n_free * first[:, None] + free,
            n_free * second[:, None] + free,
            np.full((len(first), 1), n_free * n_classes),
        ]
    )
    n_columns = n_free * n_classes + 1
    rows = np.repeat(np.arange(len(first)), entries.shape[1])
    constraints = csr_matrix(
        (entries.ravel(), (rows, columns.ravel())), shape=(len(first), n_columns)
    )
    cost = np.zeros(n_columns)
    cost[-1] = 1
    bounds = np.tile([-1.0, 1.0], (n_columns, 1))
    bounds[-1] = -np.inf, np.inf
    solution = linprog(
        cost,
        A_ub=constraints,
        b_ub=(largest - cosines[first, second]) / radius,
        bounds=bounds,
        method="highs",
    )
    if solution.x is None:
        return np.zeros_like(points), 0.0, np.ones(n_classes, bool)
    bearing = solution.ineqlin.marginals < 0
    needed = np.zeros(n_classes, bool)
    needed[first[bearing]] = True
    needed[second[bearing]] = True
    step = np.einsum("kdf,kf->kd", bases, solution.x[:-1].reshape(n_classes, n_free))
    return radius * step, -radius * solution.x[-1], needed


def sharpen(points: np.ndarray) -> np.ndarray:
    """Maximise the minimum distance locally, by a sequence of linear programs.

    Each program maximises, within a small box of tangent steps, the smallest distance
    as linearised at the points; its active constraints are the contacts of the code.
    These fix a local maximum to first order, but for points without a contact that
    matters ("rattlers"), so that the steps converge quadratically, as Newton steps on
    the contacts would. Rattlers stay where they are. The minimum distance never falls.
    """
    cosines = _pair_cosines(points, points)
    radius = 0.01 * np.sqrt(2 - 2 * cosines.max())
    for _ in range(_MAX_STEPS):
        if radius < _SMALLEST_RADIUS:
            break
        step, promised, needed = _linear_program(points, cosines, radius)
        if promised <= _NO_GAIN * radius:
            radius *= 0.01
            continue
        moved = retract(points, step)
        most = _pair_cosines(moved, moved).max()
        idle = ~needed & (_pair_cosines(points, moved).max(axis=1) < most)
        moved[idle] = points[idle]
        moved_cosines = _pair_cosines(moved, moved)
        gain = cosines.max() - moved_cosines.max()
        if gain > 0:
            points, cosines = moved, moved_cosines
        if gain > 0.9 * promised:
            radius *= 2
        elif gain < 0.5 * promised:
            radius *= 0.25
    return points
