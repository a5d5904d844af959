"""What all classifiers share: data in, fitted projection out, scores and probabilities."""

import numpy as np
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skcollapse.classifiers._validation import (
    check_sample_weight,
    float_dtypes,
    to_numpy,
)
from skcollapse.training.candidates import Rows


class ProjectionClassifier(
    ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator
):
    """A projection of the features, scored against one vector for each class.

    Subclasses fit ``projection_`` (from X to (n, d) features, in NumPy), ``target_``
    ((K, d) class vectors), ``temperature_`` and ``classes_``.
    """

    def _check_rows(self, X, y, sample_weight, *, reset=True):
        """Return checked X, labels and sample weights, in NumPy."""
        X, y = to_numpy(X), to_numpy(y)
        X, y = validate_data(
            self, X, y, dtype=float_dtypes(X), reset=reset, y_numeric=False
        )
        check_classification_targets(y)
        return X, y, check_sample_weight(to_numpy(sample_weight), len(X))

    def _encode(self, y, weight):
        """Return the classes of rows that count, and the class indices of all rows."""
        classes = np.unique(y[weight > 0])
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs rows of at least 2 classes; y has 1 "
                f"class, {classes[0]!r}."
            )
        # Rows of weight zero may have another class; they are never looked at.
        indices = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        return classes, indices.astype(np.int64)

    def _weigh_classes(self, classes, indices, weight):
        """Return the weights of the rows, times those of their classes."""
        if self.class_weight is None:
            return weight
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            counts = np.bincount(indices, weight)
            return weight * (counts.sum() / (len(counts) * counts))[indices]
        factors = compute_class_weight(self.class_weight, classes=classes, y=classes)
        if not (factors >= 0).all():
            raise ValueError(
                f"class_weight must not be negative; got {self.class_weight!r}."
            )
        return weight * factors[indices]

    def _prepare(self, X, y, sample_weight):
        """Return rows, classes and class counts."""
        X, y, weight = self._check_rows(X, y, sample_weight)
        classes, indices = self._encode(y, weight)
        counts = np.bincount(indices, weight, minlength=len(classes))
        weighted = self._weigh_classes(classes, indices, weight)
        return Rows(X, indices, weighted), classes, counts

    def _check_X(self, X):
        check_is_fitted(self)
        X = to_numpy(X)
        X = validate_data(self, X, dtype=float_dtypes(X), reset=False)
        return X

    def transform(self, X):
        """Project features to where the classes sit.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Of unit norm if the loss looks at directions only.
        """
        projected = self.projection_(self._check_X(X))
        return _unit_rows(projected) if self._unit_features else projected

    def _scores(self, X):
        """Return the (n, K) inner products with the class vectors."""
        X = self._check_X(X)
        if not self._unit_features:
            return self._scorer(X)
        projected = _unit_rows(self.projection_(X))
        return projected @ self.target_.T.astype(projected.dtype)

    def decision_function(self, X):
        """Return the scores of the classes, on a balanced footing.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            Inner products of projected features and class vectors, over the
            temperature; with two classes, the second less the first.
        """
        scores = self._logits(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X):
        """Return the class of the greatest score.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self.classes_[self._scores(X).argmax(axis=1)]

    def predict_proba(self, X):
        """Return class probabilities, for rows drawn evenly from the classes.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return softmax(self._logits(X), axis=1)

    def predict_log_proba(self, X):
        """Return the logarithms of the probabilities.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return log_softmax(self._logits(X), axis=1)

    def _logits(self, X):
        scores = self._scores(X)
        return scores / scores.dtype.type(self.temperature_)

    @property
    def _n_features_out(self):
        return self.target_.shape[1]


def _unit_rows(rows):
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1).astype(rows.dtype)
