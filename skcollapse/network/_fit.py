"""The fit of a perceptron, or of a module of the user's own."""

from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from scipy.spatial.distance import pdist

from skcollapse.classifiers._fingerprint import fingerprint
from skcollapse.classifiers._linear import (
    SCALINGS,
    fit_temperature,
    most_promising,
)
from skcollapse.classifiers._network import Network, new_projector
from skcollapse.extract._placing import floating_dtype
from skcollapse.projectors.export import export
from skcollapse.projectors.scaling import fit_scaling
from skcollapse.targets import ClassGeometry
from skcollapse.training.candidates import Family
from skcollapse.training.early_stopping import project_rows
from skcollapse.training.full_batch import train_full_batch
from skcollapse.training.minibatch import MiniBatchOptions, train_minibatch
from skcollapse.training.resuming import Checkpoints
from skcollapse.training.row_source import as_source
from skcollapse.training.splits import hold_out
from skcollapse.training.trainer import Trainer

# What alpha="auto" stands for: networks are not searched.
_DEFAULT_ALPHA = 1e-4
_LARGEST_BATCH = 256
# Proxies this close, by the number of classes, are no longer apart.
_COLLAPSED = 1e-3


def new_network(estimator, rows, recipe, groups, rng):
    """Return an untrained network with the scaling of these rows."""
    scaling = estimator.feature_scaling
    if isinstance(scaling, str) and scaling == "auto":
        families = [Family(scaling, "linear") for scaling in SCALINGS]
        scaling = most_promising(
            recipe, rows, families, estimator.cv, groups, rng
        ).feature_scaling
    rows = rows.counted()
    center, scale = fit_scaling(rows.X, rows.cost / rows.cost.sum(), scaling)
    if scaling is not None:
        # Layers are initialised for features of unit variance, not rows of unit norm.
        scale /= np.sqrt(len(scale), dtype=scale.dtype)
    module = new_projector(estimator, rows.X.shape[1], recipe, rng)
    counts = np.zeros(len(recipe.target.classifier))
    dtype = torch.from_numpy(np.empty(0, rows.X.dtype)).dtype
    return Network(module.to(dtype), None, center, scale, None, counts)


def with_proxies(network, kind, recipe):
    """Return the network with proxies of a kind, new ones if it has others.

    Parameters
    ----------
    network : Network
    kind : subclass of Proxies or None
    recipe : Recipe
        Its target is where new ones start.

    Returns
    -------
    Network
    """
    if isinstance(network.proxies, kind or type(None)):
        return network
    dtype = floating_dtype(network.module)
    proxies = kind and kind(torch.as_tensor(recipe.target.means, dtype=dtype))
    return replace(network, proxies=proxies, optimizer=None)


def fit_module(
    estimator, solver, rows, recipe, rng, network, task, *, groups=None, one_epoch=False
):
    """Train a network, from its present weights.

    Parameters
    ----------
    estimator : estimator
        Read, not written.
    solver : {"adamw", "sgd", "lbfgs"}
    rows : Rows
    recipe : Recipe
    rng : numpy.random.RandomState
    network : Network
        Not changed.
    task : Task
        The iterations are its parts.
    groups : array-like or None
        Rows of a group are held out together.
    one_epoch : bool
        Go on for one epoch only, from where the optimiser was.

    Returns
    -------
    dict
        Fitted attributes.
    """
    network = with_proxies(network, estimator._proxies, recipe)
    groups = None if groups is None else np.asarray(groups)[rows.weight > 0]
    rows = rows.counted()
    counts = rows.class_counts
    if one_epoch:
        counts = network.class_counts + counts
    network = replace(deepcopy(network), class_counts=counts)
    module, extractor = network.assembled()
    module.to(recipe.device)

    def problem(rows, counts):
        features = network.features(rows.X, recipe.device)
        return replace(recipe.problem(features, rows, counts), proxies=network.proxies)

    # Training rows say too little of probabilities, unless there is no scale at all.
    judged = rows if recipe.loss.unit_features else None
    validation = None
    if estimator.early_stopping and not one_epoch:
        train, held = hold_out(rows.y, estimator.validation_fraction, groups, rng)
        if not len(held):
            raise ValueError(
                "early_stopping=True needs a class with at least 2 rows to hold one "
                "out; set it False."
            )
        judged, rows = rows.take(held), rows.take(train)
        counts = rows.class_counts
        validation = problem(judged, judged.class_counts)
    training = problem(rows, counts)
    state_of = partial(
        fitted_state,
        estimator,
        recipe,
        network,
        settled_by=None if one_epoch else training,
        judged=judged,
        rng=rng,
    )
    alpha = _DEFAULT_ALPHA if isinstance(estimator.alpha, str) else estimator.alpha
    with task.steps("iteration") as steps:
        follower = steps.through(state_of)
        if solver == "lbfgs":
            history = train_full_batch(
                module,
                training,
                alpha=alpha,
                max_iter=estimator.max_iter,
                tol=estimator.tol,
                follower=follower,
            )
        else:
            history = train_minibatch(
                module,
                training,
                _options(estimator, solver, alpha, len(rows), one_epoch),
                generator=torch.Generator().manual_seed(int(rng.randint(2**31))),
                validation=validation,
                follower=follower,
                optimizer=network.optimizer if one_epoch else None,
                extractor=extractor,
                augment=estimator.augment,
                undeferred=undeferred(training, rows),
                checkpoints=_checkpoints(estimator, rows, module),
            )
    return state_of(module, history)


