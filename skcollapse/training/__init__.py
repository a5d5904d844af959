"""How features are moved: one problem, several solvers, the choice of what is auto."""

from skcollapse.training.augment import RandomCropFlip
from skcollapse.training.trainer import Trainer

__all__ = ["RandomCropFlip", "Trainer"]
