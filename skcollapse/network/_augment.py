"""Augmentations of a batch of images, on the device where it is."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from skcollapse._utils.checks import check_integer, check_switch


@dataclass(frozen=True)
class RandomCropFlip:
    """Random crops and horizontal flips of a batch of images.

    What small natural images are trained with: padding by zeros, a random crop of the
    original size, and a horizontal flip with probability ½ [1]_. All images of a batch
    are cropped at once, each in its own place.

    Parameters
    ----------
    padding : int, default=4
        Pixels added on each side, at least 0, by which images are shifted at most. 4
        is for images of 32 pixels; 0 flips only.
    flip : bool, default=True
        Mirror images left to right. Set it False for images such as digits, which a
        mirror makes others.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR
       2016, section 4.2, arXiv:1512.03385.

    Examples
    --------
    >>> import torch
    >>> image = torch.arange(1, 10).reshape(1, 1, 3, 3)
    >>> shifted = RandomCropFlip(padding=1)(image, torch.Generator().manual_seed(0))
    >>> shifted[0, 0]
    tensor([[5, 4, 0],
            [8, 7, 0],
            [0, 0, 0]])
    """

    padding: int = 4
    flip: bool = True

    def __post_init__(self):
        """Check the parameters."""
        check_integer("padding", self.padding, 0)
        check_switch("flip", self.flip)

    def __call__(
        self, images: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Augment a batch.

        Parameters
        ----------
        images : tensor of shape (n, c, h, w), any dtype
            Not changed.
        generator : torch.Generator or None, default=None
            Draws places and flips. One on the CPU draws the same for every device;
            None is the global generator of the device of the images.

        Returns
        -------
        tensor of shape (n, c, h, w)

        Raises
        ------
        ValueError
            If the images have another number of axes.
        """
        if images.ndim != 4:
            raise ValueError(
                "images must have the shape (n, c, h, w); got the shape "
                f"{tuple(images.shape)}. Images of one channel have c = 1."
            )
        n, c, h, w = images.shape
        device = images.device if generator is None else generator.device

        def draw(high, rows):
            """Return (rows, n) integers below ``high``."""
            drawn = torch.randint(high, (rows, n), generator=generator, device=device)
            return drawn.to(images.device, non_blocking=True)

        top, left = draw(2 * self.padding + 1, 2)
        rows = top[:, None] + torch.arange(h, device=images.device)
        columns = left[:, None] + torch.arange(w, device=images.device)
        if self.flip:
            (mirrored,) = draw(2, 1)
            columns = columns.where(mirrored[:, None] == 0, columns.flip(1))
        padded = pad(images, 4 * [self.padding]).flatten(2)
        # One gather of n × c × h·w numbers, whatever the places.
        pixels = rows[:, :, None] * (w + 2 * self.padding) + columns[:, None, :]
        pixels = pixels.reshape(n, 1, h * w).expand(n, c, h * w)
        return padded.gather(2, pixels).reshape(n, c, h, w)
