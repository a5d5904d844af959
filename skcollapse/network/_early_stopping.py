"""When to stop, and which weights to keep."""

import math
from dataclasses import replace

import torch

from skcollapse.training.objective import Objective
from skcollapse.training.problem import Problem
from skcollapse.training.row_source import as_source, without_gradients
from skcollapse.training.snapshot import Snapshot


def project_rows(module, source):
    """Return the projected rows of a source, in batches for which there is memory."""
    return torch.cat([module(batch) for batch in without_gradients(source)])


class Patience:
    """Counts the iterations without progress.

    Parameters
    ----------
    n_iter_no_change : int
        So many in a row are enough.
    """

    def __init__(self, n_iter_no_change):
        self.n_iter_no_change = n_iter_no_change
        self.n_idle = 0

    def exhausted(self, progress):
        """Take note of one more iteration; return whether to stop."""
        self.n_idle = 0 if progress else self.n_idle + 1
        return self.n_idle >= self.n_iter_no_change


class TrainingLoss:
    """Progress without held-out rows: the training loss falls by more than ``tol``.

    Parameters
    ----------
    tol : float
    """

    scores = None
    best_values = {}

    def __init__(self, tol):
        self.tol = tol
        self.best = math.inf

    def progress(self, module, epoch, loss):
        """Return whether the loss has improved on the best one before."""
        improved = loss < self.best - self.tol
        self.best = min(self.best, loss)
        return improved

    def keep_best(self, module, n_iter):
        """Keep the last weights; return their epoch."""
        return n_iter

    def state(self):
        """Return what to go on from."""
        return {"best": self.best}

    def restore(self, state, best_values):
        """Go on from there."""
        self.best = state["best"]


class HeldOut:
    """Progress on held-out rows, all classes weighing the same; keeps the best weights.

    The score is the balanced accuracy of the class vector with the largest inner
    product. Few rows of a rare class make it coarse, so equal scores are told apart by
    the loss, of rows weighted to the same class frequencies and with the prior to
    match. The weights at the start compete too: training from a good one cannot end
    with a worse one.

    Parameters
    ----------
    module : torch.nn.Module
    problem : Problem
        The held-out rows.
    tol : float
        What the score, or at equal scores the loss, must gain to count as progress.
    """

    def __init__(self, module, problem: Problem, tol):
        self.problem = problem
        self.tol = tol
        self.weight = (
            problem.weight / problem.class_frequency.to(problem.weight)[problem.y]
        )
        self.classifier = problem.tensor(problem.target.classifier)
        # Proxies are judged as they are, not as these rows would have them.
        self.objective = Objective(replace(problem, proxies=None))
        # All classes the same: a constant, which drops out of the adjusted logits.
        if self.objective.log_prior is not None:
            n_classes = len(self.classifier)
            self.objective.log_prior = self.classifier.new_full(
                (n_classes,), -math.log(n_classes)
            )
        self.scores = []
        self.best_iter = 0
        self.best_score, self.best_loss = self.evaluate(module)
        self.best_weights = Snapshot(module)

    @torch.no_grad()
    def evaluate(self, module):
        """Return the balanced accuracy and the balanced loss of a module."""
        module.eval()
        projected = project_rows(module, as_source(self.problem.features))
        module.train()
        # Those beside the very weights: an average of modules has an average of them.
        proxies = getattr(module, "proxies", self.problem.proxies)
        if proxies is not None:
            self.classifier = self.objective.class_vectors = proxies()
        hits = (projected @ self.classifier.T).argmax(dim=1) == self.problem.y
        weight = self.weight.double()
        # Rounded, so that the order of a sum does not break a tie.
        score = round(float(weight[hits].sum() / weight.sum()), 12)
        return score, float(self.objective(projected, self.problem.y, self.weight))

    def progress(self, module, epoch, loss):
        """Score the module, keep its weights if best; return whether it gained."""
        score, held_out_loss = self.evaluate(module)
        self.scores.append(score)
        gain = score - self.best_score
        loss_gain = self.best_loss - held_out_loss
        if gain > 0 or (gain == 0 and loss_gain > 0):
            self.best_score, self.best_loss = score, held_out_loss
            self.best_iter, self.best_weights = epoch, Snapshot(module)
        return gain > self.tol or (gain == 0 and loss_gain > self.tol)

    def keep_best(self, module, n_iter):
        """Restore the best weights; return their epoch, 0 for the start."""
        self.best_weights.restore_values(module)
        return self.best_iter

    @property
    def best_values(self):
        """The best weights by name."""
        return self.best_weights.values

    def state(self):
        """Return what to go on from, apart from the weights."""
        return {
            "scores": self.scores,
            "best_iter": self.best_iter,
            "best_score": self.best_score,
            "best_loss": self.best_loss,
        }

    def restore(self, state, best_values):
        """Go on from there."""
        vars(self).update(state)
        for name, values in self.best_values.items():
            values.copy_(best_values[name])
