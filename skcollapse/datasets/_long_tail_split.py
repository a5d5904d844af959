"""Cross-validation of classes with fewer rows than there are folds."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skcollapse._utils.checks import check_choice, check_integer, plain
from skcollapse._utils.random_state import resolve_random_state
from skcollapse._utils.types import Seed
from skcollapse.fitting import shuffle_by_class


class LongTailSplit(BaseCrossValidator):
    """Stratified folds in which every class is in every training part.

    A class is spread over the folds as evenly as its rows allow. One with fewer rows
    than there are folds is tested in as many folds as it has rows, and learned from in
    all. The only row of a class is never held out: no fit without it could be right
    about it.

    :class:`sklearn.model_selection.StratifiedKFold` warns of such classes, holds out
    the only row of a class, and raises if all classes are so small.

    Parameters
    ----------
    n_splits : int, default=5
        Folds, at least 2.
    shuffle : bool, default=True
        Draw which rows of a class share a fold. False puts rows of a class that follow
        each other into the same fold.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same folds in each call.

    Notes
    -----
    Test parts differ by one row at most and have no row in common. Rows that are alone
    in their class are in none, so that
    :func:`sklearn.model_selection.cross_val_predict`, which needs every row once,
    cannot be used where there are such classes. Scores of a part leave out the classes
    that it does not have, as those of :mod:`skcollapse.metrics` do.

    Groups are not heeded: a warning says so.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.datasets import LongTailSplit
    >>> y = np.repeat(["cat", "dog", "fox"], [6, 2, 1])
    >>> cv = LongTailSplit(n_splits=3, random_state=0)
    >>> for train, test in cv.split(np.zeros((9, 1)), y):
    ...     print(np.unique(y[train]), y[test])
    ['cat' 'dog' 'fox'] ['cat' 'cat' 'dog']
    ['cat' 'dog' 'fox'] ['cat' 'cat' 'dog']
    ['cat' 'dog' 'fox'] ['cat' 'cat']
    """

    def __init__(
        self, n_splits: int = 5, *, shuffle: bool = True, random_state: Seed = None
    ) -> None:
        self.n_splits = check_integer("n_splits", n_splits, 2)
        check_choice("shuffle", shuffle, (True, False))
        if random_state is not None and not shuffle:
            raise ValueError(
                f"random_state={plain(random_state)!r} has no effect with "
                "shuffle=False: leave it at None, or shuffle."
            )
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        n_splits : int
        """
        return self.n_splits

    def split(
        self, X: Any, y: ArrayLike, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate training and test rows of each fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,)
            Labels of any type that can be sorted.
        groups : object, default=None
            Ignored, with a warning.

        Yields
        ------
        train : ndarray of int
        test : ndarray of int

        Raises
        ------
        ValueError
            If `y` does not hold labels, or fewer rows than `n_splits` can be held out.
        """
        if groups is not None:
            warnings.warn(
                "The groups parameter is ignored by LongTailSplit: rows of a group may "
                "be in both parts. StratifiedGroupKFold heeds groups.",
                UserWarning,
                stacklevel=2,
            )
        yield from super().split(X, y)

    def _iter_test_masks(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[np.ndarray]:
        fold = self._folds(column_or_1d(y))
        for k in range(self.n_splits):
            yield fold == k

    def _folds(self, y: np.ndarray) -> np.ndarray:
        """Return the fold that holds out each row, and -1 for rows in none."""
        check_classification_targets(y)
        _, index, sizes = np.unique(y, return_inverse=True, return_counts=True)
        rng = resolve_random_state(self.random_state) if self.shuffle else None
        order, _ = shuffle_by_class(index, rng)
        order = order[sizes[index[order]] > 1]
        if len(order) < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} is more than the {len(order)} rows of y "
                "that can be held out, those of classes with two rows or more."
            )
        # Dealt class by class, so that classes and folds are even.
        dealt = np.arange(len(order)) % self.n_splits
        # Within a class, by fold: rows that follow each other stay together.
        dealt = dealt[np.lexsort((dealt, index[order]))]
        fold = np.full(len(y), -1)
        fold[order] = dealt
        return fold
