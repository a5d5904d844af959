"""Rows of any shape where they lie: in an array, a memory map or a data set."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from skcollapse.rows._placed import DeviceRows, StreamedRows, rows_at_once

# Of the free memory of a device, rows may take this share: activations need the rest.
_RESIDENT_SHARE = 0.4
# Labels of a data set are read in batches of so many rows.
_LABELS_AT_ONCE = 256


class ArrayRows:
    """Some rows of an array or a memory map, which is not copied; None is all."""

    # Read again, a row is the same.
    is_random = False

    def __init__(self, data, index=None):
        self.data, self.index = data, index
        self.shape = data.shape[1:]

    def __len__(self):
        return len(self.data) if self.index is None else len(self.index)

    def __getitem__(self, index):
        """Return some of the rows, by index or mask, without copying them."""
        before = np.arange(len(self.data)) if self.index is None else self.index
        return type(self)(self.data, before[index])

    @property
    def floating_dtype(self):
        """The dtype for a network that has none of its own."""
        double = self.data.dtype.kind == "f" and self.data.itemsize > 4
        return torch.float64 if double else torch.float32

    @property
    def size(self):
        """The number of numbers."""
        return len(self) * math.prod(self.shape)

    @property
    def n_bytes(self):
        """How much memory the rows take on a device."""
        return self.size * self.data.itemsize

    def batches(self, parts):
        """Yield batches as tensors on the host, given the indices of their rows."""
        native = self.data.dtype.newbyteorder("=")
        for part in parts:
            rows = part.numpy()
            rows = rows if self.index is None else self.index[rows]
            # Chosen by index they are a copy, which torch can take: only native order.
            yield torch.from_numpy(self.data[rows].astype(native, copy=False))

    def on(self, device, dtype):
        """Return the rows for a device and a network, there already if they fit."""
        if device.type == "cpu" and self.index is None and _is_plain(self.data):
            return DeviceRows(torch.from_numpy(self.data), dtype)
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if self.n_bytes <= _RESIDENT_SHARE * free:
                parts = torch.arange(len(self)).split(rows_at_once(self.shape))
                moved = [batch.to(device) for batch in self.batches(parts)]
                return DeviceRows(torch.cat(moved), dtype)
        return StreamedRows(self, device, dtype)


class DatasetRows:
    """Some rows of a data set of (x, y) pairs; y is not looked at.

    Batches are made by ``n_workers`` processes; 0 is this one.
    """

    # Many data sets augment what they hold.
    is_random = True
    floating_dtype = torch.float32
    # What there is to compute is not known: it is not little.
    size = math.inf

    def __init__(self, dataset, n_workers, index=None):
        self.dataset, self.n_workers = dataset, n_workers
        self.index = np.arange(len(dataset)) if index is None else index

    @property
    def shape(self):
        """The shape of a row."""
        return tuple(np.shape(self.dataset[0][0]))

    def __len__(self):
        return len(self.index)

    def __getitem__(self, index):
        """Return some of the rows, by index or mask."""
        return type(self)(self.dataset, self.n_workers, self.index[index])

    def pairs(self, parts):
        """Yield batches of pairs, given the indices of their rows, or raise."""
        loader = DataLoader(
            self.dataset,
            batch_sampler=[self.index[part.numpy()].tolist() for part in parts],
            num_workers=self.n_workers,
        )
        for batch in loader:
            if not (len(batch) == 2 and isinstance(batch[0], Tensor)):
                raise TypeError(
                    "X must be a Dataset of pairs (x, y), in which x is a tensor; its "
                    f"batches are of the types {[type(part) for part in batch]}."
                )
            yield batch

    def batches(self, parts):
        """Yield batches as tensors on the host; see :class:`ArrayRows`."""
        for x, _ in self.pairs(parts):
            yield x

    def on(self, device, dtype):
        """Return the rows for a device, as they are read."""
        return StreamedRows(self, device, dtype)


def as_rows(X, n_workers=0):
    """Return rows of an array or a data set that can be read by index, or raise."""
    if not isinstance(X, Dataset):
        return ArrayRows(X)
    if hasattr(X, "__len__") and len(X):
        return DatasetRows(X, n_workers)
    raise ValueError(
        "X must be an array, or a map-style Dataset that has a length and rows; got "
        f"{X!r}."
    )


def read_labels(dataset, n_workers=0):
    """Return the labels of a data set, which is read once for them."""
    rows = as_rows(dataset, n_workers)
    parts = torch.arange(len(rows)).split(_LABELS_AT_ONCE)
    return np.concatenate([np.asarray(y) for _, y in rows.pairs(parts)])


def _is_plain(array):
    """Return whether torch can use an array where it lies, without a word."""
    flags = array.flags
    return flags.writeable and flags.c_contiguous and array.dtype.isnative
