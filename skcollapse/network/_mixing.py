"""Mixtures of rows, exact for every loss that takes weights as multiplicities."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


class Mixup:
    """Replaces the rows of a batch by mixtures of two, each counted in both classes.

    One share λ is drawn for a batch. The mixture λ x + (1 − λ) x' enters the loss
    twice: with the class of x and λ times its weight, and with the class of x' and
    1 − λ times the weight of that.

    It is drawn from Beta(α, α); α = 0 does not mix.

    References
    ----------
    .. [1] Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018,
       arXiv:1710.09412.
    """

    def __init__(self, alpha: float, seed: int):
        self.alpha = alpha
        # torch has no public way to draw from Beta with a generator of one's own.
        self.rng = np.random.default_rng(seed)

    def loss(
        self,
        module: Callable[[Tensor], Tensor],
        objective: Callable[[Tensor, Tensor, Tensor], Tensor],
        x: Tensor,
        y: Tensor,
        weight: Tensor,
    ) -> Tensor:
        """Return the loss of a batch, mixed if there is anything to draw from."""
        if self.alpha == 0:
            return objective(module(x), y, weight)
        share = self.rng.beta(self.alpha, self.alpha)
        partner = torch.from_numpy(self.rng.permutation(len(y))).to(y.device)
        mixed, share = self.mix(x, partner, share)
        projected = module(mixed)
        return objective(
            torch.cat([projected, projected]),
            torch.cat([y, y[partner]]),
            torch.cat([share * weight, (1 - share) * weight[partner]]),
        )

    def mix(self, x: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
        """Return mixtures with partner rows, and the share of the rows themselves."""
        return share * x + (1 - share) * x[partner], share


class CutMix(Mixup):
    """Pastes a box of one image into another, counted in both classes by its area.

    One box is drawn for a batch. Its sides are √(1 − λ) of those of the image, its
    centre is anywhere, and what falls outside is cut off: the shares of the two classes
    are those of the areas that are left.

    References
    ----------
    .. [1] Yun et al., "CutMix: regularization strategy to train strong classifiers with
       localizable features", ICCV 2019, equation (2), arXiv:1905.04899.
    """

    def mix(self, x: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
        """Return images with boxes of their partners, and the share that is theirs."""
        if x.ndim < 3:
            raise ValueError(
                "cutmix needs images, of shape (n, c, h, w); got the shape "
                f"{tuple(x.shape)}. Use mixup for rows of features."
            )
        h, w = x.shape[-2:]
        top, bottom = self._side(h, share)
        left, right = self._side(w, share)
        mixed = x.clone()
        mixed[..., top:bottom, left:right] = x[..., top:bottom, left:right][partner]
        return mixed, 1 - (bottom - top) * (right - left) / (h * w)

    def _side(self, length, share):
        """Return where the box begins and ends on a side of the image."""
        half = int(length * math.sqrt(1 - share)) // 2
        centre = int(self.rng.integers(length))
        return max(centre - half, 0), min(centre + half, length)
