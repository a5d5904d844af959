"""From rows to the features that candidates learn from, and back to rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from skcollapse.fitting import FitContext, Problem, Progress, TrainingData
from skcollapse.linear._spec import FeatureSpec, LinearSpec
from skcollapse.linear.solvers import AffineMap, LinearSolver, Solution, Strength
from skcollapse.linear.solvers._base import NO_PROGRESS
from skcollapse.projectors import FeatureMap, Kernel, LinearProjection, fit_feature_map


@dataclass(frozen=True)
class FeatureProblem:
    """Features of rows, what is learnt from them, and solvers prepared for it."""

    features: FeatureMap
    problem: Problem
    spec: LinearSpec
    _prepared: dict[LinearSolver, object] = field(default_factory=dict)

    def _of(self, solver: LinearSolver) -> object:
        if solver not in self._prepared:
            prepared = solver.prepare(self.problem, self.spec.max_iter, self.spec.tol)
            self._prepared[solver] = prepared
        return self._prepared[solver]

    def solve(
        self,
        solver: LinearSolver,
        strength: Strength,
        n_maps: int | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> Solution:
        """Return the solution of a solver; see :meth:`LinearSolver.solve`."""
        return solver.solve(self._of(solver), strength, n_maps, progress)

    def leave_one_out(
        self, solver: LinearSolver, features: Tensor, y: Tensor, weight: Tensor
    ) -> Callable[[Strength], Tensor]:
        """Return left-out projections; see :meth:`LinearSolver.leave_one_out`."""
        return solver.leave_one_out(self._of(solver), features, y, weight)

    def projection(self, fitted: list[tuple[float, AffineMap]]) -> LinearProjection:
        """Return the projection of X that is a sum of affine maps, times factors."""
        coef: Any = 0.0
        intercept: Any = 0.0
        for factor, affine in fitted:
            coef = coef + factor * affine.coef.double()
            intercept = intercept + factor * affine.intercept.double()
        return self.features.pull_back(coef.cpu().numpy(), intercept.cpu().numpy())


def fit_features(data: TrainingData, features: FeatureSpec, seed: int) -> FeatureMap:
    """Fit the features of rows."""
    return fit_feature_map(**_parameters(data, features, seed))


def prepare(
    data: TrainingData, features: FeatureSpec, spec: LinearSpec, context: FitContext
) -> FeatureProblem:
    """Fit features to rows, from which candidates then learn."""
    parameters = _parameters(data, features, spec.seed)
    fit = _fit_and_apply
    if parameters["kernel"] is not None:  # scaling takes no longer than looking it up
        fit = spec.memory.cache(fit)
    fitted, values = fit(**parameters)
    return learn_from(fitted, context.to_device(values), data, spec, context)


def learn_from(
    features: FeatureMap,
    values: Tensor,
    data: TrainingData,
    spec: LinearSpec,
    context: FitContext,
) -> FeatureProblem:
    """Return what is learnt from features of rows that are on the device already."""
    problem = Problem.of(values, data, spec.loss, spec.target, context)
    return FeatureProblem(features, problem, spec)


def _parameters(data, features, seed):
    projector = features.projector
    return {
        "X": data.X,
        "y": data.y,
        "weight": data.row_cost / data.row_cost.sum(),
        "scaling": features.scaling,
        "kernel": projector if projector.name == Kernel.name else None,
        "seed": seed,
    }


def _fit_and_apply(X, **parameters):
    """Return a fitted feature map and the features of the rows: one unit of memory."""
    features = fit_feature_map(X, **parameters)
    return features, features(X)
