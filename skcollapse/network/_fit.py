"""From data to a trained network and what it predicts with."""

from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from scipy.spatial.distance import pdist

from skcollapse.extract import RowFeatures, eval_mode, floating_dtype, trainable_copy
from skcollapse.fitting import (
    FitContext,
    Fitted,
    Problem,
    TrainingData,
    fit_temperature,
    hold_out,
)
from skcollapse.network._early_stopping import project_rows
from skcollapse.network._full_batch import train_full_batch
from skcollapse.network._minibatch import MiniBatchOptions, Problems, train_minibatch
from skcollapse.network._optimizer import OPTIMIZERS
from skcollapse.network._proxies import Proxies
from skcollapse.network._resuming import Checkpoints, fingerprint
from skcollapse.network._snapshot import Course
from skcollapse.network._spec import NetworkSpec
from skcollapse.network._state import Network, NetworkModule
from skcollapse.projectors import export, fit_scaling
from skcollapse.rows import StreamedRows, as_source
from skcollapse.targets import ClassGeometry

# Proxies this close, by the number of classes, are no longer apart.
_COLLAPSED = 1e-3


# Gradients are needed also where the caller has switched them off.
@torch.inference_mode(False)
@torch.enable_grad()
def fit(data: TrainingData, spec: NetworkSpec, context: FitContext) -> Fitted:
    """Train a network, from the present weights of ``spec.start`` if there is one.

    Raises
    ------
    ValueError
        If the data do not fit the start, too few rows are left to hold some out, the
        loss diverges, or proxies coincide.
    """
    network = _start(data, spec, context)
    data = data.drop_zero_weight()
    counts, optimizer, trainer = data.class_counts, None, spec.trainer
    if spec.one_epoch:
        counts, optimizer = network.class_counts + counts, network.optimizer
        trainer = copy(trainer)
        trainer.learning_rate, trainer.early_stopping = "constant", False
    # A copy: what a failed fit began with is still there.
    network = replace(deepcopy(network), class_counts=counts)
    module = network.assembled().to(context.device)

    def problem(data: TrainingData) -> Problem:
        features = network.rows(data.X, context.device)
        return Problem.of(features, data, spec.loss, spec.target, context)

    # Training rows say too little of probabilities, unless there is no scale at all.
    calibration_rows = data if spec.loss.unit_features else None
    validation = None
    if trainer.early_stopping:
        calibration_rows, data = _hold_out(data, trainer, context)
        validation = problem(calibration_rows)
    training = problem(data)
    if spec.one_epoch:
        training = replace(training, class_counts=context.to_device(counts))
    fitted_of = partial(
        _fitted,
        spec=spec,
        network=network,
        context=context,
        training=training,
        calibration_rows=calibration_rows,
    )
    context = replace(context, progress=context.progress.map(fitted_of))
    if spec.solver not in OPTIMIZERS:
        course = train_full_batch(
            module,
            training,
            alpha=spec.alpha,
            max_iter=spec.max_iter,
            tol=spec.tol,
            progress=context.progress,
        )
        return fitted_of((module, course))
    course = train_minibatch(
        module,
        Problems(training, validation, _before_deferral(training, data, trainer)),
        MiniBatchOptions(
            spec.solver,
            spec.alpha,
            1 if spec.one_epoch else spec.max_iter,
            spec.tol,
            trainer,
        ),
        context,
        optimizer,
        _checkpoints(spec, data, module),
    )
    return fitted_of((module, course))


def _start(data: TrainingData, spec: NetworkSpec, context: FitContext) -> Network:
    """Return the network to go on from, or an untrained one, with the proxies asked."""
    network = spec.start
    if network is None:
        begin = _new_network if spec.extractor is None else _new_end_to_end
        network = begin(data, spec, context)
    elif not network.fits(data):
        raise ValueError(
            "warm_start=True needs the features and classes of the last fit: "
            f"{len(network.center)} and {len(network.class_counts)}; got "
            f"{data.X.shape[-1]} and {data.n_classes}. Set it False to begin anew."
        )
    kind = spec.proxies
    if isinstance(network.proxies, kind or type(None)):
        return network
    dtype = floating_dtype(network.projector)
    proxies = kind and kind(torch.as_tensor(spec.target.means, dtype=dtype))
    return replace(network, proxies=proxies, optimizer=None)


