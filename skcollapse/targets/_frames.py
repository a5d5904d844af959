"""Orthonormal coordinates for rows that sum to zero.

K class vectors that sum to zero live in K - 1 dimensions. The Householder reflection
that exchanges the first axis and the constant direction passes between the two
descriptions in O(K d), without a K x K basis.
"""

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike
from scipy.linalg import qr

from skcollapse._utils.checks import check_integer
from skcollapse._utils.numbers import as_float64, check_finite_rows


def check_n_components(n_components: int | None, n_classes: int) -> int:
    """Return the dimension of the class vectors; None is the smallest, K - 1."""
    if n_components is None:
        return n_classes - 1
    return check_integer(
        "n_components",
        n_components,
        n_classes - 1,
        also=(None,),
        hint=f"Fewer than n_classes - 1 dimensions cannot hold {n_classes} equiangular "
        "class vectors. Pass None for the smallest possible value.",
    )


def check_vectors(name: str, values: ArrayLike, advice: str) -> np.ndarray:
    """Return finite vectors of at least two classes in float64, or raise."""
    vectors = as_float64(name, values)
    if vectors.ndim != 2 or len(vectors) < 2 or not vectors.size:
        raise ValueError(
            f"{name} must hold one row for each of at least two classes, got an array "
            f"of shape {vectors.shape}."
        )
    check_finite_rows(name, vectors, advice)
    return vectors


def _reflect(rows: np.ndarray) -> np.ndarray:
    """Exchange, in place, the first axis and the constant direction among the rows."""
    root = np.sqrt(len(rows))
    # I - 2 v v^T / |v|^2 with v = e_1 - 1/sqrt(K), applied as a rank-one update.
    overlap = (rows[0] - rows.sum(axis=0) / root) * (root / (root - 1))
    rows += overlap / root
    rows[0] -= overlap
    return rows


def from_coordinates(coordinates: np.ndarray) -> np.ndarray:
    """Map (K - 1, d) coordinates isometrically to (K, d) rows that sum to zero."""
    rows = np.zeros((len(coordinates) + 1, coordinates.shape[1]))
    rows[1:] = coordinates
    return _reflect(rows)


def to_coordinates(rows: np.ndarray) -> np.ndarray:
    """Map (K, d) rows to the (K - 1, d) coordinates of their centred part."""
    return _reflect(np.array(rows, dtype=np.float64))[1:]


def haar_frame(n_rows: int, n_components: int, random_state: RandomState) -> np.ndarray:
    """Draw orthonormal rows, Haar-uniformly."""
    gaussian = random_state.standard_normal((n_rows, n_components))
    # The transpose is in the column order of LAPACK: the factorisation overwrites it.
    frame, triangle = qr(
        gaussian.T, mode="economic", overwrite_a=True, check_finite=False
    )
    # QR alone is not Haar-uniform: LAPACK chooses the signs of the diagonal.
    frame *= np.copysign(1.0, np.diagonal(triangle))
    return frame.T


def centred_frame(
    n_classes: int, n_components: int, random_state: RandomState
) -> np.ndarray:
    """Draw F of shape (K, d) with F F^T = I - 11^T/K, Haar-uniformly."""
    return from_coordinates(haar_frame(n_classes - 1, n_components, random_state))
