"""A network without its head, so that what is left can be trained."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Identity, Module

from skcollapse.extract._batches import to_device
from skcollapse.extract._head import head_name, layer_name
from skcollapse.extract._modules import eval_mode, floating_dtype


class WithoutHead(Module):
    """A network that returns its features: what its head, which it loses, took."""

    def __init__(self, network: Module, name: str) -> None:
        super().__init__()
        network.set_submodule(name, Identity())
        self.network, self.name = network, name

    def forward(self, x: Tensor) -> Any:
        """Return the input of the head."""
        features: list[Any] = []
        head = self.network.get_submodule(self.name)
        handle = head.register_forward_pre_hook(lambda _, args: features.append(*args))
        try:
            self.network(x)
        finally:
            handle.remove()
        return features[-1]


def without_head(network: Module, layer: str | None, few: Tensor) -> WithoutHead:
    """Return a network without its head; the network itself loses it.

    Without the name of a layer, the head is the last linear layer, found by a few rows.
    """
    name = layer_name(network, layer)
    if name is None:
        device = next(network.parameters()).device
        few = to_device(few, device, floating_dtype(network))
        with eval_mode(network), torch.no_grad():
            name = head_name(network, few)
    return WithoutHead(network, name)
