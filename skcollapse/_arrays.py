"""What users pass, as NumPy arrays that keep their precision."""

import numpy as np
import torch
from sklearn.utils import check_array


def to_numpy(values):
    """Return a tensor as a NumPy array, and anything else as it is."""
    if not isinstance(values, torch.Tensor):
        return values
    values = values.detach().cpu()
    # NumPy has no bfloat16.
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def float_dtypes(X):
    """Return the dtypes in which X may stay: half precision is computed in float32."""
    half = getattr(X, "dtype", None) == np.float16
    return np.float32 if half else (np.float64, np.float32)


def as_input(batch, dtype):
    """Return a batch as a network takes it: in a dtype, or in int64 if it is indices.

    Integers of one byte stand for pixels and become floating-point, with the values
    they have; longer ones are indices that embedding layers look up.

    Parameters
    ----------
    batch : tensor
        On any device; converted there, so that pixels travel as bytes.
    dtype : torch.dtype
    """
    is_index = not batch.is_floating_point() and batch.itemsize > 1
    return batch.to(torch.int64 if is_index else dtype)


def given_classes(classes, known):
    """Return the sorted labels of a `partial_fit`, or raise.

    Parameters
    ----------
    classes : array-like or None
        As they were passed.
    known : ndarray or None
        As they were before; None if nothing was.

    Returns
    -------
    ndarray of shape (n_classes,)
    """
    if known is None and classes is None:
        raise ValueError("classes must be given in the first partial_fit.")
    if classes is None:
        return known
    classes = np.unique(to_numpy(classes))
    if known is not None and not np.array_equal(classes, known):
        raise ValueError(f"classes={classes!r} is not what it was before: {known!r}.")
    return classes


def check_weight(sample_weight, n_samples):
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
    return weight
