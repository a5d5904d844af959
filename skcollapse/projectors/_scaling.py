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

    Parameters
    ----------
    X : ndarray of shape (n, p), floating point
    weight : ndarray of shape (n,)
        Weights of the rows, of sum 1.
    kind : {"global", "standard", None}
        One scale for all features, one for each, or none.

    Returns
    -------
    center, scale : ndarrays of shape (p,), dtype of X
        Constant features have an infinite scale under "standard", so they vanish.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        center, variance = _moments(X, weight)
    if not np.isfinite(variance).all():
        raise ValueError(
            f"X holds values of magnitude {_largest(X):.3g}, whose squares overflow "
            f"{X.dtype}. Scale the features before, by StandardScaler for example."
        )
    # Rounding leaves a constant feature with a variance just above zero.
    rounding = np.finfo(X.dtype).eps * np.abs(center)
    varies = variance > (10 * rounding) ** 2
    if 0 < _largest(X) < np.finfo(X.dtype).tiny ** 0.5:
        raise ValueError(
            f"X holds values of magnitude {_largest(X):.3g} at most, whose squares "
            f"vanish in {X.dtype}. Scale the features before, by StandardScaler for "
            "example."
        )
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


def _largest(X):
    return np.abs(X).max(initial=0)
