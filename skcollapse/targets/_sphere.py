"""Minimise an energy over codes: points on a sphere, several starts at once.

The arrays have the shape (starts, K, d). Steps are taken in the tangent spaces of the
spheres and carried back by normalising, a retraction; directions are carried from one
tangent space to the next by projection.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator, minres

_MEMORY = 10
_ARMIJO = 1e-4
_MAX_HALVINGS = 25
# Rounding of an energy of the order of one: what a line search cannot see.
_NOISE = 1e-14


def tangent(points, vectors):
    """Project vectors onto the tangent spaces of the spheres at the points."""
    return vectors - np.sum(vectors * points, axis=-1, keepdims=True) * points


def retract(points, step):
    """Go a tangent step and return to the spheres."""
    moved = points + step
    moved /= np.linalg.norm(moved, axis=-1, keepdims=True)
    return moved


def _cosines(points):
    return points @ points.swapaxes(-2, -1)


def _value_and_gradient(energy, points):
    value, slope = energy.value_and_slope(_cosines(points))
    return value, tangent(points, slope @ points)


def _dot(first, second):
    return np.einsum("...kd,...kd->...", first, second)


def _longest(vectors):
    """Length of the longest row, for each start."""
    return np.sqrt(np.einsum("...kd,...kd->...k", vectors, vectors).max(-1))


def _two_loop(gradient, steps, changes):
    """Return the L-BFGS direction; pairs with a zero step have no effect."""
    direction = -gradient
    recent = []
    for step, change in zip(reversed(steps), reversed(changes), strict=True):
        curvature = _dot(step, change)
        weight = np.divide(
            _dot(step, direction), curvature, where=curvature > 0, out=0 * curvature
        )
        direction -= weight[:, None, None] * change
        recent.append((step, change, curvature, weight))
    if recent:
        _, change, curvature, _ = recent[0]
        scale = np.divide(
            curvature, _dot(change, change), where=curvature > 0, out=1 + 0 * curvature
        )
        direction *= scale[:, None, None]
    for step, change, curvature, weight in reversed(recent):
        back = np.divide(
            _dot(change, direction), curvature, where=curvature > 0, out=0 * curvature
        )
        direction += (weight - back)[:, None, None] * step
    return direction


def minimise(energy, points, *, max_iter, tol, first_step):
    """Minimise the energy of every start by L-BFGS on the product of spheres.

    Parameters
    ----------
    energy : RieszEnergy or GaussianLogDeterminant
    points : ndarray of shape (n_starts, n_classes, n_components)
    max_iter : int
    tol : float
        A start has converged once its longest gradient is below, relative to
        ``1 / n_classes``.
    first_step : float
        How far the first step moves a point, at most.

    Returns
    -------
    points : ndarray of shape (n_starts, n_classes, n_components)
    values : ndarray of shape (n_starts,)
    """
    best = points.copy()
    best_values = np.empty(len(points))
    n_classes = points.shape[1]
    alive = np.arange(len(points))
    value, gradient = _value_and_gradient(energy, points)
    best_values[:] = value
    steps, changes = [], []
    for iteration in range(max_iter):
        direction = tangent(points, _two_loop(gradient, steps, changes))
        slope = _dot(direction, gradient)
        uphill = slope >= 0
        if uphill.any():
            direction[uphill] = -gradient[uphill]
            slope[uphill] = -_dot(gradient[uphill], gradient[uphill])
        length = np.ones(len(points))
        limit = first_step if iteration == 0 else 4 * first_step
        longest = _longest(direction)
        too_long = longest > limit if iteration else longest > 0
        length[too_long] = limit / longest[too_long]

        new_points = retract(points, length[:, None, None] * direction)
        new_value, new_gradient = _value_and_gradient(energy, new_points)
        failed = np.flatnonzero(
            new_value > value + _ARMIJO * length * slope + _NOISE * np.abs(value)
        )
        for _ in range(_MAX_HALVINGS):
            if not len(failed):
                break
            # The minimum of the parabola through what is known, not too short.
            fall = length[failed] * slope[failed]
            excess = new_value[failed] - value[failed] - fall
            length[failed] *= np.clip(-fall / (2 * excess), 0.1, 0.5)
            tried = retract(
                points[failed], length[failed, None, None] * direction[failed]
            )
            new_points[failed] = tried
            new_value[failed], new_gradient[failed] = _value_and_gradient(energy, tried)
            still = new_value[failed] > (
                value[failed]
                + _ARMIJO * length[failed] * slope[failed]
                + _NOISE * np.abs(value[failed])
            )
            failed = failed[still]
        stuck = np.zeros(len(points), bool)
        stuck[failed] = True
        new_points[stuck], new_value[stuck] = points[stuck], value[stuck]

        step = tangent(new_points, length[:, None, None] * direction)
        change = new_gradient - tangent(new_points, gradient)
        # A pair without curvature would spoil the inverse Hessian of its start.
        flat = _dot(step, change) <= 1e-12 * np.sqrt(
            _dot(step, step) * _dot(change, change)
        )
        step[flat | stuck] = 0
        steps = [tangent(new_points, past) for past in steps[1 - _MEMORY :]] + [step]
        changes = [tangent(new_points, past) for past in changes[1 - _MEMORY :]]
        changes.append(change)
        points, value, gradient = new_points, new_value, new_gradient

        best[alive], best_values[alive] = points, value
        going = ~stuck & (_longest(gradient) * n_classes > tol)
        if not going.all():
            if not going.any():
                break
            alive, points, value = alive[going], points[going], value[going]
            gradient = gradient[going]
            steps = [past[going] for past in steps]
            changes = [past[going] for past in changes]
    return best, best_values


def polish(energy, points, max_iter=20):
    """Bring one code to a stationary point, by Newton steps, to machine precision.

    The steps are those of the Riemannian Hessian, by MINRES: the rotations of the whole
    code are in its null space and, as the gradient has no part in them, stay out.

    Parameters
    ----------
    energy : RieszEnergy or GaussianLogDeterminant
    points : ndarray of shape (n_classes, n_components)

    Returns
    -------
    points : ndarray of shape (n_classes, n_components)
    """
    shape = points.shape

    def residual(points):
        value, slope = energy.value_and_slope(_cosines(points))
        ambient = slope @ points
        gradient = tangent(points, ambient)
        return value, slope, ambient, gradient, np.linalg.norm(gradient)

    value, slope, ambient, gradient, norm = residual(points)
    for _ in range(max_iter):
        change = energy.slope_change(_cosines(points))
        radial = np.sum(ambient * points, axis=1, keepdims=True)

        def product(flat, points=points, slope=slope, change=change, radial=radial):
            step = tangent(points, flat.reshape(shape))
            across = step @ points.T
            moved = change(across + across.T) @ points + slope @ step
            return tangent(points, moved - radial * step).ravel()

        hessian = LinearOperator((points.size,) * 2, matvec=product, dtype=np.float64)
        step, _ = minres(hessian, -gradient.ravel(), maxiter=10 * points.size)
        trial = retract(points, tangent(points, step.reshape(shape)))
        trial_value, *rest, trial_norm = residual(trial)
        # Newton finds any stationary point: keep to this minimum.
        if trial_norm > norm / 2 or trial_value > value + 1e-9:
            break
        points, value, norm = trial, trial_value, trial_norm
        slope, ambient, gradient = rest
    return points
