"""Convergence to a simplex (NC2), and to the vectors of a classifier (NC3)."""

import numpy as np
from numpy.typing import ArrayLike

from skcollapse.measures._inputs import (
    Vectors,
    class_vectors,
    pair_cosines,
    present_classes,
    unit,
)


def equinorm(means: Vectors, *, centred: bool = True) -> float:
    r"""Measure the coefficient of variation of the lengths of the class vectors.

    Figure 2 of Papyan, Han and Donoho, PNAS 117, 2020, arXiv:2008.08186.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features) or moments
        Class means, or the vectors of a classifier.
    centred : bool, default=True
        Take off the unweighted mean of the rows first. The source takes vectors
        of a classifier as they are.

    Returns
    -------
    equinorm : float
        Standard deviation over mean: zero for equal lengths.

    Examples
    --------
    >>> from skcollapse.measures import equinorm
    >>> equinorm([[3.0, 0.0], [0.0, 1.0]], centred=False)
    0.5
    """
    lengths = np.linalg.norm(class_vectors(means, centred=centred), axis=1)
    mean = lengths.mean()
    return float(lengths.std() / mean) if mean > 0 else np.nan


def equiangularity(means: Vectors, *, centred: bool = True) -> float:
    r"""Measure how far the cosines of pairs are from :math:`-1/(K-1)`, on average.

    Figure 4 of Papyan, Han and Donoho, PNAS 117, 2020, arXiv:2008.08186.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features) or moments
        Class means, or the vectors of a classifier.
    centred : bool, default=True
        Take off the unweighted mean of the rows first.

    Returns
    -------
    equiangularity : float
        :math:`\operatorname{mean}_{k<l} |\cos(\mu_k, \mu_l) + 1/(K-1)|`, zero for equal
        and largest angles; NaN if a row has no direction.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import equiangularity
    >>> round(equiangularity(np.eye(3)), 12)
    0.0
    >>> equiangularity(np.eye(3), centred=False)
    0.5
    """
    vectors = class_vectors(means, centred=centred)
    cosines = pair_cosines(vectors)
    return float(np.abs(cosines + 1 / (len(vectors) - 1)).mean())


def cosine_std(means: Vectors, *, centred: bool = True) -> float:
    """Measure the standard deviation of the cosines of pairs of class vectors.

    Figure 3 of Papyan, Han and Donoho, PNAS 117, 2020, arXiv:2008.08186.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features) or moments
        Class means, or the vectors of a classifier.
    centred : bool, default=True
        Take off the unweighted mean of the rows first.

    Returns
    -------
    std : float
        Zero for equal angles, whatever these are.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import cosine_std
    >>> cosine_std(np.eye(3), centred=False)
    0.0
    """
    return float(pair_cosines(class_vectors(means, centred=centred)).std())


def etf_distance(means: Vectors, *, centred: bool = True) -> float:
    r"""Measure the distance of a Gram matrix from that of a simplex ETF.

    .. math::

        \left\lVert \frac{G}{\lVert G \rVert_F} - \frac{P}{\sqrt{K - 1}}
        \right\rVert_F, \qquad P = I - \mathbf{1}\mathbf{1}^\top\!/K

    Section 4 of Zhu et al., "A Geometric Analysis of Neural Collapse with Unconstrained
    Features", NeurIPS 2021, arXiv:2105.02375.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features) or moments
        Class means, or the vectors of a classifier.
    centred : bool, default=True
        Take off the unweighted mean of the rows first. The source takes vectors
        of a classifier as they are.

    Returns
    -------
    distance : float
        From 0 to the root of 2; NaN if all rows are zero.

    Examples
    --------
    >>> from skcollapse.measures import etf_distance
    >>> from skcollapse.targets import simplex_etf
    >>> round(etf_distance(5 * simplex_etf(4, 6, random_state=0) + 1), 12)
    0.0
    """
    vectors = class_vectors(means, centred=centred)
    simplex = np.eye(len(vectors))
    simplex -= 1 / len(vectors)
    return gram_distance(vectors, simplex)


def target_distance(
    means: Vectors, target_means: ArrayLike, *, centred: bool = True
) -> float:
    r"""Measure the distance of a Gram matrix from that of any target.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features) or moments
        Class means, or the vectors of a classifier.
    target_means : array-like of shape (n_classes, n_components)
        Where they should be, up to rotation and scale. `n_components` need not be
        `n_features`.
    centred : bool, default=True
        Take off the unweighted mean of the rows of both first.

    Returns
    -------
    distance : float
        Frobenius norm of the difference of the two Gram matrices, each of norm one.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import target_distance
    >>> square = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> target_distance(3 * square @ [[0, 1], [1, 0]] + 7, square)
    0.0
    """
    vectors = class_vectors(means, centred=centred)
    target = class_vectors(target_means, "target_means", centred=centred)
    if len(vectors) != len(target):
        raise ValueError(
            f"target_means must have a row for each of the {len(vectors)} class "
            f"vectors, got {len(target)}."
        )
    return gram_distance(vectors, target @ target.T)


def self_duality(classifier: ArrayLike, means: Vectors) -> float:
    r"""Measure the distance of a classifier from the centred class means.

    .. math::

        \left\lVert \frac{W}{\lVert W \rVert_F} -
        \frac{\bar M}{\lVert \bar M \rVert_F} \right\rVert_F

    Figure 5 of Papyan, Han and Donoho, PNAS 117, 2020, arXiv:2008.08186.

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
    >>> from skcollapse.measures import self_duality_cosine
    >>> self_duality_cosine([[2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [-1.0, 1.0]])
    0.5
    """
    vectors, centred = _both(classifier, means)
    return float(1 - (unit(vectors) * unit(centred)).sum(axis=1).mean())


def gram_distance(vectors: np.ndarray, target_gram: np.ndarray) -> float:
    """Return the distance of the Gram matrix of rows from another, both of norm one.

    The other is overwritten: there may be many classes.
    """
    # A scale beforehand, so that no fourth power overflows or vanishes.
    vectors = vectors / (max(vectors.max(), -vectors.min()) or np.nan)
    gram = vectors @ vectors.T
    gram /= np.linalg.norm(gram)
    target_gram /= np.linalg.norm(target_gram)
    gram -= target_gram
    return float(np.linalg.norm(gram))


def _both(classifier: ArrayLike, means: Vectors) -> tuple[np.ndarray, np.ndarray]:
    vectors = class_vectors(classifier, "classifier")
    kept = present_classes(means, len(vectors))
    if len(kept) == len(vectors):
        vectors = vectors[kept]
    centred = class_vectors(means, centred=True)
    if vectors.shape != centred.shape:
        raise ValueError(
            f"classifier must have the shape of the class means, {centred.shape}; got "
            f"{vectors.shape}."
        )
    return vectors, centred
