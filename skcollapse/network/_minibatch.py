"""Mini-batch training of any module."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

import torch

from skcollapse.training.batches import batch_sizes
from skcollapse.training.early_stopping import HeldOut, Patience, TrainingLoss
from skcollapse.training.epochs import Epochs
from skcollapse.training.following import NOBODY, Follower, Iteration
from skcollapse.training.history import History
from skcollapse.training.optimizer import OPTIMIZERS, export_state
from skcollapse.training.penalty import penalty_of
from skcollapse.training.problem import Problem
from skcollapse.training.randomness import (
    deterministic_algorithms,
    draw_seeds,
    isolated_randomness,
)
from skcollapse.training.resuming import Checkpoints, Run, resumed
from skcollapse.training.schedule import SCHEDULES
from skcollapse.training.snapshot import all_or_nothing
from skcollapse.training.trainer import Trainer

# A loss that has grown so many times has diverged, even if it is finite yet.
_DIVERGED = 1e6


@dataclass(frozen=True)
class MiniBatchOptions:
    """How to train on mini-batches.

    Parameters
    ----------
    solver : {"adamw", "sgd"}, default="adamw"
    alpha : float, default=1e-4
        Strength of the L2 penalty α/2 ‖W‖² on weights, not on biases nor on the scales
        and shifts of a normalisation; for "adamw" the decoupled weight decay.
    batch_size : int, default=256
        The rows of an epoch are shared out equally into batches of at most so many.
    learning_rate : {"constant", "cosine", "one_cycle", "multi_step"}
        How the learning rate goes over all the batches of ``max_iter`` epochs.
    learning_rate_init : float, default=1e-3
        The largest learning rate: the first one, or the peak of "one_cycle".
    momentum : float, default=0.9
    nesterov : bool, default=True
        Both of "sgd".
    max_iter : int, default=200
        Number of epochs.
    tol : float, default=1e-4
    n_iter_no_change : int, default=10
        Stop after so many epochs in a row that improve by no more than ``tol``.
    mixup_alpha : float, default=0.0
        Mix rows in shares drawn from Beta(α, α); 0 does not mix.
    trainer : Trainer
        Everything else.

    Raises
    ------
    ValueError
        If a name is unknown or a number out of its range.
    """

    solver: str = "adamw"
    alpha: float = 1e-4
    batch_size: int = 256
    learning_rate: str = "constant"
    learning_rate_init: float = 1e-3
    momentum: float = 0.9
    nesterov: bool = True
    max_iter: int = 200
    tol: float = 1e-4
    n_iter_no_change: int = 10
    mixup_alpha: float = 0.0
    trainer: Trainer = field(default_factory=Trainer)

    def __post_init__(self):
        """Check the parameters."""
        for name, known in (("solver", OPTIMIZERS), ("learning_rate", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}; "
                    f"got {getattr(self, name)!r}"
                )
        in_range = {
            "alpha": 0 <= self.alpha < math.inf,
            "batch_size": self.batch_size >= 1,
            "learning_rate_init": 0 < self.learning_rate_init < math.inf,
            "momentum": 0 <= self.momentum < 1,
            "max_iter": self.max_iter >= 1,
            "tol": self.tol >= 0,
            "n_iter_no_change": self.n_iter_no_change >= 1,
            "mixup_alpha": 0 <= self.mixup_alpha < math.inf,
        }
        for name, valid in in_range.items():
            if not valid:
                raise ValueError(f"{name} is out of range: {getattr(self, name)!r}")
        self.trainer.check()
        self._check_schedule()
        if self.mixup_alpha and self.trainer.cutmix_alpha:
            raise ValueError(
                f"mixup_alpha={self.mixup_alpha} and cutmix_alpha="
                f"{self.trainer.cutmix_alpha} of the trainer exclude each other: set "
                "one of them 0"
            )

    def _check_schedule(self):
        warmup, milestones = self.trainer.warmup_epochs, self.trainer.milestones
        if warmup and (self.learning_rate == "one_cycle" or warmup >= self.max_iter):
            raise ValueError(
                f"warmup_epochs={warmup} of the trainer must be less than max_iter, "
                f"which is {self.max_iter}, and 0 for learning_rate='one_cycle'"
            )
        stepped = self.learning_rate == "multi_step"
        if stepped != bool(milestones) or min(milestones, default=math.inf) <= warmup:
            raise ValueError(
                f"milestones={milestones!r} of the trainer belong to learning_rate="
                f"'multi_step', and come after warmup_epochs={warmup}; learning_rate "
                f"is {self.learning_rate!r}"
            )


# The gradient is needed also where the caller has switched it off.
@torch.enable_grad()
def train_minibatch(
    module: torch.nn.Module,
    problem: Problem,
    options: MiniBatchOptions,
    *,
    generator: torch.Generator,
    validation: Problem | None = None,
    follower: Follower = NOBODY,
    optimizer: dict | None = None,
    extractor: torch.nn.Module | None = None,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    undeferred: Problem | None = None,
    checkpoints: Checkpoints | None = None,
) -> History:
    """Train a module in place on mini-batches of a problem.

    A batch counts by the weight in it, so that the batches of an epoch add up to the
    loss that the full batch has; the prior that a loss may need is that of the whole
    problem. The same generator state gives the same weights bit for bit on the same
    machine; global random state is left alone.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (b, ...) rows to (b, d). On the device and in the precision of the problem;
        only parameters that require a gradient are trained.
    problem : Problem
    options : MiniBatchOptions
    generator : torch.Generator
        Draws the order of the rows, and the seeds of dropout and mixup.
    validation : Problem or None, default=None
        Held-out rows for early stopping by their balanced accuracy. The best weights
        (parameters and buffers) are restored, however training ends. Without them,
        training stops by its own loss and keeps the last weights.
    follower : Follower
        Follows the epochs. Their outcome is a copy of the module, with the weights that
        training would keep if it ended there, in evaluation mode, and its History.
    optimizer : dict or None, default=None
        ``History.optimizer`` of an earlier run on the same module, to go on from.
    extractor : torch.nn.Module or None, default=None
        The part of the module with a learning rate and a penalty of its own, which may
        be frozen at the beginning.
    augment : callable or None, default=None
        From a batch of rows on the device to one that is trained with.
    undeferred : Problem or None, default=None
        The same rows with other weights or another prior, for the epochs before those
        that are deferred.
    checkpoints : Checkpoints or None, default=None
        Where to leave the state of the run, and to go on from if one is left there.

    Returns
    -------
    History
        The loss is the mean over the batches of an epoch, while the weights move, plus
        the penalty at its end. ``optimizer`` is the state after the last step.

    Raises
    ------
    ValueError
        If the loss is no longer finite, the projector has the wrong number of
        components, or nothing to train. As after any other exception, the module is as
        it was before the call.
    """
    order_seed, dropout_seed, mixup_seed = draw_seeds(generator, 3)
    device = problem.y.device
    with (
        all_or_nothing(module),
        isolated_randomness(dropout_seed, device),
        deterministic_algorithms(options.trainer.deterministic),
    ):
        epochs = Epochs(
            module,
            problem,
            options,
            batch_sizes(len(problem.y), options.batch_size),
            optimizer,
            order_seed,
            mixup_seed,
            extractor=extractor,
            augment=augment,
            undeferred=undeferred,
        )
        if validation is None:
            watch = TrainingLoss(options.tol)
        else:
            watch = HeldOut(module, validation, options.tol)
        patience = Patience(options.n_iter_no_change)
        loss_curve = []

        def finish(module):
            """Give a module the weights to keep; return the history so far."""
            n_iter = len(loss_curve)
            epochs.keep(module)
            best_iter = watch.keep_best(module, n_iter)
            scores = None if watch.scores is None else list(watch.scores)
            state = export_state(epochs.optimizer)
            return History(list(loss_curve), scores, n_iter, best_iter, state)

        def outcome():
            copy = deepcopy(module).eval()
            return copy, finish(copy)

        run = Run(epochs, watch, patience, loss_curve)
        stop = resumed(checkpoints, run)
        while len(loss_curve) < options.max_iter and not stop:
            epoch = len(loss_curve) + 1
            follower.begin()
            loss = epochs.run() + penalty_of(epochs.optimizer)
            if not math.isfinite(loss):
                raise ValueError(
                    f"The loss is {loss} in epoch {epoch}; lower learning_rate_init, "
                    f"which is {options.learning_rate_init}"
                )
            loss_curve.append(loss)
            progress = watch.progress(epochs.kept, epoch, loss)
            score = watch.scores[-1] if watch.scores else None
            stop = follower.end(Iteration(epoch, loss, score, outcome))
            stop = patience.exhausted(progress) or stop
            if checkpoints is not None:
                checkpoints.write(run, done=stop or epoch == options.max_iter)
        first, last = loss_curve[0], loss_curve[-1]
        if abs(last) > _DIVERGED * (1 + abs(first)):
            raise ValueError(
                f"The loss has grown from {first:g} to {last:g}; lower "
                f"learning_rate_init, which is {options.learning_rate_init}"
            )
        return finish(module)
