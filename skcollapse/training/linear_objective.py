"""The loss of a linear projector, in coordinates that make it easy to minimise."""

import numpy as np
import torch

from skcollapse.training.objective import Objective
from skcollapse.training.problem import Problem


def second_moment(problem: Problem):
    """Return the (q, q) weighted second moment of the features, in float64."""
    features, weight = problem.features, problem.weight
    if weight.min() == weight.max():  # as it mostly is: no weighted copy is needed
        return (features.T @ features).double() * weight[0].double()
    return (features.T @ (features * weight[:, None])).double()


class LinearObjective:
    r"""The loss of h = Aᵀf + b over all rows, plus α/2 ‖A‖².

    Near its start the loss curves like κ F for every column of A, where F is the second
    moment of the features and κ the curvature of the loss. With the Cholesky factor of
    κ(F + ridge · I), whitened coordinates V = LᵀA see nearly the identity instead:
    L-BFGS then takes a few steps where it would take a hundred.

    Parameters
    ----------
    problem : Problem
        Features of weighted mean zero.
    moment : tensor of shape (q, q), float64
        Their second moment.
    ridge : float
        Directions of a smaller variance than this are the last to be fitted.
    alpha : float, default=0.0
        Strength of the penalty; the intercept is not penalised.
    """

    def __init__(self, problem, moment, ridge, alpha=0.0):
        self.problem = problem
        self.alpha = alpha
        self.weight = problem.weight
        self._loss = Objective(problem)
        curvature = problem.loss.curvature(self._loss.class_vectors)
        identity = torch.eye(len(moment), dtype=moment.dtype, device=moment.device)
        factor = torch.linalg.cholesky(curvature * (moment + ridge * identity))
        # The factor has the root of the moment's condition: float32 will do for it.
        self._inverse = torch.linalg.solve_triangular(
            problem.tensor(factor), problem.tensor(identity), upper=False
        )
        self._factor = factor
        self._root = curvature**0.5
        self.shape = len(moment) + 1, self._loss.class_vectors.shape[1]

    def pack(self, coef, intercept):
        """Return the whitened coordinates of an affine map, as one vector."""
        coef = self._factor.T @ torch.as_tensor(coef).to(self._factor)
        intercept = self._root * torch.as_tensor(intercept).to(self._factor)
        return torch.cat([coef, intercept[None]]).cpu().numpy().ravel()

    def unpack(self, vector):
        """Return coef (q, d) and intercept (d,) of whitened coordinates."""
        packed = self.problem.tensor(vector.reshape(self.shape))
        return self._inverse.T @ packed[:-1], packed[-1] / self._root

    def __call__(self, vector):
        """Return the value and the gradient at whitened coordinates."""
        problem = self.problem
        coef, intercept = self.unpack(vector)
        projected = torch.addmm(intercept, problem.features, coef).requires_grad_()
        loss = self._loss(projected, problem.y, self.weight)
        (pull,) = torch.autograd.grad(loss, projected)
        by_coef = problem.features.T @ pull + self.alpha * coef
        value = loss.item() + 0.5 * self.alpha * float(coef.double().square().sum())
        if not np.isfinite(value):
            raise ValueError(
                f"The loss became {value}. Features or class vectors are too large for "
                f"{problem.features.dtype}: scale them, or raise alpha."
            )
        gradient = torch.cat([self._inverse @ by_coef, pull.sum(0)[None] / self._root])
        return value, gradient.double().cpu().numpy().ravel()
