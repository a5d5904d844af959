"""The way of all rows through a network: batch by batch, into one array."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from skcollapse._utils.arrays import to_numpy
from skcollapse.extract._batches import split_batch, to_device
from skcollapse.extract._modules import eval_mode, floating_dtype


def run_batches(
    function: Callable[[Any], Any],
    module: Any,
    batches: Iterable[Any],
    device: torch.device,
) -> Iterator[tuple[Any, Any]]:
    """Yield what a function returns for the inputs of each batch, and the labels.

    Between batches the module is as it was, and gradients are on: the iterator may be
    left at any point.
    """
    dtype = floating_dtype(module)
    for batch in batches:
        inputs, labels = split_batch(batch)
        inputs = to_device(inputs, device, dtype)
        # Unlike inference mode, no_grad leaves no tensors behind, in caches of the
        # network, that could not be trained with.
        with eval_mode(module), torch.no_grad():
            outputs = function(inputs)
        yield outputs, labels


def check_vectors(features: Any, n_rows: int, name: str, remedy: str = "") -> Any:
    """Return features if they are one vector for each row, or raise ValueError."""
    shape = tuple(getattr(features, "shape", ()))
    if len(shape) == 2 and shape[0] == n_rows:
        return features
    got = f"the shape {shape}" if shape else f"a {type(features).__name__}"
    raise ValueError(
        f"{name} must return a vector for each of {n_rows} rows; got {got}.{remedy}"
    )


def gather(batches: Iterable[Any], n_batches: int = 0) -> np.ndarray:
    """Return the rows of all batches in one array, half precision in float32."""
    rows = RowBuffer(n_batches)
    for batch in batches:
        rows.append(batch)
    return rows.result()


class RowBuffer:
    """An array that grows by batches of rows.

    Where no more batches come than are expected, all of the length of the first,
    nothing is ever copied. 0 stands for an unknown number.
    """

    def __init__(self, n_batches: int = 0) -> None:
        self.n_batches = n_batches
        self.array: Any = None
        self.n_rows = 0

    def append(self, batch: Any) -> None:
        """Add an array or a tensor of shape (n, ...), from any device."""
        batch = to_numpy(batch, widen=True)
        if self.array is None:
            capacity = len(batch) * max(1, self.n_batches)
            self.array = np.empty((capacity, *batch.shape[1:]), batch.dtype)
        stop = self.n_rows + len(batch)
        if stop > len(self.array):
            self._resize(max(stop, 2 * len(self.array)))
        self.array[self.n_rows : stop] = batch
        self.n_rows = stop

    def _resize(self, n_rows: int) -> None:
        # In place where the allocator can; no one else holds the array.
        self.array.resize((n_rows, *self.array.shape[1:]), refcheck=False)

    def result(self) -> np.ndarray:
        """Return the rows, without room for more."""
        self._resize(self.n_rows)
        return np.asarray(self.array)
