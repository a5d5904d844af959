"""How modules are trained on mini-batches, as one object of parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skcollapse._utils.checks import check_choice, check_integer, check_number
from skcollapse.network._sampling import SAMPLERS
from skcollapse.network._schedule import SCHEDULES

_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_at_least_0, _at_least_1 = (partial(check_integer, low=low) for low in (0, 1))
_not_negative = partial(check_number, low=0)
_positive = partial(check_number, low=0, open_ends="low")
_flag = partial(check_choice, choices=(False, True))
# How each parameter is checked on its own, unless it has its default.
_CHECKS = {
    "batch_size": partial(_at_least_1, also=("auto",)),
    "learning_rate_init": _positive,
    "learning_rate": partial(check_choice, choices=SCHEDULES),
    "momentum": partial(check_number, low=0, high=1, open_ends="high"),
    "early_stopping": _flag,
    "validation_fraction": partial(check_number, low=0, high=1, open_ends="both"),
    "n_iter_no_change": _at_least_1,
    "mixup_alpha": _not_negative,
    "extractor_learning_rate": partial(_positive, also=(None,)),
    "extractor_alpha": partial(_not_negative, also=(None,)),
    "freeze_epochs": _at_least_0,
    "warmup_epochs": _at_least_0,
    "gamma": _positive,
    "cutmix_alpha": _not_negative,
    "clip_norm": partial(_positive, also=(None,)),
    "ema_decay": partial(check_number, low=0, high=1, open_ends="high", also=(None,)),
    "autocast": partial(check_choice, choices=(None, *_AUTOCAST, *_AUTOCAST.values())),
    "channels_last": _flag,
    "compile": _flag,
    "accumulate": _at_least_1,
    "deferred": _at_least_0,
    "deterministic": _flag,
    "num_workers": _at_least_0,
    "checkpoint_every": _at_least_1,
}
# Parameters that are about several epochs.
_FOR_FIT = (
    "freeze_epochs",
    "warmup_epochs",
    "milestones",
    "ema_decay",
    "deferred",
    "refit",
    "checkpoint",
)
# Parameters that are about an extractor that is trained.
_FOR_EXTRACTORS = (
    "extractor_learning_rate",
    "extractor_alpha",
    "freeze_epochs",
    "refit",
    "augment",
)


@dataclass(kw_only=True, eq=False, repr=False)
class Trainer(BaseEstimator):
    """Training on mini-batches.

    It is the ``trainer`` parameter of both classifiers, for solvers "adamw" and "sgd",
    and takes part in searches: ``{"trainer__mixup_alpha": [0.0, 0.2]}``. The number of
    epochs, ``max_iter``, is a parameter of the classifier.

    Parameters
    ----------
    batch_size : int or "auto", default="auto"
        Largest number of rows in a batch, at least 1; the rows of an epoch are shared
        out equally. "auto" is 256. Larger batches make fewer, steadier steps; losses
        that contrast rows need several of each class.
    learning_rate_init : float, default=1e-3
        Largest learning rate, above 0: the first one, or the peak of "one_cycle".
        Lower it if the loss grows; "sgd" takes ten to a hundred times more.
    learning_rate : {"constant", "cosine", "one_cycle", "multi_step"}, \
