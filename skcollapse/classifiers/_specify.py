"""The second station of a fit: parameters become specifications, or a clear error."""

import re
from functools import partial
from numbers import Integral
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.utils.validation import check_memory

from skcollapse._utils.checks import check_choice, check_integer, check_number, is_auto
from skcollapse.classifiers._check import going_on_from
from skcollapse.classifiers._plan import Plan
from skcollapse.extract import FeatureExtractor
from skcollapse.linear import SOLVERS, FeatureSpec, LinearSolver, LinearSpec
from skcollapse.losses import Loss
from skcollapse.network import OPTIMIZERS, NetworkSpec, Trainer
from skcollapse.projectors import SCALINGS, Linear, get_projectors

# What alpha="auto" stands for where nothing is searched.
_NETWORK_ALPHA = 1e-4
# Epochs may be few, and iterations of a second stage are cheap.
_REFIT_ITERATIONS = 200
# These change neither the fit nor what comes of it.
_OF_NO_MATTER = {
    *("device", "extractor", "trainer", "trainer__checkpoint"),
    *("trainer__checkpoint_every", "trainer__num_workers", "verbose"),
}


def specify(estimator: Any, *, one_epoch: bool = False) -> Plan:
    """Return the plan of a fit, or of one more epoch on mini-batches, or raise."""
    _check_values(estimator)
    loss, projectors = estimator._make_loss(), get_projectors(estimator.projector)
    solver = _resolve_solver(estimator, projectors, one_epoch)
    _check_trainer(estimator, solver in OPTIMIZERS, one_epoch)
    affine = tuple(
        FeatureSpec(scaling, projector)
        for projector in projectors
        for scaling in _choices(estimator.feature_scaling)
    )
    if solver not in OPTIMIZERS and projectors[0].is_affine:
        return Plan(_linear_spec(estimator, loss, affine, solver))
    trainer = estimator.trainer or Trainer()
    # Where several would do, a network is one affine map.
    (projector,) = projectors if len(projectors) == 1 else (Linear(),)
    scaling, trained = estimator.feature_scaling, estimator.train_extractor
    start = going_on_from(estimator) if one_epoch or estimator.warm_start else None
    network = partial(
        NetworkSpec,
        loss=loss,
        projector=projector,
        proxies=estimator._proxies,
        solver=solver,
        alpha=_NETWORK_ALPHA if is_auto(estimator.alpha) else float(estimator.alpha),
        feature_scaling=None if is_auto(scaling) else scaling,
        max_iter=int(estimator.max_iter),
        tol=float(estimator.tol),
        trainer=trainer,
        extractor=estimator.extractor if trained else None,
        start=start,
        one_epoch=one_epoch,
        fingerprint=_fingerprint(estimator) if trainer.checkpoint is not None else {},
    )
    affine = tuple(FeatureSpec(choice, Linear()) for choice in _choices(scaling))
    second = _linear_spec(estimator, loss, affine, trainer.refit or "closed_form")
    return Plan(
        partial(second, max_iter=max(estimator.max_iter, _REFIT_ITERATIONS)),
        network,
        n_parts=estimator.max_iter + (trainer.refit is not None),
        chooses_scaling=is_auto(scaling) and start is None and not trained,
        refits=trainer.refit is not None,
    )


def _choices(scaling):
    # None is nobody's choice: it leaves the scale of the features to chance.
    return SCALINGS[:2] if is_auto(scaling) else (scaling,)


def _linear_spec(
    estimator: Any, loss: Loss, features: tuple[FeatureSpec, ...], solver: Any
) -> "partial[LinearSpec]":
    """Return the specification of an affine map, but for the target."""
    alpha = None if is_auto(estimator.alpha) else float(estimator.alpha)
    if solver != "auto":
        names: tuple[Any, ...] = (solver,)
    elif alpha is not None:
        # A strength is that of a penalty.
        names = ("lbfgs",)
    elif loss.unit_features:
        names = ("lbfgs_path",)
    else:
        # They regularise in different ways: their average is better than either.
        names = ("lbfgs_path", "closed_form")
    solvers = tuple(SOLVERS[s]() if isinstance(s, str) else s for s in names)
    return partial(
        LinearSpec,
        loss=solvers[0].loss or loss,
        features=features,
        solvers=solvers,
        alpha=alpha,
        cv=estimator.cv,
        max_iter=int(estimator.max_iter),
        tol=float(estimator.tol),
        memory=check_memory(estimator.memory),
    )


