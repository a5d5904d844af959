"""The directions between class means, scaled to equal size."""

import numpy as np
import torch

from skcollapse._utils.parallel import one_thread

# A triangular factor less regular than this is left to a singular value decomposition.
_REGULAR = 1e-8


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
