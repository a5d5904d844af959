"""Predictions of a fitted classifier, which look at `Fitted` alone."""

from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import TransformerMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_is_fitted

from skcollapse._utils.arrays import to_numpy
from skcollapse._utils.checks import snapshot
from skcollapse._utils.devices import resolve_device
from skcollapse.classifiers._check import check_inputs, n_workers
from skcollapse.extract import extract_rows


# Of a class that is no transformer itself, scikit-learn leaves the output as it is.
class PredictionMixin(TransformerMixin):
    """Scores, labels, probabilities and projected features of rows.

    Each looks at one state of the estimator, whoever fits it meanwhile.
    """

    def _apply(self, fitted, function, X):
        """Return a function of checked X."""
        # Networks may hide what is not finite.
        finite = fitted.extractor is not None
        X = check_inputs(self, to_numpy(X), reset=False, ensure_all_finite=finite)
        if fitted.extractor is not None:
            device = resolve_device(self.device)
            X = extract_rows(fitted.extractor, X, device, n_workers(self))
        with np.errstate(invalid="ignore", over="ignore"):
            result = function(X)
            # Most projections show NaN and infinity, and are the smaller to look at.
            if not (fitted.projection.keeps_non_finite and np.isfinite(result.sum())):
                assert_all_finite(X, input_name="X")
        return result

    def transform(self, X: Any) -> np.ndarray:
        """Project features to where the classes sit.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Of unit norm if the loss looks at directions only.
        """
        check_is_fitted(self)
        now = snapshot(self)
        fitted = now._fitted
        projected = now._apply(fitted, fitted.projection, X)
        return _unit_rows(projected) if fitted.unit_features else projected

    def _scores(self, X):
        """Return the (n, K) inner products with the class vectors, over temperature."""
        check_is_fitted(self)
        now = snapshot(self)
        fitted = now._fitted
        if not fitted.unit_features:
            return now._apply(fitted, fitted.scorer, X)
        vectors = fitted.target.T / fitted.temperature
        projected = _unit_rows(now._apply(fitted, fitted.projection, X))
        return projected @ vectors.astype(projected.dtype)

    def decision_function(self, X: Any) -> np.ndarray:
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
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of the greatest score.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        now = snapshot(self)
        best = now._scores(X).argmax(axis=1)
        return now.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return class probabilities, for rows drawn evenly from the classes.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return softmax(self._scores(X), axis=1)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of the probabilities.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return log_softmax(self._scores(X), axis=1)


def _unit_rows(rows):
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1).astype(rows.dtype)
