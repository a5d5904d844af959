"""Training of networks on mini-batches, and augmentation of their images."""

from skcollapse.network import RandomCropFlip, Trainer

__all__ = ["RandomCropFlip", "Trainer"]
