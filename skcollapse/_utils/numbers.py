"""Checks of arrays of numbers, without torch: tensors are known by what they do."""

import warnings
from typing import Any

import numpy as np
from sklearn.utils import check_array


def as_float64(name: str, values: Any) -> np.ndarray:
    """Return real numbers as a float64 array, or raise ValueError."""
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            values = values.numpy() if values.is_complex() else values.double()
        with warnings.catch_warnings():
            # Older versions of NumPy make objects of ragged lists, with a warning.
            warnings.simplefilter("error")
            array = np.asarray(values)
        if array.dtype.kind in "cmM":
            raise TypeError(f"{array.dtype} is no real number")
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, Warning) as error:
        raise ValueError(f"{name} must hold numbers; got {values!r}.") from error


def check_finite_rows(name: str, matrix: np.ndarray, advice: str) -> None:
    """Raise ValueError if a row of a matrix holds NaN or infinity."""
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{name} must be finite, but row {np.argmin(finite)} is not. {advice}"
        )


def check_class_counts(class_counts: Any, n_classes: int | None = None) -> np.ndarray:
    """Return positive sizes of at least two, or so many, classes, or raise."""
    counts = as_float64("class_counts", class_counts)
    if n_classes is not None and counts.shape != (n_classes,):
        raise ValueError(
            f"class_counts must hold a size for each of the {n_classes} classes, got "
            f"the shape {counts.shape}."
        )
    if counts.ndim != 1 or len(counts) < 2:
        raise ValueError(
            "class_counts must be a list of at least two class sizes, got an array of "
            f"shape {counts.shape}."
        )
    valid = np.isfinite(counts) & (counts > 0)
    if not valid.all():
        first = np.argmin(valid)
        raise ValueError(
            "class_counts must be positive and finite, but class "
            f"{first} has {counts[first]:g}. Leave out the classes without samples."
        )
    return counts


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
