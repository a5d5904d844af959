"""Preconditioned L-BFGS: to the minimum of the loss, or stopped early on its way."""

import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skcollapse.fitting import Problem
from skcollapse.linear._lbfgs import lbfgs
from skcollapse.linear._objective import SMALLEST_RIDGE, LinearObjective, second_moment
from skcollapse.linear.solvers._base import (
    NO_PROGRESS,
    AffineMap,
    LinearSolver,
    Solution,
    Strength,
)

# A path is this long: the best stop was the third to sixth iterate.
_LENGTH = 7


class _Prepared(NamedTuple):
    """A problem, the second moment that gives the metric, and when to stop."""

    problem: Problem
    moment: Tensor
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
        """Compute the second moment."""
        return _Prepared(problem, second_moment(problem), max_iter, tol)

    def solve(self, prepared, strength, n_maps=None, progress=NO_PROGRESS):
        """Return the minimum."""
        problem, moment, max_iter, tol = prepared
        curvature = problem.loss.curvature(problem.class_vectors)
        trace = float(moment.trace())
        ridge = max(strength.alpha / curvature, SMALLEST_RIDGE * trace or 1.0)
        penalty = 0.0 if problem.loss.unit_features else strength.alpha
        objective = LinearObjective(problem, moment, ridge, penalty)

        def solution(iterates, losses):
            return Solution([AffineMap(*objective.unpack(iterates[-1]))], losses)

        iterates, losses, converged = lbfgs(
            objective,
            objective.start(ridge / (trace or 1.0)),
            max_iter=max_iter,
            tol=tol,
            progress=progress.map(lambda state: solution(*state)),
        )
        if not converged:
            warnings.warn(
                f"L-BFGS stopped at max_iter={max_iter} before it converged. "
                "Raise max_iter, alpha or tol.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return solution(iterates, losses)


class LBFGSPath(LBFGS):
    """The first iterates of preconditioned L-BFGS, without a penalty.

    Directions of a variance above the strength are fitted at once and the others
    little by little: the strength and the stopping point are what regularises. A prior
    adjusted in training is as good as one adjusted afterwards, and their average is
    better: the strengths of a search try one each.
    """

    name = "lbfgs_path"
    alphas = (Strength(1e-2), Strength(1e-3, "afterwards"))
    # So many rows bear a weaker one.
    few_alphas = (Strength(1e-4),)
    is_path = True

    def solve(self, prepared, strength, n_maps=None, progress=NO_PROGRESS):
        """Return the iterates, from the first to the last."""
        problem, moment, max_iter, _ = prepared
        shift = 0.0
        if strength.prior_adjustment == "afterwards":
            problem, shift = _adjust_afterwards(problem)
        ridge = max(strength.alpha, SMALLEST_RIDGE) * float(moment.trace()) or 1.0
        objective = LinearObjective(problem, moment, ridge)

        def solution(iterates, losses):
            unpacked = map(objective.unpack, iterates)
            return Solution([AffineMap(a, b + shift) for a, b in unpacked], losses)

        iterates, losses, _ = lbfgs(
            objective,
            objective.start(strength.alpha),
            max_iter=n_maps or min(max_iter, _LENGTH),
            tol=0.0,
            progress=progress.map(lambda state: solution(*state)),
        )
        return solution(iterates, losses)


def _adjust_afterwards(problem):
    """Return the problem without the prior, and a shift of h that makes up for it."""
    loss, strength = problem.loss.unadjusted()
    # A class that is missing has no prior, and no scores that are looked at.
    log_prior = problem.log_prior.double().nan_to_num(neginf=0.0).cpu().numpy()
    offset = -strength * (log_prior - log_prior.mean())
    # NumPy's, since torch's differs in the last bits from call to call.
    shift = np.linalg.lstsq(problem.target.classifier, offset, rcond=None)[0]
    return replace(problem, loss=loss), problem.tensor(shift)
