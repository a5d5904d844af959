"""Logits of rows under fits without them: by folds, or by leaving one out."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch

from skcollapse.training.calibration import EXCLUDED


class FoldLogits:
    """Logits by cross-validation.

    Held-out rows whose class is missing from the training rows have no logits: no fit
    could be right about them.

    Parameters
    ----------
    recipe : Recipe
    rows : Rows
    splits : list of (ndarray, ndarray)
        Training and held-out rows.

    Attributes
    ----------
    prepared : dict
        Empty: no fold has all rows.
    """

    prepared = MappingProxyType({})

    def __init__(self, recipe, rows, splits):
        self._recipe, self._rows = recipe, rows
        self.n_classes = len(recipe.target.classifier)
        self._folds = []
        for train, held in splits:
            train, held = train[rows.weight[train] > 0], held[rows.weight[held] > 0]
            held = held[np.isin(rows.y[held], rows.y[train])]
            # A fit to one class says nothing.
            if len(held) and len(np.unique(rows.y[train])) > 1:
                self._folds.append((train, held))
        index = np.concatenate([held for _, held in self._folds] or [np.arange(0)])
        self.y = recipe.to_device(rows.y[index])
        # Weights alone: no copy of the rows.
        held_out = replace(
            rows, X=rows.X[:0], y=rows.y[index], weight=rows.weight[index]
        )
        self.weight = recipe.to_device(held_out.balanced_weight)

    def of_family(self, family):
        """Return a function from a strength to logits of shape (c, n, K)."""
        # The copy of a fold's rows lasts no longer than it takes to make features.
        fits = [self._fit(*fold, family) for fold in self._folds]

        def logits(alpha):
            by_fold = [self._logits(*fit, alpha) for fit in fits]
            # A fold whose path has ended early stays where it is.
            length = max(map(len, by_fold))
            return torch.cat(
                [
                    torch.cat([z, z[-1:].expand(length - len(z), -1, -1)])
                    for z in by_fold
                ],
                dim=1,
            )

        return logits

    def _fit(self, train, held, family):
        rows = self._rows.take(train)
        features, solver = self._recipe.prepare(rows, family)
        absent = rows.class_counts == 0
        return solver, self._recipe.to_device(features(self._rows.X[held])), absent

    def _logits(self, solver, features, absent, alpha):
        logits = torch.stack(
            [self._recipe.scores(project(features)) for project in solver(alpha)]
        )
        logits[..., torch.from_numpy(absent)] = EXCLUDED
        return logits


class LeaveOneOutLogits:
    """Logits by leaving out one row at a time, for a solver that knows how.

    Parameters
    ----------
    recipe : Recipe
    rows : Rows
        All of positive weight.
    evaluated : ndarray of shape (m,), int
        Which rows are left out in turn. Rows without another of their class are not.

    Attributes
    ----------
    prepared : dict
        From families to the features and solvers, which are those of all rows.
    """

    def __init__(self, recipe, rows, evaluated):
        self._recipe, self._rows, self.prepared = recipe, rows, {}
        self.n_classes = len(recipe.target.classifier)
        evaluated = evaluated[np.bincount(rows.y)[rows.y[evaluated]] > 1]
        self._evaluated = rows.take(evaluated)
        self.y = recipe.to_device(self._evaluated.y)
        self.weight = recipe.to_device(self._evaluated.balanced_weight)
        self._share = recipe.to_device(rows.balanced_weight[evaluated])

    def of_family(self, family):
        """Return a function from a strength to logits of shape (1, m, K)."""
        features, solver = self._recipe.prepare(self._rows, family)
        self.prepared[family] = features, solver
        left_out = self._recipe.to_device(features(self._evaluated.X))
        projected = solver.leave_one_out(left_out, self.y, self._share)
        return lambda alpha: self._recipe.scores(projected(alpha))[None]
