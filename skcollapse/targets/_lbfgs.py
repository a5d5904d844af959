"""Minimise an energy over codes by L-BFGS on the sphere, several starts at once."""

import numpy as np

from skcollapse.targets._energies import Energy
from skcollapse.targets._sphere import (
    dot,
    retract,
    row_dot,
    tangent,
    value_and_gradient,
)

_MEMORY = 10
_ARMIJO = 1e-4
_MAX_SHORTENINGS = 25
# Rounding of an energy of the order of one: what a line search cannot see.
_NOISE = 1e-14
# Cosine of step and change of gradient below which a pair shows no curvature.
_FLAT = 1e-10

# Step, change of the gradient and inverse curvature, for each start.
Pairs = list[tuple[np.ndarray, ...]]


def _longest(vectors: np.ndarray) -> np.ndarray:
    """Length of the longest row, for each start."""
    return np.sqrt(row_dot(vectors, vectors).max(-1))


def _scaled(factors: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return factors[:, None, None] * vectors


def _direction(
    points: np.ndarray, gradient: np.ndarray, memory: Pairs
) -> tuple[np.ndarray, np.ndarray]:
    """Return the L-BFGS direction by the two-loop recursion.

    The memory is kept in ambient coordinates, of which the projection of the result
    takes the tangent part: no pair is carried along. A factor of zero in place of the
    inverse curvature leaves a pair out, for the starts that it is of no use to.
    """
    direction = gradient.copy()
    weights = []
    for step, change, inverse in reversed(memory):
        weights.append(inverse * dot(step, direction))
        direction -= _scaled(weights[-1], change)
    if memory:
        _, change, inverse = memory[-1]
        size = inverse * dot(change, change)
        direction /= np.where(size > 0, size, 1)[:, None, None]
    for (step, change, inverse), weight in zip(memory, reversed(weights), strict=True):
        direction += _scaled(weight - inverse * dot(change, direction), step)
    direction = -tangent(points, direction)
    slope = dot(direction, gradient)
    uphill = slope >= 0
    direction[uphill] = -gradient[uphill]
    slope[uphill] = -dot(gradient, gradient)[uphill]
    return direction, slope


def _line_search(
    energy: Energy,
    points: np.ndarray,
    value: np.ndarray,
    direction: np.ndarray,
    slope: np.ndarray,
    length: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Shorten steps until each lowers its energy enough; those that never do are zero.

    Returns the length of the steps, and points, energies and gradients after them.
    """
    length = length.copy()
    new_points = retract(points, _scaled(length, direction))
    new_value, new_gradient = value_and_gradient(energy, new_points)
    noise = _NOISE * np.abs(value)
    tried = np.arange(len(points))
    for _ in range(_MAX_SHORTENINGS):
        fall = length[tried] * slope[tried]
        gain = new_value[tried] - value[tried]
        short = ~(gain <= _ARMIJO * fall + noise[tried])
        if not short.any():
            return length, new_points, new_value, new_gradient
        tried, gain, fall = tried[short], gain[short], fall[short]
        # To the minimum of the parabola through what is known, within limits.
        length[tried] *= np.clip(-fall / (2 * (gain - fall)), 0.1, 0.5)
        step = _scaled(length[tried], direction[tried])
        new_points[tried] = retract(points[tried], step)
        new_value[tried], new_gradient[tried] = value_and_gradient(
            energy, new_points[tried]
        )
    length[tried] = 0
    new_points[tried], new_value[tried] = points[tried], value[tried]
    return length, new_points, new_value, new_gradient


def minimise(
    energy: Energy, points: np.ndarray, *, max_iter: int, tol: float, first_step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the energy of every start, on the product of spheres.

    Returns codes and their energies. A start has converged once none of its rows has a
    gradient longer than `tol`, relative to ``1 / n_classes``. The first step moves no
    point farther than `first_step`, and a later one not farther than four times that.
    """
    n_classes = points.shape[1]
    value, gradient = value_and_gradient(energy, points)
    best, best_value = points.copy(), value.copy()
    alive = np.arange(len(points))
    length = np.ones(len(points))
    limit = first_step
    memory: Pairs = []
    for _ in range(max_iter):
        going = _longest(gradient) * n_classes > tol
        going &= length > 0
        if not going.all():
            alive, points, value = alive[going], points[going], value[going]
            gradient = gradient[going]
            memory = [tuple(part[going] for part in pair) for pair in memory]
        if not len(alive):
            break
        direction, slope = _direction(points, gradient, memory)
        length = limit / _longest(direction)
        if memory:
            length = np.minimum(length, 1)
        length, new_points, value, new_gradient = _line_search(
            energy, points, value, direction, slope, length
        )
        step = _scaled(length, direction)
        change = new_gradient - gradient
        curvature = dot(step, change)
        size = np.sqrt(dot(step, step) * dot(change, change))
        useful = curvature > _FLAT * size
        inverse = np.divide(1, curvature, where=useful, out=np.zeros_like(curvature))
        memory = [*memory[1 - _MEMORY :], (step, change, inverse)]
        points, gradient, limit = new_points, new_gradient, 4 * first_step
        best[alive], best_value[alive] = points, value
    return best, best_value
