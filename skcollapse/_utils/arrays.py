"""What users pass, as NumPy arrays that keep their precision."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.utils.data import DataLoader, Dataset

# Rows whose bytes are mixed at once: in the processor's cache.
_ROWS_AT_ONCE = 1024

# What users pass: anything that NumPy takes, or a tensor on any device.
Rows = ArrayLike | torch.Tensor


def to_numpy(values: Any, *, widen: bool = False) -> Any:
    """Return a tensor as a NumPy array, and anything else as it is.

    NumPy has no bfloat16, which becomes float32; so does float16 if `widen`.
    """
    if not isinstance(values, torch.Tensor):
        return values
    values = values.detach().cpu()
    half = (torch.bfloat16, torch.float16) if widen else (torch.bfloat16,)
    return (values.float() if values.dtype in half else values).numpy()


def reject_dataset(
    X: Any, remedy: str = "Extract the features first, see extract_features."
) -> None:
    """Raise TypeError if rows are a data set or a loader of torch.

    NumPy would read one for ever that raises no IndexError at its end.
    """
    if isinstance(X, Dataset | DataLoader):
        raise TypeError(
            f"X must be an array or a tensor of features; got {X!r}, which torch reads "
            f"row by row. {remedy}"
        )


def float_dtypes(X: Any) -> type | tuple[type, ...]:
    """Return the dtypes in which X may stay: half precision is computed in float32."""
    half = getattr(X, "dtype", None) == np.float16
    return np.float32 if half else (np.float64, np.float32)


def as_input(batch: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a batch as a network takes it: in a dtype, or in int64 if it is indices.

    Integers of one byte stand for pixels and become floating-point, with the values
    they have; longer ones are indices that embedding layers look up. It is converted
    where it is, so that pixels travel as bytes.
    """
    is_index = not batch.is_floating_point() and batch.itemsize > 1
    return batch.to(torch.int64 if is_index else dtype)


def resolve_classes(classes: Any, known: np.ndarray | None) -> np.ndarray:
    """Return the sorted labels of a `partial_fit`, given or known before, or raise."""
    if classes is None and known is None:
        raise ValueError("classes must be given in the first partial_fit.")
    if classes is None:
        return np.asarray(known)
    given, classes = classes, check_labels_once("classes", classes)
    if known is not None and not np.array_equal(classes, known):
        raise ValueError(f"classes={given!r} is not what it was before: {known!r}.")
    return np.asarray(classes)


def check_labels_once(name: str, labels: Any) -> np.ndarray:
    """Return sorted labels, or raise ValueError unless each is there once."""
    must = f"{name} must be a list of labels, each of them once and none of them NaN"
    try:
        given = np.asarray(to_numpy(labels))
        classes = np.unique(given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{must}; got {labels!r}.") from error
    nan = classes.dtype.kind in "fc" and np.isnan(classes).any()
    if given.ndim != 1 or len(given) == 0 or len(classes) < len(given) or nan:
        raise ValueError(f"{must}; got {labels!r} of the shape {given.shape}.")
    return np.asarray(classes)


def first_of_equal_rows(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of all rows with the same bytes, and which of them a row equals.

    Parameters
    ----------
    *columns : ndarrays of shape (n, ...)
        Rows are equal if they are in all of them.

    Returns
    -------
    index : ndarray of shape (m,), int
        Sorted.
    inverse : ndarray of shape (n,), int
        Places in `index`.
    """
    digests = sum(_digests(column) for column in columns)
    _, index, inverse = np.unique(digests, return_index=True, return_inverse=True)
    inverse = inverse.ravel()
    for column in columns:
        # Of 64 bits two rows may have the same by chance: then each row has its own.
        repeats = np.flatnonzero(index[inverse] != np.arange(len(column)))
        if not np.array_equal(column[repeats], column[index[inverse[repeats]]]):
            return np.arange(len(column)), np.arange(len(column))
    order = np.argsort(index)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return index[order], place[inverse]


def _digests(column: np.ndarray) -> np.ndarray:
    """Return 64 bits for the bytes of each row."""
    rows = np.ascontiguousarray(column).reshape(len(column), -1)
    n_words = -(-rows.itemsize * rows.shape[1] // 8)
    factors = np.random.default_rng(n_words).integers(2**62, size=n_words) * 2 + 1
    digests = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE].view(np.uint8)
        padded = np.zeros((len(part), 8 * n_words), np.uint8)
        padded[:, : part.shape[1]] = part
        words = padded.view(np.uint64)
        # Low bits are often zero, and a product would leave them so.
        words ^= words >> np.uint64(29)
        words *= np.uint64(0xBF58476D1CE4E5B9)
        words ^= words >> np.uint64(32)
        digests[start : start + len(part)] = words @ factors.astype(np.uint64)
    return digests
