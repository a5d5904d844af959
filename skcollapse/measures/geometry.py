"""Convergence to a simplex (NC2): lengths, angles and Gram matrices of vectors."""

import numpy as np
from numpy.typing import ArrayLike

from skcollapse.measures._inputs import Vectors, centre, class_vectors, pairs, unit

__all__ = [
    "cosine_std",
    "equiangularity",
    "equinorm",
    "etf_distance",
    "target_distance",
]


def _rows(means: Vectors, centred: bool) -> np.ndarray:
    vectors = class_vectors(means)
    return centre(vectors) if centred else vectors


def equinorm(means: Vectors, *, centred: bool = True) -> float:
    r"""Measure the coefficient of variation of the lengths of the class vectors.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features) or moments
        Class means, or the vectors of a classifier.
    centred : bool, default=True
        Take off the unweighted mean of the rows first. Vectors of a classifier are
        measured as they are in [1]_.

    Returns
    -------
    equinorm : float
        Standard deviation over mean: zero for equal lengths.

    References
    ----------
    .. [1] Papyan, Han and Donoho, "Prevalence of neural collapse during the terminal
       phase of deep learning training", PNAS 117, 2020. arXiv:2008.08186, figure 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import equinorm
    >>> equinorm(np.array([[3.0, 0.0], [0.0, 1.0]]), centred=False)
    0.5
    """
    lengths = np.linalg.norm(_rows(means, centred), axis=1)
    mean = lengths.mean()
    return float(lengths.std() / mean) if mean > 0 else np.nan


def equiangularity(means: Vectors, *, centred: bool = True) -> float:
    r"""Measure how far the cosines of pairs are from :math:`-1/(K-1)`, on average.

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

    References
    ----------
    .. [1] Papyan, Han and Donoho, "Prevalence of neural collapse during the terminal
       phase of deep learning training", PNAS 117, 2020. arXiv:2008.08186, figure 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import equiangularity
    >>> round(equiangularity(np.eye(3)), 12)
    0.0
    >>> equiangularity(np.eye(3), centred=False)
    0.5
    """
    units = unit(_rows(means, centred))
    cosines = pairs(units @ units.T)
    return float(np.abs(cosines + 1 / (len(units) - 1)).mean())


def cosine_std(means: Vectors, *, centred: bool = True) -> float:
    """Measure the standard deviation of the cosines of pairs of class vectors.

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

    References
    ----------
    .. [1] Papyan, Han and Donoho, "Prevalence of neural collapse during the terminal
       phase of deep learning training", PNAS 117, 2020. arXiv:2008.08186, figure 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.measures import cosine_std
    >>> cosine_std(np.eye(3), centred=False)
    0.0
    """
    units = unit(_rows(means, centred))
    return float(pairs(units @ units.T).std())


def etf_distance(means: Vectors, *, centred: bool = True) -> float:
    r"""Measure the distance of a Gram matrix from that of a simplex ETF.

    .. math::

        \left\lVert \frac{G}{\lVert G \rVert_F} - \frac{P}{\sqrt{K - 1}}
        \right\rVert_F, \qquad P = I - \mathbf{1}\mathbf{1}^\top\!/K

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features) or moments
        Class means, or the vectors of a classifier.
    centred : bool, default=True
        Take off the unweighted mean of the rows first. Vectors of a classifier are
        measured as they are in [1]_.

    Returns
    -------
    distance : float
        From 0 to the root of 2; NaN if all rows are zero.

    See Also
    --------
    seli_distance : The same for classes that differ in size.

    References
    ----------
    .. [1] Zhu, Ding, Zhou, Li, You, Sulam and Qu, "A Geometric Analysis of Neural
       Collapse with Unconstrained Features", NeurIPS 2021. arXiv:2105.02375, section 4.

    Examples
    --------
    >>> from skcollapse.measures import etf_distance
    >>> from skcollapse.targets import simplex_etf
    >>> round(etf_distance(5 * simplex_etf(4, 6, random_state=0) + 1), 12)
    0.0
    """
    vectors = _rows(means, centred)
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
    vectors, target = _rows(means, centred), class_vectors(target_means, "target_means")
    target = centre(target) if centred else target
    if len(vectors) != len(target):
        raise ValueError(
            f"target_means must have a row for each of the {len(vectors)} class "
            f"vectors, got {len(target)}."
        )
    return gram_distance(vectors, target @ target.T)


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
