"""The fit of a linear or kernel projector, with the search for what is auto."""

from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from sklearn.utils.validation import check_memory

from skcollapse.losses import SquaredError
from skcollapse.training.averaging import first_lowest
from skcollapse.training.calibration import fit_inverse_temperature
from skcollapse.training.candidates import Candidate, Family
from skcollapse.training.following import NOBODY
from skcollapse.training.held_out import FoldLogits, HoldOutLogits, LeaveOneOutLogits
from skcollapse.training.linear import ClosedForm, EarlyStoppedPath, Penalised
from skcollapse.training.recipe import Recipe
from skcollapse.training.selection import select
from skcollapse.training.splits import MANY_ROWS, class_aware_subsample, make_splits

SCALINGS = ("global", "standard")
PROJECTORS = ("linear", "kernel")
# Of a fit: what is auto is chosen, and what was chosen is fitted to all rows.
LINEAR_PARTS = ("search", "refit")
# Rows that are left out in turn.
_SUBSAMPLE = 3000
# Rows that are enough to tell which family is the most promising.
_FAMILY_ROWS = 2000


def fit_linear(estimator, rows, loss, target, device, groups, rng, task):
    """Fit the linear or kernel projector that an estimator's parameters describe.

    Parameters
    ----------
    estimator : estimator
        Read, not written.
    rows : Rows
    loss : Loss
    target : ClassGeometry
    device : torch.device
    groups : array-like or None
    rng : numpy.random.RandomState
    task : Task
        Its parts are a search, if anything is chosen, and a refit.

    Returns
    -------
    dict
        Fitted attributes.
    """
    solver = _choose_solver(estimator)
    seed = int(rng.randint(2**31))
    recipe = make_recipe(estimator, loss, target, device, seed)
    if solver is ClosedForm:
        recipe = in_closed_form(recipe)
    loss = recipe.loss
    families = [
        Family(scaling, projector)
        for projector in _choices(estimator.projector, PROJECTORS)
        for scaling in _choices(estimator.feature_scaling, SCALINGS)
    ]
    counted = rows.counted()
    many = len(counted) > MANY_ROWS and estimator.cv is None
    if many and solver is not ClosedForm:
        # Paths over all rows are dear: the closed form says which is worth it.
        families = [most_promising(recipe, rows, families, None, groups, rng)]
    strengths = _strengths(estimator, solver, loss, many)
    # A path is always searched: for where to stop.
    one = len(families) * sum(map(len, strengths.values())) == 1
    alone = one and solver is not EarlyStoppedPath
    held_out = _hold_out(estimator, recipe, rows, solver, alone, groups, rng)
    temperature = 1.0
    if len(held_out.y):
        # Directions do not average, and with many rows chance has little to say.
        average = not (loss.unit_features or many)
        n_trials = len(families) * sum(map(len, strengths.values()))
        search = task.part("search", n_trials)
        with search.steps("trial") as follower:
            selection = select(
                held_out, families, strengths, average=average, follower=follower
            )
        search.end()
        shares, results = selection.shares, selection.results
        prepared = held_out.prepared
        if loss.unit_features:
            # Of directions the length is lost, which would hold the temperature.
            ((chosen, factor),) = shares.items()
            shares, temperature = {chosen: 1.0}, 1 / factor
    else:
        # Nothing is chosen, or nothing can be held out and all are as good.
        candidates = [
            Candidate(family, solver, alpha)
            for family in families
            for alpha in strengths[solver]
        ]
        shares, results = dict.fromkeys(candidates, 1 / len(candidates)), None
        prepared = {}

    has_scale = results is not None or not (loss.unit_features or solver is ClosedForm)

    def state_of(projection, loss_curve, temperature=temperature):
        if not has_scale:
            # Drawn from a copy: to look along the way changes nothing.
            temperature = fit_temperature(recipe, counted, projection, deepcopy(rng))
        return {
            "projection_": projection,
            "temperature_": temperature,
            "n_iter_": max(1, len(loss_curve)),
            "loss_curve_": loss_curve,
            "validation_scores_": None,
            "selection_results_": results,
            "target_": target.classifier,
            "target_means_": target.means,
            "_unit_features": loss.unit_features,
            "_network": None,
        }

    # An average of several has no iterations to tell of.
    follows = len(shares) == 1 and next(iter(shares)).solver.iterates
    refit = task.part("refit", estimator.max_iter if follows else 0)
    with refit.steps("iteration") as steps:
        follower = steps.through(state_of) if follows else NOBODY
        state = state_of(*recipe.fit(counted, shares, prepared, follower))
    refit.end()
    return state


