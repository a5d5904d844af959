"""Rows where they are: NumPy on the host, torch elsewhere, a part at a time."""

import numpy as np
import torch

from skcollapse._utils.arrays import to_numpy
from skcollapse._utils.gram import gram


def place(values, device):
    """Return an array-like or tensor on `device`; None stands for a NumPy array."""
    if values is None:
        return None
    if device is not None:
        return torch.as_tensor(values, device=device)
    return np.asarray(to_numpy(values))


def gram_of(rows):
    """Return rows.T @ rows, of NumPy rows too by torch, whose product is faster."""
    if isinstance(rows, torch.Tensor):
        return gram(rows)
    return gram(torch.from_numpy(rows)).numpy()
