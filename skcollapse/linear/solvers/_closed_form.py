"""Ridge regression onto the target, in closed form."""

import torch

from skcollapse.linear._closed_form import RidgeRegression
from skcollapse.linear.solvers._base import (
    NO_PROGRESS,
    AffineMap,
    LinearSolver,
    Solution,
    Strength,
)
from skcollapse.losses import SquaredError


class ClosedForm(LinearSolver):
    """Ridge regression onto the target's class means, all classes of equal weight.

    One eigendecomposition serves all penalties, and leave-one-out projections.
    """

    name = "closed_form"
    alphas = tuple(
        Strength(alpha, "none") for alpha in (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    )
    few_alphas = tuple(Strength(alpha, "none") for alpha in (1e-1, 1e-3, 1e-5))
    loss = SquaredError(weighting="class")
    leaves_one_out = True
    from_moments = True

    def prepare(self, problem, max_iter, tol):
        """Return the regression, and the problem."""
        moments = super().prepare(problem, max_iter, tol)
        return RidgeRegression(moments, problem.target.means), problem

    def solve(self, prepared, strength, n_maps=None, progress=NO_PROGRESS):
        """Return the ridge solution."""
        regression, problem = prepared
        solved = regression.solve(strength.alpha)
        return Solution([AffineMap(*map(problem.tensor, solved))], [])

    def leave_one_out(self, prepared, features, y, weight):
        """Return a function from a strength to projections by fits without the rows."""
        regression, tensor = prepared[0], prepared[1].tensor
        rotated = (features - tensor(regression.mean)) @ tensor(regression.basis)
        squared = rotated.square()
        cross = tensor(regression.rotated_cross)
        mean = tensor(regression.target_mean)
        weight, targets = weight.to(features), tensor(prepared[1].target.means)[y]

        def projected(strength):
            inverse = tensor(regression.inverse(strength.alpha))
            fitted = torch.addmm(mean, rotated, inverse[:, None] * cross)
            # The intercept alone has the leverage of the row's weight.
            leverage = weight * (1 + squared @ inverse)
            ratio = leverage / (1 - leverage).clamp(min=torch.finfo(weight.dtype).eps)
            return fitted - ratio[:, None] * (targets - fitted)

        return projected
