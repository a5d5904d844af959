"""What users pass, as NumPy arrays that keep their precision."""

import numpy as np
import torch


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


def resolve_classes(classes, known):
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
