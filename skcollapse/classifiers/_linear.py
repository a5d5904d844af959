"""The fit of a linear or kernel projector, with the search for what is auto."""

import numpy as np
from sklearn.utils import check_random_state

from skcollapse.training.candidates import Candidate, Family, Recipe
from skcollapse.training.held_out import FoldLogits, LeaveOneOutLogits
from skcollapse.training.linear import ClosedForm, EarlyStoppedPath, Penalised
from skcollapse.training.selection import select
from skcollapse.training.splits import class_aware_subsample, make_splits

SCALINGS = ("global", "standard")
PROJECTORS = ("linear", "kernel")
# Rows that are left out in turn, to choose the penalty of the closed form.
_MOST_LEFT_OUT = 5000


def _choices(value, choices):
    return choices if isinstance(value, str) and value == "auto" else (value,)


def _solver(solver, alpha):
    if solver == "closed_form":
        return ClosedForm
    return EarlyStoppedPath if isinstance(alpha, str) else Penalised


def fit_linear(estimator, rows, loss, target, device, cv_groups):
    """Fit the linear or kernel projector that an estimator's parameters describe.

    Parameters
    ----------
    estimator : estimator
        Read, not written.
    rows : Rows
    loss : Loss
    target : ClassGeometry
    device : torch.device
    cv_groups : array-like or None

    Returns
    -------
    dict
        The fitted state: attributes and their values.
    """
    rng = check_random_state(estimator.random_state)
    solver = _solver(estimator.solver, estimator.alpha)
    recipe = Recipe(
        loss=loss,
        target=target,
        solver=solver,
        max_iter=estimator.max_iter,
        tol=estimator.tol,
        device=device,
        seed=int(rng.randint(2**31)),
    )
    families = [
        Family(scaling, projector)
        for projector in _choices(estimator.projector, PROJECTORS)
        for scaling in _choices(estimator.feature_scaling, SCALINGS)
    ]
    strengths = _choices(estimator.alpha, solver.strengths)
    kept = np.flatnonzero(rows.weight)
    results = None
    shares = {Candidate(f, alpha): 1.0 for f in families for alpha in strengths}
    searched = len(shares) > 1
    held_out = None
    if solver is ClosedForm and estimator.cv is None and cv_groups is None:
        evaluated = class_aware_subsample(rows.y[kept], _MOST_LEFT_OUT, rng)
        held_out = LeaveOneOutLogits(recipe, rows.take(kept), evaluated)
    elif searched:
        splits = make_splits(rows.y, estimator.cv, cv_groups, rng)
        held_out = FoldLogits(recipe, rows, splits)
    if held_out is not None and len(held_out.y):
        selection = select(
            held_out, families, strengths, average=not loss.unit_features
        )
        shares, results = selection.shares, selection.results
    elif searched:
        shares = {candidate: 1 / len(shares) for candidate in shares}
    projection, n_iter = recipe.fit(rows.take(kept), shares)
    return {"projection_": projection, "n_iter_": n_iter, "selection_results_": results}
