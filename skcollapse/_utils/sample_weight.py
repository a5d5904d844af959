"""Weights of the rows, as scikit-learn takes them."""

from typing import Any

import numpy as np
from sklearn.utils import check_array


def check_sample_weight(sample_weight: Any, n_samples: int) -> np.ndarray:
    """Return (n_samples,) weights in float64, or raise."""
    weight = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have the shape ({n_samples},), a weight for each row; "
            f"got the shape {weight.shape}."
        )
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight must not be negative; got {weight.min():g}. Leave out rows "
            "that should not count, or weigh them 0."
        )
    if not weight.any():
        raise ValueError("sample_weight must not be zero for every row.")
    return np.asarray(weight)
