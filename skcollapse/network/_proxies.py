"""Class vectors that are trained beside the projector.

A new kind is a class and a line. What trains them is the loss: the hyperspherical
uniformity gap has a term of the class vectors alone, and stops the gradient of the
other one unless it is told not to.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrizations import orthogonal


class Proxies(nn.Module):
    """Unit class vectors with parameters, or a memory, of their own.

    Called without arguments they are what they are now, of shape (K, d). A kind is
    built from where it starts, a tensor of that shape, and from hyperparameters that
    have defaults; its first parameter or buffer has that shape too.

    Attributes
    ----------
    starts_at_code : bool
        They start from a uniform code; otherwise from random directions.
    decoupled : bool
        The features do not pull them.
    hyperparameters : tuple of str
        Names of what the constructor takes besides, and of attributes.
    """

    starts_at_code: bool = False
    decoupled: bool = True
    hyperparameters: tuple[str, ...] = ()

    def of_batch(self, features: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        """Return the class vectors for a batch of (n, d) features in training."""
        return self()

    def finalize(
        self, project: Callable[[], Tensor], y: Tensor, weight: Tensor | None
    ) -> None:
        """Take note of the features of all rows, after training; project gives them."""


class LearnableProxies(Proxies):
    """Free directions."""

    def __init__(self, start: Tensor):
        super().__init__()
        self.directions = nn.Parameter(start.clone())

    def forward(self) -> Tensor:
        """Return the (K, d) class vectors."""
        return normalize(self.directions)


class OrthogonalProxies(Proxies):
    """A fixed code that is turned.

    How uniform a code is does not depend on the turn: the rotation has no gradient from
    the term between classes, so it must learn from the pull of the features.
    """

    starts_at_code = True
    decoupled = False

    def __init__(self, start: Tensor):
        super().__init__()
        self.register_buffer("code", start.clone())
        # The constructor of Linear would draw from the global generator.
        n_components = start.shape[1]
        turn = nn.utils.skip_init(
            nn.Linear, n_components, n_components, bias=False, dtype=start.dtype
        )
        nn.init.eye_(turn.weight)
        self.turn = orthogonal(turn)

    def forward(self) -> Tensor:
        """Return the (K, d) class vectors."""
        return normalize(self.turn(self.code))


class ClassMeanProxies(Proxies):
    """Directions of the class means of the features.

    In training these are the means of the batch, so that the term between classes pulls
    on its features, and what is remembered of classes that are absent from it. Nothing
    is averaged over batches: features would be held back where their class has been.
    Of classes not seen yet, the start is remembered.
    """

    def __init__(self, start: Tensor):
        super().__init__()
        self.register_buffer("means", start.clone())

    def forward(self) -> Tensor:
        """Return the (K, d) class vectors."""
        return normalize(self.means)

    def of_batch(self, features, y, weight):
        """Return the class vectors; remember those of the classes in the batch."""
        means = self._means_of(features, y, weight)
        self.means = means.detach()
        return normalize(means)

    @torch.no_grad()
    def finalize(self, project, y, weight):
        """Remember the class means of all rows."""
        self.means = self._means_of(project(), y, weight)

    def _means_of(self, features, y, weight):
        units = normalize(features).to(self.means)
        weight = torch.ones_like(y) if weight is None else weight
        weight = weight.to(units)[:, None]
        sums = torch.zeros_like(self.means).index_add(0, y, weight * units)
        totals = torch.zeros_like(self.means[:, :1]).index_add(0, y, weight)
        present = totals > 0
        return (sums / totals.masked_fill(~present, 1)).where(present, self.means)


PROXIES = {
    "learnable": LearnableProxies,
    "orthogonal": OrthogonalProxies,
    "class_mean": ClassMeanProxies,
}
