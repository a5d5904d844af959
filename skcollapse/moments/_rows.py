"""Rows where they are, NumPy on the host and torch elsewhere: checked and centred."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skcollapse._utils.arrays import reject_dataset, to_numpy
from skcollapse._utils.gram import gram
from skcollapse._utils.parallel import one_thread, row_slices

# Float32 holds seven digits. Of rows that differ more in length, here squared, those
# of usual length would lose theirs beside the longest.
WIDE_RANGE = 2.0**16
# What float32 does not hold exactly.
_WIDE_INTEGERS = (torch.int32, torch.int64)
# A triangular factor less regular than this is left to a singular value decomposition.
_REGULAR = 1e-8
# Rows handled at a time within a chunk: few enough to stay in the processor's cache.
_SUMMED_ROWS = 1024
_CENTRED_ROWS = 64
# Rows of a class that are added up in their own precision, before float64 takes over.
_BAG = 64
_BAGS = 256


def as_array(values: Any, device: torch.device | None, name: str = "values") -> Any:
    """Return an array-like or tensor on a device; None stands for a NumPy array."""
    if values is None:
        return None
    if device is not None:
        return torch.as_tensor(values, device=device)
    return as_rows(name, to_numpy(values))


def as_rows(name: str, values: Any) -> np.ndarray:
    """Return an array, or raise ValueError if rows differ in length."""
    reject_dataset(values)
    try:
        rows = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array; got {values!r}.") from error
    if rows.dtype.kind == "c":
        raise ValueError(f"{name} must hold real numbers; got {rows.dtype}.")
    return rows


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


def add_class_sums(
    rows: Tensor, labels: np.ndarray, weights: np.ndarray | None, sums: np.ndarray
) -> None:
    """Add rows to the (K, d) float64 sums of their classes, in place."""
    # Labels of one or two bytes are sorted many times faster.
    order = np.argsort(labels.astype(np.min_scalar_type(len(sums))), kind="stable")
    ordered = labels[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    bags = np.flatnonzero(rank % _BAG == 0)
    ends = np.append(bags[1:], len(order))
    if weights is not None:
        rows = rows.double() * _like(weights, rows)[:, None]
    totals = torch.from_numpy(sums)
    for some in row_slices(len(bags), _BAGS):
        first, end = bags[some][0], ends[some][-1]
        partial = torch.nn.functional.embedding_bag(
            _like(order[first:end], rows),
            rows,
            _like(bags[some] - first, rows),
            mode="sum",
        )
        # On the CPU, where additions come in the same order at every call.
        classes = torch.from_numpy(ordered[bags[some]])
        totals.index_add_(0, classes, partial.cpu().double())


def _like(values: np.ndarray, rows: Tensor) -> Tensor:
    return torch.from_numpy(values).to(rows.device)


def centre_on_host(
    rows: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[Any, ...]:
    """Summarise NumPy rows by class.

    Returns the classes among the labels, their counts, means and traces of the scatter,
    and the rows less their class means, times the root of their weights.
    """
    classes, labels = np.unique(labels, return_inverse=True)
    counts = np.bincount(labels, weights).astype(np.float64)
    means = np.zeros((len(counts), rows.shape[1]))
    squares = torch.empty(len(rows), dtype=torch.float64)
    for part in row_slices(len(rows), max(_SUMMED_ROWS, len(counts))):
        block = torch.from_numpy(rows[part].astype(np.float64))
        squares[part] = squared_length(block)
        share = None if weights is None else weights[part]
        add_class_sums(block, labels[part], share, means)
    means /= counts[:, None]
    short = np.can_cast(rows.dtype, np.float32) and not need_float64(squares)
    dtype: Any = np.float32 if short else np.float64
    # In two steps, float32 centres as exactly as float64: the first loses nothing to
    # a large offset, and what the rounded mean lacks is small.
    rounded: Any = means.astype(dtype)
    remainder = (means - rounded).astype(dtype)
    centred = np.empty(rows.shape, dtype)
    lengths = np.empty(len(rows))
    for part in row_slices(len(rows), _CENTRED_ROWS):
        block = np.subtract(rows[part], rounded[labels[part]], out=centred[part])
        block -= remainder[labels[part]]
        if weights is not None:
            block *= np.sqrt(weights[part, None]).astype(dtype)
        lengths[part] = np.einsum("ij,ij->i", block, block)
    return classes, counts, means, np.bincount(labels, lengths), centred


def centre_on_device(
    rows: Tensor, labels: Tensor, weights: Tensor | None
) -> tuple[Tensor, ...]:
    """Do for torch rows, where they are, what `centre_on_host` does for NumPy's."""
    classes, labels, sizes = torch.unique(
        labels, return_inverse=True, return_counts=True
    )
    order = torch.argsort(labels, stable=True)
    first = sizes.cumsum(0) - sizes

    def sum_by_class(values: Tensor) -> Tensor:
        # Unlike index_add, the same at every call: no atomic additions.
        return torch.nn.functional.embedding_bag(order, values, first, mode="sum")

    exact = rows.to(torch.float64)
    share = exact.new_ones(len(rows), 1) if weights is None else weights[:, None]
    counts = sum_by_class(share)
    means = sum_by_class(exact * share) / counts
    centred = (exact - means[labels]) * share.sqrt()
    trace = sum_by_class(centred.square().sum(1, keepdim=True))
    if not need_float64(squared_length(exact)):
        centred = centred.to(torch.promote_types(rows.dtype, torch.float32))
    return classes, counts[:, 0], means, trace[:, 0], centred


