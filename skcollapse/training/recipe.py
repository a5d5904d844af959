"""How linear candidates are fitted: from rows to features, a solver and its maps."""

from dataclasses import dataclass, field
from functools import partial

import torch
from joblib import Memory

from skcollapse.losses import Loss
from skcollapse.projectors import FeatureMap, fit_feature_map
from skcollapse.targets import ClassGeometry
from skcollapse.training.candidates import Candidate, Family
from skcollapse.training.following import NOBODY
from skcollapse.training.problem import Problem
from skcollapse.training.rows import Rows


def _fit_and_apply(X, y, weight, scaling, kernel, seed):
    """Return a fitted feature map and the features of the rows: one unit of memory."""
    features = fit_feature_map(X, y, weight, scaling=scaling, kernel=kernel, seed=seed)
    return features, features(X)


@dataclass(frozen=True)
class Prepared:
    """The features of a family and what is learnt from them.

    Parameters
    ----------
    features : FeatureMap
    problem : Problem
    max_iter : int
    tol : float
    """

    features: FeatureMap
    problem: Problem
    max_iter: int
    tol: float
    _solvers: dict = field(default_factory=dict)

    def solver(self, kind):
        """Return a solver of :mod:`skcollapse.training.linear`, made when asked for."""
        if kind not in self._solvers:
            self._solvers[kind] = kind(self.problem, self.max_iter, self.tol)
        return self._solvers[kind]

    def projection(self, fitted):
        """Return the projection of X that is a sum of affine maps of the features.

        Parameters
        ----------
        fitted : iterable of (float, AffineMap)
            Factors, and what they multiply.

        Returns
        -------
        LinearProjection
        """
        coef = intercept = 0.0
        for factor, (map_coef, map_intercept) in fitted:
            coef = coef + factor * map_coef.double()
            intercept = intercept + factor * map_intercept.double()
        return self.features.pull_back(coef.cpu().numpy(), intercept.cpu().numpy())


@dataclass(frozen=True)
class Recipe:
    """How candidates are fitted, apart from what the search compares.

    Parameters
    ----------
    loss : Loss
    target : ClassGeometry
    max_iter : int
    tol : float
    device : torch.device
    seed : int
    memory : joblib.Memory
        Keeps kernel features for other fits to the same rows.
    """

    loss: Loss
    target: ClassGeometry
    max_iter: int
    tol: float
    device: torch.device
    seed: int
    memory: Memory

    def fit_features(self, rows: Rows, family: Family) -> FeatureMap:
        """Fit the features of a family."""
        return fit_feature_map(**self._feature_parameters(rows, family))

    def _feature_parameters(self, rows, family):
        return {
            "X": rows.X,
            "y": rows.y,
            "weight": rows.cost / rows.cost.sum(),
            "scaling": family.feature_scaling,
            "kernel": family.projector == "kernel",
            "seed": self.seed,
        }

    def to_device(self, array):
        """Return a NumPy array as a tensor on the device."""
        return torch.as_tensor(array).to(self.device)

    def problem(self, features, rows: Rows, class_counts) -> Problem:
        """Return what is learnt from features of rows, which are on the device.

        Of the rows themselves only classes and weights are looked at.
        """
        return Problem(
            features,
            self.to_device(rows.y),
            self.to_device(rows.cost),
            self.loss,
            self.target,
            self.to_device(class_counts),
        )

    def prepare(self, rows: Rows, family: Family) -> Prepared:
        """Fit the features of a family to rows, from which candidates then learn."""
        fit = _fit_and_apply
        if family.projector == "kernel":  # scaling takes no longer than looking it up
            fit = self.memory.cache(fit)
        features, values = fit(**self._feature_parameters(rows, family))
        return self.learn_from(features, values, rows)

    def learn_from(self, features: FeatureMap, values, rows: Rows) -> Prepared:
        """Prepare features of rows that are there already."""
        problem = self.problem(self.to_device(values), rows, rows.class_counts)
        return Prepared(features, problem, self.max_iter, self.tol)

    def scores(self, projected):
        """Return the (n, K) scores of projected rows, a tensor."""
        if self.loss.unit_features:
            projected = torch.nn.functional.normalize(projected)
        vectors = torch.as_tensor(self.target.classifier).to(projected)
        return projected @ vectors.T

    def fit(
        self, rows: Rows, shares: dict[Candidate, float], prepared, follower=NOBODY
    ):
        """Fit candidates and add them up.

        Parameters
        ----------
        rows : Rows
        shares : dict
            From candidates to the factors of their projections.
        prepared : mapping
            What ``prepare`` has returned for these rows already, by family.
        follower : Follower
            Follows the iterations, if there is one candidate alone. Their outcome is
            what is returned.

        Returns
        -------
        projection : LinearProjection
        loss_curve : list of float
            Along the longest path to one of them.
        """
        projections, loss_curve = [], ()
        for family in dict.fromkeys(candidate.family for candidate in shares):
            ready = prepared.get(family) or self.prepare(rows, family)
            fitted = []
            for path in dict.fromkeys(c[:3] for c in shares if c.family == family):
                factors = {c.n_iter: f for c, f in shares.items() if c[:3] == path}
                # Where a path is stopped nobody asks what came after.
                longest = None if None in factors else max(factors)
                solver = ready.solver(path[1])
                follows = follower.through(partial(_of_one, ready, factors))
                maps = solver(path[2], longest, follows)
                loss_curve = max(loss_curve, solver.loss_curve, key=len)
                fitted += [
                    (factor, maps[min(n_iter or len(maps), len(maps)) - 1])
                    for n_iter, factor in factors.items()
                ]
            projections.append(ready.projection(fitted))
        return sum(projections[1:], projections[0]), list(loss_curve)


def _of_one(ready, factors, affine_map, losses):
    """Return the projection that the only candidate has come to, and its losses."""
    (factor,) = factors.values()
    return ready.projection([(factor, affine_map)]), losses
