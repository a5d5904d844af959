"""Batches of tensors gathered in one array."""

import numpy as np
import torch


def to_numpy(values):
    """Return a tensor as an array, half precision in float32: NumPy lacks bfloat16."""
    values = values.detach().cpu()
    half = values.dtype in (torch.float16, torch.bfloat16)
    return (values.float() if half else values).numpy()


class Rows:
    """An array that grows by batches of rows.

    Parameters
    ----------
    n_batches : int
        How many are expected, all of the length of the first: where that is right or
        too much, nothing is ever copied. 0 if it is not known.
    """

    def __init__(self, n_batches=0):
        self.n_batches = n_batches
        self.array = None
        self.n_rows = 0

    def append(self, batch):
        """Add a tensor of shape (n, ...), from any device."""
        batch = to_numpy(batch)
        if self.array is None:
            capacity = len(batch) * max(1, self.n_batches)
            self.array = np.empty((capacity, *batch.shape[1:]), batch.dtype)
        stop = self.n_rows + len(batch)
        if stop > len(self.array):
            self._resize(max(stop, 2 * len(self.array)))
        self.array[self.n_rows : stop] = batch
        self.n_rows = stop

    def _resize(self, n_rows):
        # In place where the allocator can; no one else holds the array.
        self.array.resize((n_rows, *self.array.shape[1:]), refcheck=False)

    def result(self):
        """Return the rows, without room for more."""
        self._resize(self.n_rows)
        return self.array
