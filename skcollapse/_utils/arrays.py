"""What users pass, as NumPy arrays that keep their precision."""

from typing import Any

import numpy as np
import torch


def to_numpy(values: Any) -> Any:
    """Return a tensor as a NumPy array, and anything else as it is."""
    if not isinstance(values, torch.Tensor):
        return values
    values = values.detach().cpu()
    # NumPy has no bfloat16.
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def float_dtypes(X: Any) -> type | tuple[type, ...]:
    """Return the dtypes in which X may stay: half precision is computed in float32."""
    half = getattr(X, "dtype", None) == np.float16
    return np.float32 if half else (np.float64, np.float32)


def as_input(batch: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a batch as a network takes it: in a dtype, or in int64 if it is indices.

    Integers of one byte stand for pixels and become floating-point, with the values
    they have; longer ones are indices that embedding layers look up. They are converted
    on their device, so that pixels travel as bytes.
    """
    is_index = not batch.is_floating_point() and batch.itemsize > 1
    return batch.to(torch.int64 if is_index else dtype)


def resolve_classes(classes: Any, known: np.ndarray | None) -> np.ndarray:
    """Return the sorted labels of a `partial_fit` as passed or as before, or raise."""
    if classes is None:
        if known is None:
            raise ValueError("classes must be given in the first partial_fit.")
        return known
    classes = np.unique(to_numpy(classes))
    if known is not None and not np.array_equal(classes, known):
        raise ValueError(f"classes={classes!r} is not what it was before: {known!r}.")
    return classes
