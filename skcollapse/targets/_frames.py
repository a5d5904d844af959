"""Orthonormal coordinates for rows that sum to zero.

K class vectors that sum to zero live in K - 1 dimensions. The Householder reflection
that exchanges the first axis and the constant direction passes between the two
descriptions in O(K d), without a K x K basis.
"""

from numbers import Integral

import numpy as np
from scipy.linalg import qr


def check_n_classes(n_classes):
    """Return `n_classes` as an int, or raise unless it is a whole number above 1."""
    valid = isinstance(n_classes, Integral) and not isinstance(n_classes, bool)
    if not valid or n_classes < 2:
        raise ValueError(
            f"n_classes must be an integer of at least 2, got {n_classes!r}."
        )
    return int(n_classes)


def check_n_components(n_components, n_classes):
    """Return the dimension of the class vectors; None is the smallest that holds them.

    Raises ValueError below ``n_classes - 1``.
    """
    if n_components is None:
        return n_classes - 1
    valid = isinstance(n_components, Integral) and not isinstance(n_components, bool)
    if not valid or n_components < n_classes - 1:
        raise ValueError(
            f"n_components must be an integer of at least n_classes - 1 = "
            f"{n_classes - 1}, got {n_components!r}: fewer dimensions cannot hold "
            f"{n_classes} equiangular class vectors. Pass None for the smallest "
            "possible value."
        )
    return int(n_components)


def _reflect(rows):
    """Exchange, in place, the first axis and the constant direction among the rows."""
    root = np.sqrt(len(rows))
    # I - 2 v v^T / |v|^2 with v = e_1 - 1/sqrt(K), applied as a rank-one update.
    overlap = (rows[0] - rows.sum(axis=0) / root) * (root / (root - 1))
    rows += overlap / root
    rows[0] -= overlap
    return rows


def from_coordinates(coordinates):
    """Map (K - 1, d) coordinates isometrically to (K, d) rows that sum to zero."""
    rows = np.zeros((len(coordinates) + 1, coordinates.shape[1]))
    rows[1:] = coordinates
    return _reflect(rows)


def to_coordinates(rows):
    """Map (K, d) rows to the (K - 1, d) coordinates of their centred part."""
    return _reflect(np.array(rows, dtype=np.float64))[1:]


def haar_frame(n_rows, n_components, random_state):
    """Draw orthonormal rows, Haar-uniformly."""
    gaussian = random_state.standard_normal((n_rows, n_components))
    # The transpose is in the column order of LAPACK: the factorisation overwrites it.
    frame, triangle = qr(
        gaussian.T, mode="economic", overwrite_a=True, check_finite=False
    )
    # QR alone is not Haar-uniform: LAPACK chooses the signs of the diagonal.
    frame *= np.copysign(1.0, np.diagonal(triangle))
    return frame.T


def centred_frame(n_classes, n_components, random_state):
    """Draw F of shape (K, d) with F F^T = I - 11^T/K, Haar-uniformly.

    Every target is a K x K matrix times such a frame, so equal seeds give targets
    that are turned alike.
    """
    return from_coordinates(haar_frame(n_classes - 1, n_components, random_state))
