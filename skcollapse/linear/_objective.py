"""The loss of a linear projector, in coordinates that make it easy to minimise."""

import numpy as np
import torch

from skcollapse._utils.gram import gram
from skcollapse._utils.parallel import row_slices, sum_over_parts
from skcollapse.fitting import Objective, Problem
from skcollapse.linear._closed_form import balanced_moments, discriminant_map

# What is made for so many rows stays in the processor's cache.
_ROWS_AT_ONCE = 2048
# Keeps the Cholesky factor of a singular second moment in float64.
SMALLEST_RIDGE = 1e-10


def second_moment(problem: Problem):
    """Return the (q, q) weighted second moment of the features, in float64."""
    features, weight = problem.features, problem.weight
    if weight.min() == weight.max():  # as it mostly is: no weighted copy is needed
        return gram(features).double() * weight[0].double()
    return gram(features * weight.sqrt()[:, None]).double()


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
    ridge : float
        Directions of a smaller variance than this are the last to be fitted.
    alpha : float, default=0.0
        The intercept is not penalised.
    """

    def __init__(self, problem, moment, ridge, alpha=0.0):
        self.problem, self.alpha = problem, alpha
        self._loss = Objective(problem)
        self._constant = 0.0
        if problem.loss.contrasts_samples:
            self._weight, self._of_part = problem.weight, self._loss
            self._step = len(problem.y)
        else:
            n_classes = len(self._loss.class_vectors)
            weight = problem.loss.weigh(problem.y, n_classes, problem.weight)
            self._weight, self._of_part = weight / weight.sum(), self._loss.share
            self._constant = problem.loss.of_vectors(self._loss.class_vectors).item()
            on_host = problem.features.device.type == "cpu"
            self._step = _ROWS_AT_ONCE if on_host else len(problem.y)
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

    def start(self, shrinkage):
        """Return where iterations begin: at zero, unless only directions count."""
        problem = self.problem
        if not problem.loss.unit_features:
            return np.zeros(self.shape).ravel()
        vectors = getattr(problem.target, problem.loss.vectors)
        return self.pack(
            *discriminant_map(balanced_moments(problem), vectors, shrinkage)
        )

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
        coef, intercept = self.unpack(vector)
        sums = self._sum(coef, intercept)
        penalty = 0.5 * self.alpha * float(coef.double().square().sum())
        value = penalty + self._constant + sums[0].item()
        if not np.isfinite(value):
            raise ValueError(
                f"The loss became {value}. Features or class vectors are too large for "
                f"{self.problem.features.dtype}: scale them, or raise alpha."
            )
        by_intercept, by_coef = sums[1:].to(coef).split([len(intercept), coef.numel()])
        by_coef = by_coef.reshape(len(intercept), -1).T + self.alpha * coef
        gradient = torch.cat([self._inverse @ by_coef, by_intercept[None] / self._root])
        return value, gradient.double().cpu().numpy().ravel()

    def _sum(self, coef, intercept):
        """Return the loss and its slopes by intercept and coef.T as one vector."""
        features, y, weight = self.problem.features, self.problem.y, self._weight

        def sum_part(start, stop):
            value = 0.0
            by_intercept = torch.zeros_like(intercept)
            # Transposed, a product with few columns on the left is the faster one.
            by_coef = torch.zeros_like(coef.T)
            for part in row_slices(stop, self._step, start):
                rows = features[part]
                projected = torch.addmm(intercept, rows, coef).requires_grad_()
                loss = self._of_part(projected, y[part], weight[part])
                (pull,) = torch.autograd.grad(loss, projected)
                value += loss.item()
                by_intercept += pull.sum(0)
                by_coef.addmm_(pull.T, rows)
            slopes = torch.cat([by_intercept, by_coef.flatten()]).double()
            return torch.cat([slopes.new_tensor([value]), slopes])

        return sum_over_parts(sum_part, len(y), features.numel(), self._step < len(y))
