"""Full-batch training of any module: deterministic, for smooth losses."""

import math
import warnings
from copy import deepcopy

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from torch.nn.modules.batchnorm import _BatchNorm

from skcollapse.fitting import (
    Iteration,
    NullProgress,
    Objective,
    Problem,
    Progress,
    Stopped,
)
from skcollapse.network._optimizer import penalty, trainable
from skcollapse.network._snapshot import Course, all_or_nothing


# The gradient is needed also where the caller has switched it off.
@torch.enable_grad()
def train_full_batch(
    module: torch.nn.Module,
    problem: Problem,
    *,
    alpha: float,
    max_iter: int,
    tol: float,
    progress: Progress | None = None,
) -> Course:
    """Train a module in place by L-BFGS on all the rows of a problem at once.

    Nothing is drawn: dropout is off. Batch normalisation uses the statistics of all
    rows, unweighted, and keeps those of the final weights. Training stops where no
    element of the gradient is larger than ``tol``, and warns if it stops before. After
    an error the module is as it was. The outcome of an iteration is a copy of the
    module as it would be left, and its course.
    """
    with all_or_nothing(module):
        # Switches all randomness off, but lets batch normalisation see the batch.
        module.eval()
        for norm in _norms_of(module):
            norm.train()
        run = _FullBatch(module, problem, alpha, progress or NullProgress())
        precision = torch.finfo(problem.features.dtype).eps
        # A smaller decrease is rounding.
        options = {"gtol": tol, "ftol": 8 * precision, "maxls": 50}
        options |= {"maxiter": max_iter, "maxfun": 50 * max_iter}
        try:
            result = minimize(
                run.value_and_gradient,
                _flat(run.parameters),
                method="L-BFGS-B",
                jac=True,
                callback=run.accept,
                options=options,
            )
        except Stopped:
            return run.finish(module)
        run.assign(result.x)
        stuck = result.status == 2 and abs(result.jac).max() > precision**0.5
        if result.status == 1 or stuck:
            warnings.warn(
                f"L-BFGS has not converged after {result.nit} iterations: "
                f"{result.message}. Raise max_iter or tol, or scale the features.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return run.finish(module)


class _FullBatch:
    """The objective as a function of one float64 vector, for SciPy to minimise."""

    def __init__(self, module, problem, alpha, progress):
        self.module, self.problem, self.alpha = module, problem, alpha
        self.progress, self.objective = progress, Objective(problem)
        self.weights, others = trainable(module)
        self.parameters = self.weights + others
        self.value, self.loss_curve = math.nan, []

    @torch.no_grad()
    def assign(self, vector):
        """Write a vector into the parameters."""
        parts = torch.from_numpy(vector).split([p.numel() for p in self.parameters])
        for parameter, part in zip(self.parameters, parts, strict=True):
            parameter.copy_(part.view_as(parameter))

    def value_and_gradient(self, vector):
        """Return the objective and its gradient at a vector."""
        self.progress.begin("iteration")
        self.assign(vector)
        problem = self.problem
        projected = self.module(problem.features)
        value = self.objective(projected, problem.y, problem.sample_weight)
        value = value + penalty(self.weights, self.alpha)
        gradient = torch.autograd.grad(value, self.parameters, materialize_grads=True)
        self.value, gradient = float(value.detach()), _flat(gradient)
        if not (math.isfinite(self.value) and np.isfinite(gradient).all()):
            raise ValueError(
                f"The loss is {self.value} in iteration {len(self.loss_curve) + 1}, "
                "or its gradient not finite; scale the features or raise alpha."
            )
        return self.value, gradient

    def accept(self, vector):
        """Take note of an iterate, whose value is the last that was computed."""
        self.assign(vector)
        self.loss_curve.append(self.value)
        step = Iteration(len(self.loss_curve), self.value, None, self.outcome)
        if self.progress.end(step):
            raise Stopped

    def outcome(self):
        """Return a copy of the module as it would be left, and its course."""
        copy = deepcopy(self.module)
        course = self.finish(copy)
        return copy.eval(), course

    @torch.no_grad()
    def finish(self, module):
        """Give a module the statistics of all rows; return the course so far."""
        norms = _norms_of(module)
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0  # forget those of all weights before
        if norms:
            module(self.problem.features)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        return Course(list(self.loss_curve))


def _flat(tensors):
    """Return tensors as one vector, in NumPy."""
    flat = [t.detach().flatten().double() for t in tensors]
    return torch.cat(flat).cpu().numpy()


def _norms_of(module):
    """Return the batch normalisations in a module."""
    return [m for m in module.modules() if isinstance(m, _BatchNorm)]
