"""Class vectors reduced to their directions."""

import numpy as np


def unit_rows(vectors):
    """Return `vectors` as float64 rows of length one, or raise ValueError."""
    vectors = np.asarray(vectors, dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) < 2:
        raise ValueError(
            "vectors must hold one row for each of at least two classes, got an array "
            f"of shape {vectors.shape}."
        )
    # Scaled first, so that no square overflows or vanishes.
    scale = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    valid = np.isfinite(scale) & (scale > 0)
    if not valid.all():
        raise ValueError(
            "vectors must be finite and not zero, but row "
            f"{np.argmin(valid)} has no direction. Leave out such classes."
        )
    vectors = vectors / scale
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
