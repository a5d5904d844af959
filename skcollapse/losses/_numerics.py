"""Averages and norms that stay finite when rows are zero, weightless or absent."""

import torch
from torch import Tensor

# Stands for log 0. Being finite, it keeps the gradient of a logsumexp over nothing
# finite; beside any real term it underflows to an exact zero.
LOG_ZERO = -1e30


def safe_norms(x: Tensor) -> Tensor:
    """Return the (n,) norms of the rows to divide by: that of a zero row is ∞.

    So a zero row stays zero and gets no gradient, where the quotient of
    ``torch.nn.functional.normalize`` has a gradient of 1e12.
    """
    norms = torch.linalg.vector_norm(x, dim=1)
    return norms.masked_fill(norms == 0, torch.inf)


def unit_rows(x: Tensor) -> Tensor:
    """Divide each row by its norm; a zero row stays zero and gets no gradient."""
    return x / safe_norms(x)[:, None]


def weighted_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Average with multiplicities: Σ w_i v_i / Σ w_i, or 0 if nothing has weight."""
    if weight is None:
        return values.sum() / max(len(values), 1)
    total = weight.sum()
    return (weight * values).sum() / total.masked_fill(total == 0, 1)


def check_batch(
    features: Tensor,
    y: Tensor,
    class_vectors: Tensor,
    sample_weight: Tensor | None,
    log_prior: Tensor | None,
) -> None:
    """Raise ValueError where the shapes or dtypes of a batch do not fit together.

    The values are not looked at: on a CUDA device that would wait for it.
    """

    def check(name: str, tensor: Tensor, must: str, fits: bool) -> None:
        if not fits:
            seen = f"the shape {tuple(tensor.shape)} and {tensor.dtype}"
            raise ValueError(f"{name} must have {must}; got {seen}.")

    for name, matrix in (("features", features), ("class_vectors", class_vectors)):
        fits = matrix.ndim == 2 and matrix.is_floating_point()
        check(name, matrix, "two axes and a floating-point dtype", fits)
    (n, d), n_classes = features.shape, len(class_vectors)
    fits = class_vectors.shape[1] == d
    check("class_vectors", class_vectors, f"{d} columns, as features", fits)
    fits = y.shape == (n,) and y.dtype == torch.int64
    check("y", y, f"the shape ({n},) and dtype int64, class indices", fits)
    vectors = ("sample_weight", sample_weight, n), ("log_prior", log_prior, n_classes)
    for name, vector, size in vectors:
        if vector is not None:
            check(name, vector, f"the shape ({size},)", vector.shape == (size,))
