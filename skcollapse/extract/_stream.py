"""Features, logits and labels of a network, batch by batch or in arrays."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from operator import length_hint
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from skcollapse._utils.checks import check_choice
from skcollapse.extract._batches import as_labels, call_module, check_loader
from skcollapse.extract._collect import RowBuffer, run_batches
from skcollapse.extract._head import (
    check_module,
    gives,
    head_name,
    layer_name,
    network_outputs,
    picked_positions,
)
from skcollapse.extract._modules import placed

_AUTOCAST_DTYPES = (None, torch.bfloat16, torch.float16)


class Features(NamedTuple):
    """What a network makes of its inputs.

    Parameters
    ----------
    features : ndarray or tensor of shape (n, d)
        The input of the head.
    logits : ndarray or tensor of shape (n, K)
        The output of the head.
    labels : ndarray or tensor of shape (n,), or None
        As the loader gave them.
    """

    features: np.ndarray | Tensor
    logits: np.ndarray | Tensor
    labels: np.ndarray | Tensor | None


def iter_features(
    module: Module,
    loader: Iterable[Any],
    *,
    layer: str | Module | None = None,
    device: str | torch.device = "auto",
    autocast: torch.dtype | None = None,
) -> Iterator[Features]:
    """Yield features, logits and labels of each batch, as tensors on the device.

    Between batches the network is as it was: hooks are registered, and modes set, for
    the time of one call. So the iterator may be left at any point.

    Parameters
    ----------
    module, loader, layer, device, autocast
        As in :func:`extract_features`.

    Returns
    -------
    iterator of Features
        Tensors without gradients; ``labels`` is None for batches without labels.

    Raises
    ------
    ValueError, TypeError
        As :func:`extract_features`; what concerns a batch, when it is reached.

    Examples
    --------
    Class means of features that are never held as a whole:

    >>> import torch
    >>> from skcollapse.extract import iter_features
    >>> from skcollapse.moments import ClassMoments
    >>> network = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(2, 3))
    >>> loader = [
    ...     (torch.tensor([[1.0, -1.0], [3.0, 1.0]]), torch.tensor([0, 0])),
    ...     (torch.tensor([[-2.0, 5.0]]), torch.tensor([1])),
    ... ]
    >>> moments = ClassMoments(n_classes=2, n_features=2)
    >>> for features, logits, labels in iter_features(network, loader):
    ...     moments = moments.update(features, labels)
    >>> moments.means
    array([[2. , 0.5],
           [0. , 5. ]])
    """
    check_module(module)
    check_loader(loader)
    check_choice("autocast", autocast, _AUTOCAST_DTYPES)
    name = layer_name(module, layer)
    network, device = placed(module, device)
    head = _HeadCall(network, name, device.type, autocast)

    def batches() -> Iterator[Features]:
        for (features, logits), labels in run_batches(head, network, loader, device):
            if labels is not None:
                labels = as_labels(labels, len(features), device)
            yield Features(features, logits, labels)

    return batches()


class _HeadCall:
    """What the head of a network takes and gives, as rows; it is found if not named."""

    def __init__(
        self,
        network: Module,
        name: str | None,
        device_type: str,
        autocast: torch.dtype | None,
    ) -> None:
        self.network, self.name = network, name
        self.device_type, self.autocast = device_type, autocast

    def __call__(self, inputs: Any) -> tuple[Tensor, Tensor]:
        calls: list[tuple[Any, Any]] = []

        def remember(_: Module, args: Any, kwargs: Any, output: Any) -> None:
            calls.append(((*args, *kwargs.values())[0], output))

        autocast = self.autocast and torch.autocast(self.device_type, self.autocast)
        with autocast or nullcontext():
            if self.name is None:
                self.name = head_name(self.network, inputs)
            layer = self.network.get_submodule(self.name)
            handle = layer.register_forward_hook(remember, with_kwargs=True)
            try:
                outputs = network_outputs(call_module(self.network, inputs))
            finally:
                handle.remove()
            features, logits = _the_call(calls, outputs, self.name)
            return _as_rows(features, logits, outputs, self.name)


def _the_call(
    calls: list[tuple[Any, Any]], outputs: list[Tensor], name: str
) -> tuple[Any, Any]:
    """Return the call of a layer that gives an output of the network."""
    if len(calls) == 1:
        return calls[0]
    if not calls:
        raise ValueError(f"layer {name!r} was not called: choose another layer=...")
    giving = [call for call in calls if any(gives(call[1], out) for out in outputs)]
    if len(giving) != 1:
        raise ValueError(
            f"layer {name!r} was called {len(calls)} times, and {len(giving)} of them "
            "gave an output of the module: there must be one. Wrap the module in one "
            "that returns the logits that count, or choose another layer=..."
        )
    return giving[0]


def _as_rows(
    features: Any, logits: Any, outputs: list[Tensor], name: str
) -> tuple[Tensor, Tensor]:
    """Return features and logits with one row for each input."""
    for what, values in (("input", features), ("output", logits)):
        if not isinstance(values, Tensor):
            raise ValueError(
                f"The {what} of layer {name!r} is a {type(values).__name__}, not one "
                "tensor: choose another layer=..."
            )
    # At most one axis after the first has more than one element.
    if features.ndim >= 2 and sum(size > 1 for size in features.shape[1:]) <= 1:
        return features.flatten(1), logits.flatten(1)
    rows = torch.arange(len(features), device=features.device)
    for output in outputs:
        positions = picked_positions(logits, output)
        if positions is not None:
            return features[rows, positions], logits[rows, positions]
    raise ValueError(
        f"The input of layer {name!r} has the shape {tuple(features.shape)}, not one "
        "vector for each input, and the module does not return its output at one "
        "position of each. Wrap the module in one that pools before that layer, or "
        "choose another layer=..."
    )


def extract_features(
    module: Module,
    loader: Iterable[Any],
    *,
    layer: str | Module | None = None,
    device: str | torch.device = "auto",
    autocast: torch.dtype | None = None,
) -> Features:
    """Return the features, logits and labels of all batches of a loader.

    Features are what enters the head of the network, the linear layer whose output is
    the logits: it is found in the first batch, see :func:`last_linear`. Logits are
    the output of that layer, before a softmax that may follow.

    Parameters
    ----------
    module : torch.nn.Module
        Called in evaluation mode without gradients; modes, hooks, devices and weights
        are left as they were, also if it fails.
    loader : iterable
        Of batches, such as a :class:`torch.utils.data.DataLoader`: ``(x, y)`` pairs,
        dicts or Hugging Face encodings with the labels under "labels", "label" or "y"
        and the other entries being arguments of the network, or inputs alone. In a pair
        x may be a dict or a tuple of arguments too. Floating-point inputs are
        converted to the dtype of the network.
    layer : str or torch.nn.Module, default=None
        The qualified name of the head, or the head itself. Any layer will do that
        takes one vector for each input.
    device : str or torch.device, default="auto"
        Where to compute. "auto" is where the network is, or CUDA where there is one if
        that is the CPU. A copy of the network is moved, not itself.
    autocast : torch.bfloat16, torch.float16 or None, default=None
        Mixed precision.

    Returns
    -------
    Features
        A named tuple of arrays: ``features`` (n, d), ``logits`` (n, K) and ``labels``
        (n,), or None. In the precision of the network, but half precision in float32.

    Raises
    ------
    ValueError
        If there is no head, or several; if it takes more than one vector for each
        input; if a batch or its labels are not as above; if some batches have labels
        and others not; if there are no batches.
    TypeError
        If `module` is not a :class:`torch.nn.Module`.

    See Also
    --------
    iter_features : The same batch by batch, for more data than memory.
    FeatureExtractor : The same as a transformer of scikit-learn.

    Notes
    -----
    Heads that score each position of a sequence, such as those of decoders that
    classify by the last token, have the features of the position whose scores the
    network returns.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> from skcollapse.extract import extract_features
    >>> network = torch.nn.Sequential(
    ...     torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 10)
    ... )
    >>> data = TensorDataset(torch.rand(50, 1, 8, 8), torch.arange(50) % 10)
    >>> features, logits, labels = extract_features(network, DataLoader(data, 16))
    >>> features.shape, logits.shape, labels.shape
    ((50, 144), (50, 10), (50,))
    """
    n_batches = length_hint(loader)
    rows = [RowBuffer(n_batches) for _ in Features._fields]
    batches = iter_features(
        module, loader, layer=layer, device=device, autocast=autocast
    )
    for batch in batches:
        for values, gathered in zip(batch, rows, strict=True):
            if values is not None:
                gathered.append(values)
    features, _, labels = rows
    if features.array is None:
        raise ValueError(f"loader gave no batches; got {loader!r}.")
    if labels.n_rows not in (0, features.n_rows):
        raise ValueError(
            f"loader gave labels for {labels.n_rows} rows of {features.n_rows}; give "
            "them for all, or for none."
        )
    found: list[Any] = [r.result() if r.n_rows else None for r in rows]
    return Features(*found)
