"""Which rows are held out when something is chosen."""

import warnings

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, check_cv

# As good as five folds, and cheaper: the candidates differ by more than the folds do.
_FOLDS = 3
# A search on more rows than this costs more than it gains.
_MOST_ROWS = 5000


def class_aware_subsample(y, n_rows, rng):
    """Draw rows as evenly from the classes as their sizes allow: rare ones stay whole.

    Parameters
    ----------
    y : ndarray of shape (n,), int
    n_rows : int
    rng : numpy.random.RandomState

    Returns
    -------
    ndarray of shape (min(n, n_rows),), int
        Sorted.
    """
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    turn = np.concatenate([np.arange(size) for size in np.bincount(y)])
    return np.sort(order[np.argsort(turn, kind="stable")][:n_rows])


def make_splits(y, cv, groups, rng):
    """Return pairs of training and held-out rows.

    Parameters
    ----------
    y : ndarray of shape (n,), int
    cv : int, splitter, iterable of splits, or None
        None stands for three stratified folds, of a class-aware subsample of the rows
        if there are many.
    groups : array-like of shape (n,) or None
        Rows of a group are not divided between training and held-out rows.
    rng : numpy.random.RandomState

    Returns
    -------
    list of (ndarray, ndarray)
        Empty if every class has one row only.
    """
    if cv is not None:
        if groups is not None and isinstance(cv, int):
            cv = StratifiedGroupKFold(cv)
        splitter, rows = check_cv(cv, y, classifier=True), np.arange(len(y))
    else:
        n_folds = min(_FOLDS, np.bincount(y).max())
        if n_folds < 2:
            return []
        rows = class_aware_subsample(y, _MOST_ROWS, rng)
        stratified = check_cv(n_folds, y, classifier=True)
        splitter = stratified if groups is None else StratifiedGroupKFold(n_folds)
    groups = None if groups is None else np.asarray(groups)[rows]
    with warnings.catch_warnings():
        # Rows of a class that is missing from training are left out, see below.
        warnings.filterwarnings("ignore", "The least populated class")
        splits = list(splitter.split(np.zeros((len(rows), 1)), y[rows], groups))
    return [(rows[train], rows[held]) for train, held in splits]
