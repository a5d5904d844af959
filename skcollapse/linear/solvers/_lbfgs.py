"""The minimum of the penalised loss, by preconditioned L-BFGS."""

import warnings
from typing import NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning

from skcollapse.fitting import Problem
from skcollapse.linear._lbfgs import lbfgs
from skcollapse.linear._objective import SMALLEST_RIDGE, LinearObjective, second_moment
from skcollapse.linear.solvers._base import (
    NO_PROGRESS,
    AffineMap,
    LinearSolver,
    Solution,
    Strength,
    start,
)


class _Prepared(NamedTuple):
    problem: Problem
    moment: torch.Tensor
    max_iter: int
    tol: float


class LBFGS(LinearSolver):
    """The minimum of the loss plus α/2 ‖A‖².

    Where only directions count a penalty would shorten features for ever and bind
    nothing: then α is the ridge of the metric alone.
    """

    name = "lbfgs"
    alphas = tuple(map(Strength, (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)))
    few_alphas = alphas
    iterates = True

    def prepare(self, problem, max_iter, tol):
        """Compute the second moment, which gives the metric."""
        return _Prepared(problem, second_moment(problem), max_iter, tol)

    def solve(self, prepared, strength, n_maps=None, progress=None):
        """Return the minimum."""
        problem, moment, alpha = prepared.problem, prepared.moment, strength.alpha
        curvature = problem.loss.curvature(problem.class_vectors)
        trace = float(moment.trace())
        ridge = max(alpha / curvature, SMALLEST_RIDGE * trace or 1.0)
        penalty = 0.0 if problem.loss.unit_features else alpha
        objective = LinearObjective(problem, moment, ridge, penalty)

        def solution(iterate, losses):
            return Solution([AffineMap(*objective.unpack(iterate))], losses)

        iterates, losses, converged = lbfgs(
            objective,
            start(problem, objective, ridge / (trace or 1.0)),
            max_iter=prepared.max_iter,
            tol=prepared.tol,
            progress=(progress or NO_PROGRESS).map(lambda state: solution(*state)),
        )
        if not converged:
            warnings.warn(
                f"L-BFGS stopped at max_iter={prepared.max_iter} before it converged. "
                "Raise max_iter, alpha or tol.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return solution(iterates[-1], losses)
