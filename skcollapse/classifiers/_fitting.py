"""From checked rows to fitted attributes, by the projector that was asked for."""

from copy import copy

import torch

from skcollapse.classifiers._end_to_end import new_end_to_end, refitted
from skcollapse.classifiers._linear import (
    LINEAR_PARTS,
    PROJECTORS,
    SCALINGS,
    fit_linear,
    make_recipe,
)
from skcollapse.classifiers._module import fit_module, new_network
from skcollapse.classifiers._training import check_one_epoch, check_training
from skcollapse._utils.checks import check_choice, check_number

# Which solvers can train which projectors, the first by default.
SOLVERS = {
    "auto": ("lbfgs", "closed_form", "adamw", "sgd"),
    "linear": ("lbfgs", "closed_form", "adamw", "sgd"),
    "kernel": ("lbfgs", "closed_form"),
    "mlp": ("adamw", "sgd", "lbfgs"),
    "module": ("adamw", "sgd", "lbfgs"),
}
MINI_BATCH = ("adamw", "sgd")
# Epochs may be few, and iterations of a second stage are cheap.
_REFIT_ITERATIONS = 200


def kind_of(estimator):
    """Return the name of the projector; "module" for one of the user's own."""
    is_module = isinstance(estimator.projector, torch.nn.Module)
    return "module" if is_module else estimator.projector


def check_parameters(estimator):
    """Raise unless all parameters are valid, and fit together."""
    check_training(estimator)
    kind = kind_of(estimator)
    if kind != "module":
        check_choice("projector", estimator.projector, ("auto", *PROJECTORS, "mlp"))
    solvers = solvers_of(estimator)
    known = dict.fromkeys(name for names in SOLVERS.values() for name in names)
    check_choice("solver", estimator.solver, ("auto", *known))
    if not solvers:
        raise ValueError(
            f"proxy={estimator.proxy!r} is trained on mini-batches, which "
            f"projector={estimator.projector!r} is not. Choose 'linear' or 'mlp', or "
            "proxy='fixed'."
        )
    if estimator.solver not in ("auto", *solvers):
        proxy = "" if estimator._proxies is None else f" with proxy={estimator.proxy!r}"
        raise ValueError(
            f"solver={estimator.solver!r} cannot train projector="
            f"{estimator.projector!r}{proxy}; choose one of "
            f"{', '.join(map(repr, solvers))}."
        )
    check_choice(
        "feature_scaling", estimator.feature_scaling, ("auto", *SCALINGS, None)
    )
    if estimator.alpha != "auto":
        check_number("alpha", estimator.alpha, 0)
    if estimator.batch_size != "auto":
        check_number("batch_size", estimator.batch_size, 1, integer=True)
    check_number("max_iter", estimator.max_iter, 1, integer=True)
    check_number("tol", estimator.tol, 0)
    check_number("mixup_alpha", estimator.mixup_alpha, 0)
    check_number(
        "validation_fraction", estimator.validation_fraction, 0, 1, strict=True
    )
    if estimator.n_components is not None:
        check_number("n_components", estimator.n_components, 1, integer=True)
    if solver_of(estimator) not in MINI_BATCH:
        _check_no_training(estimator)


def _check_no_training(estimator):
    for name in ("trainer", "checkpoint"):
        value = getattr(estimator, name)
        if value is not None:
            raise ValueError(
                f"{name}={value!r} is for mini-batches, which solver="
                f"{estimator.solver!r} with projector={estimator.projector!r} does not "
                "use. Choose solver='adamw' or 'sgd', or leave it None."
            )


def solvers_of(estimator):
    """Return the solvers that can train the projector, and proxies if there are any."""
    solvers = SOLVERS[kind_of(estimator)]
    if estimator._proxies is None and not estimator.train_extractor:
        return solvers
    # Class vectors that a loss trains by one of its terms follow no common gradient,
    # which a line search would need.
    return tuple(solver for solver in solvers if solver in MINI_BATCH)


def solver_of(estimator):
    """Return the solver that "auto" stands for, or the one that was chosen."""
    return solvers_of(estimator)[0] if estimator.solver == "auto" else estimator.solver


def trains_module(estimator):
    """Return whether the projector is trained as a torch module."""
    is_network = kind_of(estimator) in ("mlp", "module")
    return is_network or solver_of(estimator) in MINI_BATCH


def n_parts(estimator):
    """Return how many parts the fit has at most, for those who follow it."""
    # Iterations, and perhaps a second stage; or a search, and a fit of what it chose.
    if trains_module(estimator):
        return estimator.max_iter + (refit_of(estimator) is not None)
    return len(LINEAR_PARTS)


def refit_of(estimator):
    """Return the solver of a second stage, or None."""
    return None if estimator.trainer is None else estimator.trainer.refit


# Gradients are needed also where the caller has switched them off.
@torch.inference_mode(False)
@torch.enable_grad()
def fit_projection(estimator, rows, loss, target, device, groups, rng, task):
    """Return the fitted attributes of an estimator.

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
        The fit, of which callbacks are told.

    Returns
    -------
    dict
    """
    if not trains_module(estimator):
        return fit_linear(estimator, rows, loss, target, device, groups, rng, task)
    recipe = make_recipe(estimator, loss, target, device)
    network = getattr(estimator, "_network", None) if estimator.warm_start else None
    if network is None:
        network = _begin(estimator, rows, recipe, groups, rng)
    elif not network.fits(rows):
        raise ValueError(
            "warm_start=True needs the features and classes of the last fit: "
            f"{len(network.center)} and {len(network.class_counts)}; got "
            f"{rows.X.shape[-1]} and {len(rows.class_cost)}. Set it False to begin "
            "anew."
        )
    solver = solver_of(estimator)
    state = fit_module(
        estimator, solver, rows, recipe, rng, network, task, groups=groups
    )
    if refit_of(estimator) is None:
        return state
    stage = copy(estimator)
    stage.solver, stage.projector = refit_of(estimator), "linear"
    stage.max_iter = max(estimator.max_iter, _REFIT_ITERATIONS)
    return refitted(stage, state, rows, recipe, groups, rng, task)


def _begin(estimator, rows, recipe, groups, rng):
    """Return an untrained network."""
    if estimator.train_extractor:
        return new_end_to_end(estimator, rows, recipe, rng)
    return new_network(estimator, rows, recipe, groups, rng)


# Gradients are needed also where the caller has switched them off.
@torch.inference_mode(False)
@torch.enable_grad()
def fit_projection_partially(estimator, rows, loss, target, device, rng, task):
    """Return the fitted attributes after one more epoch, on these rows.

    Parameters
    ----------
    estimator : estimator
        Read, not written.
    rows : Rows
    loss : Loss
    target : ClassGeometry
    device : torch.device
    rng : numpy.random.RandomState
    task : Task

    Returns
    -------
    dict
    """
    check_one_epoch(estimator)
    solver = solver_of(estimator) if trains_module(estimator) else MINI_BATCH[0]
    recipe = make_recipe(estimator, loss, target, device)
    network = getattr(estimator, "_network", None)
    if network is None:
        network = _begin(estimator, rows, recipe, None, rng)
    state = fit_module(
        estimator, solver, rows, recipe, rng, network, task, one_epoch=True
    )
    before = getattr(estimator, "loss_curve_", [])
    state["loss_curve_"] = [*before, *state["loss_curve_"]]
    state["n_iter_"] = len(state["loss_curve_"])
    return state
