"""Class vectors out of what measures are given."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skcollapse._utils.checks import check_switch
from skcollapse._utils.numbers import as_float64, check_class_counts, check_finite_rows
from skcollapse.moments import ClassMoments, RowMoments

Moments = ClassMoments | RowMoments
# Class means or class vectors: an array, or moments for their means.
Vectors = ArrayLike | Moments


def class_vectors(
    values: Any, name: str = "means", *, centred: bool = False
) -> np.ndarray:
    """Return finite (K, d) float64 rows: an array's, or the means of classes present.

    Raises ValueError if there are fewer than two, or an array holds NaN or infinity.
    """
    check_switch("centred", centred)
    vectors: np.ndarray = as_float64(name, getattr(values, "means", values))
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise ValueError(
            f"{name} must have the shape (n_classes, n_features), got {vectors.shape}."
        )
    vectors = vectors[present_classes(values, len(vectors))]
    if len(vectors) < 2:
        raise ValueError(
            f"{name} must be those of at least two classes with samples, got "
            f"{len(vectors)}."
        )
    advice = "Leave out the classes without samples, and rows with NaN or infinity."
    check_finite_rows(name, vectors, advice)
    return centre(vectors) if centred else np.asarray(vectors)


def check_moments(moments: Any) -> None:
    """Raise TypeError unless there are moments."""
    if not isinstance(moments, ClassMoments | RowMoments):
        raise TypeError(f"moments must be ClassMoments or RowMoments; got {moments!r}.")


def present_classes(values: Any, n_classes: int) -> np.ndarray:
    """Return which classes have samples; all of them where there are no counts."""
    counts = getattr(values, "counts", None)
    present = np.ones(n_classes) if counts is None else np.asarray(counts)
    return present > 0


def class_counts_of(
    values: Any, class_counts: ArrayLike | None, n_classes: int
) -> np.ndarray:
    """Return given class sizes, or those of moments, as positive float64 numbers."""
    if class_counts is None:
        known = getattr(values, "counts", None)
        if known is None:
            raise ValueError(
                "class_counts must be given where means is an array: the sizes of the "
                "classes decide the geometry."
            )
        class_counts = known[known > 0]
    return check_class_counts(class_counts, n_classes)


def centre(vectors: np.ndarray) -> np.ndarray:
    """Return rows less their unweighted mean: every class counts the same."""
    return np.asarray(vectors - vectors.mean(axis=0))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return rows of length one; a zero row is NaN, since it has no direction."""
    # Scaled beforehand, so that no square overflows or vanishes.
    largest = np.maximum(vectors.max(axis=1), -vectors.min(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        vectors = vectors / largest[:, None]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def pairs(matrix: np.ndarray) -> np.ndarray:
    """Return the entries above the diagonal, row by row."""
    return np.asarray(matrix[~np.tri(len(matrix), dtype=bool)])


def pair_cosines(vectors: np.ndarray) -> np.ndarray:
    """Return the cosines of all pairs of rows, in the order of `pairs`."""
    units = unit(vectors)
    return pairs(units @ units.T)


def pair_indices(positions: Any, n_classes: int) -> tuple[Any, Any]:
    """Return the two classes of pairs, from positions among the `pairs`."""
    first: Any = np.flatnonzero(~np.tri(n_classes, dtype=bool))[positions]
    return first // n_classes, first % n_classes


def pair_distances(vectors: np.ndarray) -> np.ndarray:
    """Return the squared distances of all pairs of rows, in the order of `pairs`.

    Rows far from zero should be centred before.
    """
    squares = vectors @ vectors.T
    lengths = np.diagonal(squares).copy()
    squares *= -2
    squares += lengths
    squares += lengths[:, None]
    squares = pairs(squares)
    # Where little is left of the difference, it is taken before it is squared.
    close = np.flatnonzero(squares < 1e-4 * lengths.max())
    for part in np.array_split(close, len(close) * vectors.shape[1] // 2**20 + 1):
        first, second = pair_indices(part, len(vectors))
        gaps = vectors[first] - vectors[second]
        squares[part] = np.einsum("ij,ij->i", gaps, gaps)
    return squares
