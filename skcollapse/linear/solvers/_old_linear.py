"""Solvers for linear projectors: from a problem and a strength to affine maps.

A solver is made of a problem, does there what all strengths share, and is called with
one strength at a time. It returns one affine map or more, each a candidate: only the
first ``n_maps`` if no more are wanted. The losses along the way to them are kept in
``loss_curve``, and ``name`` is what an estimator calls it. If it ``iterates``, it has a
follower, and the outcome of an iteration is its map and the losses up to it.
"""

import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skcollapse.moments import ClassMoments
from skcollapse.projectors.closed_form import RidgeRegression, discriminant_map
from skcollapse.training.following import NOBODY
from skcollapse.training.lbfgs import lbfgs
from skcollapse.training.linear_objective import LinearObjective, second_moment

# An early-stopped path is this long: the best stop was the third to sixth iterate.
_PATH_LENGTH = 7
# Keeps the Cholesky factor of a singular second moment in float64.
_SMALLEST_RIDGE = 1e-10


class AffineMap(NamedTuple):
    """h = f @ coef + intercept, with coef (q, d) and intercept (d,)."""

    coef: Tensor
    intercept: Tensor

    def __call__(self, features):
        """Return the (n, d) projected features."""
        return torch.addmm(self.intercept, features, self.coef)


def _balanced_moments(problem):
    """Return the moments of the features when all classes weigh the same."""
    moments = ClassMoments(len(problem.target.classifier), problem.features.shape[1])
    return moments.update(problem.features, problem.y, problem.balanced_weight)


def _start(problem, objective, shrinkage):
    """Return where a path begins: at zero, unless only directions count."""
    if not problem.loss.unit_features:
        return np.zeros(objective.shape).ravel()
    vectors = getattr(problem.target, problem.loss.vectors)
    moments = _balanced_moments(problem)
    return objective.pack(*discriminant_map(moments, vectors, shrinkage))


def _adjust_afterwards(problem):
    """Return the problem without the prior, and a shift of h that makes up for it."""
    loss, strength = problem.loss.unadjusted()
    # A class that is missing has no prior, and no scores that are looked at.
    log_prior = problem.log_prior.double().nan_to_num(neginf=0.0).cpu().numpy()
    offset = -strength * (log_prior - log_prior.mean())
    # NumPy's, since torch's differs in the last bits from call to call.
    shift = np.linalg.lstsq(problem.target.classifier, offset, rcond=None)[0]
    return replace(problem, loss=loss), problem.tensor(shift)


class ClosedForm:
    """Ridge regression onto the target's class means, all classes of equal weight.

    One eigendecomposition serves all penalties, and leave-one-out projections.
    """

    name = "closed_form"
    iterates = False
    strengths = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    # Beside another solver, which fills the gaps.
    few_strengths = (1e-1, 1e-3, 1e-5)
    loss_curve = ()

    def __init__(self, problem, max_iter, tol):
        moments = _balanced_moments(problem)
        self._regression = RidgeRegression(moments, problem.target.means)
        self._means = problem.tensor(problem.target.means)

    def __call__(self, alpha, n_maps=None, follower=NOBODY):
        """Return the ridge solution, as the only candidate."""
        return [AffineMap(*map(self._tensor, self._regression.solve(alpha)))]

    def leave_one_out(self, features, y, weight):
        """Return what rows of the problem are projected to by fits without them.

        Parameters
        ----------
        features : tensor of shape (m, q)
        y : tensor of shape (m,), int64
        weight : tensor of shape (m,)
            Their shares of the weight of all rows, all classes weighing the same.

        Returns
        -------
        callable
            From a penalty to a tensor of shape (m, d).
        """
        centred = features - self._tensor(self._regression.mean)
        rotated = centred @ self._tensor(self._regression.basis)
        squared = rotated.square()
        cross = self._tensor(self._regression.rotated_cross)
        mean = self._tensor(self._regression.target_mean)
        weight, targets = weight.to(features), self._means[y]

        def projected(alpha):
            inverse = self._tensor(self._regression.inverse(alpha))
            fitted = torch.addmm(mean, rotated, inverse[:, None] * cross)
            # The intercept alone has the leverage of the row's weight.
            leverage = weight * (1 + squared @ inverse)
            ratio = leverage / (1 - leverage).clamp(min=torch.finfo(weight.dtype).eps)
            return fitted - ratio[:, None] * (targets - fitted)

        return projected

    def _tensor(self, array):
        return torch.as_tensor(array).to(self._means)


