"""The base class of the solvers, which is also the way to write a new one."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skcollapse.fitting import NullProgress, Problem, Progress
from skcollapse.linear._closed_form import balanced_moments
from skcollapse.losses import Loss
from skcollapse.targets import ClassGeometry

NO_PROGRESS = NullProgress()
# Weaker regularisation is not tried once the held-out loss has risen by this factor.
_HOPELESS = 1.1


class AffineMap(NamedTuple):
    """h = f @ coef + intercept, with coef (q, d) and intercept (d,)."""

    coef: Tensor
    intercept: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Return the (n, d) projected features."""
        return torch.addmm(self.intercept, features, self.coef)


class Solution(NamedTuple):
    """The maps that a solver leads to, each a candidate, and the losses on the way."""

    maps: list[AffineMap]
    loss_curve: list[float]


class Strength(NamedTuple):
    """How strongly a solution is regularised, and how the class prior is taken off it.

    A loss that adjusts for the prior does so in "training", or is trained without it
    and the prior is taken off the scores "afterwards". A pull is how far a penalty
    draws the map towards that of class prototypes, in place of zero.
    """

    alpha: float
    prior_adjustment: str = "training"
    pull: float = 0.0


class LinearSolver(BaseEstimator):
    """A way from a problem and a strength to affine maps of its features.

    To add a solver: subclass it, declare what it can do with the attributes below,
    write ``solve``, and give it one line in ``SOLVERS``.

    Attributes
    ----------
    name : str
        What the ``solver`` parameter of a classifier calls it.
    alphas : tuple of Strength
        Those that a search compares, from strong to weak.
    few_alphas : tuple of Strength
        Those it compares where fits are dear, or beside another solver.
    loss : Loss or None
        The loss that it minimises whatever is asked for; None minimises any.
    iterates : bool
        It reports iterations.
    is_path : bool
        It returns a map for each iteration, among which held-out rows choose.
    is_adaptive : bool
        What it proposes to try next depends on how the strengths before have done.
    leaves_one_out : bool
        It has a ``leave_one_out`` that is exact.
    from_moments : bool
        It looks at class counts, means and a scatter matrix only.
    """

    name: ClassVar[str]
    alphas: ClassVar[tuple[Strength, ...]]
    few_alphas: ClassVar[tuple[Strength, ...]]
    loss: ClassVar[Loss | None] = None
    iterates: ClassVar[bool] = False
    is_path: ClassVar[bool] = False
    is_adaptive: ClassVar[bool] = False
    leaves_one_out: ClassVar[bool] = False
    from_moments: ClassVar[bool] = False

    def accepts(self, loss: Loss, target: ClassGeometry) -> bool:
        """Return whether it can minimise this loss onto this target."""
        return True

    def propose(
        self, losses: dict[Strength, float], alphas: tuple[Strength, ...]
    ) -> Strength | None:
        """Return the strength to try next, or None if there is nothing to gain.

        Parameters
        ----------
        losses : dict
            Held-out losses of the strengths tried so far, in their order.
        alphas : tuple of Strength
            Those to compare, from strong to weak.
        """
        tried = list(losses.values())
        hopeless = len(tried) > 1 and tried[-1] > _HOPELESS * min(tried[:-1])
        left = alphas[len(tried) :]
        return left[0] if left and not hopeless else None

    def prepare(self, problem: Problem, max_iter: int, tol: float) -> Any:
        """Return what all strengths share."""
        return balanced_moments(problem) if self.from_moments else problem

    def solve(
        self,
        prepared: Any,
        strength: Strength,
        n_maps: int | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> Solution:
        """Return the solution at a strength.

        Parameters
        ----------
        prepared : object
            What ``prepare`` returned.
        strength : Strength
        n_maps : int or None
            Only the first maps are wanted.
        progress : Progress
            Is told of iterations, whose outcome is the solution so far.
        """
        raise NotImplementedError

    def leave_one_out(
        self, prepared: Any, features: Tensor, y: Tensor, weight: Tensor
    ) -> Callable[[Strength], Tensor]:
        """Return a function to what rows are projected to by fits without them.

        Parameters
        ----------
        prepared : object
        features : tensor of shape (m, q)
            Rows of the problem.
        y : tensor of shape (m,), int64
        weight : tensor of shape (m,)
            Their shares of the weight of all rows, all classes weighing the same.

        Returns
        -------
        callable
            From a strength to a tensor of shape (m, d).
        """
        raise NotImplementedError
