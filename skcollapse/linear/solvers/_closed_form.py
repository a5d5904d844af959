"""Ridge regression onto the target, in closed form."""

from typing import NamedTuple

import torch

from skcollapse.linear._closed_form import RidgeRegression
from skcollapse.linear.solvers._base import (
    AffineMap,
    LinearSolver,
    Solution,
    Strength,
    balanced_moments,
)
from skcollapse.losses import SquaredError


class _Prepared(NamedTuple):
    regression: RidgeRegression
    means: torch.Tensor

    def tensor(self, array):
        return torch.as_tensor(array).to(self.means)


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
        """Gather the moments."""
        regression = RidgeRegression(balanced_moments(problem), problem.target.means)
        return _Prepared(regression, problem.tensor(problem.target.means))

    def solve(self, prepared, strength, n_maps=None, progress=None):
        """Return the ridge solution."""
        solved = prepared.regression.solve(strength.alpha)
        return Solution([AffineMap(*map(prepared.tensor, solved))], [])

    def leave_one_out(self, prepared, features, y, weight):
        """Return a function from a strength to projections by fits without the rows."""
        regression, tensor = prepared.regression, prepared.tensor
        rotated = (features - tensor(regression.mean)) @ tensor(regression.basis)
        squared = rotated.square()
        cross = tensor(regression.rotated_cross)
        mean = tensor(regression.target_mean)
        weight, targets = weight.to(features), prepared.means[y]

        def projected(strength):
            inverse = tensor(regression.inverse(strength.alpha))
            fitted = torch.addmm(mean, rotated, inverse[:, None] * cross)
            # The intercept alone has the leverage of the row's weight.
            leverage = weight * (1 + squared @ inverse)
            ratio = leverage / (1 - leverage).clamp(min=torch.finfo(weight.dtype).eps)
            return fitted - ratio[:, None] * (targets - fitted)

        return projected
