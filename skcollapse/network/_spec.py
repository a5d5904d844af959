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
    """How a network is trained, on mini-batches or by "lbfgs".

    Parameters
    ----------
    loss : Loss
    target : ClassGeometry
        Its class means are where proxies start.
    projector : projector with ``is_module``
        Builds the module, see :mod:`skcollapse.projectors`.
    proxies : subclass of Proxies, or None
        How class vectors are trained beside the module, if they are.
    feature_scaling : {"global", "standard", None}
        Of rows that are features already.
    extractor : torch.nn.Module, FeatureExtractor or None
        Trained together with the projector: rows are its inputs then.
    start : Network or None
        The network to go on from; None builds one.
    one_epoch : bool
        Train for one epoch with a constant learning rate, from where the optimiser was.
    fingerprint : dict of str to str
        What the parameters are, as short texts: a checkpoint of others is refused.
    """

    loss: Loss
    target: ClassGeometry
    projector: Any
    proxies: type[Proxies] | None
    feature_scaling: str | None
    extractor: nn.Module | FeatureExtractor | None = None
    start: Network | None = None
    one_epoch: bool = False
    fingerprint: dict[str, str] = field(default_factory=dict)
