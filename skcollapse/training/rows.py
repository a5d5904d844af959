"""The rows of a fit, before they become features."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Rows:
    """Rows with their classes and weights, in NumPy.

    Parameters
    ----------
    X : ndarray of shape (n, p), floating point, or rows of a source
        Rows of any shape, see :mod:`skcollapse.training.row_source`.
    y : ndarray of shape (n,), int64
    weight : ndarray of shape (n,), float64
        How often a row stands there.
    class_cost : ndarray of shape (K,), float64
        How much more rows of a class count, however often they stand there.
    given_weight : ndarray of shape (n,), float64, or None
        The weights before they were balanced, if they were.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    class_cost: np.ndarray
    given_weight: np.ndarray | None = None

    def __len__(self):
        """Return the number of rows."""
        return len(self.y)

    def take(self, index):
        """Return some of the rows."""
        return replace(self.without_features(index), X=self.X[index])

    def without_features(self, index):
        """Return some of the rows with an empty X, so that no features are copied."""
        given = self.given_weight
        return replace(
            self,
            X=self.X[:0],
            y=self.y[index],
            weight=self.weight[index],
            given_weight=None if given is None else given[index],
        )

    @property
    def cost(self):
        """Weights of the rows, times the costs of their classes."""
        return self.weight * self.class_cost[self.y]

    @property
    def class_counts(self):
        """Sum of the weights of each class."""
        return np.bincount(self.y, self.weight, minlength=len(self.class_cost))

    @property
    def balanced_weight(self):
        """Weights of sum 1 with which classes count by their costs alone."""
        weight = self.cost / self.class_counts[self.y]
        return weight / weight.sum()

    def counted(self):
        """Return the rows of positive weight: these rows if none is zero."""
        return self if self.weight.all() else self.take(self.weight > 0)
