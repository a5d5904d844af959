"""Checks of what moments are gathered from: class indices and weights."""

from typing import Any

import numpy as np
import torch


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
