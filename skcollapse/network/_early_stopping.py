"""When to stop, and which weights to keep."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from skcollapse.fitting import Objective, Problem
from skcollapse.network._snapshot import copies
from skcollapse.network._spec import MiniBatchOptions
from skcollapse.rows import DeviceRows, StreamedRows, as_source, without_gradients


def project_rows(module: nn.Module, source: DeviceRows | StreamedRows) -> Tensor:
    """Return the projected rows of a source, in batches for which there is memory."""
    return torch.cat([module(batch) for batch in without_gradients(source)])


class TrainingLoss:
    """Stops when the training loss no longer falls by more than ``tol``."""

    best_loss = math.inf
    best_score: float | None = None
    scores: list[float] | None = None

    def __init__(self, options: MiniBatchOptions):
        self.tol = options.tol
        self.n_iter_no_change = options.trainer.n_iter_no_change
        self.n_idle = 0
        # The weights to keep, by name; none are the last ones.
        self.best_values: dict[str, Tensor] = {}

    def exhausted(self, module: nn.Module, loss: float) -> bool:
        """Take note of one more iteration; return whether to stop."""
        self.n_idle = 0 if self._improves(module, loss) else self.n_idle + 1
        return self.n_idle >= self.n_iter_no_change

    def _improves(self, module: nn.Module, loss: float) -> bool:
        improved = loss < self.best_loss - self.tol
        self.best_loss = min(self.best_loss, loss)
        return improved

    def state(self) -> dict[str, Any]:
        """Return what to go on from, apart from the weights."""
        names = ("n_idle", "best_loss", "best_score", "scores")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any], best_values: dict[str, Tensor]) -> None:
        """Go on from there."""
        vars(self).update(state, best_values=best_values)


class HeldOut(TrainingLoss):
    """Stops by held-out rows, all classes weighing the same; keeps the best weights.

    The score is the balanced accuracy of the class vector with the largest inner
    product. Few rows of a rare class make it coarse, so equal scores are told apart by
    the loss, of rows weighted to the same class frequencies and with the prior to
    match. The weights at the start compete too: training from a good one cannot end
    with a worse one.
    """

    scores: list[float]
    best_score: float

    def __init__(self, module: nn.Module, problem: Problem, options: MiniBatchOptions):
        super().__init__(options)
        self.problem, self.objective = problem, Objective(problem)
        frequency = problem.class_frequency.to(problem.weight)
        self.weight = problem.weight / frequency[problem.y]
        self.classifier = problem.tensor(problem.target.classifier)
        # All classes the same: a constant, which drops out of the adjusted logits.
        if self.objective.log_prior is not None:
            self.objective.log_prior.fill_(-math.log(len(self.classifier)))
        self.scores = []
        self.best_score, self.best_loss = self._evaluate(module)
        self.best_values = copies(module)

    @torch.no_grad()
    def _evaluate(self, module):
        """Return the balanced accuracy and the balanced loss of a module."""
        module.eval()
        projected = project_rows(module, as_source(self.problem.features))
        module.train()
        # Proxies as they are, not as these rows would have them.
        proxies = module.proxies and module.proxies()
        vectors = self.classifier if proxies is None else proxies
        y, weight = self.problem.y, self.weight.double()
        hits = (projected @ vectors.T).argmax(dim=1) == y
        # Rounded, so that the order of a sum does not break a tie.
        score = round(float(weight[hits].sum() / weight.sum()), 12)
        return score, float(self.objective(projected, y, self.weight, proxies))

    def _improves(self, module: nn.Module, loss: float) -> bool:
        score, held_out_loss = self._evaluate(module)
        self.scores.append(score)
        gain, loss_gain = score - self.best_score, self.best_loss - held_out_loss
        if gain > 0 or (gain == 0 and loss_gain > 0):
            self.best_score, self.best_loss = score, held_out_loss
            self.best_values = copies(module)
        return gain > self.tol or (gain == 0 and loss_gain > self.tol)
