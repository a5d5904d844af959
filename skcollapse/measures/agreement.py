"""Nearest class centres (NC4), and orthogonality to what is out of distribution."""

import numpy as np

from skcollapse.measures._inputs import class_vectors, unit

__all__ = ["nc5", "ncc_agreement"]


def ncc_agreement(moments, coef, intercept=None, *, by_class=False):
    r"""Measure how often a linear classifier decides for the nearest class centre.

    The share of samples with :math:`\arg\max_k w_k^\top x + b_k = \arg\min_k
    \lVert x - \mu_k \rVert`. The classes without samples take no part as centres.

    Parameters
    ----------
    moments : RowMoments
        The rows are looked at once more.
    coef : array-like of shape (n_classes, n_features)
        Class vectors :math:`w_k`.
    intercept : array-like of shape (n_classes,), default=None
        Biases :math:`b_k`, which are part of the decision; None stands for zeros.
    by_class : bool, default=False
        Return the share of each class.

    Returns
    -------
    agreement : float, or ndarray of shape (n_classes,) if `by_class`
        Weighted share, one at collapse; NaN for classes without samples.

    Raises
    ------
    ValueError
        If shapes differ, or fewer than two classes have samples.

    References
    ----------
    .. [1] Papyan, Han and Donoho, "Prevalence of neural collapse during the terminal
       phase of deep learning training", PNAS 117, 2020. arXiv:2008.08186, figure 7.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import ncc_agreement
    >>> from skcollapse.moments import RowMoments
    >>> X = np.array([[0.0], [2.0], [10.0], [14.0]])
    >>> moments = RowMoments(X, [0, 0, 1, 1], n_classes=2)
    >>> ncc_agreement(moments, [[-1.0], [1.0]], [6.5, -6.5])
    1.0
    >>> ncc_agreement(moments, [[-1.0], [1.0]])
    0.75
    """
    class_vectors(moments)
    (sums,) = moments.sum_by_class(agreement_function(moments, coef, intercept))
    if by_class:
        with np.errstate(invalid="ignore"):
            return sums / moments.counts
    return float(sums.sum() / moments.weight_sum)


def agreement_function(moments, coef, intercept):
    """Return what `RowMoments.sum_by_class` sums to count agreeing rows."""
    coef = np.asarray(coef, dtype=np.float64)
    shape = moments.n_classes, moments.n_features
    if coef.shape != shape:
        raise ValueError(f"coef must have the shape {shape}, got {coef.shape}.")
    intercept = np.zeros(len(coef)) if intercept is None else np.asarray(intercept)
    if intercept.shape != (len(coef),):
        raise ValueError(
            f"intercept must have the shape ({len(coef)},), got {intercept.shape}."
        )
    # A row is its centre and a rest, which is small where offsets of the features are
    # large. What the scores owe to the centre is known beforehand, in float64.
    present, centres = moments.counts > 0, moments.centres
    # What all classes share decides nothing, and is taken off before rounding.
    coef = coef - coef.mean(axis=0)
    scores = centres @ coef.T + (intercept - intercept.mean())
    scores -= scores.max(axis=1, keepdims=True)
    # In the directions between the class means lies all that tells which is nearest:
    # with B whitening and C the centred means, x^T C^T = (x^T B) (B^T C^T C C^T).
    means = np.where(present[:, None], moments.means, 0.0)
    means[present] -= means[present].mean(axis=0)
    squares = means @ means.T
    along = (means @ moments.whitening).T @ squares
    nearness = squares - np.where(present, np.diagonal(squares) / 2, np.inf)
    nearness -= nearness.max(axis=1, keepdims=True)
    scores, nearness, coef, along = map(
        moments.as_tensor, (scores, nearness, coef.T, along)
    )

    def agrees(rows, projected, labels):
        # The argmax alone takes longer.
        _, decision = scores[labels].addmm_(rows, coef).max(dim=1)
        _, nearest = nearness[labels].addmm_(projected, along).max(dim=1)
        return decision == nearest

    return agrees


def nc5(means, ood_mean):
    r"""Measure :math:`\operatorname{mean}_k |\cos(\mu_k, \mu_\mathrm{ood})|`.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features) or moments
        Class means, not centred.
    ood_mean : array-like of shape (n_features,)
        Mean of features that belong to none of the classes.

    Returns
    -------
    nc5 : float
        Zero if they are orthogonal to all class means.

    Raises
    ------
    ValueError
        If shapes differ, there are fewer than two rows, or a value is not finite.

    References
    ----------
    .. [1] Ben Ammar, Belkhir, Popescu, Manzanera and Franchi, "NECO: NEural Collapse
       Based Out-of-distribution detection", ICLR 2024. arXiv:2310.06823, equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import nc5
    >>> nc5(np.eye(3)[:2], [0.0, 0.0, 5.0])
    0.0
    """
    means = class_vectors(means)
    ood_mean = np.asarray(ood_mean, dtype=np.float64)
    if ood_mean.shape != means.shape[1:] or not np.isfinite(ood_mean).all():
        raise ValueError(
            f"ood_mean must hold {means.shape[1]} finite values, one for each feature; "
            f"got an array of shape {ood_mean.shape}."
        )
    return float(np.abs(unit(means) @ unit(ood_mean[None])[0]).mean())
