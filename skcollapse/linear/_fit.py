"""The fit of an affine map, with the search for what is auto."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np

from skcollapse.fitting import (
    MANY_ROWS,
    FitContext,
    Fitted,
    TrainingData,
    class_aware_subsample,
    fit_temperature,
    make_splits,
)
from skcollapse.linear._features import FeatureProblem, prepare
from skcollapse.linear._spec import Candidate, FeatureSpec, LinearSpec
from skcollapse.linear.search._held_out import (
    FoldLogits,
    HeldOut,
    HoldOutLogits,
    LeaveOneOutLogits,
)
from skcollapse.linear.search._selection import select
from skcollapse.linear.solvers import ClosedForm
from skcollapse.linear.solvers._base import NO_PROGRESS
from skcollapse.projectors import LinearProjection

# Rows that are left out in turn.
_SUBSAMPLE = 3000
# Rows that are enough to tell which features are the most promising.
_PROMISING_ROWS = 2000


def fit(data: TrainingData, spec: LinearSpec, context: FitContext) -> Fitted:
    """Choose what is not given by held-out rows, and fit it to all rows."""
    spec = replace(spec, seed=int(context.rng.randint(2**31)))
    counted = data.drop_zero_weight()
    many = len(counted) > MANY_ROWS and spec.cv is None
    main, loss = spec.solvers[0], spec.loss
    if many and not main.leaves_one_out:
        # Fits to all rows are dear: the closed form says which features are worth it.
        spec = replace(spec, features=(_most_promising(data, spec, context),))
    if not main.accepts(loss, spec.target):
        raise ValueError(
            f"solver={main.name!r} cannot minimise loss={loss!r} onto this target, see "
            "its documentation. Choose solver='auto'."
        )
    strengths = spec.strengths(many)
    n_trials = len(spec.features) * sum(map(len, strengths.values()))
    adapts = main.is_adaptive and spec.alpha is None
    # A path is always searched: for where to stop.
    searches = n_trials > 1 or main.is_path or adapts
    held_out = _hold_out(data, spec, context, searches)
    temperature, results = 1.0, None
    if len(held_out):
        # Directions do not average, and with many rows chance has little to say.
        average = not (loss.unit_features or many)
        with context.progress.part("search", None if adapts else n_trials) as progress:
            selection = select(
                held_out, spec.features, strengths, average=average, progress=progress
            )
        factors, results = selection.factors, selection.results
        if loss.unit_features:
            # Of directions the length is lost, which would hold the temperature.
            ((chosen, factor),) = factors.items()
            factors, temperature = {chosen: 1.0}, 1 / factor
    else:
        # Nothing is chosen, or nothing can be held out and all are as good.
        candidates = [
            Candidate(features, main, strength)
            for features in spec.features
            for strength in strengths[main]
        ]
        factors = dict.fromkeys(candidates, 1 / len(candidates))
    # Neither directions nor least squares have a scale of their own.
    has_scale = results is not None or not (loss.unit_features or main.loss)

    def fitted(projection: LinearProjection, loss_curve: list[float]) -> Fitted:
        scale = temperature
        if not has_scale:
            # Drawn from a copy: to look along the way changes nothing.
            rng, unit = deepcopy(context.rng), loss.unit_features
            scale = fit_temperature(counted, projection, spec.target, unit, rng)
        return Fitted(
            projection=projection,
            target=spec.target.classifier,
            target_means=spec.target.means,
            temperature=scale,
            loss_curve=loss_curve,
            n_iter=max(1, len(loss_curve)),
            selection_results=results,
            unit_features=loss.unit_features,
        )

    # An average of several has no iterations to tell of.
    follows = len(factors) == 1 and next(iter(factors)).solver.iterates
    n_steps = spec.max_iter if follows else 0
    with context.progress.part("refit", n_steps) as progress:
        progress = progress.map(lambda outcome: fitted(*outcome))
        context = replace(context, progress=progress if follows else NO_PROGRESS)
        return fitted(*_refit(counted, factors, held_out.prepared, spec, context))


def _refit(
    data: TrainingData,
    factors: dict[Candidate, float],
    prepared: Mapping[FeatureSpec, FeatureProblem],
    spec: LinearSpec,
    context: FitContext,
) -> tuple[LinearProjection, list[float]]:
    """Fit candidates to all rows and add them up, each times its factor.

    Problems of all rows that are there already are not prepared again. The losses are
    those along the longest path to a candidate.
    """
    projections: list[LinearProjection] = []
    loss_curve: list[float] = []
    for features in dict.fromkeys(candidate.features for candidate in factors):
        problem = prepared.get(features) or prepare(data, features, spec, context)
        fitted = []
        for path in dict.fromkeys(c[:3] for c in factors if c.features == features):
            stops = {c.n_iter: f for c, f in factors.items() if c[:3] == path}
            # Where a path is stopped nobody asks what came after.
            longest = max((n for n in stops if n is not None), default=None)
            (_, solver, strength), factor = path, next(iter(stops.values()))
            progress = context.progress.map(partial(_so_far, problem, factor))
            maps, losses = problem.solve(solver, strength, longest, progress)
            loss_curve = max(loss_curve, losses, key=len)
            fitted += [
                (factor, maps[min(n_iter or len(maps), len(maps)) - 1])
                for n_iter, factor in stops.items()
            ]
        projections.append(problem.projection(fitted))
    return sum(projections[1:], projections[0]), list(loss_curve)


def _so_far(problem, factor, solution):
    """Return the projection that the only candidate has come to, and its losses."""
    return problem.projection([(factor, solution.maps[-1])]), solution.loss_curve


def _hold_out(
    data: TrainingData, spec: LinearSpec, context: FitContext, searches: bool
) -> HeldOut:
    """Return held-out rows by which to choose; none if there is no choice."""
    counted, cv = data.drop_zero_weight(), spec.cv
    if cv is None and data.groups is None and spec.solvers[0].leaves_one_out:
        evaluated = class_aware_subsample(counted.y, _SUBSAMPLE, context.rng)
        return LeaveOneOutLogits(counted, spec, context, evaluated)
    once = cv is None and len(counted) > MANY_ROWS
    rows = counted if once else data
    splits = make_splits(rows.y, cv, rows.groups) if searches else []
    if once and splits:
        return HoldOutLogits(rows, spec, context, splits[0])
    return FoldLogits(rows, spec, context, splits)


def choose_scaling(
    data: TrainingData, spec: LinearSpec, context: FitContext
) -> str | None:
    """Return the scaling of the features that is best in closed form."""
    return _most_promising(data, spec, context).scaling


def _most_promising(
    data: TrainingData, spec: LinearSpec, context: FitContext
) -> FeatureSpec:
    """Return the features that are best in closed form."""
    families = spec.features
    if len(families) == 1:
        return families[0]
    solver = ClosedForm()
    spec = replace(spec, loss=solver.loss, solvers=(solver,), alpha=None)
    if spec.cv is None and data.groups is None:
        data = data.drop_zero_weight()
        data = data.take(class_aware_subsample(data.y, _PROMISING_ROWS, context.rng))
        every = np.arange(len(data))
        held_out: HeldOut = LeaveOneOutLogits(data, spec, context, every)
    else:
        splits = make_splits(data.y, spec.cv, data.groups)
        held_out = FoldLogits(data, spec, context, splits)
    if not len(held_out):
        return families[0]
    strengths = spec.strengths(False)
    selection = select(
        held_out, families, strengths, average=False, progress=NO_PROGRESS
    )
    ((chosen, _),) = selection.factors.items()
    return chosen.features