def _new_network(data, spec, context):
    """Return an untrained network with the scaling of these rows."""
    rows = data.drop_zero_weight()
    weight = rows.row_cost / rows.row_cost.sum()
    center, scale = fit_scaling(rows.X, weight, spec.feature_scaling)
    if spec.feature_scaling is not None:
        # Layers are initialised for features of unit variance, not rows of unit norm.
        scale /= np.sqrt(len(scale), dtype=scale.dtype)
    module = _new_projector(rows.X.shape[1], spec, context)
    dtype = torch.from_numpy(np.empty(0, rows.X.dtype)).dtype
    return Network(module.to(dtype), center, scale, np.zeros(data.n_classes))


def _new_end_to_end(data, spec, context):
    """Return an untrained network around a copy of the extractor."""
    extractor = trainable_copy(spec.extractor, data.X).cpu()
    dtype = floating_dtype(extractor) or data.X.floating_dtype
    few = StreamedRows(data.X, torch.device("cpu"), dtype)
    few = next(few.batches(torch.arange(min(2, len(data))), 2))
    with eval_mode(extractor), torch.no_grad():
        features = RowFeatures(extractor)(few)
    n_features = features.shape[1]
    module = _new_projector(n_features, spec, context).to(features.dtype)
    neutral = np.zeros(n_features), np.ones(n_features)
    return Network(module, *neutral, np.zeros(data.n_classes), extractor=extractor)


def _new_projector(n_features, spec, context):
    n_components = spec.target.classifier.shape[1]
    return spec.projector.build(n_features, n_components, context.rng)


def _hold_out(data, trainer, context):
    """Return the rows held out and those to train with, or raise if there are none."""
    train, held = hold_out(
        data.y, trainer.validation_fraction, data.groups, context.rng
    )
    if not len(held):
        raise ValueError(
            "early_stopping=True needs a class with at least 2 rows to hold one out; "
            "set it False."
        )
    return data.take(held), data.take(train)


def _before_deferral(problem, data, trainer):
    """Return the problem without class weights, and with an even prior, if needed."""
    if not trainer.deferred:
        return None
    given = data.weight if data.sample_weight is None else data.sample_weight
    weight = torch.as_tensor(given).to(problem.y.device)
    counts = torch.ones(data.n_classes)
    return replace(problem, sample_weight=weight, class_counts=counts)


def _checkpoints(spec, data, module):
    """Return where the state of the fit is left, or None."""
    trainer = spec.trainer
    if trainer.checkpoint is None:
        return None
    known_by = {**fingerprint(data, module), **spec.fingerprint}
    return Checkpoints(trainer.checkpoint, trainer.checkpoint_every, known_by)


def _fitted(
    outcome: tuple[NetworkModule, Course],
    *,
    spec: NetworkSpec,
    network: Network,
    context: FitContext,
    training: Problem,
    calibration_rows: TrainingData | None,
) -> Fitted:
    """Return what training has led to, or would lead to if it ended here.

    The module, in evaluation mode, is kept; the network is that before. Training rows
    finalize proxies, calibration rows choose the temperature, which is 1 without them.
    """
    module, course = outcome
    target = spec.target
    if module.proxies is not None:
        if not spec.one_epoch:
            _finalize(module, training)
        target = _geometry_of(module.proxies, spec)
    network = network.after(module, course.optimizer)
    projection = export(network.projector, network.center, network.scale)
    temperature = 1.0
    if calibration_rows is not None:
        project: Callable = projection
        if network.extractor is not None:
            project = partial(_project, module, context.device, network.dtype)
        # A copy: to look along the way changes nothing.
        rng, unit = deepcopy(context.rng), spec.loss.unit_features
        temperature = fit_temperature(calibration_rows, project, target, unit, rng)
    module.cpu()
    return Fitted(
        projection,
        target.classifier,
        target.means,
        temperature,
        course.loss_curve,
        len(course.loss_curve),
        validation_scores=course.validation_scores,
        extractor=network.extractor,
        unit_features=spec.loss.unit_features,
        network=network,
    )


@torch.no_grad()
def _project(module, device, dtype, X):
    """Return projected rows of a source, in NumPy."""
    projected = project_rows(module, StreamedRows(X, device, dtype))
    return projected.float().cpu().numpy()


@torch.no_grad()
def _finalize(module, problem):
    """Let the proxies of a trained module take note of all rows."""
    project = partial(project_rows, module, as_source(problem.features))
    module.proxies.finalize(project, problem.y, problem.sample_weight)


@torch.no_grad()
def _geometry_of(proxies: Proxies, spec: NetworkSpec) -> ClassGeometry:
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
            "of the labels. Lower learning_rate_init of the trainer, which is "
            f"{spec.trainer.learning_rate_init}, or the weight of the term within "
            f"classes: the loss is {spec.loss!r}."
        )
    return ClassGeometry(vectors, vectors)
