"""Which class gets which vector of a fixed code."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import quadratic_assignment

from skcollapse._utils.numbers import as_float64, check_finite_rows
from skcollapse._utils.random_state import resolve_random_state
from skcollapse._utils.types import Seed
from skcollapse.targets._frames import check_vectors

# What the search for an assignment may spend: classes over all starts, and starts.
_CLASSES = 2000
_STARTS = 20
# Gain of a swap, relative to the largest similarity, that rounding does not explain.
_GAIN = 1e-10


def class_similarity(means: ArrayLike) -> np.ndarray:
    r"""Compute how similar classes are, from their means.

    The cosines of the centred means,
    :math:`\cos(\mu_k - \bar\mu, \mu_l - \bar\mu)` with the balanced mean
    :math:`\bar\mu = \tfrac1K \sum_k \mu_k`.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features)
        Class means as rows. Their common offset and scale do not matter.

    Returns
    -------
    similarity : ndarray of shape (n_classes, n_classes), dtype float64
        Symmetric, between -1 and 1. A class at the balanced mean is similar to none:
        its row is zero.

    Raises
    ------
    ValueError
        If `means` is not a finite matrix of at least two rows.

    Examples
    --------
    >>> from skcollapse.targets import class_similarity
    >>> class_similarity([[3.0, 1.0], [2.0, 0.0], [2.0, 2.0], [1.0, 1.0]])
    array([[ 1.,  0.,  0., -1.],
           [ 0.,  1., -1.,  0.],
           [ 0., -1.,  1.,  0.],
           [-1.,  0.,  0.,  1.]])
    """
    means = check_vectors("means", means, "Leave out the classes without samples.")
    centred = means - means.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    # What is left of a mean at the centre is rounding, without a direction.
    noise = 8 * np.finfo(np.float64).eps * np.abs(means).max() * means.shape[1] ** 0.5
    unit = np.divide(
        centred, lengths, where=lengths > noise, out=np.zeros_like(centred)
    )
    return unit @ unit.T


def _swap(gram: np.ndarray, similarity: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Exchange pairs of vectors while the best exchange improves the match.

    SciPy has such a method too, which evaluates one exchange at a time in O(K^2). Here
    that is the cost of all of them together.
    """
    smallest = _GAIN * np.abs(similarity).max()
    placed = gram[np.ix_(order, order)]
    product = similarity @ placed
    # Every exchange raises the match, so that none comes back.
    while True:
        own = np.diagonal(product)
        gain = product + product.T - own - own[:, None] + 2 * similarity * placed
        r, s = np.unravel_index(gain.argmax(), gain.shape)
        if gain[r, s] <= smallest:
            return order
        product += np.outer(similarity[:, r] - similarity[:, s], placed[s] - placed[r])
        swapped, back = [r, s], [s, r]
        order[swapped] = order[back]
        placed[swapped] = placed[back]
        placed[:, swapped] = placed[:, back]
        product[:, swapped] = product[:, back]


def assign_code(
    code: ArrayLike, similarity: ArrayLike, *, random_state: Seed = None
) -> np.ndarray:
    r"""Reorder the rows of a code so that similar classes sit close together.

    In fewer than :math:`K - 1` dimensions the vectors of a code are not all at the same
    distance, so that it matters which class gets which. The permutation :math:`\pi`
    minimises the mismatch to a class similarity :math:`S`,

    .. math:: \min_{a, \pi} \sum_{k \neq l}
              (S_{kl} - a\, w_{\pi(k)}^\top w_{\pi(l)})^2, \quad a > 0, \quad
              \text{that is} \quad
              \max_\pi \sum_{k \neq l} S_{kl}\, w_{\pi(k)}^\top w_{\pi(l)} ,

    a quadratic assignment problem. It is solved approximately, by the method of [1]_
    from several starts and by exchanges of two vectors thereafter.

    Parameters
    ----------
    code : array-like of shape (n_classes, n_components)
        Class vectors as rows.
    similarity : array-like of shape (n_classes, n_classes)
        Similarity of the classes, larger for more similar ones; see
        :func:`class_similarity`. The diagonal has no effect, nor has anything but the
        mean of the two values for a pair. Offset and positive scale do not matter.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts. Pass an int for the same order at every call.

    Returns
    -------
    assigned : ndarray of shape (n_classes, n_components), dtype float64
        The rows of `code`, one for each class: never a worse match than in the given
        order.

    Raises
    ------
    ValueError
        If `code` or `similarity` is not finite or their shapes do not fit.

    References
    ----------
    .. [1] Vogelstein et al., "Fast Approximate Quadratic Programming for Graph
       Matching", PLOS ONE 10(4), 2015, algorithm 1.

    Examples
    --------
    Four classes of which the first and the last are alike, and the other two:

    >>> import numpy as np
    >>> from skcollapse.targets import assign_code
    >>> similarity = [[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]]
    >>> angles = np.radians([0, 30, 180, 210])
    >>> code = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> assigned = assign_code(code, similarity, random_state=0)
    >>> (assigned @ assigned.T).round(3)[[0, 1], [3, 2]]
    array([0.866, 0.866])
    """
    vectors = check_vectors("code", code, "Use the rows of hyperspherical_code.")
    n_classes = len(vectors)
    similar = as_float64("similarity", similarity)
    if similar.shape != (n_classes, n_classes):
        raise ValueError(
            f"similarity must have the shape {(n_classes, n_classes)}, one row and "
            f"column for each row of code, got {similar.shape}."
        )
    check_finite_rows("similarity", similar, "Use 0 where nothing is known.")
    similar = (similar + similar.T) / 2
    gram = vectors @ vectors.T
    np.fill_diagonal(similar, 0)
    np.fill_diagonal(gram, 0)
    orders = [np.arange(n_classes)]
    # Equal weights everywhere are a good start for most codes, and a saddle point for
    # those whose vectors look all alike. SciPy wants a generator.
    rng = np.random.default_rng(resolve_random_state(random_state).randint(2**31))
    starts = ["barycenter"] + ["randomized"] * min(_CLASSES // n_classes, _STARTS)
    for start in starts:
        options = {"maximize": True, "P0": start, "rng": rng}
        found = quadratic_assignment(similar, gram, method="faq", options=options)
        orders.append(found.col_ind)
    orders = [_swap(gram, similar, order) for order in orders]
    matches = [np.sum(similar * gram[np.ix_(order, order)]) for order in orders]
    # The first that is the best, or as good as but for rounding: the given order is.
    rounding = _GAIN * n_classes * np.abs(similar).max()
    best = np.flatnonzero(max(matches) - matches <= rounding)[0]
    return vectors[orders[best]]
