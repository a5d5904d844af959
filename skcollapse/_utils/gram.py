"""The Gram matrix of columns, at half the cost of a matrix product."""

import torch
from torch import Tensor

# Wide enough for a product to run at full speed, narrow enough to leave much out.
_BLOCK = 128


def gram(rows: Tensor) -> Tensor:
    """Return rows.T @ rows, from blocks on the diagonal and above."""
    n_features = rows.shape[1]
    if rows.is_cuda or n_features <= 2 * _BLOCK:
        return rows.T @ rows
    result = rows.new_empty(n_features, n_features)
    for first in range(0, n_features, _BLOCK):
        block = slice(first, first + _BLOCK)
        torch.mm(rows[:, block].T, rows[:, first:], out=result[block, first:])
        # Torch refuses to copy a single value onto itself.
        if first < n_features - 1:
            result[first:, block] = result[block, first:].T
    return result
