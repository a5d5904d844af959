"""Bring a code to a local minimum of its energy by a Riemannian trust region."""

from collections.abc import Callable

import numpy as np

from skcollapse.targets._energies import Energy
from skcollapse.targets._sphere import cosines_of, dot, retract, row_dot, tangent

# Rounding of an energy of the order of one.
_NOISE = 1e-13
# The norm of the gradient, relative to that of its parts, that rounding leaves.
_PRECISION = 1e-14
_MAX_STEPS = 50


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

    It stops after `max_products` products with the Hessian.

    References
    ----------
    Absil, Baker and Gallivan, "Trust-Region Methods on Riemannian Manifolds", Found.
    Comput. Math. 7 (2007), algorithms 1 and 2.
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
        noise = _NOISE * max(1.0, abs(float(model.value)))
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