class EarlyStoppedPath:
    """The first iterates of preconditioned L-BFGS, without a penalty.

    Directions of a variance above the strength are fitted at once and the others
    little by little: the strength and the stopping point are what regularises. A loss
    that adjusts for the prior does so in training at one strength, and at the other
    afterwards: each is as good as the other, and their average better.
    """

    name = "lbfgs"
    iterates = True
    strengths = (1e-2, 1e-3)
    # Where paths are dear: so many rows bear a weaker one.
    few_strengths = (1e-4,)
    # Here the prior is taken off the scores after training, not in it.
    _adjusted_afterwards = frozenset((1e-3,))

    def __init__(self, problem, max_iter, tol):
        self._problem = problem
        self._moment = second_moment(problem)
        self._length = min(max_iter, _PATH_LENGTH)
        self.loss_curve = ()

    def __call__(self, alpha, n_maps=None, follower=NOBODY):
        """Return the iterates, from the first to the last."""
        problem, shift = self._problem, 0.0
        if alpha in self._adjusted_afterwards:
            problem, shift = _adjust_afterwards(problem)
        ridge = max(alpha, _SMALLEST_RIDGE) * float(self._moment.trace()) or 1.0
        objective = LinearObjective(problem, self._moment, ridge)
        start = _start(problem, objective, alpha)

        def affine_map(iterate):
            coef, intercept = objective.unpack(iterate)
            return AffineMap(coef, intercept + shift)

        iterates, self.loss_curve, _ = lbfgs(
            objective,
            start,
            max_iter=n_maps or self._length,
            tol=0.0,
            follower=follower.through(lambda v, losses: (affine_map(v), losses)),
        )
        return [affine_map(iterate) for iterate in iterates]


class Penalised:
    """The minimum of the loss plus α/2 ‖A‖².

    Where only directions count a penalty would shorten features for ever and bind
    nothing: then α is the ridge of the metric alone.
    """

    name = "lbfgs"
    iterates = True
    strengths = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)

    def __init__(self, problem, max_iter, tol):
        self._problem = problem
        self._moment = second_moment(problem)
        self._max_iter, self._tol = max_iter, tol
        self.loss_curve = ()

    def __call__(self, alpha, n_maps=None, follower=NOBODY):
        """Return the minimum, as the only candidate."""
        problem, moment = self._problem, self._moment
        curvature = problem.loss.curvature(problem.class_vectors)
        smallest = _SMALLEST_RIDGE * float(moment.trace()) or 1.0
        ridge = max(alpha / curvature, smallest)
        penalty = 0.0 if problem.loss.unit_features else alpha
        objective = LinearObjective(problem, moment, ridge, penalty)
        start = _start(problem, objective, ridge / (float(moment.trace()) or 1.0))

        def affine_map(iterate):
            return AffineMap(*objective.unpack(iterate))

        iterates, self.loss_curve, converged = lbfgs(
            objective,
            start,
            max_iter=self._max_iter,
            tol=self._tol,
            follower=follower.through(lambda v, losses: (affine_map(v), losses)),
        )
        if not converged:
            warnings.warn(
                f"L-BFGS stopped at max_iter={self._max_iter} before it converged. "
                "Raise max_iter, alpha or tol.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return [affine_map(iterates[-1])]
