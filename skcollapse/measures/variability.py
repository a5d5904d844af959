"""Variability collapse (NC1): the spread within classes against that between them."""

import numpy as np
from scipy.linalg import eigh

from skcollapse._utils.checks import check_switch
from skcollapse.measures._inputs import (
    Moments,
    centre,
    check_moments,
    class_vectors,
    pair_distances,
    pairs,
)
from skcollapse.moments import whitening


def nc1(moments: Moments, *, balanced: bool = False) -> float:
    r"""Measure :math:`\operatorname{tr}(\Sigma_W \Sigma_B^{+}) / K`.

    :math:`\Sigma_W` is the within-class covariance pooled over the samples, or the mean
    of those of the classes if `balanced`; :math:`\Sigma_B` is the covariance of the
    class means about their unweighted mean (equation 3 of Papyan, Han and Donoho,
    PNAS 117, 2020, arXiv:2008.08186).

    Parameters
    ----------
    moments : ClassMoments or RowMoments
        Balanced, ClassMoments must have been constructed with ``scatter="class"``.
    balanced : bool, default=False
        Give every class the same weight: the pooled covariance is mostly that of the
        largest classes.

    Returns
    -------
    nc1 : float
        Zero at collapse; infinite if all class means coincide. Not changed by
        invertible linear maps of the features if these have at least as many
        dimensions as there are differences of class means, and by rotation,
        translation and scale in any case.

    Notes
    -----
    :math:`K` counts the classes with samples. A class with one sample has no spread and
    lowers the balanced measure.

    Examples
    --------
    >>> from skcollapse.measures import nc1
    >>> from skcollapse.moments import RowMoments
    >>> X = [[0.0], [2.0], [10.0], [14.0]]
    >>> round(nc1(RowMoments(X, [0, 0, 1, 1], n_classes=2)), 6)
    0.041322
    """
    check_moments(moments)
    check_switch("balanced", balanced)
    class_vectors(moments)
    if balanced:
        return float(np.nanmean(class_nc1(moments)))
    return float(moments.whitened_trace / moments.weight_sum)


def class_nc1(moments: Moments) -> np.ndarray:
    r"""Measure :math:`\operatorname{tr}(\Sigma_k \Sigma_B^{+}) / K` of each class.

    Parameters
    ----------
    moments : ClassMoments or RowMoments
        ClassMoments must have been constructed with ``scatter="class"``.

    Returns
    -------
    nc1 : ndarray of shape (n_classes,), dtype float64
        Their mean is the balanced :func:`nc1`; NaN for classes without samples.

    Examples
    --------
    >>> from skcollapse.measures import class_nc1
    >>> from skcollapse.moments import RowMoments
    >>> X = [[0.0], [2.0], [10.0], [14.0]]
    >>> class_nc1(RowMoments(X, [0, 0, 1, 1], n_classes=2)).round(6)
    array([0.016529, 0.066116])
    """
    check_moments(moments)
    class_vectors(moments)
    with np.errstate(invalid="ignore"):
        return np.where(
            moments.counts > 0, moments.class_whitened_trace / moments.counts, np.nan
        )


def nc1_trace_ratio(moments: Moments) -> float:
    r"""Measure :math:`\operatorname{tr} \Sigma_W / \operatorname{tr} \Sigma_B`.

    From Tirer, Huang and Niles-Weed, ICML 2023, arXiv:2210.16658.

    Parameters
    ----------
    moments : ClassMoments or RowMoments
        No scatter matrix is needed.

    Returns
    -------
    ratio : float
        Zero at collapse; infinite if all class means coincide. Not changed by rotation,
        translation and scale.

    Examples
    --------
    >>> from skcollapse.measures import nc1_trace_ratio
    >>> from skcollapse.moments import RowMoments
    >>> X = [[0.0], [2.0], [10.0], [14.0]]
    >>> round(nc1_trace_ratio(RowMoments(X, [0, 0, 1, 1], n_classes=2)), 6)
    0.082645
    """
    check_moments(moments)
    means = class_vectors(moments, centred=True)
    within = moments.class_scatter_trace.sum() / moments.weight_sum
    between = np.square(means).sum() / len(means)
    return float(within / between) if between > 0 else np.inf


def cdnv(moments: Moments) -> float:
    r"""Measure the class-distance normalised variance, averaged over pairs of classes.

    .. math::

        \operatorname{mean}_{k < l} \frac{v_k + v_l}{2 \lVert \mu_k - \mu_l \rVert^2},
        \qquad v_k = \operatorname{tr} \Sigma_k

    Definition 1 of Galanti, György and Hutter, ICLR 2022, arXiv:2112.15121.

    Parameters
    ----------
    moments : ClassMoments or RowMoments
        No scatter matrix is needed.

    Returns
    -------
    cdnv : float
        Zero at collapse; infinite if two class means coincide. Not changed by rotation,
        translation and scale.

    Examples
    --------
    >>> from skcollapse.measures import cdnv
    >>> from skcollapse.moments import RowMoments
    >>> X = [[0.0], [2.0], [10.0], [14.0]]
    >>> round(cdnv(RowMoments(X, [0, 0, 1, 1], n_classes=2)), 6)
    0.020661
    """
    check_moments(moments)
    means = class_vectors(moments)
    present = moments.counts > 0
    variance = moments.class_scatter_trace[present] / moments.counts[present]
    squares = pair_distances(centre(means))
    if not squares.all():
        return np.inf
    both = pairs(np.broadcast_to(variance, 2 * variance.shape))
    both += pairs(np.broadcast_to(variance[:, None], 2 * variance.shape))
    both /= squares
    return float(both.mean() / 2)


def vci(moments: Moments) -> float:
    r"""Measure the variability collapse index.

    .. math::

        1 - \frac{\operatorname{tr}(\Sigma_T^{+} \Sigma_B)}{\operatorname{rank}
        \Sigma_B}, \qquad \Sigma_T = \Sigma_W + \Sigma_B,

    with :math:`\Sigma_W` pooled over the samples and :math:`\Sigma_B` about the
    unweighted mean of the class means.

    Definition 3 of Xu and Liu, ICML 2023, arXiv:2306.03440.

    Parameters
    ----------
    moments : ClassMoments or RowMoments
        With a scatter matrix.

    Returns
    -------
    vci : float
        Zero at collapse and one where class means coincide. Not changed by any
        invertible affine map of the features.

    Raises
    ------
    AttributeError
        If `moments` were gathered without a scatter matrix.

    Examples
    --------
    >>> from skcollapse.measures import vci
    >>> from skcollapse.moments import RowMoments
    >>> X = [[0.0], [2.0], [10.0], [14.0]]
    >>> round(vci(RowMoments(X, [0, 0, 1, 1], n_classes=2)), 6)
    0.076336
    """
    check_moments(moments)
    means = class_vectors(moments)
    rank = whitening(means).shape[1]
    if rank == 0:
        return 1.0
    between = centre(means) / np.sqrt(len(means))
    total = moments.scatter / moments.weight_sum + between.T @ between
    values, basis = eigh(total)
    kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
    explained = np.square(between @ basis[:, kept]) / values[kept]
    return float(1 - min(explained.sum() / rank, 1))
