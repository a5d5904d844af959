"""What long training of networks has beside the parameters of every classifier."""

import math
from numbers import Integral, Real

import torch
from sklearn.base import BaseEstimator

from skcollapse.training.sampling import SAMPLERS

_AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
REFITS = ("closed_form", "lbfgs")


class Trainer(BaseEstimator):
    """How networks are trained, apart from what all classifiers have parameters for.

    It is the ``trainer`` parameter of both classifiers, for solvers "adamw" and "sgd",
    and takes part in searches: ``{"trainer__ema_decay": [None, 0.999]}``.

    Parameters
    ----------
    extractor_learning_rate : float, default=None
        Largest learning rate of the extractor; None is ``learning_rate_init``.
    extractor_alpha : float, default=None
        Penalty of the extractor; None is that of the projector.
    freeze_epochs : int, default=0
        The extractor stays as it is, in evaluation mode, for so many epochs.
    warmup_epochs : int, default=0
        The learning rate rises linearly for so many epochs, then follows its schedule;
        "one_cycle" has a rise of its own.
    milestones : tuple of int, default=()
        Epochs after which ``learning_rate="multi_step"`` multiplies the rate by gamma.
    gamma : float, default=0.1
    sampler : {None, "square_root", "balanced"}, default=None
        Draw classes with equal probability, or by the square roots of their sizes. The
        prior that a loss may adjust for is that of the rows drawn.
    cutmix_alpha : float, default=0.0
        Paste boxes of other images, of shares drawn from Beta(α, α); not with mixup.
    clip_norm : float, default=None
        Largest norm of the gradient of all parameters together.
    ema_decay : float, default=None
        Keep the exponential moving average of the weights, which gets 1 − ``ema_decay``
        of the new ones after each batch.
    autocast : {None, "bfloat16", "float16"} or torch.dtype, default=None
        Mixed precision; the loss of "float16" is scaled.
    channels_last : bool, default=False
        Memory format of images, and of the kernels of convolutions.
    compile : bool, default=False
        Train by :func:`torch.compile`.
    accumulate : int, default=1
        Compute each batch in so many parts, whose gradients add up. Losses that weigh
        classes equally, or contrast rows, and batch normalisation see one part.
    deferred : int, default=0
        Class weights, logit adjustment and the sampler come after so many epochs [1]_.
    refit : {None, "closed_form", "lbfgs"}, default=None
        After training, freeze the extractor and fit the projector anew by this solver
        to the features of rows that are not augmented [2]_.
    deterministic : bool, default=False
        Use deterministic algorithms only: the same weights bit for bit. On CUDA torch
        wants the environment variable CUBLAS_WORKSPACE_CONFIG set for that.
    num_workers : int, default=0
        Processes that read a :class:`torch.utils.data.Dataset`.
    checkpoint_every : int, default=1
        Epochs from one checkpoint to the next, if the classifier has a ``checkpoint``.

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

    def __init__(
        self,
        *,
        extractor_learning_rate=None,
        extractor_alpha=None,
        freeze_epochs=0,
        warmup_epochs=0,
        milestones=(),
        gamma=0.1,
        sampler=None,
        cutmix_alpha=0.0,
        clip_norm=None,
        ema_decay=None,
        autocast=None,
        channels_last=False,
        compile=False,
        accumulate=1,
        deferred=0,
        refit=None,
        deterministic=False,
        num_workers=0,
        checkpoint_every=1,
    ):
        self.extractor_learning_rate = extractor_learning_rate
        self.extractor_alpha = extractor_alpha
        self.freeze_epochs = freeze_epochs
        self.warmup_epochs = warmup_epochs
        self.milestones = milestones
        self.gamma = gamma
        self.sampler = sampler
        self.cutmix_alpha = cutmix_alpha
        self.clip_norm = clip_norm
        self.ema_decay = ema_decay
        self.autocast = autocast
        self.channels_last = channels_last
        self.compile = compile
        self.accumulate = accumulate
        self.deferred = deferred
        self.refit = refit
        self.deterministic = deterministic
        self.num_workers = num_workers
        self.checkpoint_every = checkpoint_every

    def check(self):
        """Raise ValueError unless all parameters are valid."""
        for name, (valid, wanted) in _checks(self).items():
            if not valid:
                raise ValueError(
                    f"trainer: {name} must be {wanted}; got {getattr(self, name)!r}."
                )

    @property
    def autocast_dtype(self):
        """The torch dtype of mixed precision, or None."""
        return _AUTOCAST.get(self.autocast, self.autocast)


def _checks(trainer):
    """Return by name whether a parameter is valid, and what it must be."""

    def number(name, low, high=math.inf, *, optional=False, strict=False):
        value = getattr(trainer, name)
        words = f"a finite number {'above' if strict else 'of at least'} {low}"
        words += f" and below {high}" if high < math.inf else ""
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        valid = is_number and low <= value < high and not (strict and value == low)
        return (optional and value is None) or valid, words + optional * ", or None"

    def integer(name, low):
        value = getattr(trainer, name)
        valid = isinstance(value, Integral) and value >= low
        return valid and not isinstance(value, bool), f"an integer of at least {low}"

    def choice(name, *choices):
        value = getattr(trainer, name)
        return any(value is c or value == c for c in choices), f"one of {choices}"

    milestones = tuple(trainer.milestones)
    rising = all(isinstance(m, Integral) and m > 0 for m in milestones)
    rising = rising and sorted(set(milestones)) == list(milestones)
    switches = ("channels_last", "compile", "deterministic")
    counts = ("freeze_epochs", "warmup_epochs", "deferred", "num_workers")
    return {
        **{name: choice(name, False, True) for name in switches},
        **{name: integer(name, 0) for name in counts},
        **{name: integer(name, 1) for name in ("accumulate", "checkpoint_every")},
        "milestones": (rising, "a tuple of rising epochs, from 1"),
        "gamma": number("gamma", 0, strict=True),
        "extractor_learning_rate": number(
            "extractor_learning_rate", 0, optional=True, strict=True
        ),
        "extractor_alpha": number("extractor_alpha", 0, optional=True),
        "cutmix_alpha": number("cutmix_alpha", 0),
        "clip_norm": number("clip_norm", 0, optional=True, strict=True),
        "ema_decay": number("ema_decay", 0, 1, optional=True),
        "sampler": choice("sampler", None, *SAMPLERS),
        "autocast": choice("autocast", None, *_AUTOCAST, *_AUTOCAST.values()),
        "refit": choice("refit", None, *REFITS),
    }
