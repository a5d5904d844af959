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
    rows, unweighted, and keeps those of the final weights.

    Parameters
    ----------
    module, problem, alpha
        See :func:`train_minibatch`.
    max_iter : int
    tol : float
        Stop when no element of the gradient is larger.
    progress : Progress, optional
        The outcome of an iteration is a copy of the module as training would leave it
        if it ended there, and its course.

    Raises
    ------
    ValueError
        If the loss is not finite, the projector has the wrong number of components,
        or nothing to train. As after any other exception, the module is as it was
        before the call.

    Warns
    -----
    ConvergenceWarning
        If ``max_iter`` is reached, or no step along a gradient that is not small
        lowers the objective.
    """
    with all_or_nothing(module):
        _use_batch_statistics(module)
        run = _FullBatch(module, problem, alpha, progress or NullProgress())
        precision = torch.finfo(problem.features.dtype).eps
        try:
            result = minimize(
                run.value_and_gradient,
                run.flat(run.parameters),
                method="L-BFGS-B",
                jac=True,
                callback=run.accept,
                options={
                    "maxiter": max_iter,
                    "gtol": tol,
                    # A smaller decrease is rounding.
                    "ftol": 8 * precision,
                    "maxls": 50,
                    "maxfun": 50 * max_iter,
                },
            )
        except Stopped:
            pass
        else:
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
        self.progress = progress
        self.objective = Objective(problem)
        self.weights, others = trainable(module)
        self.parameters = self.weights + others
        self.value = math.nan
        self.loss_curve = []

    def flat(self, tensors):
        """Return tensors like the parameters as one vector."""
        return np.concatenate(
            [t.detach().cpu().double().numpy().ravel() for t in tensors]
        )

    @torch.no_grad()
    def assign(self, vector):
        """Write a vector into the parameters."""
        ends = np.cumsum([p.numel() for p in self.parameters])
        parts = np.split(vector, ends[:-1])
        for parameter, part in zip(self.parameters, parts, strict=True):
            parameter.copy_(torch.from_numpy(part).view_as(parameter))

    def value_and_gradient(self, vector):
        """Return the objective and its gradient at a vector."""
        self.progress.begin("iteration")
        self.assign(vector)
        problem = self.problem
        projected = self.module(problem.features)
        value = self.objective(projected, problem.y, problem.sample_weight)
        value = value + penalty(self.weights, self.alpha)
        gradient = torch.autograd.grad(value, self.parameters, materialize_grads=True)
        self.value, gradient = float(value.detach()), self.flat(gradient)
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
        n_iter = len(self.loss_curve)
        if self.progress.end(Iteration(n_iter, self.value, None, self.outcome)):
            raise Stopped

    def outcome(self):
        """Return a copy of the module as it would be left, and its course."""
        copy = deepcopy(self.module)
        course = self.finish(copy)
        return copy.eval(), course

    def finish(self, module):
        """Give a module the statistics to keep; return the course so far."""
        _keep_full_batch_statistics(module, self.problem.features)
        return Course(list(self.loss_curve))


def _norms_of(module):
    """Return the batch normalisations in a module."""
    return [m for m in module.modules() if isinstance(m, _BatchNorm)]


def _use_batch_statistics(module):
    """Switch all randomness off, but let batch normalisation see the batch."""
    module.eval()
    for norm in _norms_of(module):
        norm.train()


@torch.no_grad()
def _keep_full_batch_statistics(module, features):
    """Set the running statistics to those of all rows at the present weights."""
    norms = _norms_of(module)
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # forget those of all weights before
    module(features)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
