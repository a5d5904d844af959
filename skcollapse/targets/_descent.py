"""Minimise an energy over codes, that is on a product of spheres.

L-BFGS takes several starts at once; a Riemannian trust region then brings a code to its
local minimum. Arrays have the shape (..., K, d), with K unit vectors for each start.
Steps are taken in the tangent spaces and carried back by normalising, a retraction.
"""

from collections.abc import Callable

import numpy as np

from skcollapse.targets._energies import Energy

_MEMORY = 10
_ARMIJO = 1e-4
_MAX_SHORTENINGS = 25
# Rounding of an energy of the order of one: what a line search cannot see.
_NOISE = 1e-14
# Cosine of step and change of gradient below which a pair shows no curvature.
_FLAT = 1e-10

# For the trust region, with the norm of the gradient, relative to that of its parts,
# that rounding leaves.
_POLISH_NOISE = 1e-13
_PRECISION = 1e-14
_MAX_STEPS = 50

# Step, change of the gradient and inverse curvature, for each start.
Pairs = list[tuple[np.ndarray, ...]]


def tangent(points: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Project vectors onto the tangent spaces of the spheres at the points."""
    return vectors - row_dot(vectors, points)[..., None] * points


def retract(points: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Go a tangent step and return to the spheres."""
    moved = points + step
    moved /= np.linalg.norm(moved, axis=-1, keepdims=True)
    return moved


def row_dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Inner products of rows."""
    return np.einsum("...kd,...kd->...k", first, second)


def dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Inner products of arrays of rows, one for each start."""
    return np.einsum("...kd,...kd->...", first, second)


def cosines_of(points: np.ndarray) -> np.ndarray:
    """Return the matrices of cosines."""
    return points @ points.swapaxes(-2, -1)


def value_and_gradient(
    energy: Energy, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return energies and their Riemannian gradients."""
    value, slope = energy.value_and_slope(cosines_of(points))
    return value, tangent(points, slope @ points)


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


class _Model:
    """Energy, Riemannian gradient and Hessian at the points."""

    def __init__(self, energy: Energy, points: np.ndarray) -> None:
        self._points = points
        self._cosines = cosines_of(points)
        self._energy = energy
        self.value, self._slope = energy.value_and_slope(self._cosines)
        ambient = self._slope @ points
        self._radial = row_dot(ambient, points)[:, None]
        self.gradient = tangent(points, ambient)
        self.norm = np.linalg.norm(self.gradient)
        self.floor = _PRECISION * np.linalg.norm(ambient)

    def hessian(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the product with the Hessian as a function of tangent steps."""
        points = self._points
        change = self._energy.slope_change(self._cosines)

        def product(step: np.ndarray) -> np.ndarray:
            across = step @ points.T
            moved = change(across + across.T) @ points + self._slope @ step
            return tangent(points, moved - self._radial * step)

        return product


def _to_boundary(step: np.ndarray, direction: np.ndarray, radius: float) -> np.ndarray:
    """Extend a step along a direction to the boundary of the trust region."""
    a, b = dot(direction, direction), dot(step, direction)
    c = dot(step, step) - radius**2
    return step + (np.sqrt(b**2 - a * c) - b) / a * direction


def _truncated_cg(
    model: _Model, radius: float, max_products: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Minimise the quadratic model within the radius, after Steihaug and Toint.

    Returns the step, the fall that the model promises and the number of products. The
    rotations of the whole code are in the null space of the Hessian; as the gradient
    has no part in them, they stay out of the step.
    """
    product = model.hessian()
    step = np.zeros_like(model.gradient)
    image = np.zeros_like(step)
    residual = -model.gradient
    direction = residual
    square = dot(residual, residual)
    # Superlinear convergence, and not more work than that.
    goal = model.norm * min(0.1, np.sqrt(model.norm))
    n_products = 0
    while n_products < min(max_products, step.size):
        n_products += 1
        moved = product(direction)
        curvature = dot(direction, moved)
        length = square / curvature if curvature > 0 else np.inf
        longer = step + length * direction if curvature > 0 else None
        if longer is None or np.linalg.norm(longer) >= radius:
            longer = _to_boundary(step, direction, radius)
            length = dot(longer - step, direction) / dot(direction, direction)
            step, image = longer, image + length * moved
            break
        step, image = longer, image + length * moved
        residual = residual - length * moved
        previous, square = square, dot(residual, residual)
        if np.sqrt(square) <= goal:
            break
        direction = residual + square / previous * direction
    promised = -dot(step, model.gradient + image / 2)
    return step, promised, n_products


def polish(energy: Energy, points: np.ndarray, max_products: int) -> np.ndarray:
    """Minimise an energy from a code near a minimum, to machine precision.

    It stops after `max_products` products with the Hessian. See Absil, Baker and
    Gallivan, Found. Comput. Math. 7, 2007, algorithms 1 and 2.
    """
    model = _Model(energy, points)
    radius: float = 0.1 * np.sqrt(len(points))
    for _ in range(_MAX_STEPS):
        if max_products <= 0 or model.norm <= model.floor:
            break
        step, promised, used = _truncated_cg(model, radius, max_products)
        max_products -= used
        moved = retract(points, step)
        there = _Model(energy, moved)
        noise = _POLISH_NOISE * max(1.0, abs(float(model.value)))
        if promised > noise:
            ratio = (model.value - there.value) / promised
        else:
            # Energies no longer tell, gradients do.
            ratio = 1.0 if there.norm < model.norm / 2 else -1.0
        if ratio < 0.25:
            radius = float(np.linalg.norm(step)) / 4
        elif ratio > 0.75:
            radius = max(radius, 2 * float(np.linalg.norm(step)))
        if ratio > 0.1:
            points, model = moved, there
        elif promised <= noise:
            break
    return points
