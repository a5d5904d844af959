"""What a network is trained by: parameters that were checked, and objects."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from skcollapse.extract import FeatureExtractor
from skcollapse.losses import Loss
from skcollapse.network._proxies import Proxies
from skcollapse.network._state import Network
from skcollapse.network._trainer import Trainer
from skcollapse.targets import ClassGeometry


@dataclass(frozen=True, kw_only=True)
class MiniBatchOptions:
    """How to train on mini-batches: by a solver, for ``max_iter`` epochs.

    ``alpha`` is the strength of the L2 penalty α/2 ‖W‖² on weights, not on biases nor
    on the scales and shifts of a normalisation; for "adamw" the decoupled weight decay.
    An epoch must gain more than ``tol`` to count as progress.
    """

    solver: str
    alpha: float
    max_iter: int
    tol: float
    trainer: Trainer


@dataclass(frozen=True, kw_only=True)
class NetworkSpec(MiniBatchOptions):
    """How a network is trained, on mini-batches or by "lbfgs"."""

    loss: Loss
    # Its class means are where proxies start.
    target: ClassGeometry
    # Builds the module, see `skcollapse.projectors`.
    projector: Any
    # How class vectors are trained beside the module, if they are.
    proxies: type[Proxies] | None
    # Of rows that are features already.
    feature_scaling: str | None
    # Trained together with the projector: rows are its inputs then.
    extractor: nn.Module | FeatureExtractor | None = None
    # The network to go on from; None builds one.
    start: Network | None = None
    # One epoch at a constant rate, from where the optimiser was.
    one_epoch: bool = False
    # What the parameters are, as short texts: a checkpoint of others is refused.
    fingerprint: dict[str, str] = field(default_factory=dict)
