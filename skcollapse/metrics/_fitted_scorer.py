"""A scorer that is told what the fitted estimator knows, and what it computes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Only here: no public scorer sees the fitted estimator and shares predictions with
# others.
from sklearn.metrics._scorer import _BaseScorer

from skcollapse.metrics._calibration import expected_calibration_error
from skcollapse.metrics._class_counts import counts_by_label
from skcollapse.metrics._head_tail import head_tail_gap
from skcollapse.metrics._log_loss import balanced_log_loss
from skcollapse.metrics._probabilities import two_columns
from skcollapse.metrics._shots import shot_accuracy
from skcollapse.metrics._training_counts import training_counts


class FittedScorer(_BaseScorer):
    """A scorer whose function is given the fitted estimator too."""

    def _score(
        self,
        method_caller: Callable[..., np.ndarray],
        estimator: Any,
        X: Any,
        y_true: ArrayLike,
        **kwargs: Any,
    ) -> float:
        response = method_caller(estimator, self._response_method, X)
        return self._sign * self._score_func(
            y_true, response, estimator, **self._kwargs, **kwargs
        )


def _counts_for(
    estimator: Any, y_true: ArrayLike, class_counts: Any
) -> dict[Any, float]:
    """Return a dict of given counts, or of those that the estimator has seen."""
    if class_counts is not None:
        return counts_by_label(class_counts, estimator.classes_)
    unseen = dict.fromkeys(np.unique(y_true).tolist(), 0)
    return unseen | training_counts(estimator)


def shot_recall(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    estimator: Any,
    *,
    shot: str,
    class_counts: Any,
    **options: Any,
) -> float:
    """Return one of the numbers of `shot_accuracy`, which takes the options."""
    counts = _counts_for(estimator, y_true, class_counts)
    recalls = shot_accuracy(y_true, y_pred, class_counts=counts, **options)
    if shot not in recalls:
        raise ValueError(
            f"No class that was tested has {shot} training samples, with "
            f"thresholds={options['thresholds']!r} and class_counts={counts!r}. Pass "
            "other thresholds, or class_counts for the same groups in all splits, or "
            f"leave {shot + '_shot_recall'!r} out of the scorers."
        )
    return recalls[shot]


def head_tail_distance(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    estimator: Any,
    *,
    class_counts: Any,
    **weight: Any,
) -> float:
    """Return the absolute value of `head_tail_gap`."""
    counts = _counts_for(estimator, y_true, class_counts)
    return abs(head_tail_gap(y_true, y_pred, class_counts=counts, **weight))


def _over_all_classes(
    y_true: ArrayLike, y_prob: np.ndarray, estimator: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities with zeros for classes that were not trained."""
    labels = np.union1d(estimator.classes_, y_true)
    every = np.zeros((len(y_prob), len(labels)), y_prob.dtype)
    every[:, np.searchsorted(labels, estimator.classes_)] = two_columns(y_prob)
    return labels, every


def class_log_loss(
    y_true: ArrayLike, y_prob: np.ndarray, estimator: Any, **weight: Any
) -> float:
    """Return `balanced_log_loss` over trained and tested classes."""
    labels, y_prob = _over_all_classes(y_true, y_prob, estimator)
    return balanced_log_loss(y_true, y_prob, labels=labels, **weight)


def class_calibration_error(
    y_true: ArrayLike, y_prob: np.ndarray, estimator: Any, **weight: Any
) -> float:
    """Return the balanced calibration error over trained and tested classes."""
    labels, y_prob = _over_all_classes(y_true, y_prob, estimator)
    return expected_calibration_error(
        y_true, y_prob, labels=labels, class_balanced=True, **weight
    )