def _resolve_solver(estimator, projectors, one_epoch):
    """Return the solver, or "auto" for a search among those of affine maps."""
    solver, projector = estimator.solver, estimator.projector
    # Class vectors that a loss trains by one of its terms follow no common gradient,
    # which a line search would need.
    in_batches = estimator._proxies is not None or estimator.train_extractor
    affine = projectors[0].is_affine
    possible = () if in_batches or not affine else ("auto", *SOLVERS)
    if any(candidate.is_module for candidate in projectors):
        possible += tuple(OPTIMIZERS)
        possible += () if in_batches or affine else ("lbfgs",)
    if not possible:
        raise ValueError(
            f"projector={projector!r} cannot be trained on mini-batches, as "
            "proxies and extractors are. Choose 'linear' or 'mlp', or proxy='fixed' "
            "and train_extractor=False."
        )
    name = solver.name if isinstance(solver, LinearSolver) else solver
    if name is solver:
        check_choice("solver", solver, dict.fromkeys(("auto", *SOLVERS, *OPTIMIZERS)))
    if name not in ("auto", *possible):
        listed = ", ".join(map(repr, dict.fromkeys(("auto", *possible))))
        second = name in SOLVERS and estimator.train_extractor
        remedy = f", or refit={name!r} of the trainer to fit the projector anew"
        raise ValueError(
            f"solver={solver!r} cannot train projector={projector!r}"
            f"{' with trained proxies or an extractor' * in_batches}; choose one of "
            f"{listed}{remedy * second}."
        )
    if one_epoch and name not in OPTIMIZERS:
        return next(iter(OPTIMIZERS))
    return possible[0] if name == "auto" else solver


def _check_values(estimator):
    """Raise unless each parameter is valid by itself."""
    check_choice("feature_scaling", estimator.feature_scaling, ("auto", *SCALINGS))
    if not is_auto(estimator.alpha):
        check_number("alpha", estimator.alpha, 0, also=("auto",))
    check_integer("max_iter", estimator.max_iter, 1)
    check_number("tol", estimator.tol, 0)
    if estimator.n_components is not None:
        check_integer("n_components", estimator.n_components, 1, also=(None,))
    if isinstance(estimator.cv, Integral):
        check_integer("cv", estimator.cv, 2, also=(None,))
    elif isinstance(estimator.cv, str | dict) or not (
        estimator.cv is None
        or hasattr(estimator.cv, "split")
        or np.iterable(estimator.cv)
    ):
        raise ValueError(
            "cv must be an integer of at least 2, a splitter, an iterable of splits or "
            f"None; got {estimator.cv!r}."
        )
    if not isinstance(estimator.verbose, bool):
        check_integer("verbose", estimator.verbose, 0, also=(False, True))
    for name in ("train_extractor", "warm_start"):
        check_choice(name, getattr(estimator, name), (False, True))
    extractor = estimator.extractor
    if not isinstance(extractor, torch.nn.Module | FeatureExtractor | None):
        raise TypeError(
            "extractor must be None, a torch.nn.Module from a batch to (n, d) "
            f"features, or a FeatureExtractor; got {extractor!r}."
        )
    if estimator.train_extractor and extractor is None:
        raise ValueError(
            "train_extractor=True needs an extractor; got None. Give a "
            "torch.nn.Module, or set train_extractor=False."
        )
    if estimator.train_extractor and estimator.feature_scaling not in ("auto", None):
        raise ValueError(
            f"feature_scaling={estimator.feature_scaling!r} is for features that stay "
            "as they are. Leave it 'auto' with train_extractor=True."
        )
    if not isinstance(estimator.trainer, Trainer | None):
        raise TypeError(
            "trainer must be None or a skcollapse.training.Trainer; got "
            f"{estimator.trainer!r}."
        )


def _check_trainer(estimator, on_batches, one_epoch):
    """Raise unless the trainer is valid, and all that it says is used."""
    trainer = estimator.trainer
    if trainer is None:
        return
    if not on_batches:
        raise ValueError(
            f"trainer={trainer!r} is for mini-batches, which solver="
            f"{estimator.solver!r} with projector={estimator.projector!r} does not "
            "use. Choose solver='adamw' or 'sgd', or leave it None."
        )
    trains_extractor = estimator.train_extractor
    trainer.check(
        estimator.max_iter, one_epoch=one_epoch, trains_extractor=trains_extractor
    )
    check_choice("trainer: refit", trainer.refit, (None, *SOLVERS))
    if trainer.checkpoint is None:
        return
    if not isinstance(estimator.random_state, int | np.integer):
        raise ValueError(
            "trainer: checkpoint needs an integer random_state, so that a fit can go "
            f"on with the same draws; got {estimator.random_state!r}."
        )
    if estimator.warm_start:
        raise ValueError(
            "trainer: checkpoint and warm_start=True both say where to go on from: "
            "choose one."
        )


def _fingerprint(estimator):
    """Return what the parameters are, as short texts by name."""
    return {
        name: _text(value)
        for name, value in estimator.get_params().items()
        if name not in _OF_NO_MATTER and not name.startswith("extractor__")
    }


def _text(value):
    if isinstance(value, np.ndarray):
        return joblib.hash(value)
    # Where something lies in memory is another matter in each process.
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(value))
