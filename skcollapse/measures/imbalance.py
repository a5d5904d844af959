"""The geometry of classes that differ in size: SELI, minority angles and lengths."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import svd

from skcollapse._utils.checks import check_choice, check_number
from skcollapse._utils.numbers import check_class_counts
from skcollapse.measures._inputs import (
    Vectors,
    centre,
    class_counts_of,
    class_vectors,
    pair_cosines,
)
from skcollapse.measures.geometry import gram_distance
from skcollapse.targets import seli


def seli_grams(
    class_counts: ArrayLike, *, ridge: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the Gram matrices of class vectors and class means in SELI geometry.

    Definition 2 of Thrampoulidis et al., "Imbalance Trouble", NeurIPS 2022,
    arXiv:2208.05512.

    Parameters
    ----------
    class_counts : array-like of shape (n_classes,)
        Class sizes, positive.
    ridge : float, default=0.0
        As in :func:`~skcollapse.targets.seli`.

    Returns
    -------
    classifier, means : ndarrays of shape (n_classes, n_classes), dtype float64
        :math:`S = (P D P)^{1/2}` and :math:`S^{+}` for ``ridge=0``.

    Raises
    ------
    ValueError
        If a size is not positive, or `ridge` leaves no geometry.

    Examples
    --------
    >>> from skcollapse.measures import seli_grams
    >>> classifier, means = seli_grams([4, 4])
    >>> classifier.round(12)
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    return _gram(class_counts, ridge, True), _gram(class_counts, ridge, False)


def _gram(class_counts: ArrayLike, ridge: float, of_classifier: bool) -> np.ndarray:
    """Return the Gram matrix of the class vectors, or that of the class means."""
    counts = check_class_counts(class_counts)
    if check_number("ridge", ridge, 0) != 0:
        geometry = seli(counts, ridge=ridge, random_state=0)
        vectors = geometry.classifier if of_classifier else geometry.means
        return np.asarray(vectors @ vectors.T)
    power = 1 if of_classifier else -1
    sizes, group, members = np.unique(counts, return_inverse=True, return_counts=True)
    # The part that is the same for all members of a group ...
    constant = np.sqrt(members / len(counts))
    projector = np.eye(len(sizes)) - np.outer(constant, constant)
    left, values, _ = svd(projector * np.sqrt(sizes))
    left, values = left[:, :-1] / np.sqrt(members)[:, None], values[:-1]
    between = (left * values**power) @ left.T
    # ... and the rest, which is the simplex of the group.
    within = np.sqrt(sizes) ** power
    between[np.diag_indices(len(sizes))] -= within / members
    gram = between[np.ix_(group, group)]
    gram[np.diag_indices(len(counts))] += within[group]
    return np.asarray(gram)


def seli_distance(
    means: Vectors,
    class_counts: ArrayLike | None = None,
    *,
    ridge: float = 0.0,
    vectors: Literal["means", "classifier"] = "means",
) -> float:
    r"""Measure the distance of a Gram matrix from that of SELI geometry.

    Section 5 of Thrampoulidis et al., "Imbalance Trouble", NeurIPS 2022,
    arXiv:2208.05512.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features) or moments
        Class means, which are centred, or the vectors of a classifier, which are taken
        as they are.
    class_counts : array-like of shape (n_classes,), default=None
        Class sizes in training. None stands for those of the moments.
    ridge : float, default=0.0
        Strength of the regularisation that the network was trained with, as in
        :func:`~skcollapse.targets.seli`.
    vectors : {"means", "classifier"}, default="means"
        What `means` holds.

    Returns
    -------
    distance : float
        Frobenius norm of the difference of the two Gram matrices, each of norm one. For
        classes of equal size it is :func:`etf_distance`.

    Examples
    --------
    >>> from skcollapse.measures import etf_distance, seli_distance
    >>> from skcollapse.targets import seli
    >>> counts = [100, 100, 10, 10]
    >>> W, M = seli(counts, 5, random_state=0)
    >>> round(seli_distance(3 * M + 1, counts), 12)
    0.0
    >>> round(seli_distance(W, counts, vectors="classifier"), 12)
    0.0
    >>> round(etf_distance(M), 3)
    0.472
    """
    check_choice("vectors", vectors, ("means", "classifier"))
    rows = class_vectors(means, vectors)
    counts = class_counts_of(means, class_counts, len(rows))
    gram = _gram(counts, ridge, vectors == "classifier")
    if vectors == "means":
        rows = centre(rows)
        # With a ridge, the features of the prediction do not sum to zero.
        gram -= gram.mean(axis=0)
        gram -= gram.mean(axis=1, keepdims=True)
    return gram_distance(rows, gram)


def minority_classes(class_counts: ArrayLike) -> np.ndarray:
    """Return which classes are small: below the geometric mean of the extremes.

    Parameters
    ----------
    class_counts : array-like of shape (n_classes,)
        Class sizes, positive.

    Returns
    -------
    minority : ndarray of shape (n_classes,), dtype bool
        None of classes of equal size; the smaller half of a geometric profile.

    Examples
    --------
    >>> from skcollapse.measures import minority_classes
    >>> minority_classes([100, 100, 10, 10])
    array([False, False,  True,  True])
    """
    counts = check_class_counts(class_counts)
    # A margin for rounding: of equal classes, none is small.
    return np.asarray(counts < np.sqrt(counts.min() * counts.max()) * (1 - 1e-9))


def minority_cosine(
    means: Vectors, class_counts: ArrayLike | None = None, *, centred: bool = True
) -> float:
    r"""Measure the mean cosine of pairs of small classes in excess of :math:`-1/(K-1)`.

    It rises towards :math:`1 + 1/(K-1)` where small classes collapse onto each other,
    as in Fang, He, Long and Su, PNAS 118, 2021, arXiv:2101.12699.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features) or moments
        Class means, or the vectors of a classifier.
    class_counts : array-like of shape (n_classes,), default=None
        Class sizes in training, see :func:`minority_classes`; None: of the moments.
    centred : bool, default=True
        Take off the unweighted mean of the rows first.

    Returns
    -------
    excess : float
        NaN if fewer than two classes are small.

    Examples
    --------
    >>> from skcollapse.measures import minority_cosine
    >>> from skcollapse.targets import seli
    >>> W, M = seli([100, 100, 10, 10], random_state=0)
    >>> round(minority_cosine(W, [100, 100, 10, 10]), 3)
    0.413
    """
    rows = class_vectors(means, centred=centred)
    small = minority_classes(class_counts_of(means, class_counts, len(rows)))
    if small.sum() < 2:
        return np.nan
    return float(pair_cosines(rows[small]).mean() + 1 / (len(rows) - 1))


def norm_ratio(
    means: Vectors, class_counts: ArrayLike | None = None, *, centred: bool = True
) -> float:
    """Measure the mean length of large classes over that of small ones.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features) or moments
        Class means, or the vectors of a classifier.
    class_counts : array-like of shape (n_classes,), default=None
        Class sizes in training, see :func:`minority_classes`; None: of the moments.
    centred : bool, default=True
        Take off the unweighted mean of the rows first.

    Returns
    -------
    ratio : float
        NaN if no class is small.

    Examples
    --------
    >>> from skcollapse.measures import norm_ratio
    >>> from skcollapse.targets import seli
    >>> W, M = seli([100, 100, 10, 10], random_state=0)
    >>> round(norm_ratio(W, [100, 100, 10, 10]), 3)
    1.413
    """
    rows = class_vectors(means, centred=centred)
    small = minority_classes(class_counts_of(means, class_counts, len(rows)))
    if not small.any():
        return np.nan
    lengths = np.linalg.norm(rows, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(lengths[~small].mean() / lengths[small].mean())
