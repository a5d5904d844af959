"""Averages and norms that stay finite when rows are zero, weightless or absent."""

import math

import torch
from torch import Tensor

# Stands for log 0. Being finite, it keeps the gradient of a logsumexp over nothing
# finite; beside any real term it underflows to an exact zero.
LOG_ZERO = -1e30


def safe_norms(x: Tensor) -> Tensor:
    """Norms of the rows to divide by: that of a zero row is ∞.

    So a zero row stays zero and gets no gradient, where the quotient of
    ``torch.nn.functional.normalize`` has a gradient of 1e12.

    Parameters
    ----------
    x : tensor of shape (n, d), floating point

    Returns
    -------
    tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> safe_norms(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([5., inf])
    """
    norms = torch.linalg.vector_norm(x, dim=1)
    return norms.masked_fill(norms == 0, torch.inf)


def unit_rows(x: Tensor) -> Tensor:
    """Divide each row by its norm; a zero row stays zero and gets no gradient.

    Parameters
    ----------
    x : tensor of shape (n, d), floating point

    Returns
    -------
    tensor of shape (n, d)

    Examples
    --------
    >>> import torch
    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    return x / safe_norms(x)[:, None]


def weighted_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Average with multiplicities: Σ w_i v_i / Σ w_i, or 0 if nothing has weight.

    Parameters
    ----------
    values : tensor of shape (n,), floating point
    weight : tensor of shape (n,) or None, default=None

    Returns
    -------
    scalar tensor

    Examples
    --------
    >>> import torch
    >>> weighted_mean(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 1.0]))
    tensor(2.)
    >>> weighted_mean(torch.tensor([1.0, 5.0]), torch.zeros(2))
    tensor(0.)
    """
    if weight is None:
        return values.sum() / max(len(values), 1)
    total = weight.sum()
    return (weight * values).sum() / total.masked_fill(total == 0, 1)


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless ``value`` is a positive finite number."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite; got {value!r}")
