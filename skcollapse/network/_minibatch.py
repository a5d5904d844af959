"""Training on mini-batches."""

import math
from contextlib import nullcontext
from copy import deepcopy

import torch

from skcollapse._utils.tensor_files import exclusive
from skcollapse.fitting import FitContext, Iteration
from skcollapse.network._early_stopping import HeldOut, TrainingLoss
from skcollapse.network._epochs import Epochs, Problems
from skcollapse.network._optimizer import export_state, penalty_of
from skcollapse.network._randomness import (
    deterministic_algorithms,
    draw_seeds,
    isolated_randomness,
)
from skcollapse.network._resuming import Checkpoints, Run
from skcollapse.network._snapshot import Course, all_or_nothing, tensors, write
from skcollapse.network._spec import MiniBatchOptions
from skcollapse.network._state import NetworkModule

# A loss that has grown so many times has diverged, even if it is finite yet.
_DIVERGED = 1e6


# The gradient is needed also where the caller has switched it off.
@torch.enable_grad()
def train_minibatch(
    module: NetworkModule,
    problems: Problems,
    options: MiniBatchOptions,
    context: FitContext,
    optimizer: dict | None = None,
    checkpoints: Checkpoints | None = None,
) -> Course:
    """Train a module in place on mini-batches; after an error it is as it was.

    A batch counts by the weight in it, so that the batches of an epoch add up to the
    loss that the full batch has; the prior that a loss may need is that of the whole
    problem. The same random state gives the same weights bit for bit on the same
    machine; global random state is left alone.

    With held-out rows training stops by their balanced accuracy and keeps the best
    weights, otherwise by its own loss, and keeps the last ones. The loss of an epoch is
    the mean over its batches, while the weights move, plus the penalty at its end. Its
    outcome is a copy of the module as it would be left, and its course. ``optimizer``
    is that of the course of an earlier run on the same module, to go on from.
    """
    order_seed, dropout_seed, mixup_seed = draw_seeds(context.rng, 3)
    trainer = options.trainer
    rate = trainer.learning_rate_init
    remedy = f"; lower learning_rate_init of the trainer, which is {rate}."
    with (
        nullcontext() if checkpoints is None else exclusive(checkpoints.path),
        all_or_nothing(module),
        isolated_randomness(dropout_seed, problems.training.y.device),
        deterministic_algorithms(trainer.deterministic),
    ):
        epochs = Epochs(module, problems, options, optimizer, order_seed, mixup_seed)
        watch = TrainingLoss(options)
        if problems.validation is not None:
            watch = HeldOut(module, problems.validation, options)
        loss_curve: list[float] = []

        def finish(module):
            """Give a module the weights to keep; return the course so far."""
            write(module, watch.best_values or tensors(epochs.kept))
            scores = watch.scores and list(watch.scores)
            return Course(list(loss_curve), scores, export_state(epochs.optimizer))

        def outcome():
            copy = deepcopy(module).eval()
            return copy, finish(copy)

        run = Run(epochs, watch, loss_curve)
        stop = checkpoints is not None and checkpoints.resume(run)
        while len(loss_curve) < options.max_iter and not stop:
            epoch = len(loss_curve) + 1
            context.progress.begin("iteration")
            loss = epochs.run() + penalty_of(epochs.optimizer)
            if not math.isfinite(loss):
                raise ValueError(f"The loss is {loss} in epoch {epoch}{remedy}")
            loss_curve.append(loss)
            stop = watch.exhausted(epochs.kept, loss)
            score = watch.scores[-1] if watch.scores else None
            step = Iteration(epoch, loss, score, outcome)
            stop = context.progress.end(step) or stop
            if checkpoints is not None:
                checkpoints.write(run, done=stop or epoch == options.max_iter)
        first, last = loss_curve[0], loss_curve[-1]
        if abs(last) > _DIVERGED * (1 + abs(first)):
            raise ValueError(f"The loss has grown from {first:g} to {last:g}{remedy}")
        return finish(module)
