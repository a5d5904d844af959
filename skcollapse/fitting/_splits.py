"""Which rows are held out when something is chosen."""

import warnings
from itertools import islice
from numbers import Integral

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, check_cv

# As good as five folds, and cheaper: the candidates differ by more than the folds do.
_FOLDS = 3
# With more rows than this one fold in ten is held out, once.
MANY_ROWS = 10_000
_MANY_FOLDS = 10
# Of a class in fewer groups, hardly any are left to learn from if one is held out.
_FEWEST_GROUPS = 3


def class_aware_subsample(y, n_rows, rng):
    """Draw rows as evenly from the classes as their sizes allow: rare ones stay whole.

    They are given as sorted indices: all if there are no more than ``n_rows``.
    """
    order, turn = shuffle_by_class(y, rng)
    return np.sort(order[np.argsort(turn, kind="stable")][:n_rows])


def hold_out(y, fraction, groups, rng):
    """Return training rows, and a share of every class that is held out.

    Classes of one row are not held out. Rows of a group are held out together, so that
    shares are not exact; rows of a class in fewer than three groups, one by one.
    """
    sizes = np.bincount(y)
    if groups is not None:
        groups, seed = _divide_scarce(y, groups), int(rng.randint(2**31))
        if sizes.max() < 2:
            return np.arange(len(y)), np.arange(0)
        # One part in n, where there are as many groups and rows of a class.
        n_parts = min(round(1 / fraction), len(np.unique(groups)), sizes.max())
        splitter = StratifiedGroupKFold(
            max(2, n_parts), shuffle=True, random_state=seed
        )
        return _split(splitter, y, groups, 1)[0]
    order, turn = shuffle_by_class(y, rng)
    held = np.where(sizes > 1, np.maximum(1, np.round(fraction * sizes)), 0)
    held = np.minimum(held, np.maximum(sizes - 1, 0))
    is_held = turn < held[y[order]]
    return np.sort(order[~is_held]), np.sort(order[is_held])


def shuffle_by_class(y, rng):
    """Return all rows, class by class, and the place of each within its class.

    Without a generator the rows of a class stay in order.
    """
    order = np.arange(len(y)) if rng is None else rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    return order, np.concatenate([np.arange(size) for size in np.bincount(y)])


def make_splits(y, cv, groups):
    """Return pairs of training and held-out rows; none if all classes have one row.

    Parameters
    ----------
    y : ndarray of shape (n,), int
    cv : int, splitter, iterable of splits, or None
        None stands for three stratified folds, or for one fold of ten if there are many
        rows.
    groups : array-like of shape (n,) or None
        Rows of a group stay together if the splitter heeds them: the one that None or
        an integer stands for does, but for classes in fewer than three groups.
    """
    n_splits = None
    if cv is None:
        many = len(y) > MANY_ROWS
        cv = min(_MANY_FOLDS if many else _FOLDS, np.bincount(y).max())
        n_splits = 1 if many else None
        if cv < 2:
            return []
    if groups is not None and isinstance(cv, Integral):
        cv, groups = StratifiedGroupKFold(cv), _divide_scarce(y, groups)
    return _split(check_cv(cv, y, classifier=True), y, groups, n_splits)


def _split(splitter, y, groups, n_splits):
    """Return the first splits, or all, without a word about classes of few rows."""
    with warnings.catch_warnings():
        # Rows of a class that is missing from training are left out later.
        warnings.filterwarnings("ignore", "The least populated class")
        splits = splitter.split(np.zeros((len(y), 1)), y, groups)
        return list(islice(splits, n_splits))


def _divide_scarce(y, groups):
    """Make every row of a class in few groups a group of its own.

    Such a class would be missing from training whenever it is held out, or nearly so.
    What is chosen would then suit the other classes alone.
    """
    groups = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    pairs = np.unique(np.stack([y, groups]), axis=1)
    scarce = (np.bincount(pairs[0]) < _FEWEST_GROUPS)[y]
    groups[scarce] = len(y) + np.flatnonzero(scarce)
    return groups
