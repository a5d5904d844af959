"""Nearest class centres (NC4), and orthogonality to what is out of distribution."""

from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from skcollapse._utils.checks import check_switch
from skcollapse._utils.numbers import as_float64
from skcollapse.measures._inputs import (
    Moments,
    Vectors,
    check_moments,
    class_vectors,
    unit,
)
from skcollapse.moments import ClassMoments, RowMoments


@overload
def ncc_agreement(
    moments: RowMoments, coef: ArrayLike, intercept: ArrayLike | None = None
) -> float: ...
@overload
def ncc_agreement(
    moments: RowMoments,
    coef: ArrayLike,
    intercept: ArrayLike | None = None,
    *,
    by_class: Literal[True],
) -> np.ndarray: ...
def ncc_agreement(
    moments: RowMoments,
    coef: ArrayLike,
    intercept: ArrayLike | None = None,
    *,
    by_class: bool = False,
) -> float | np.ndarray:
    r"""Measure how often a linear classifier decides for the nearest class centre.

    The share of samples with :math:`\arg\max_k w_k^\top x + b_k = \arg\min_k
    \lVert x - \mu_k \rVert`. The classes without samples take no part as centres.

    Figure 7 of Papyan, Han and Donoho, PNAS 117, 2020, arXiv:2008.08186.

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

    Examples
    --------
    >>> from skcollapse.measures import ncc_agreement
    >>> from skcollapse.moments import RowMoments
    >>> moments = RowMoments([[0.0], [2.0], [10.0], [14.0]], [0, 0, 1, 1], n_classes=2)
    >>> ncc_agreement(moments, [[-1.0], [1.0]], [6.5, -6.5])
    1.0
    >>> ncc_agreement(moments, [[-1.0], [1.0]])
    0.75
    """
    check_moments(moments)
    check_switch("by_class", by_class)
    class_vectors(moments)
    scores, nearness, weights, means = _terms(moments, moments.centres, coef, intercept)
    # In the directions between the class means lies all that tells which is nearest:
    # with B whitening and C the centred means, x^T C^T = (x^T B) (B^T C^T C C^T).
    along = (means @ moments.whitening).T @ (means @ means.T)
    terms = [moments.as_tensor(t) for t in (scores, nearness, weights.T, along)]
    (sums,) = moments.sum_by_class(
        lambda rows, projected, labels: _agrees(terms, rows, projected, labels)
    )
    if by_class:
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / moments.counts)
    return float(sums.sum() / moments.weight_sum)


def batch_agreement(
    moments: ClassMoments, coef: ArrayLike, intercept: ArrayLike | None = None
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function that tells which rows of a batch :func:`ncc_agreement` counts.

    It takes rows, a tensor of shape (n, n_features) on any device, and their class
    indices, and returns a bool tensor. The means of the moments are the centres.
    """
    centres = np.tile(class_vectors(moments).mean(axis=0), (moments.n_classes, 1))
    present = moments.counts > 0
    centres[present] = moments.means[present]
    scores, nearness, weights, means = _terms(moments, centres, coef, intercept)
    arrays = centres, scores, nearness, weights.T, means.T

    def agrees(rows: Tensor, labels: Tensor) -> Tensor:
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        own, *terms = (torch.from_numpy(array).to(rows) for array in arrays)
        rows = rows - own[labels]
        return _agrees(terms, rows, rows, labels)

    return agrees


def _terms(
    moments: Moments, centres: np.ndarray, coef: Any, intercept: Any
) -> tuple[np.ndarray, ...]:
    """Return scores and nearness of the centres, and class vectors and centred means.

    A row is its centre and a rest, which is small where offsets of the features are
    large. What the decision owes to the centre is known beforehand, in float64.
    """
    shape = moments.n_classes, moments.n_features
    coef = _check_shape("coef", coef, shape)
    intercept = np.zeros(shape[0]) if intercept is None else intercept
    intercept = _check_shape("intercept", intercept, shape[:1])
    # What all classes share decides nothing, and is taken off before rounding.
    coef = coef - coef.mean(axis=0)
    scores = centres @ coef.T + (intercept - intercept.mean())
    scores -= scores.max(axis=1, keepdims=True)
    present = moments.counts > 0
    means = np.where(present[:, None], moments.means, 0.0)
    means[present] -= means[present].mean(axis=0)
    squares = means @ means.T
    nearness = squares - np.where(present, np.diagonal(squares) / 2, np.inf)
    nearness -= nearness.max(axis=1, keepdims=True)
    return scores, nearness, coef, means


def _check_shape(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    values = as_float64(name, values)
    if values.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, got {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must hold finite numbers; got NaN or infinity.")
    return values


def _agrees(
    terms: list[Tensor], rows: Tensor, projected: Tensor, labels: Tensor
) -> Tensor:
    """Return whether classifier and nearest mean decide for the same class, by row."""
    scores, nearness, coef, along = terms
    # The argmax alone takes longer.
    _, decision = scores[labels].addmm_(rows, coef).max(dim=1)
    _, nearest = nearness[labels].addmm_(projected, along).max(dim=1)
    return decision == nearest


def nc5(means: Vectors, ood_mean: ArrayLike) -> float:
    r"""Measure :math:`\operatorname{mean}_k |\cos(\mu_k, \mu_\mathrm{ood})|`.

    Equation 4 of Ben Ammar et al., "NECO", ICLR 2024, arXiv:2310.06823.

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

    Examples
    --------
    >>> from skcollapse.measures import nc5
    >>> nc5([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0.0, 0.0, 5.0])
    0.0
    """
    vectors, outside = class_vectors(means), as_float64("ood_mean", ood_mean)
    if outside.shape != vectors.shape[1:] or not np.isfinite(outside).all():
        raise ValueError(
            f"ood_mean must hold {vectors.shape[1]} finite values, one for each "
            f"feature; got an array of shape {outside.shape}."
        )
    return float(np.abs(unit(vectors) @ unit(outside[None])[0]).mean())
