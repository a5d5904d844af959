"""Self-duality (NC3): whether the vectors of a classifier are the class means."""

import numpy as np
from numpy.typing import ArrayLike

from skcollapse.measures._inputs import (
    Vectors,
    centre,
    class_vectors,
    present_classes,
    unit,
)

__all__ = ["self_duality", "self_duality_cosine"]


def _both(classifier: ArrayLike, means: Vectors) -> tuple[np.ndarray, np.ndarray]:
    vectors = class_vectors(classifier, "classifier")
    kept = present_classes(means, len(vectors))
    if len(kept) == len(vectors):
        vectors = vectors[kept]
    centred = centre(class_vectors(means))
    if vectors.shape != centred.shape:
        raise ValueError(
            f"classifier must have the shape of the class means, {centred.shape}; got "
            f"{vectors.shape}."
        )
    return vectors, centred


def self_duality(classifier: ArrayLike, means: Vectors) -> float:
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
    vectors, centred = _both(classifier, means)
    lengths = np.linalg.norm(vectors), np.linalg.norm(centred)
    if not all(lengths):
        return np.nan
    return float(np.linalg.norm(vectors / lengths[0] - centred / lengths[1]))


def self_duality_cosine(classifier: ArrayLike, means: Vectors) -> float:
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

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import self_duality_cosine
    >>> self_duality_cosine([[2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [-1.0, 1.0]])
    0.5
    """
    vectors, centred = _both(classifier, means)
    return float(1 - (unit(vectors) * unit(centred)).sum(axis=1).mean())