@one_thread
def whitening(means: np.ndarray) -> np.ndarray:
    """Factor the pseudo-inverse of the scatter of class means.

    Only directions in which the means differ are formed, at most one less than there
    are classes, and nothing is ever squared: the means themselves are factored. Where
    they are in general position a QR decomposition suffices, which is many times
    faster than a singular value decomposition.

    Parameters
    ----------
    means : ndarray of shape (n_classes, n_features), dtype float64
        Finite.

    Returns
    -------
    whitening : ndarray of shape (n_features, rank), dtype float64
        B with B B^T = (C^T C)^+ for C the means less their mean. A direction counts
        from a singular value of eps · max(n_classes, n_features) · ||means||_F on: what
        is smaller is rounding, that of the offset of the means included.

    Examples
    --------
    >>> import numpy as np
    >>> means = np.array([[1.0, 1.0, 7.0], [3.0, 1.0, 7.0]])
    >>> np.abs(whitening(means)).round(3)
    array([[0.707],
           [0.   ],
           [0.   ]])
    """
    n_classes, n_features = means.shape
    if n_classes < 2:
        return np.empty((n_features, 0))
    smallest = np.finfo(np.float64).eps * max(means.shape) * np.linalg.norm(means)
    means = means - means.mean(axis=0)
    # Coordinates in a basis of the rows that sum to zero, by a Householder reflection.
    means[1:] += means[0] / (np.sqrt(n_classes) - 1)
    rows = torch.from_numpy(means[1:])
    if n_classes - 1 <= n_features:
        basis, triangle = torch.linalg.qr(rows.T)
    else:
        basis, triangle = None, torch.linalg.qr(rows, mode="r").R
    inverse = torch.eye(len(triangle), dtype=triangle.dtype)
    torch.linalg.solve_triangular(triangle, inverse, upper=True, out=inverse)
    # 1 / ||R^-1||_F is a lower bound of the smallest singular value of R.
    bound = 1 / torch.linalg.matrix_norm(inverse)
    if bound > max(smallest, _REGULAR * torch.linalg.matrix_norm(triangle)):
        return (inverse if basis is None else basis @ inverse.T).numpy()
    _, sizes, right = torch.linalg.svd(rows, full_matrices=False)
    kept = sizes > smallest
    return np.asarray((right[kept] / sizes[kept, None]).T.contiguous())
