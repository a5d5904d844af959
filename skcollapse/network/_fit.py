"""From data to a trained network and what it predicts with."""

from copy import copy, deepcopy
from dataclasses import dataclass, replace
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
from skcollapse.network._epochs import Problems
from skcollapse.network._full_batch import train_full_batch
from skcollapse.network._minibatch import train_minibatch
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
    """Train a network, from the present weights of ``spec.start`` if there is one."""
    network = _start(data, spec, context)
    data = data.drop_zero_weight()
    counts, optimizer = data.class_counts, None
    if spec.one_epoch:
        counts, optimizer = network.class_counts + counts, network.optimizer
        once = {"learning_rate": "constant", "early_stopping": False}
        trainer = copy(spec.trainer).set_params(**once)
        spec = replace(spec, trainer=trainer, max_iter=1)
    # A copy: what a failed fit began with is still there.
    network = replace(deepcopy(network), class_counts=counts)
    module = NetworkModule(network.projector, network.proxies, network.extractor)
    module.to(context.device)

    def problem(data: TrainingData) -> Problem:
        features = network.rows(data.X, context.device)
        return Problem.of(features, data, spec.loss, spec.target, context)

    # Training rows say too little of probabilities, unless there is no scale at all.
    calibration_rows = data if spec.loss.unit_features else None
    validation = None
    if spec.trainer.early_stopping:
        calibration_rows, data = _hold_out(data, spec.trainer, context)
        validation = problem(calibration_rows)
    training = problem(data)
    if spec.one_epoch:
        training = replace(training, class_counts=context.to_device(counts))
    outcome = _Outcome(spec, network, context, training, calibration_rows)
    context = replace(context, progress=context.progress.map(outcome))
    if spec.solver in OPTIMIZERS:
        deferred = _before_deferral(training, data, spec)
        problems = Problems(training, validation, deferred)
        checkpoints = _checkpoints(spec, data, module)
        course = train_minibatch(
            module, problems, spec, context, optimizer, checkpoints
        )
    else:
        course = train_full_batch(
            module,
            training,
            alpha=spec.alpha,
            max_iter=spec.max_iter,
            tol=spec.tol,
            progress=context.progress,
        )
    return outcome((module, course))


def _start(data: TrainingData, spec: NetworkSpec, context: FitContext) -> Network:
    """Return the network to go on from, or an untrained one, with the proxies asked."""
    network = spec.start
    if network is None:
        network = _new_network(data, spec, context)
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
    start = torch.as_tensor(spec.target.means, dtype=dtype)
    proxies = None if kind is None else kind(start)
    return replace(network, proxies=proxies, optimizer=None)


def _new_network(data: TrainingData, spec: NetworkSpec, context: FitContext) -> Network:
    """Return an untrained network with the scaling of these rows, or an extractor."""
    extractor = None
    if spec.extractor is None:
        rows = data.drop_zero_weight()
        weight = rows.row_cost / rows.row_cost.sum()
        center, scale = fit_scaling(rows.X, weight, spec.feature_scaling)
        if spec.feature_scaling is not None:
            # Layers are initialised for features of unit variance, not of unit norm.
            scale /= np.sqrt(len(scale), dtype=scale.dtype)
        dtype = torch.from_numpy(scale).dtype
    else:
        extractor = trainable_copy(spec.extractor, data.X).cpu()
        dtype = floating_dtype(extractor) or data.X.floating_dtype
        few = StreamedRows(data.X, torch.device("cpu"), dtype)
        few = next(few.batches(torch.arange(min(2, len(data))), 2))
        with eval_mode(extractor), torch.no_grad():
            features = RowFeatures(extractor)(few)
        center, scale = np.zeros(features.shape[1]), np.ones(features.shape[1])
        dtype = features.dtype
    n_components = spec.target.classifier.shape[1]
    module = spec.projector.build(len(center), n_components, context.rng).to(dtype)
    counts = np.zeros(data.n_classes)
    return Network(module, center, scale, counts, extractor=extractor)


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


def _before_deferral(problem, data, spec):
    """Return the problem without class weights, and with an even prior, if needed."""
    if not spec.trainer.deferred:
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


@dataclass(frozen=True)
class _Outcome:
    """Makes what training has led to, or would lead to if it ended here.

    The network is that before training. Training rows finalize proxies, calibration
    rows choose the temperature, which is 1 without them.
    """

    spec: NetworkSpec
    network: Network
    context: FitContext
    training: Problem
    calibration_rows: TrainingData | None

    @torch.no_grad()
    def __call__(self, trained: tuple[NetworkModule, Course]) -> Fitted:
        """Return what a module in evaluation mode, which is kept, predicts with."""
        module, course = trained
        spec, training, target = self.spec, self.training, self.spec.target
        if module.proxies is not None:
            if not spec.one_epoch:
                project = partial(project_rows, module, as_source(training.features))
                module.proxies.finalize(project, training.y, training.sample_weight)
            target = _geometry_of(module.proxies, spec)
        network = self.network.after(module, course.optimizer)
        projection = export(network.projector, network.center, network.scale)

        def project_anew(X):
            rows = StreamedRows(X, self.context.device, network.dtype)
            return project_rows(module, rows).float().cpu().numpy()

        temperature = 1.0
        if self.calibration_rows is not None:
            temperature = fit_temperature(
                self.calibration_rows,
                projection if network.extractor is None else project_anew,
                target,
                spec.loss.unit_features,
                # A copy: to look along the way changes nothing.
                deepcopy(self.context.rng),
            )
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
