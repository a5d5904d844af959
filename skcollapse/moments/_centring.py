"""Class means of rows, and the rows less their class means."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skcollapse._utils.parallel import row_slices
from skcollapse.moments._rows import need_float64, squared_length

# Rows handled at a time within a chunk: few enough to stay in the processor's cache.
_SUMMED_ROWS = 1024
_CENTRED_ROWS = 64
# Rows of a class that are added up in their own precision, before float64 takes over.
_BAG = 64
_BAGS = 256


def add_class_sums(
    rows: Tensor, labels: np.ndarray, weights: np.ndarray | None, sums: np.ndarray
) -> None:
    """Add rows to the (K, d) float64 sums of their classes, in place."""
    # Labels of one or two bytes are sorted many times faster.
    order = np.argsort(labels.astype(np.min_scalar_type(len(sums))), kind="stable")
    ordered = labels[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    bags = np.flatnonzero(rank % _BAG == 0)
    ends = np.append(bags[1:], len(order))
    if weights is not None:
        rows = rows.double() * _like(weights, rows)[:, None]
    totals = torch.from_numpy(sums)
    for some in row_slices(len(bags), _BAGS):
        first, end = bags[some][0], ends[some][-1]
        partial = torch.nn.functional.embedding_bag(
            _like(order[first:end], rows),
            rows,
            _like(bags[some] - first, rows),
            mode="sum",
        )
        # On the CPU, where additions come in the same order at every call.
        classes = torch.from_numpy(ordered[bags[some]])
        totals.index_add_(0, classes, partial.cpu().double())


def _like(values: np.ndarray, rows: Tensor) -> Tensor:
    return torch.from_numpy(values).to(rows.device)


def centre_on_host(
    rows: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[Any, ...]:
    """Summarise NumPy rows by class.

    Returns the classes among the labels, their counts, means and traces of the scatter,
    and the rows less their class means, times the root of their weights.
    """
    classes, labels = np.unique(labels, return_inverse=True)
    counts = np.bincount(labels, weights).astype(np.float64)
    means = np.zeros((len(counts), rows.shape[1]))
    squares = torch.empty(len(rows), dtype=torch.float64)
    for part in row_slices(len(rows), max(_SUMMED_ROWS, len(counts))):
        block = torch.from_numpy(rows[part].astype(np.float64))
        squares[part] = squared_length(block)
        share = None if weights is None else weights[part]
        add_class_sums(block, labels[part], share, means)
    means /= counts[:, None]
    short = np.can_cast(rows.dtype, np.float32) and not need_float64(squares)
    dtype: Any = np.float32 if short else np.float64
    # In two steps, float32 centres as exactly as float64: the first loses nothing to
    # a large offset, and what the rounded mean lacks is small.
    rounded: Any = means.astype(dtype)
    remainder = (means - rounded).astype(dtype)
    centred = np.empty(rows.shape, dtype)
    lengths = np.empty(len(rows))
    for part in row_slices(len(rows), _CENTRED_ROWS):
        block = np.subtract(rows[part], rounded[labels[part]], out=centred[part])
        block -= remainder[labels[part]]
        if weights is not None:
            block *= np.sqrt(weights[part, None]).astype(dtype)
        lengths[part] = np.einsum("ij,ij->i", block, block)
    return classes, counts, means, np.bincount(labels, lengths), centred


def centre_on_device(
    rows: Tensor, labels: Tensor, weights: Tensor | None
) -> tuple[Tensor, ...]:
    """Do for torch rows, where they are, what `centre_on_host` does for NumPy's."""
    classes, labels, sizes = torch.unique(
        labels, return_inverse=True, return_counts=True
    )
    order = torch.argsort(labels, stable=True)
    first = sizes.cumsum(0) - sizes

    def sum_by_class(values: Tensor) -> Tensor:
        # Unlike index_add, the same at every call: no atomic additions.
        return torch.nn.functional.embedding_bag(order, values, first, mode="sum")

    exact = rows.to(torch.float64)
    share = exact.new_ones(len(rows), 1) if weights is None else weights[:, None]
    counts = sum_by_class(share)
    means = sum_by_class(exact * share) / counts
    centred = (exact - means[labels]) * share.sqrt()
    trace = sum_by_class(centred.square().sum(1, keepdim=True))
    if not need_float64(squared_length(exact)):
        centred = centred.to(torch.promote_types(rows.dtype, torch.float32))
    return classes, counts[:, 0], means, trace[:, 0], centred
