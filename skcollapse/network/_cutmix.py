"""Cutmix of images, exact for every loss that takes weights as multiplicities."""

import math

from torch import Tensor

from skcollapse.training.mixup import Mixup


class CutMix(Mixup):
    """Pastes a box of one image into another, counted in both classes by its area.

    One box is drawn for a batch. Its sides are √(1 − λ) of those of the image, its
    centre is anywhere, and what falls outside is cut off: the shares of the two classes
    are those of the areas that are left.

    Parameters
    ----------
    alpha : float
        λ is drawn from Beta(α, α); 0 does not mix.
    seed : int

    References
    ----------
    .. [1] Yun et al., "CutMix: regularization strategy to train strong classifiers with
       localizable features", ICCV 2019, equation (2), arXiv:1905.04899.
    """

    def mix(self, x: Tensor, partner: Tensor, share: float):
        """Return images with a box of their partners, and the share that is their own.

        Parameters
        ----------
        x : tensor of shape (b, ..., h, w)
        partner : tensor of shape (b,), int64
        share : float

        Returns
        -------
        mixed : tensor of shape (b, ..., h, w)
        share : float

        Raises
        ------
        ValueError
            If x has no height and width.
        """
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
