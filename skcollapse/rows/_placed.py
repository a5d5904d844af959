"""Rows on their way to a device, batch by batch: the set need not fit there."""

import math

import torch
from torch import Tensor

from skcollapse._utils.arrays import as_input

# Without gradients so many rows at once, or so many numbers of larger ones.
_MOST_ROWS, _FEWEST_ROWS, _MOST_VALUES = 8192, 32, 2**21


class DeviceRows:
    """Rows of a tensor, which is on the device already.

    They are given in a floating-point dtype unless they are indices; None is their own.
    """

    def __init__(self, rows, dtype=None):
        self.rows, self.device, self.dtype = rows, rows.device, dtype or rows.dtype
        self.shape = rows.shape[1:]

    def __len__(self):
        return len(self.rows)

    def batches(self, order, sizes):
        """Yield batches of one size or given sizes, in an order of the rows."""
        for rows in order.to(self.device).split(sizes):
            yield as_input(self.rows[rows], self.dtype)


class StreamedRows:
    """Rows of a source, brought to the device batch by batch; see `DeviceRows`."""

    def __init__(self, source, device, dtype):
        self.source, self.device, self.dtype = source, device, dtype
        self.shape = source.shape

    def __len__(self):
        return len(self.source)

    def batches(self, order, sizes):
        """Yield batches of one size or given sizes, in an order of the rows."""
        for batch in self.source.batches(order.cpu().split(sizes)):
            # The device computes on one batch while the next one is read and sent.
            batch = batch.pin_memory() if self.device.type == "cuda" else batch
            batch = batch.to(self.device, non_blocking=True)
            yield as_input(batch, self.dtype)


def as_source(features):
    """Return features of a problem, perhaps a tensor, as rows that give batches."""
    return DeviceRows(features) if isinstance(features, Tensor) else features


def without_gradients(source):
    """Yield all rows, in as large batches as are prudent where nothing is learnt."""
    return source.batches(torch.arange(len(source)), rows_at_once(source.shape))


def rows_at_once(shape):
    """Return how many rows of a shape to compute at once where nothing is learnt."""
    if len(shape) < 2:
        return _MOST_ROWS
    rows = _MOST_VALUES // max(math.prod(shape), 1)
    return max(_FEWEST_ROWS, min(rows, _MOST_ROWS))
