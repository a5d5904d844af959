"""A network without its head, so that what is left can be trained."""

import torch
from torch.nn import Identity, Module

from skcollapse.extract._batches import place
from skcollapse.extract._head import head_name, layer_name
from skcollapse.extract._placing import evaluating, floating_dtype


class Headless(Module):
    """Returns the features of a network: what its head took.

    Parameters
    ----------
    network : torch.nn.Module
        Loses its head.
    name : str
        The qualified name of the head.
    """

    def __init__(self, network, name):
        super().__init__()
        network.set_submodule(name, Identity())
        self.network, self.name = network, name

    def forward(self, x):
        """Return the input of the head."""
        features = []
        head = self.network.get_submodule(self.name)
        handle = head.register_forward_pre_hook(lambda _, args: features.append(*args))
        try:
            self.network(x)
        finally:
            handle.remove()
        return features[-1]


def headless(network, layer, few):
    """Return a network without its head; the network itself loses it.

    Parameters
    ----------
    network : torch.nn.Module
    layer : str or None
        The name of the head; None is the last linear layer.
    few : tensor of shape (n, ...)
        Some rows, by which that is found.
    """
    name = layer_name(network, layer)
    if name is None:
        device = next(network.parameters()).device
        few = place(few, device, floating_dtype(network))
        with evaluating(network), torch.no_grad():
            name = head_name(network, few)
    return Headless(network, name)
