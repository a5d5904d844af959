"""The Gram matrix of columns, at half the cost of a matrix product."""

import torch

# Wide enough for a product to run at full speed, narrow enough to leave much out.
_BLOCK = 128


def gram(rows):
    """Return rows.T @ rows.

    It is symmetric: only blocks on the diagonal and above are multiplied.

    Parameters
    ----------
    rows : tensor of shape (n, q), floating point

    Returns
    -------
    tensor of shape (q, q)

    Examples
    --------
    >>> import torch
    >>> gram(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[10., 14.],
            [14., 20.]])
    """
    n_features = rows.shape[1]
    if rows.is_cuda or n_features <= 2 * _BLOCK:
        return rows.T @ rows
    result = rows.new_empty(n_features, n_features)
    for first in range(0, n_features, _BLOCK):
        block = slice(first, first + _BLOCK)
        torch.mm(rows[:, block].T, rows[:, first:], out=result[block, first:])
        result[first:, block] = result[block, first:].T
    return result
