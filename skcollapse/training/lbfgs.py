"""Full-batch L-BFGS that keeps every iterate."""

import numpy as np
from scipy.optimize import minimize


def lbfgs(objective, start, *, max_iter, tol):
    """Minimise a smooth function and return the path that leads to its minimum.

    Parameters
    ----------
    objective : callable
        From an ndarray of shape (m,) to (value, gradient), in float64; best with a
        curvature near the identity.
    start : ndarray of shape (m,)
    max_iter : int
    tol : float
        Stop when no element of the gradient exceeds this share of the norm of the
        first gradient.

    Returns
    -------
    iterates : list of ndarrays of shape (m,)
        At least one: the start itself if it is stationary.
    converged : bool
        False if ``max_iter`` stopped it.
    """
    first = objective(start)
    length = np.linalg.norm(first[1])
    if length == 0:
        return [start], True

    # L-BFGS-B's first step has the length 1. In units of the first gradient that is
    # the step to the minimum, where the curvature is the identity.
    def in_units(step):
        value, gradient = objective(start + length * step) if step.any() else first
        return value / length**2, gradient / length

    iterates = []
    result = minimize(
        in_units,
        np.zeros_like(start),
        jac=True,
        method="L-BFGS-B",
        callback=lambda step: iterates.append(start + length * step),
        options={"maxiter": max_iter, "ftol": 0, "gtol": tol},
    )
    # A line search that finds no lower value has met the rounding of the data's dtype.
    return iterates or [start], result.status != 1
