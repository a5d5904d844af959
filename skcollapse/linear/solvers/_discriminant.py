"""Shrunk linear discriminant analysis, in closed form."""

from skcollapse.linear._closed_form import discriminant_map
from skcollapse.linear.solvers._base import (
    NO_PROGRESS,
    AffineMap,
    LinearSolver,
    Solution,
    Strength,
)


class Discriminant(LinearSolver):
    """Linear discriminant analysis with a shrunk covariance and equal class priors.

    It needs class vectors of a simplex, which carry its scores.
    """

    name = "discriminant"
    alphas = tuple(Strength(alpha, "none") for alpha in (1e-1, 1e-2, 1e-3, 1e-4))
    few_alphas = tuple(Strength(alpha, "none") for alpha in (1e-1, 1e-2, 1e-3))
    from_moments = True

    def accepts(self, loss, target):
        """Return whether the class vectors are a simplex."""
        return target.is_simplex

    def prepare(self, problem, max_iter, tol):
        """Return the moments, and the problem."""
        return super().prepare(problem, max_iter, tol), problem

    def solve(self, prepared, strength, n_maps=None, progress=NO_PROGRESS):
        """Return the map whose scores are those of the discriminant analysis."""
        moments, problem = prepared
        vectors = problem.target.classifier
        solved = discriminant_map(moments, vectors, strength.alpha)
        return Solution([AffineMap(*map(problem.tensor, solved))], [])