def _hold_out(estimator, recipe, rows, solver, alone, groups, rng):
    """Return held-out logits by which to choose; without rows if there is no choice."""
    counted = rows.counted()
    if estimator.cv is None and groups is None and solver is ClosedForm:
        evaluated = class_aware_subsample(counted.y, _SUBSAMPLE, rng)
        return LeaveOneOutLogits(recipe, counted, evaluated)
    if alone:
        return FoldLogits(recipe, rows, [])
    if estimator.cv is not None or len(counted) <= MANY_ROWS:
        return FoldLogits(recipe, rows, make_splits(rows.y, estimator.cv, groups))
    groups = None if groups is None else np.asarray(groups)[rows.weight > 0]
    splits = make_splits(counted.y, None, groups)
    if not splits:
        return FoldLogits(recipe, counted, [])
    return HoldOutLogits(recipe, counted, *splits[0])


def make_recipe(estimator, loss, target, device, seed=0):
    """Return how candidates are fitted, as an estimator's parameters say."""
    return Recipe(
        loss=loss,
        target=target,
        max_iter=estimator.max_iter,
        tol=estimator.tol,
        device=device,
        seed=seed,
        memory=check_memory(estimator.memory),
    )


def in_closed_form(recipe):
    """Return the recipe of ridge regression onto the same target."""
    return replace(recipe, loss=SquaredError(weighting="class"))


def most_promising(recipe, rows, families, cv, groups, rng):
    """Return the family that is best in closed form.

    Parameters
    ----------
    recipe : Recipe
    rows : Rows
    families : list of Family
    cv : int, splitter, iterable of splits, or None
        With None, and without groups, a class-aware subsample is left out one by one.
    groups : array-like or None
    rng : numpy.random.RandomState

    Returns
    -------
    Family
    """
    if len(families) == 1:
        return families[0]
    recipe = in_closed_form(recipe)
    strengths = {ClosedForm: ClosedForm.strengths}
    if cv is None and groups is None:
        rows = rows.counted()
        rows = rows.take(class_aware_subsample(rows.y, _FAMILY_ROWS, rng))
        hold_out = partial(LeaveOneOutLogits, recipe, rows, np.arange(len(rows)))
    else:
        hold_out = partial(FoldLogits, recipe, rows, make_splits(rows.y, cv, groups))
    losses = []
    for family in families:
        # Anew: what is made for a family does not outlive it.
        held_out = hold_out()
        if not len(held_out.y):
            return families[0]
        results = select(held_out, [family], strengths, average=False).results
        losses.append(results["log_loss"].min())
    return families[first_lowest(np.array(losses))]


def fit_temperature(recipe, rows, projection, rng):
    """Return the temperature of the least class-balanced log-loss on given rows.

    Parameters
    ----------
    recipe : Recipe
    rows : Rows
    projection : callable
    rng : numpy.random.RandomState

    Returns
    -------
    float
    """
    rows = rows.take(class_aware_subsample(rows.y, _SUBSAMPLE, rng))
    scores = recipe.scores(torch.from_numpy(projection(rows.X)))
    y, weight = torch.from_numpy(rows.y), torch.from_numpy(rows.balanced_weight)
    return 1 / fit_inverse_temperature(scores[None], y, weight).item()


def _strengths(estimator, solver, loss, many):
    """Return what to compare: solvers and their strengths, the main solver first."""
    if solver is not EarlyStoppedPath:
        return {solver: _choices(estimator.alpha, solver.strengths)}
    strengths = {solver: solver.few_strengths if many else solver.strengths}
    if estimator.solver == "auto" and not loss.unit_features:
        # It is regularised in another way: an average with it is better than either.
        strengths[ClosedForm] = ClosedForm.few_strengths
    return strengths


def _choices(value, choices):
    return choices if isinstance(value, str) and value == "auto" else (value,)


def _choose_solver(estimator):
    if estimator.solver == "closed_form":
        return ClosedForm
    return EarlyStoppedPath if isinstance(estimator.alpha, str) else Penalised
