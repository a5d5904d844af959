"""The data of a fit: checked, in NumPy, and not checked again."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TrainingData:
    """Rows with their classes and weights.

    Parameters
    ----------
    X : ndarray of shape (n, p), floating point, or rows of a source
        Rows of any shape, see :mod:`skcollapse.rows`.
    y : ndarray of shape (n,), int64
        Class indices in [0, K).
    weight : ndarray of shape (n,), float64
        How often each row counts, after classes were balanced if they are.
    class_weight : ndarray of shape (K,), float64
        Costs of the classes: they multiply the loss of their rows, not their frequency.
    sample_weight : ndarray of shape (n,), float64, or None
        The weights before classes were balanced, if they were.
    groups : ndarray of shape (n,) or None
        Rows of a group are held out together.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray
    class_weight: np.ndarray
    sample_weight: np.ndarray | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)

    @property
    def n_classes(self) -> int:
        """The number K of classes."""
        return len(self.class_weight)

    def take(self, index: np.ndarray) -> "TrainingData":
        """Return some of the rows, by index or mask."""
        return replace(self.without_features(index), X=self.X[index])

    def without_features(self, index: np.ndarray) -> "TrainingData":
        """Return some of the rows with an empty X, so that no features are copied."""
        given, groups = self.sample_weight, self.groups
        return replace(
            self,
            X=self.X[:0],
            y=self.y[index],
            weight=self.weight[index],
            sample_weight=None if given is None else given[index],
            groups=None if groups is None else groups[index],
        )

    def drop_zero_weight(self) -> "TrainingData":
        """Return the rows of positive weight: these rows if none is zero."""
        return self if self.weight.all() else self.take(self.weight > 0)

    @property
    def row_cost(self) -> np.ndarray:
        """Weights of the rows, times the costs of their classes."""
        return self.weight * self.class_weight[self.y]

    @property
    def class_counts(self) -> np.ndarray:
        """Sum of the weights of each class."""
        return np.bincount(self.y, self.weight, minlength=self.n_classes)

    @property
    def balanced_weight(self) -> np.ndarray:
        """Weights of sum 1 with which classes count by their costs alone."""
        weight = self.row_cost / self.class_counts[self.y]
        return weight / weight.sum()
