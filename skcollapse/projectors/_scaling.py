"""Centre and scale of the features."""

import numpy as np

# How features can be scaled; None only centres them.
SCALINGS = ("global", "standard", None)
# Rows handled at a time: no second copy of the data.
_CHUNK = 4096


def fit_scaling(X, weight, kind):
    """Return what to subtract from each feature, and what to divide it by.

    Scaled rows have the mean 0 and, with "global" and "standard", the mean squared
    norm 1: penalties and kernel widths mean the same on every data set.

    "global" is one scale for all features, "standard" one for each, which is infinite
    for constant features, so that they vanish. Weights have the sum 1.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        center, variance = _moments(X, weight)
    largest, limits = np.abs(X).max(initial=0), np.finfo(X.dtype)
    overflows = not np.isfinite(variance).all()
    if overflows or 0 < largest < limits.tiny**0.5:
        raise ValueError(
            f"X holds values of magnitude {largest:.3g} at most, whose squares "
            f"{'overflow' if overflows else 'vanish in'} {X.dtype}. Scale the features "
            "before, by StandardScaler for example."
        )
    # Rounding leaves a constant feature with a variance just above zero.
    varies = variance > (10 * limits.eps * np.abs(center)) ** 2
    if kind == "standard":
        scale = np.where(varies, np.sqrt(variance * max(1, varies.sum())), np.inf)
    elif kind == "global":
        scale = np.full(len(center), np.sqrt(variance[varies].sum()) or 1.0)
    else:
        scale = np.ones(len(center))
    return center.astype(X.dtype), scale.astype(X.dtype)


def _moments(X, weight):
    """Return weighted means and variances of the features, rows in chunks."""
    chunks = [slice(start, start + _CHUNK) for start in range(0, len(X), _CHUNK)]
    weight = weight.astype(X.dtype)
    center = sum(weight[rows] @ X[rows] for rows in chunks)
    remainder, variance = np.zeros((2, X.shape[1]))
    for rows in chunks:
        centred = X[rows] - center
        remainder += weight[rows] @ centred
        centred *= centred
        variance += weight[rows] @ centred
    # What rounding left in the mean of large numbers shows once they are centred.
    return center + remainder, np.maximum(variance - remainder**2, 0)
