"""The candidates that a search compares, and how each is fitted."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from skcollapse.losses import Loss
from skcollapse.projectors import FeatureMap, fit_feature_map
from skcollapse.targets import ClassGeometry
from skcollapse.training.problem import Problem


class Family(NamedTuple):
    """Candidates on the same features, which differ in their regularisation."""

    feature_scaling: str | None
    projector: str


class Candidate(NamedTuple):
    """A family, a strength, and which of the solver's results: ``None`` is the last."""

    family: Family
    alpha: float
    n_iter: int | None = None


@dataclass(frozen=True)
class Rows:
    """Rows with their classes and weights, in NumPy.

    Parameters
    ----------
    X : ndarray of shape (n, p), floating point
    y : ndarray of shape (n,), int64
    weight : ndarray of shape (n,), float64
        How often a row stands there.
    class_cost : ndarray of shape (K,), float64
        How much more rows of a class count, however often they stand there.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    class_cost: np.ndarray

    def __len__(self):
        """Return the number of rows."""
        return len(self.y)

    def take(self, index):
        """Return some of the rows."""
        return replace(
            self, X=self.X[index], y=self.y[index], weight=self.weight[index]
        )

    @property
    def cost(self):
        """Weights of the rows, times the costs of their classes."""
        return self.weight * self.class_cost[self.y]

    @property
    def class_counts(self):
        """Sum of the weights of each class."""
        return np.bincount(self.y, self.weight, minlength=len(self.class_cost))

    @property
    def balanced_weight(self):
        """Weights of sum 1 with which classes count by their costs alone."""
        weight = self.cost / self.class_counts[self.y]
        return weight / weight.sum()

    def counted(self):
        """Return the rows of positive weight: these rows if none is zero."""
        return self if self.weight.all() else self.take(self.weight > 0)


@dataclass(frozen=True)
class Recipe:
    """How linear candidates are fitted, apart from what the search compares.

    Parameters
    ----------
    loss : Loss
    target : ClassGeometry
    solver : type
        A solver of :mod:`skcollapse.training.linear`.
    max_iter : int
    tol : float
    device : torch.device
    seed : int
    """

    loss: Loss
    target: ClassGeometry
    solver: type
    max_iter: int
    tol: float
    device: torch.device
    seed: int

    def fit_features(self, rows: Rows, family: Family) -> FeatureMap:
        """Fit the features of a family."""
        return fit_feature_map(
            rows.X,
            rows.y,
            rows.cost / rows.cost.sum(),
            scaling=family.feature_scaling,
            kernel=family.projector == "kernel",
            seed=self.seed,
        )

    def to_device(self, array):
        """Return a NumPy array as a tensor on the device."""
        return torch.as_tensor(array).to(self.device)

    def problem(self, features, rows: Rows, class_counts) -> Problem:
        """Return what is learnt from features of rows, an array, on the device."""
        return Problem(
            self.to_device(features),
            self.to_device(rows.y),
            self.to_device(rows.cost),
            self.loss,
            self.target,
            self.to_device(class_counts),
        )

    def prepare(self, rows: Rows, family: Family):
        """Return the features of a family and the solver, both fitted to rows."""
        features = self.fit_features(rows, family)
        problem = self.problem(features(rows.X), rows, rows.class_counts)
        return features, self.solver(problem, self.max_iter, self.tol)

    def scores(self, projected):
        """Return the (n, K) scores of projected rows, a tensor."""
        if self.loss.unit_features:
            projected = torch.nn.functional.normalize(projected)
        vectors = torch.as_tensor(self.target.classifier).to(projected)
        return projected @ vectors.T

    def fit(self, rows: Rows, shares: dict[Candidate, float], prepared):
        """Fit candidates and add them up.

        Parameters
        ----------
        rows : Rows
        shares : dict
            From candidates to the factors of their projections.
        prepared : mapping
            What ``prepare`` has returned for these rows already, by family.

        Returns
        -------
        projection : LinearProjection
        loss_curve : list of float
            Along the longest path to one of them.
        """
        projections, loss_curve = [], ()
        for family in dict.fromkeys(candidate.family for candidate in shares):
            features, solver = prepared.get(family) or self.prepare(rows, family)
            coef = intercept = 0.0
            for alpha in dict.fromkeys(c.alpha for c in shares if c.family == family):
                maps = solver(alpha)
                loss_curve = max(loss_curve, solver.loss_curve, key=len)
                for candidate, share in shares.items():
                    if candidate[:2] != (family, alpha):
                        continue
                    last = candidate.n_iter or len(maps)
                    fitted = maps[min(last, len(maps)) - 1]
                    coef = coef + share * fitted.coef.double()
                    intercept = intercept + share * fitted.intercept.double()
            projections.append(
                features.pull_back(coef.cpu().numpy(), intercept.cpu().numpy())
            )
        return sum(projections[1:], projections[0]), list(loss_curve)