def _options(estimator, solver, alpha, n_rows, one_epoch):
    """Return how an estimator's parameters say to train on mini-batches."""
    auto = isinstance(estimator.batch_size, str)
    batch_size = _LARGEST_BATCH if auto else estimator.batch_size
    return MiniBatchOptions(
        solver=solver,
        alpha=alpha,
        batch_size=min(batch_size, n_rows),
        learning_rate="constant" if one_epoch else estimator.learning_rate,
        learning_rate_init=estimator.learning_rate_init,
        momentum=estimator.momentum,
        max_iter=1 if one_epoch else estimator.max_iter,
        tol=estimator.tol,
        n_iter_no_change=estimator.n_iter_no_change,
        mixup_alpha=estimator.mixup_alpha,
        trainer=estimator.trainer or Trainer(),
    )


def _checkpoints(estimator, rows, module):
    """Return where the state of the fit is left, or None."""
    if estimator.checkpoint is None:
        return None
    every = (estimator.trainer or Trainer()).checkpoint_every
    return Checkpoints(
        estimator.checkpoint, every, fingerprint(estimator, rows, module)
    )


def undeferred(problem, rows):
    """Return a problem without costs of classes, and with a prior that is even.

    Parameters
    ----------
    problem : Problem
    rows : Rows
        Those of the problem.
    """
    given = rows.weight if rows.given_weight is None else rows.given_weight
    return replace(
        problem,
        sample_weight=torch.as_tensor(given).to(problem.y.device),
        class_counts=torch.ones(len(rows.class_cost)),
    )


def fitted_state(
    estimator, recipe, network, module, history, *, settled_by, judged, rng
):
    """Return the fitted attributes that training has led to, or has led to so far.

    Parameters
    ----------
    estimator : estimator
        Read, not written.
    recipe : Recipe
    network : Network
        As it was before.
    module : ProjectorWithProxies
        In evaluation mode. It is kept.
    history : History
    settled_by : Problem or None
        The rows by which proxies settle, if they do.
    judged : Rows or None
        The rows that choose the temperature, if it is not 1.
    rng : numpy.random.RandomState
        Drawn from a copy: to look along the way changes nothing.

    Returns
    -------
    dict
    """
    if module.proxies is not None:
        if settled_by is not None:
            settle(module, settled_by)
        recipe = replace(recipe, target=geometry_of(estimator, module.proxies))
    network = network.taken_from(module, history.optimizer)
    projection = export(network.module, network.center, network.scale)
    temperature = 1.0
    if judged is not None:
        project = network.judged_by(module, projection)
        temperature = fit_temperature(recipe, judged, project, deepcopy(rng))
    module.cpu()
    return {
        "projection_": projection,
        "temperature_": temperature,
        "n_iter_": history.n_iter,
        "loss_curve_": history.loss_curve,
        "validation_scores_": history.validation_scores,
        "selection_results_": None,
        "target_": recipe.target.classifier,
        "target_means_": recipe.target.means,
        "_unit_features": recipe.loss.unit_features,
        **network.fitted(),
    }


@torch.no_grad()
def settle(module, problem):
    """Let the proxies of a trained module take note of all rows."""
    project = partial(project_rows, module, as_source(problem.features))
    module.proxies.settle(project, problem.y, problem.sample_weight)


@torch.no_grad()
def geometry_of(estimator, proxies):
    """Return trained class vectors as a target, or raise if some coincide."""
    vectors = proxies().cpu().double().numpy()
    # Float32 leaves its rounding in the lengths; a class mean may be zero.
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    distances = pdist(vectors)
    # The neighbours of a code are never closer than 2π/K, which d = 2 has.
    if not distances.min() > _COLLAPSED / len(vectors):
        pairs = np.triu_indices(len(vectors), 1)
        first, second = (side[distances.argmin()] for side in pairs)
        raise ValueError(
            f"The proxies of the classes {first} and {second} coincide, in the order "
            f"of the labels. Lower intra_weight, which is {estimator.intra_weight}, or "
            f"learning_rate_init, which is {estimator.learning_rate_init}."
        )
    return ClassGeometry(vectors, vectors)
