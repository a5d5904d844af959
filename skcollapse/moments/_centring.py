"""Class means of rows, and the rows less their class means."""

import numpy as np
import torch
from scipy.sparse import csc_array

from skcollapse._parallel import row_slices

# Rows handled at a time within a chunk: few enough to stay in the processor's cache.
_SUMMED_ROWS = 1024
_CENTRED_ROWS = 64


def add_class_sums_on_host(rows, labels, weights, step, sums):
    """Add NumPy rows to the sums of their classes in float64, a few at a time."""
    # The product with a sparse indicator is the fastest way to sum rows by class.
    step = min(step, len(rows))
    buffer = np.empty((step, rows.shape[1]))
    for part in row_slices(len(rows), step):
        block = buffer[: part.stop - part.start]
        block[:] = rows[part]
        share = np.ones(len(block)) if weights is None else weights[part]
        indicator = csc_array(
            (share, labels[part], np.arange(len(block) + 1)),
            shape=(len(sums), len(block)),
        )
        sums += indicator @ block


def add_class_sums_on_device(rows, labels, weights, step, sums):
    """Do so for torch rows, where they are."""
    for part in row_slices(len(rows), step):
        own = torch.from_numpy(labels[part]).to(rows.device)
        # Unlike index_add, the same at every call: no atomic additions.
        indicator = torch.nn.functional.one_hot(own, len(sums)).double()
        if weights is not None:
            indicator *= torch.from_numpy(weights[part]).to(rows.device)[:, None]
        sums += (indicator.T @ rows[part].double()).cpu().numpy()


def centre_on_host(rows, labels, weights):
    """Summarise NumPy rows by class.

    Returns the classes among the labels, their counts, means and traces of the scatter,
    and the rows less their class means, times the root of their weights.
    """
    classes, labels = np.unique(labels, return_inverse=True)
    counts = np.bincount(labels, weights).astype(np.float64)
    step = max(_SUMMED_ROWS, len(counts))
    means = np.zeros((len(counts), rows.shape[1]))
    add_class_sums_on_host(rows, labels, weights, step, means)
    means /= counts[:, None]
    dtype = np.float32 if np.can_cast(rows.dtype, np.float32) else np.float64
    # In two steps, float32 centres as exactly as float64: the first loses nothing to
    # a large offset, and what the rounded mean lacks is small.
    rounded = means.astype(dtype)
    remainder = (means - rounded).astype(dtype)
    centred = np.empty(rows.shape, dtype)
    squares = np.empty(len(rows))
    for part in row_slices(len(rows), _CENTRED_ROWS):
        block = np.subtract(rows[part], rounded[labels[part]], out=centred[part])
        block -= remainder[labels[part]]
        if weights is not None:
            block *= np.sqrt(weights[part, None]).astype(dtype)
        squares[part] = np.einsum("ij,ij->i", block, block)
    return classes, counts, means, np.bincount(labels, squares), centred


def centre_on_device(rows, labels, weights):
    """Do for torch rows, where they are, what `centre_on_host` does for NumPy's."""
    classes, labels, sizes = torch.unique(
        labels, return_inverse=True, return_counts=True
    )
    order = torch.argsort(labels, stable=True)
    first = sizes.cumsum(0) - sizes

    def sum_by_class(values):
        # Unlike index_add, the same at every call: no atomic additions.
        return torch.nn.functional.embedding_bag(order, values, first, mode="sum")

    exact = rows.to(torch.float64)
    share = exact.new_ones(len(rows), 1) if weights is None else weights[:, None]
    counts = sum_by_class(share)
    means = sum_by_class(exact * share) / counts
    centred = (exact - means[labels]) * share.sqrt()
    trace = sum_by_class(centred.square().sum(1, keepdim=True))
    centred = centred.to(torch.promote_types(rows.dtype, torch.float32))
    return classes, counts[:, 0], means, trace[:, 0], centred
