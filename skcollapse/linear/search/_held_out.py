"""Logits of rows under fits without them: by folds, once, or leaving one out."""

from functools import cache
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
        held_out = rows.without_features(index)
        self.weight = recipe.to_device(held_out.balanced_weight)

    def of_family(self, family):
        """Return a function from a solver and a strength to logits (c, n, K)."""
        # The copy of a fold's rows lasts no longer than it takes to make features.
        fits = [self._fit(*fold, family) for fold in self._folds]

        def logits(solver, alpha):
            by_fold = [
                _logits(self._recipe, prepared.solver(solver)(alpha), features, absent)
                for prepared, features, absent in fits
            ]
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
        prepared = self._recipe.prepare(rows, family)
        features = self._recipe.to_device(prepared.features(self._rows.X[held]))
        return prepared, features, rows.class_counts == 0


class HoldOutLogits:
    """Logits of rows that are held out once, for so many rows that copies count.

    The features of all rows are made once, scaled as the training rows are: the fit to
    all rows that follows the search goes on with them.

    Parameters
    ----------
    recipe : Recipe
    rows : Rows
        All of positive weight.
    train, held : ndarrays of int
        Every row is in one of them.

    Attributes
    ----------
    prepared : dict
        From families to their features of all rows.
    """

    def __init__(self, recipe, rows, train, held):
        self._recipe, self._rows, self.prepared = recipe, rows, {}
        self.n_classes = len(recipe.target.classifier)
        # No fit could be right about a class that is missing from training.
        known = np.isin(rows.y[held], rows.y[train])
        self._train, self._judged, others = train, held[known], held[~known]
        self._order = np.concatenate([train, self._judged, others])
        judged = rows.without_features(self._judged)
        self.y = recipe.to_device(judged.y)
        self.weight = recipe.to_device(judged.balanced_weight)

    def of_family(self, family):
        """Return a function from a solver and a strength to logits (c, n, K)."""
        recipe, rows, n_train = self._recipe, self._rows, len(self._train)
        features = recipe.fit_features(rows.take(self._train), family)
        values = recipe.to_device(features(rows.X, self._order))
        self.prepared[family] = recipe.learn_from(
            features, values, rows.without_features(self._order)
        )
        training = rows.without_features(self._train)
        prepared = recipe.learn_from(features, values[:n_train], training)
        held = values[n_train : n_train + len(self._judged)]
        absent = training.class_counts == 0
        return lambda solver, alpha: _logits(
            recipe, prepared.solver(solver)(alpha), held, absent
        )


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
        From families to their features of all rows.
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
        """Return a function from a solver and a strength to logits (1, m, K)."""
        prepared = self._recipe.prepare(self._rows, family)
        self.prepared[family] = prepared
        left_out = self._recipe.to_device(prepared.features(self._evaluated.X))

        @cache
        def projected(solver):
            left_out_of = prepared.solver(solver).leave_one_out
            return left_out_of(left_out, self.y, self._share)

        return lambda solver, alpha: self._recipe.scores(projected(solver)(alpha))[None]


def _logits(recipe, maps, features, absent):
    """Return (c, n, K) scores of features, where classes absent cannot be given."""
    logits = torch.stack([recipe.scores(project(features)) for project in maps])
    logits[..., torch.from_numpy(absent)] = EXCLUDED
    return logits
