"""Early-stopped paths: the first iterates of preconditioned L-BFGS."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

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

# A path is this long: the best stop was the third to sixth iterate.
_LENGTH = 7


class _Prepared(NamedTuple):
    problem: Problem
    moment: torch.Tensor
    length: int


class LBFGSPath(LinearSolver):
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
    iterates = True
    is_path = True

    def prepare(self, problem, max_iter, tol):
        """Compute the second moment, which gives the metric."""
        return _Prepared(problem, second_moment(problem), min(max_iter, _LENGTH))

    def solve(self, prepared, strength, n_maps=None, progress=None):
        """Return the iterates, from the first to the last."""
        problem, moment, shift = prepared.problem, prepared.moment, 0.0
        if strength.prior_adjustment == "afterwards":
            problem, shift = _adjust_afterwards(problem)
        ridge = max(strength.alpha, SMALLEST_RIDGE) * float(moment.trace()) or 1.0
        objective = LinearObjective(problem, moment, ridge)

        def solution(iterates, losses):
            unpacked = map(objective.unpack, iterates)
            return Solution([AffineMap(a, b + shift) for a, b in unpacked], losses)

        iterates, losses, _ = lbfgs(
            objective,
            start(problem, objective, strength.alpha),
            max_iter=n_maps or prepared.length,
            tol=0.0,
            progress=(progress or NO_PROGRESS).map(
                lambda state: solution([state[0]], state[1])
            ),
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
