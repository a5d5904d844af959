"""A multilayer perceptron as projector, for torch to train."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init


class MLPProjector(nn.Module):
    """Hidden layers with GELU, then an affine map to the components of the target.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int
        Without any, the projector is one affine map.
    generator : torch.Generator
        On the CPU; draws the initial weights. No other random state is read or
        changed.
    dropout : float, default=0.0
        Fraction of the hidden activations dropped during training.
    residual : bool, default=False
        Add a linear map of the input to the output. The output layer then starts at
        zero, so that the projector starts as that linear map. It needs a hidden layer
        to lead around and is ignored without one.
    batch_norm : bool, default=False
        Batch normalisation of the output, as in the head of [1]_ before the features
        are normalised. The statistics of a batch do not know sample weights.

    References
    ----------
    .. [1] Yang et al., "Inducing neural collapse in imbalanced learning: do we really
       need a learnable classifier at the end of deep neural network?", NeurIPS 2022,
       arXiv:2203.09081.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> projector = MLPProjector(8, (16,), 3, generator=generator)
    >>> projector(torch.zeros(5, 8)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_features: int,
        hidden_layer_sizes: Sequence[int],
        n_components: int,
        *,
        generator: torch.Generator,
        dropout: float = 0.0,
        residual: bool = False,
        batch_norm: bool = False,
    ):
        super().__init__()
        sizes = [n_features, *hidden_layer_sizes]
        if min(*sizes, n_components) < 1:
            raise ValueError(
                f"Layers must have positive sizes; got {(*sizes, n_components)}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1); got {dropout!r}")
        self.dropout = dropout
        self.hidden = nn.ModuleList(
            linear(n_in, n_out, "relu", generator) for n_in, n_out in pairwise(sizes)
        )
        self.output = linear(sizes[-1], n_components, "linear", generator)
        self.shortcut = None
        if residual and self.hidden:
            self.shortcut = linear(
                n_features, n_components, "linear", generator, bias=False
            )
            nn.init.zeros_(self.output.weight)
        self.norm = None
        if batch_norm:
            self.norm = nn.BatchNorm1d(n_components, dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        """Project (n, n_features) rows to (n, n_components)."""
        hidden = x
        for layer in self.hidden:
            hidden = F.dropout(F.gelu(layer(hidden)), self.dropout, self.training)
        projected = self.output(hidden)
        if self.shortcut is not None:
            projected = projected + self.shortcut(x)
        return projected if self.norm is None else self.norm(projected)


def linear(n_in, n_out, nonlinearity, generator, bias=True):
    """Return a layer that keeps the scale of its input (He et al. 2015), bias zero.

    Always drawn in float32, so that another precision starts from the same weights.
    """
    # The constructor of Linear would draw from the global generator.
    layer = skip_init(nn.Linear, n_in, n_out, bias=bias, dtype=torch.float32)
    nn.init.kaiming_uniform_(
        layer.weight, nonlinearity=nonlinearity, generator=generator
    )
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
