"""Networks in training as NumPy arrays, so that any way to store an estimator will do.

Torch tensors pickle with the device they were on, equal ones to unequal bytes, and
formats that do not trust code cannot hold them at all.
"""

from dataclasses import dataclass

import numpy as np
import torch

from skcollapse.projectors.mlp import MLPProjector
from skcollapse.training.proxies import PROXIES

_PERCEPTRON = "perceptron"
_KINDS = {MLPProjector: _PERCEPTRON, **{kind: name for name, kind in PROXIES.items()}}


@dataclass(frozen=True)
class Stored:
    """A module of this package, to be built again.

    Parameters
    ----------
    kind : str
    weights : dict of ndarrays
        Its ``state_dict``.
    dropout : float
        Of a perceptron.
    """

    kind: str
    weights: dict[str, np.ndarray]
    dropout: float = 0.0


def store(module):
    """Return a module of this package as arrays, and anything else as it is."""
    # By exact type: a subclass may hold something else.
    if type(module) not in _KINDS:
        return module
    dropout = getattr(module, "dropout", 0.0)
    return Stored(_KINDS[type(module)], arrays(module.state_dict()), dropout)


def restore(stored):
    """Return what :func:`store` was given."""
    if type(stored) is not Stored:
        return stored
    weights = tensors(stored.weights)
    if stored.kind == _PERCEPTRON:
        module = _perceptron(weights, stored.dropout)
    else:
        # Each kind begins with its vectors, whatever else it has.
        module = PROXIES[stored.kind](next(iter(weights.values())))
    module.load_state_dict(weights)
    return module.eval()


def _perceptron(weights, dropout):
    shapes = {name: tuple(values.shape) for name, values in weights.items()}
    hidden = [s for name, s in shapes.items() if name.startswith("hidden") and s[1:]]
    layers = [*hidden, shapes["output.weight"]]
    module = MLPProjector(
        layers[0][1],
        [n_out for n_out, _ in hidden],
        layers[-1][0],
        generator=torch.Generator(),
        dropout=dropout,
        residual="shortcut.weight" in shapes,
        batch_norm="norm.weight" in shapes,
    )
    return module.to(weights["output.weight"].dtype)


def arrays(values):
    """Return a dict of tensors, or of such dicts, as NumPy arrays."""
    return {
        key: arrays(value) if isinstance(value, dict) else value.detach().cpu().numpy()
        for key, value in values.items()
    }


def tensors(values):
    """Return a dict of NumPy arrays, or of such dicts, as tensors."""
    return {
        # Loaded arrays need not be writable.
        key: tensors(value) if isinstance(value, dict) else torch.tensor(value)
        for key, value in values.items()
    }
