"""Modules trained on mini-batches, or by L-BFGS on the full batch.

A new kind of proxies, optimiser, schedule or sampler is one class, function or number,
and one line in `PROXIES`, `OPTIMIZERS`, `SCHEDULES` or `SAMPLERS`.
"""

from skcollapse.network._augment import RandomCropFlip
from skcollapse.network._epochs import Problems
from skcollapse.network._fit import fit
from skcollapse.network._full_batch import train_full_batch
from skcollapse.network._minibatch import train_minibatch
from skcollapse.network._mixing import CutMix, Mixup
from skcollapse.network._optimizer import OPTIMIZERS, make_optimizer
from skcollapse.network._proxies import PROXIES, Proxies
from skcollapse.network._sampling import (
    SAMPLERS,
    EpochOrder,
    EpochSampler,
    batch_sizes,
    class_probabilities,
)
from skcollapse.network._schedule import SCHEDULES, make_schedule
from skcollapse.network._spec import MiniBatchOptions, NetworkSpec
from skcollapse.network._state import Network, NetworkModule, Stored
from skcollapse.network._trainer import Trainer

__all__ = [
    "OPTIMIZERS",
    "PROXIES",
    "SAMPLERS",
    "SCHEDULES",
    "CutMix",
    "EpochOrder",
    "EpochSampler",
    "MiniBatchOptions",
    "Mixup",
    "Network",
    "NetworkModule",
    "NetworkSpec",
    "Problems",
    "Proxies",
    "RandomCropFlip",
    "Stored",
    "Trainer",
    "batch_sizes",
    "class_probabilities",
    "fit",
    "make_optimizer",
    "make_schedule",
    "train_full_batch",
    "train_minibatch",
]
