"""Checks of the parameters that say what is trained, and how at length."""

from numbers import Integral
from os import PathLike

import torch

from skcollapse._utils.checks import check_choice
from skcollapse.extract import FeatureExtractor
from skcollapse.training.trainer import Trainer


def check_training(estimator):
    """Raise unless extractor, trainer and all that goes with them fit together."""
    extractor, trainer = estimator.extractor, estimator.trainer
    check_choice("train_extractor", estimator.train_extractor, (False, True))
    if not isinstance(extractor, torch.nn.Module | FeatureExtractor | None):
        raise TypeError(
            "extractor must be None, a torch.nn.Module from a batch to (n, d) "
            f"features, or a FeatureExtractor; got {extractor!r}."
        )
    if not isinstance(trainer, Trainer | None):
        raise TypeError(
            f"trainer must be None or a skcollapse.training.Trainer; got {trainer!r}."
        )
    if trainer is not None:
        trainer.check()
    if estimator.train_extractor:
        _check_trained(estimator)
    else:
        _check_frozen(estimator)
    if estimator.checkpoint is not None:
        _check_checkpoint(estimator)


def check_one_epoch(estimator):
    """Raise if a parameter is about several epochs, of which partial_fit has one."""
    trainer = estimator.trainer or Trainer()
    for name in (
        "freeze_epochs",
        "warmup_epochs",
        "milestones",
        "ema_decay",
        "deferred",
        "refit",
    ):
        if getattr(trainer, name):
            raise ValueError(
                f"trainer: {name}={getattr(trainer, name)!r} is for fit; partial_fit "
                "trains for one epoch, with a constant learning rate."
            )
    if estimator.checkpoint is not None:
        raise ValueError(
            f"checkpoint={estimator.checkpoint!r} is for fit. After partial_fit, "
            "save_weights or pickle the classifier."
        )


def _check_checkpoint(estimator):
    if not isinstance(estimator.checkpoint, str | PathLike):
        raise TypeError(
            f"checkpoint must be None or a path; got {estimator.checkpoint!r}."
        )
    if not isinstance(estimator.random_state, Integral):
        raise ValueError(
            "checkpoint needs an integer random_state, so that a fit can go on with "
            f"the same draws; got {estimator.random_state!r}."
        )
    if estimator.warm_start:
        raise ValueError(
            "checkpoint and warm_start=True both say where to go on from: choose one."
        )


def _check_trained(estimator):
    if estimator.extractor is None:
        raise ValueError(
            "train_extractor=True needs an extractor; got None. Give a "
            "torch.nn.Module, or set train_extractor=False."
        )
    if isinstance(estimator.projector, str) and estimator.projector == "kernel":
        raise ValueError(
            "projector='kernel' cannot be trained together with an extractor. Choose "
            "'linear' or 'mlp', or train_extractor=False."
        )
    if estimator.solver not in ("auto", "adamw", "sgd"):
        raise ValueError(
            f"solver={estimator.solver!r} cannot train an extractor. Choose 'adamw' or "
            "'sgd'; or train_extractor=False, or refit="
            f"{estimator.solver!r} of the trainer, to fit the projector by it."
        )
    if estimator.feature_scaling not in ("auto", None):
        raise ValueError(
            f"feature_scaling={estimator.feature_scaling!r} is for features that stay "
            "as they are. Leave it 'auto' with train_extractor=True."
        )


def _check_frozen(estimator):
    if estimator.augment is not None:
        raise ValueError(
            f"augment={estimator.augment!r} needs train_extractor=True: features that "
            "are not trained are computed once, of the rows as they are."
        )
    trainer = estimator.trainer or Trainer()
    for name in (
        "extractor_learning_rate",
        "extractor_alpha",
        "freeze_epochs",
        "refit",
    ):
        if getattr(trainer, name):
            raise ValueError(
                f"trainer: {name}={getattr(trainer, name)!r} needs an extractor and "
                "train_extractor=True."
            )
