"""Full-batch L-BFGS that keeps every iterate."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from skcollapse.fitting import Iteration, Progress, Stopped


def lbfgs(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    *,
    max_iter: int,
    tol: float,
    progress: Progress,
    enough: Callable[[float, np.ndarray], bool] | None = None,
) -> tuple[list[np.ndarray], list[float], bool]:
    """Minimise a smooth function and return the path that leads to its minimum.

    Parameters
    ----------
    objective : callable
        From an ndarray of shape (m,) to (value, gradient), in float64; best with a
        curvature near the identity.
    start : ndarray of shape (m,)
    tol : float
        Stop when no element of the gradient exceeds this share of the norm of the
        first gradient.
    progress : Progress
        Is told of the iterates. Their outcome is a list of the iterate, and the values
        up to it.
    enough : callable or None
        From the value and the gradient of an iterate to whether to stop there.

    Returns
    -------
    iterates : list of ndarrays of shape (m,)
        At least one: the start itself if it is stationary.
    values : list of float
        Of the iterates.
    converged : bool
        False if ``max_iter`` stopped it.
    """
    progress.begin("iteration")
    first = objective(start)
    length = np.linalg.norm(first[1])
    iterates, values, evaluated = [], [], [first]

    # L-BFGS-B's first step has the length 1. In units of the first gradient that is
    # the step to the minimum, where the curvature is the identity.
    def in_units(step):
        progress.begin("iteration")
        value, gradient = objective(start + length * step) if step.any() else first
        evaluated[0] = value, gradient
        return value / length**2, gradient / length

    def accept(step):
        # The point that was evaluated last is the one that is accepted.
        iterates.append(start + length * step)
        values.append(evaluated[0][0])
        ends = enough is not None and enough(*evaluated[0])
        if progress.end(Iteration(len(values), values[-1], None, outcome)) or ends:
            raise Stopped

    def outcome():
        return iterates[-1:], list(values)

    origin = np.zeros_like(start)
    try:
        if length == 0:
            accept(origin)
            return iterates, values, True
        result = minimize(
            in_units,
            origin,
            jac=True,
            method="L-BFGS-B",
            callback=accept,
            options={"maxiter": max_iter, "ftol": 0, "gtol": tol},
        )
    except Stopped:
        return iterates, values, True
    # A line search that finds no lower value has met the rounding of the data's dtype.
    return iterates or [start], values or [first[0]], result.status != 1
