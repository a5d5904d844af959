"""Logits of rows under fits without them: by folds, once, or leaving one out."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from skcollapse.fitting import EXCLUDED, FitContext, TrainingData, class_scores
from skcollapse.linear._features import (
    FeatureProblem,
    fit_features,
    learn_from,
    prepare,
)
from skcollapse.linear._spec import FeatureSpec, LinearSpec
from skcollapse.linear.solvers import AffineMap, LinearSolver, Strength

# Held-out rows are not looked at if a feature lies so many training ranges outside.
_WILD = 10.0

_Split = tuple[np.ndarray, np.ndarray]


class HeldOut:
    """Held-out rows, and their logits under any candidate.

    Parameters
    ----------
    judged : ndarray of int
        The rows that are looked at.

    Attributes
    ----------
    y : tensor of shape (n,), int64
    weight : tensor of shape (n,)
        Of sum 1, with which classes count by their costs alone.
    prepared : dict
        From features to the problem of all rows, where it was made on the way: not by
        folds, of which none has all rows.
    """

    def __init__(
        self,
        data: TrainingData,
        spec: LinearSpec,
        context: FitContext,
        judged: np.ndarray,
    ):
        self.data, self.spec, self.context = data, spec, context
        self.n_classes = data.n_classes
        rows = data.without_features(judged)
        self.y = context.to_device(rows.y)
        self.weight = context.to_device(rows.balanced_weight)
        self.prepared: dict[FeatureSpec, FeatureProblem] = {}
        self._scores = partial(
            class_scores, target=spec.target, unit=spec.loss.unit_features
        )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)

    def logits_of(
        self, features: FeatureSpec
    ) -> Callable[[LinearSolver, Strength], Tensor]:
        """Return a function from a solver and a strength to logits (c, n, K)."""
        raise NotImplementedError

    def _logits(self, maps: list[AffineMap], features: Tensor, absent: np.ndarray):
        """Return (c, n, K) scores of features; classes absent cannot be given."""
        logits = torch.stack([self._scores(project(features)) for project in maps])
        logits[..., torch.from_numpy(absent)] = EXCLUDED
        return logits


class FoldLogits(HeldOut):
    """Logits by cross-validation, on splits into training and held-out rows."""

    def __init__(
        self,
        data: TrainingData,
        spec: LinearSpec,
        context: FitContext,
        splits: list[_Split],
    ):
        self._folds = []
        for train, held in splits:
            train, held = (rows[data.weight[rows] > 0] for rows in (train, held))
            held = held[_can_be_judged(data, train, held)]
            # A fit to one class says nothing.
            if len(held) and len(np.unique(data.y[train])) > 1:
                self._folds.append((train, held))
        judged = np.concatenate([held for _, held in self._folds] or [np.arange(0)])
        super().__init__(data, spec, context, judged)

    def logits_of(self, features):
        """Return a function from a solver and a strength to logits (c, n, K)."""
        # The copy of a fold's rows lasts no longer than it takes to make features.
        fits = [self._fit(*fold, features) for fold in self._folds]

        def logits(solver, strength):
            by_fold = [
                self._logits(problem.solve(solver, strength).maps, values, absent)
                for problem, values, absent in fits
            ]
            # A fold whose path has ended early stays where it is.
            length = max(map(len, by_fold))
            padded = [
                torch.cat([z, z[-1:].expand(length - len(z), -1, -1)]) for z in by_fold
            ]
            return torch.cat(padded, dim=1)

        return logits

    def _fit(self, train, held, features):
        rows = self.data.take(train)
        problem = prepare(rows, features, self.spec, self.context)
        values = self.context.to_device(problem.features(self.data.X[held]))
        return problem, values, rows.class_counts == 0


class HoldOutLogits(HeldOut):
    """Logits of rows that are held out once, for so many rows that copies count.

    The features of all rows are made once, scaled as the training rows are: the fit to
    all rows that follows the search goes on with them. All rows have a positive
    weight, and are in one part of the split.
    """

    def __init__(
        self, data: TrainingData, spec: LinearSpec, context: FitContext, split: _Split
    ):
        self._train, held = split
        judged = _can_be_judged(data, *split)
        super().__init__(data, spec, context, held[judged])
        self._order = np.concatenate([self._train, held[judged], held[~judged]])

    def logits_of(self, features):
        """Return a function from a solver and a strength to logits (c, n, K)."""
        data, spec, context = self.data, self.spec, self.context
        fitted = fit_features(data.take(self._train), features, spec.seed)
        values = context.to_device(fitted(data.X, self._order))
        everything = data.without_features(self._order)
        self.prepared[features] = learn_from(fitted, values, everything, spec, context)
        training, n_train = data.without_features(self._train), len(self._train)
        problem = learn_from(fitted, values[:n_train], training, spec, context)
        held = values[n_train : n_train + len(self)]
        absent = training.class_counts == 0
        return lambda solver, strength: self._logits(
            problem.solve(solver, strength).maps, held, absent
        )


class LeaveOneOutLogits(HeldOut):
    """Logits by leaving out one row at a time, for a solver that knows how.

    Some rows are left out in turn: of those given, the ones with another of their
    class. All rows of the data have a positive weight.
    """

    def __init__(
        self,
        data: TrainingData,
        spec: LinearSpec,
        context: FitContext,
        evaluated: np.ndarray,
    ):
        evaluated = evaluated[np.bincount(data.y)[data.y[evaluated]] > 1]
        super().__init__(data, spec, context, evaluated)
        self._evaluated = data.X[evaluated]
        self._share = context.to_device(data.balanced_weight[evaluated])

    def logits_of(self, features):
        """Return a function from a solver and a strength to logits (1, m, K)."""
        problem = prepare(self.data, features, self.spec, self.context)
        self.prepared[features] = problem
        values = self.context.to_device(problem.features(self._evaluated))

        @cache
        def projected(solver):
            return problem.leave_one_out(solver, values, self.y, self._share)

        return lambda solver, strength: self._scores(projected(solver)(strength))[None]


def _can_be_judged(data, train, held):
    """Return which held-out rows say something about a fit to training rows.

    No fit could be right about a class that it has not seen. And a row with a feature
    far outside all it has seen would decide by itself: its logits are so large that the
    temperature which suits it is that of a guess.
    """
    known = np.isin(data.y[held], data.y[train])
    low, high = (bound(data.X[train], axis=0) for bound in (np.min, np.max))
    reach = high - low
    # A feature that is constant in training has the reach of the widest.
    reach = _WILD * np.where(reach > 0, reach, reach.max(initial=0))
    inside = (data.X[held] >= low - reach) & (data.X[held] <= high + reach)
    return known & inside.all(axis=1)
