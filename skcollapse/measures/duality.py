"""Self-duality (NC3): whether the vectors of a classifier are the class means."""

import numpy as np

from skcollapse.measures._inputs import (
    centre,
    class_vectors,
    present_classes,
    unit,
)

__all__ = ["self_duality", "self_duality_cosine"]


def _both(classifier, means):
    classifier = class_vectors(classifier, "classifier")
    kept = present_classes(means, len(classifier))
    if len(kept) == len(classifier):
        classifier = classifier[kept]
    centred = centre(class_vectors(means))
    if classifier.shape != centred.shape:
        raise ValueError(
            f"classifier must have the shape of the class means, {centred.shape}; got "
            f"{classifier.shape}."
        )
    return classifier, centred


def self_duality(classifier, means):
    r"""Measure the distance of a classifier from the centred class means.

    .. math::

        \left\lVert \frac{W}{\lVert W \rVert_F} -
        \frac{\bar M}{\lVert \bar M \rVert_F} \right\rVert_F

    Parameters
    ----------
    classifier : array-like of shape (n_classes, n_features)
        Class vectors, as they are.
    means : array-like of shape (n_classes, n_features) or moments
        Class means. Their unweighted mean is taken off.

    Returns
    -------
    distance : float
        From 0 to 2.

    Raises
    ------
    ValueError
        If shapes differ, there are fewer than two rows, or a row is not finite.

    References
    ----------
    .. [1] Papyan, Han and Donoho, "Prevalence of neural collapse during the terminal
       phase of deep learning training", PNAS 117, 2020. arXiv:2008.08186, figure 5.

    Examples
    --------
    >>> from skcollapse.measures import self_duality
    >>> from skcollapse.targets import simplex_etf
    >>> etf = simplex_etf(4, random_state=0)
    >>> round(self_duality(2 * etf, 3 * etf + 1), 12)
    0.0
    """
    classifier, means = _both(classifier, means)
    lengths = np.linalg.norm(classifier), np.linalg.norm(means)
    if not all(lengths):
        return np.nan
    return float(np.linalg.norm(classifier / lengths[0] - means / lengths[1]))


def self_duality_cosine(classifier, means):
    r"""Measure :math:`\operatorname{mean}_k (1 - \cos(w_k, \mu_k - \mu_G))`.

    Parameters
    ----------
    classifier : array-like of shape (n_classes, n_features)
        Class vectors, as they are.
    means : array-like of shape (n_classes, n_features) or moments
        Class means. Their unweighted mean is taken off.

    Returns
    -------
    distance : float
        From 0 to 2; NaN if a row has no direction. Unlike :func:`self_duality` blind to
        lengths, in which the two differ under imbalance even at the optimum.

    Raises
    ------
    ValueError
        If shapes differ, there are fewer than two rows, or a row is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import self_duality_cosine
    >>> self_duality_cosine([[2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [-1.0, 1.0]])
    0.5
    """
    classifier, means = _both(classifier, means)
    return float(1 - (unit(classifier) * unit(means)).sum(axis=1).mean())
