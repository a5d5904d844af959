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


@dataclass(frozen=True)
class NetworkSpec:
    """How a module is trained.

    Parameters
    ----------
    loss : Loss
    target : ClassGeometry
        Its class means are where proxies start.
    projector : projector with ``is_module``
        Builds the module, see :mod:`skcollapse.projectors`.
    proxies : subclass of Proxies, or None
        How class vectors are trained beside the module, if they are.
    solver : {"adamw", "sgd", "lbfgs"}
    alpha : float
        Strength of the L2 penalty.
    feature_scaling : {"global", "standard", None}
        Of rows that are features already.
    max_iter : int
        Epochs, or iterations of "lbfgs".
    tol : float
    trainer : Trainer
        What only mini-batches use.
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
    solver: str
    alpha: float
    feature_scaling: str | None
    max_iter: int
    tol: float
    trainer: Trainer
    extractor: nn.Module | FeatureExtractor | None = None
    start: Network | None = None
    one_epoch: bool = False
    fingerprint: dict[str, str] = field(default_factory=dict)
