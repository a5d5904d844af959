"""A network in training, and how it is stored.

Networks are stored as NumPy arrays: torch tensors pickle with the device they were on,
equal ones to unequal bytes, and formats that do not trust code cannot hold them at all.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skcollapse.extract import RowFeatures, floating_dtype
from skcollapse.fitting import TrainingData
from skcollapse.network._proxies import PROXIES, Proxies
from skcollapse.projectors import MLPProjector
from skcollapse.rows import DeviceRows, StreamedRows


class NetworkModule(nn.Module):
    """What is trained: a projector, an extractor before it, proxies beside it.

    The parameters of the extractor come first, those of the proxies last.
    """

    def __init__(
        self,
        projector: nn.Module,
        proxies: Proxies | None = None,
        extractor: nn.Module | None = None,
    ):
        super().__init__()
        self.extractor = nn.Identity() if extractor is None else RowFeatures(extractor)
        self.projector, self.proxies = projector, proxies

    def forward(self, x: Tensor) -> Tensor:
        """Return the projected rows."""
        return self.projector(self.extractor(x))


@dataclass
class Network:
    """A network in training: all that going on with it needs, on the CPU.

    The scaling of the rows is neutral if an extractor, which takes them, is trained.
    Class counts are sums of the weights that it has been trained with; the optimiser
    is its state after the last step.
    """

    projector: nn.Module
    center: np.ndarray
    scale: np.ndarray
    class_counts: np.ndarray
    proxies: Proxies | None = None
    extractor: nn.Module | None = None
    optimizer: dict[int, dict[str, Tensor]] | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which it computes."""
        dtype = None if self.extractor is None else floating_dtype(self.extractor)
        return dtype or floating_dtype(self.projector) or torch.float32

    def fits(self, data: TrainingData) -> bool:
        """Return whether the data have as many features and classes."""
        is_source, trains = (
            not isinstance(data.X, np.ndarray),
            self.extractor is not None,
        )
        same = is_source == trains and (trains or data.X.shape[1] == len(self.center))
        return same and data.n_classes == len(self.class_counts)

    def after(self, module: NetworkModule, optimizer: dict | None) -> "Network":
        """Return the network of a trained module."""
        return replace(
            self,
            projector=module.projector,
            proxies=module.proxies,
            extractor=getattr(module.extractor, "network", None),
            optimizer=optimizer,
        )

    def rows(self, X: Any, device: torch.device) -> Tensor | DeviceRows | StreamedRows:
        """Return the rows that the module takes, for a device."""
        if self.extractor is not None:
            return X.on(device, self.dtype)
        scaled = ((X - self.center) / self.scale).astype(X.dtype)
        return torch.as_tensor(scaled).to(device)

    def __getstate__(self):
        return {
            **vars(self),
            "projector": _store(self.projector),
            "proxies": _store(self.proxies),
            "optimizer": self.optimizer and _arrays(self.optimizer),
        }

    def __setstate__(self, state):
        vars(self).update(
            state,
            projector=_restore(state["projector"]),
            proxies=_restore(state["proxies"]),
            optimizer=state["optimizer"] and _tensors(state["optimizer"]),
        )


@dataclass(frozen=True)
class Stored:
    """A module of this package as arrays, to be built again."""

    kind: str
    weights: dict[str, np.ndarray]
    parameters: dict[str, Any] = field(default_factory=dict)


def _store(module):
    """Return a module of this package as arrays, and anything else as it is."""
    # By exact type: a subclass may hold something else.
    kind = type(module)
    names = {MLPProjector: "perceptron", **{k: name for name, k in PROXIES.items()}}
    if kind not in names:
        return module
    parameters = ("dropout",) if kind is MLPProjector else kind.hyperparameters
    parameters = {name: getattr(module, name) for name in parameters}
    return Stored(names[kind], _arrays(module.state_dict()), parameters)


def _restore(stored):
    """Return what :func:`_store` was given."""
    if type(stored) is not Stored:
        return stored
    weights = _tensors(stored.weights)
    if stored.kind == "perceptron":
        module = _perceptron(weights, **stored.parameters)
    else:
        # Each kind begins with its vectors, whatever else it has.
        start = next(iter(weights.values()))
        module = PROXIES[stored.kind](start, **stored.parameters)
    module.load_state_dict(weights)
    return module.eval()


def _perceptron(weights, dropout):
    """Return a perceptron with layers for these weights."""
    output = weights["output.weight"]
    layers = [w for name, w in weights.items() if w.ndim > 1 and "shortcut" not in name]
    n_features, *hidden = [layer.shape[1] for layer in layers]
    module = MLPProjector(
        n_features,
        hidden,
        len(output),
        generator=torch.Generator(),
        dropout=dropout,
        residual="shortcut.weight" in weights,
        batch_norm="norm.weight" in weights,
    )
    return module.to(output.dtype)


def _arrays(values):
    """Return a dict of tensors, or of such dicts, as NumPy arrays."""
    return {
        key: _arrays(value) if isinstance(value, dict) else value.detach().cpu().numpy()
        for key, value in values.items()
    }


def _tensors(values):
    """Return a dict of NumPy arrays, or of such dicts, as tensors."""
    return {
        # Loaded arrays need not be writable.
        key: _tensors(value) if isinstance(value, dict) else torch.tensor(value)
        for key, value in values.items()
    }
