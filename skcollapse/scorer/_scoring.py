"""What a scorer does with rows that are not fitted: it checks and scores them."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import pairwise_distances_argmin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skcollapse._utils.arrays import (
    Rows,
    float_dtypes,
    reject_dataset,
    to_numpy,
)
from skcollapse._utils.checks import snapshot
from skcollapse._utils.numbers import check_sample_weight
from skcollapse._utils.parallel import limited_threads
from skcollapse.measures import MEASURES
from skcollapse.scorer._checks import check_parameters, make_inputs
from skcollapse.scorer._rows import (
    compute_moments,
    find_classes,
    resolve_head,
    transformed,
)


class RowScorer(ClassifierMixin, BaseEstimator):
    """Base of the scorer: whatever leaves it as it is, and looks at one state of it."""

    def predict(self, X: Rows) -> np.ndarray:
        """Return the class of the nearest class mean.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        reject_dataset(X)
        X, now = to_numpy(X), snapshot(self)
        rows = validate_data(now, X, dtype=float_dtypes(X), reset=False)
        present = now.class_counts_ > 0
        centres = now.centres_[present].astype(rows.dtype)
        nearest = pairwise_distances_argmin(rows, centres)
        return np.asarray(now.classes_[present][nearest])

    def score(self, X: Rows, y: Rows, sample_weight: Rows | None = None) -> float:
        """Measure other rows by `metric`, about class means of their own.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)
        y : array-like or tensor of shape (n_samples,)
            Labels that were there in :meth:`fit`, at least two of them.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            The measure, negative if it falls with collapse: greater is more collapsed.

        Raises
        ------
        ValueError
            If the data are not valid or `metric` needs a classifier that is not given.
        """
        check_is_fitted(self)
        now = snapshot(self)
        X, y, weight = now._check_rows(X, y, sample_weight, reset=False)
        head = resolve_head(now.classifier) or now._network_head
        return now._score(X, y, weight, head, now.classes_)

    def __call__(
        self, estimator: Any, X: Any, y: Rows, sample_weight: Rows | None = None
    ) -> float:
        """Score the features that a fitted estimator makes of X.

        Parameters
        ----------
        estimator : estimator
            With a ``transform``, or a pipeline of which all but the last step have one.
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            As :meth:`score`. The scorer need not be fitted and stays as it is.

        Raises
        ------
        TypeError
            If the estimator does not transform.
        """
        features = transformed(estimator, X)
        other = type(self)(**self.get_params(deep=False))
        checked = other._check_rows(features, y, sample_weight, reset=True)
        return other._score(*checked, resolve_head(self.classifier))

    def _score(
        self, X: Any, y: Any, weight: Any, head: Any, classes: Any = None
    ) -> float:
        check_parameters(self, has_classifier=head is not None)
        if classes is None:
            classes = find_classes(y, weight, head)
        measure = MEASURES[self.metric]
        with limited_threads(X.size * len(classes)):
            moments = compute_moments(X, y, weight, classes)
            value = measure(make_inputs(self, moments, head))
        return value if measure.rising else -value

    def _check_rows(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool
    ) -> tuple[Any, Any, Any]:
        """Return X, labels and weights in NumPy; finiteness is checked later."""
        reject_dataset(
            X, "Extract features first, see extract_features, or call fit_network."
        )
        X, y = validate_data(
            self,
            to_numpy(X),
            to_numpy(y),
            dtype="numeric",
            reset=reset,
            ensure_all_finite=False,
        )
        # Whole numbers are classes, and to count them takes longer than to measure few.
        if y.dtype.kind not in "iu":
            check_classification_targets(y)
        if sample_weight is None:
            return X, y, None
        return X, y, check_sample_weight(to_numpy(sample_weight), len(X))
