"""Rows and their labels where they are: NumPy on the host, torch elsewhere."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skcollapse._utils.arrays import to_numpy
from skcollapse._utils.gram import gram

# Float32 holds seven digits. Of rows that differ more in length, here squared, those
# of usual length would lose theirs beside the longest.
WIDE_RANGE = 2.0**16
# What float32 does not hold exactly.
_WIDE_INTEGERS = (torch.int32, torch.int64)


def as_array(values: Any, device: torch.device | None) -> Any:
    """Return an array-like or tensor on a device; None stands for a NumPy array."""
    if values is None:
        return None
    if device is not None:
        return torch.as_tensor(values, device=device)
    return np.asarray(to_numpy(values))


def host_device(X: Any) -> torch.device | None:
    """Return the device of a tensor that NumPy cannot read, or None."""
    on_host = isinstance(X, np.ndarray) or X.device.type == "cpu"
    return None if on_host else X.device


def gram_of(rows: Any) -> Any:
    """Return rows.T @ rows, of NumPy rows too by torch, whose product is faster."""
    if isinstance(rows, Tensor):
        return gram(rows)
    return gram(torch.from_numpy(rows)).numpy()


def squared_length(rows: Tensor) -> Tensor:
    """Return the (n,) squared norms of the rows of a tensor."""
    squares: Tensor = torch.linalg.vector_norm(rows, dim=1).square_()
    return squares


def need_float64(squares: Tensor) -> bool:
    """Return whether float32 is too short for rows of these squared lengths."""
    if not len(squares):
        return False
    return bool(squares.max() > WIDE_RANGE * squares.median())


def precision_of(X: Any) -> np.dtype[Any]:
    """Return float32 where that holds all values, and float64 otherwise."""
    if isinstance(X, Tensor):
        wide = torch.promote_types(X.dtype, torch.float32)
        exact = wide == torch.float32 and X.dtype not in _WIDE_INTEGERS
    else:
        exact = np.can_cast(X.dtype, np.float32)
    return np.dtype(np.float32 if exact else np.float64)


def check_labels(labels: Any, n_samples: int, n_classes: int) -> Any:
    """Return an array or tensor of class indices as int64, or raise."""
    if tuple(labels.shape) != (n_samples,):
        raise ValueError(
            f"y must have one class index for each of the {n_samples} rows of X, "
            f"got the shape {tuple(labels.shape)}."
        )
    if isinstance(labels, torch.Tensor):
        whole = not (labels.is_floating_point() or labels.is_complex())
        indices: Any = labels.long()
    else:
        whole = labels.dtype.kind in "iub" or n_samples == 0
        indices = labels.astype(np.int64, copy=False) if whole else None
    if not whole:
        raise ValueError(
            f"y must hold integer class indices, got the dtype {labels.dtype}. "
            "LabelEncoder turns labels into indices."
        )
    if n_samples and not 0 <= indices.min() <= indices.max() < n_classes:
        raise ValueError(
            f"y must hold class indices from 0 to n_classes - 1 = {n_classes - 1}, "
            f"got values from {indices.min()} to {indices.max()}."
        )
    return indices


def check_weights(weights: Any, n_samples: int) -> Any:
    """Return an array or tensor of weights as float64, or raise."""
    if tuple(weights.shape) != (n_samples,):
        raise ValueError(
            f"sample_weight must have one weight for each of the {n_samples} rows of "
            f"X, got the shape {tuple(weights.shape)}."
        )
    is_tensor = isinstance(weights, torch.Tensor)
    if not is_tensor and weights.dtype.kind not in "biuf":
        raise ValueError(
            f"sample_weight must hold numbers, got the dtype {weights.dtype}."
        )
    weights = weights.double() if is_tensor else weights.astype(np.float64)
    # NaN fails the first comparison, infinity the second.
    if n_samples and not ((weights >= 0).all() and weights.max() < np.inf):
        raise ValueError(
            "sample_weight must be finite and not negative, got values from "
            f"{weights.min():g} to {weights.max():g}."
        )
    return weights