default="cosine"
        Schedule of the learning rate over all batches of ``max_iter`` epochs: constant,
        half a cosine down to zero, a rise and a fall, or steps at ``milestones``.
    momentum : float, default=0.9
        Nesterov momentum of "sgd", in [0, 1).
    early_stopping : bool, default=False
        Hold rows out, stop when their balanced accuracy no longer improves and keep the
        best weights. For many epochs, where the training loss would lead too far.
    validation_fraction : float, default=0.1
        Share of each class that early stopping holds out, in (0, 1).
    n_iter_no_change : int, default=10
        Stop after so many epochs in a row, at least 1, that improve the training loss,
        or with early stopping the score, by no more than ``tol``.
    mixup_alpha : float, default=0.0
        Mix rows in shares drawn from Beta(α, α), α at least 0; 0 does not mix. 0.1 to
        1 regularise, the more the larger; not together with cutmix.
    augment : callable, default=None
        From a batch of rows on the device to one that is trained with, such as
        :class:`RandomCropFlip`; only if an extractor is trained.
    checkpoint : str or path-like, default=None
        File in which the state of a fit is left, so that a fit that was interrupted
        goes on from there, to the same bits. Needs an integer ``random_state``.
    extractor_learning_rate : float, default=None
        Largest learning rate of the extractor, above 0; None is
        ``learning_rate_init``. Set it lower to keep what the extractor has learnt.
    extractor_alpha : float, default=None
        L2 penalty strength of the extractor, at least 0; None is that of the projector.
    freeze_epochs : int, default=0
        Epochs at the beginning in which the extractor stays as it is, in evaluation
        mode, while the projector learns.
    warmup_epochs : int, default=0
        Epochs over which the learning rate rises linearly, then follows its schedule;
        less than ``max_iter``. "one_cycle" has a rise of its own.
    milestones : tuple of int, default=()
        Epochs after which ``learning_rate="multi_step"`` multiplies the rate by
        ``gamma``, rising, from 1.
    gamma : float, default=0.1
        Factor of the learning rate at each milestone, above 0.
    sampler : {None, "square_root", "balanced"}, default=None
        Draw classes with equal probability, or by the square roots of their sizes; None
        takes every row once. For rare classes; the prior that a loss may adjust for is
        that of the rows drawn.
    cutmix_alpha : float, default=0.0
        Paste boxes of other images, of shares drawn from Beta(α, α), α at least 0; 0
        does not. Not together with mixup.
    clip_norm : float, default=None
        Largest norm of the gradient of all parameters together, above 0; None does not
        clip. For losses that spike.
    ema_decay : float, default=None
        Keep the exponential moving average of the weights, which gets 1 − ``ema_decay``
        of the new ones after each batch; in [0, 1), None keeps the last weights.
    autocast : {None, "bfloat16", "float16"} or torch.dtype, default=None
        Mixed precision, for speed on GPUs; the loss of "float16" is scaled.
    channels_last : bool, default=False
        Memory format of images, and of the kernels of convolutions; True is faster on
        many GPUs.
    compile : bool, default=False
        Train by :func:`torch.compile`, which takes minutes to begin.
    accumulate : int, default=1
        Compute each batch in so many parts, at least 1, whose gradients add up: for
        batches that do not fit into memory. Losses that weigh classes equally, or
        contrast rows, and batch normalisation see one part.
    deferred : int, default=0
        Epochs before class weights, logit adjustment and the sampler set in [1]_.
    refit : {None, "closed_form", "lbfgs_path", "lbfgs"}, default=None
        After training, freeze the extractor and fit the projector anew by this solver,
        to the features of rows that are not augmented [2]_; for rare classes.
    deterministic : bool, default=False
        Use deterministic algorithms only: the same weights bit for bit. On CUDA torch
        wants the environment variable CUBLAS_WORKSPACE_CONFIG set for that.
    num_workers : int, default=0
        Processes that read a :class:`torch.utils.data.Dataset`; 0 reads in this one.
    checkpoint_every : int, default=1
        Epochs from one checkpoint to the next, at least 1.

    References
    ----------
    .. [1] Cao et al., "Learning imbalanced datasets with label-distribution-aware
       margin loss", NeurIPS 2019, algorithm 1, arXiv:1906.07413.
    .. [2] Kang et al., "Decoupling representation and classifier for long-tailed
       recognition", ICLR 2020, arXiv:1910.09217.

    Examples
    --------
    >>> from skcollapse import ETFClassifier
    >>> from skcollapse.training import Trainer
    >>> model = ETFClassifier(projector="mlp", trainer=Trainer(clip_norm=1.0))
    >>> model.get_params()["trainer__clip_norm"]
    1.0
    """

    batch_size: int | str = "auto"
    learning_rate_init: float = 1e-3
    learning_rate: str = "cosine"
    momentum: float = 0.9
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    mixup_alpha: float = 0.0
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None
    checkpoint: str | PathLike[str] | None = None
    extractor_learning_rate: float | None = None
    extractor_alpha: float | None = None
    freeze_epochs: int = 0
    warmup_epochs: int = 0
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    sampler: str | None = None
    cutmix_alpha: float = 0.0
    clip_norm: float | None = None
    ema_decay: float | None = None
    autocast: str | torch.dtype | None = None
    channels_last: bool = False
    compile: bool = False
    accumulate: int = 1
    deferred: int = 0
    refit: str | None = None
    deterministic: bool = False
    num_workers: int = 0
    checkpoint_every: int = 1

    def check(
        self, max_iter: int, *, trains_extractor: bool = True, one_epoch: bool = False
    ) -> None:
        """Raise ValueError or TypeError unless all parameters are valid and fit.

        Parameters
        ----------
        max_iter : int
            Number of epochs.
        trains_extractor : bool, default=True
            If False, parameters about an extractor that is trained are errors. Which
            solvers can ``refit`` is for the classifiers to check.
        one_epoch : bool, default=False
            If True, for `partial_fit`, parameters about several epochs are errors.
        """
        _check_values(self)
        if self.mixup_alpha and self.cutmix_alpha:
            raise _error(
                self, "mixup_alpha", f"0 together with cutmix_alpha={self.cutmix_alpha}"
            )
        if one_epoch:
            reason = "is for fit; partial_fit trains for one epoch, at a constant rate"
            _check_unset(self, _FOR_FIT, reason)
        else:
            _check_schedule(self, max_iter)
        if not trains_extractor:
            reason = "needs an extractor and train_extractor=True"
            _check_unset(self, _FOR_EXTRACTORS, reason)

    @property
    def autocast_dtype(self) -> torch.dtype | None:
        """The torch dtype of mixed precision, or None."""
        name = self.autocast
        return _AUTOCAST[name] if isinstance(name, str) else name


def _error(trainer, name, wanted, kind=ValueError):
    value = getattr(trainer, name)
    return kind(f"trainer: {name} must be {wanted}; got {value!r}.")


def _check_unset(trainer, names, reason):
    for name in names:
        value = getattr(trainer, name)
        if len(value) if np.ndim(value) else value:
            raise ValueError(f"trainer: {name}={value!r} {reason}.")


def _check_values(trainer):
    """Check each parameter on its own."""
    for name, check in _CHECKS.items():
        value, default = getattr(trainer, name), getattr(Trainer, name)
        if not (type(value) is type(default) and value == default):
            check(f"trainer: {name}", value)
    check_choice("trainer: sampler", trainer.sampler, (None, *SAMPLERS))
    try:
        epochs = [check_integer("", epoch, 1) for epoch in trainer.milestones]
    except (TypeError, ValueError):
        epochs = [0, 0]
    if epochs != sorted(set(epochs)):
        raise _error(trainer, "milestones", "a tuple of rising epochs, from 1")
    if not (trainer.augment is None or callable(trainer.augment)):
        raise _error(trainer, "augment", "None or a callable", TypeError)
    if not isinstance(trainer.checkpoint, str | PathLike | None):
        raise _error(trainer, "checkpoint", "None or a path", TypeError)


def _check_schedule(trainer, max_iter):
    """Check that warm-up and milestones fit the schedule, and it the epochs."""
    schedule, warmup = trainer.learning_rate, trainer.warmup_epochs
    if warmup and (schedule == "one_cycle" or warmup >= max_iter):
        wanted = f"less than max_iter={max_iter}, and 0 for learning_rate='one_cycle'"
        raise _error(trainer, "warmup_epochs", wanted)
    first = min(trainer.milestones, default=np.inf)
    if (schedule == "multi_step") != bool(len(trainer.milestones)) or first <= warmup:
        raise _error(
            trainer,
            "milestones",
            f"epochs after warmup_epochs={warmup} for learning_rate='multi_step', and "
            f"() for others: learning_rate is {schedule!r}",
        )
