"""Scorers for searches and cross-validation."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import make_scorer

# Only here: no public scorer sees the fitted estimator and shares predictions with
# others.
from sklearn.metrics._scorer import _BaseScorer

from skcollapse.metrics._class_counts import counts_by_label, training_counts
from skcollapse.metrics._probabilities import (
    balanced_log_loss,
    expected_calibration_error,
    two_columns,
)
from skcollapse.metrics._recall import (
    geometric_mean_recall,
    mean_recall,
    worst_class_recall,
)
from skcollapse.metrics._shots import (
    SHOTS,
    THRESHOLDS,
    ClassCounts,
    Thresholds,
    check_thresholds,
    head_tail_gap,
    shot_accuracy,
)


def imbalance_scorers(
    *,
    class_counts: ClassCounts | None = None,
    thresholds: Thresholds = THRESHOLDS,
) -> dict[str, Callable[..., float]]:
    """Return scorers for classes of unequal size, as ``scoring=`` takes them.

    ====================================  ==============================================
    ``"balanced_accuracy"``               Mean recall of the classes.
    ``"worst_class_recall"``              :func:`worst_class_recall`.
    ``"geometric_mean_recall"``           :func:`geometric_mean_recall`.
    ``"few_shot_recall"``                 :func:`shot_accuracy` of classes with few
                                          training samples.
    ``"medium_shot_recall"``              The same of those between the thresholds.
    ``"many_shot_recall"``                The same of those with many.
    ``"neg_head_tail_gap"``               Minus the absolute :func:`head_tail_gap`: best
                                          where large and small classes fare alike.
    ``"neg_balanced_log_loss"``           Minus :func:`balanced_log_loss`.
    ``"neg_expected_calibration_error"``  Minus :func:`expected_calibration_error`, all
                                          classes weighing the same.
    ====================================  ==============================================

    Parameters
    ----------
    class_counts : mapping or array-like of shape (n_classes,), default=None
        Training samples of the classes: a mapping from labels, or an array in the order
        of ``classes_`` of the estimator. None for those that the fitted estimator has
        seen, the training part of a split: its ``class_counts_``.
    thresholds : tuple of two numbers, default=(20, 100)
        As in :func:`shot_accuracy`.

    Returns
    -------
    scorers : dict of str to callable
        Greater is better for all. Called as ``scorer(estimator, X, y)``, with
        `sample_weight` if wanted, they return a float or raise.

    Raises
    ------
    ValueError
        If thresholds or counts are not valid. A scorer raises it if it finds no counts,
        or no class of its group has rows.

    Notes
    -----
    ``class_counts_`` is found in pipelines whose last step has it and that do not
    resample, in searches, behind decision thresholds, in frozen estimators and after
    calibration. Of :class:`sklearn.calibration.CalibratedClassifierCV` with several
    members the counts are those of all its rows, the sum over the members divided by
    their number less one, which is exact where its ``cv`` holds out every row once.
    After a fit with sample weights they are sums of weights. For other estimators pass
    `class_counts`.

    Classes without rows in a test part are left out of a score. A class that is tested
    but was missing from training has recall and probability zero, and few training
    samples.

    `sample_weight` is passed on by metadata routing once each scorer asks for it:
    ``scorer.set_score_request(sample_weight=True)``.

    A search ranks by one of them: ``refit="balanced_accuracy"``. Leave out what does
    not apply, such as ``"many_shot_recall"`` of small data, or probabilities of a
    classifier without ``predict_proba``: by default a search warns of scores that raise
    and goes on with NaN.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skcollapse import ETFClassifier
    >>> from skcollapse.metrics import imbalance_scorers
    >>> X, y = load_iris(return_X_y=True)
    >>> scorers = imbalance_scorers(thresholds=(10, 30))
    >>> model = ETFClassifier(solver="closed_form", random_state=0)
    >>> model.fit(X[:110], y[:110]).class_counts_
    array([50., 50., 10.])
    >>> round(scorers["many_shot_recall"](model, X, y), 2)
    0.99
    >>> round(scorers["medium_shot_recall"](model, X, y), 2)
    0.88
    """
    # Before a search, not in the middle of it.
    check_thresholds(thresholds)
    if class_counts is not None:
        n_classes = np.asarray(class_counts).size
        counts_by_label(class_counts, np.arange(n_classes))
    known = {"class_counts": class_counts}
    shots = {
        f"{shot}_shot_recall": _FittedScorer(
            _shot_recall, 1, {"shot": shot, "thresholds": thresholds, **known}
        )
        for shot in SHOTS
    }
    return {
        "balanced_accuracy": make_scorer(mean_recall),
        "worst_class_recall": make_scorer(worst_class_recall),
        "geometric_mean_recall": make_scorer(geometric_mean_recall),
        **shots,
        "neg_head_tail_gap": _FittedScorer(_head_tail_distance, -1, known),
        "neg_balanced_log_loss": _FittedScorer(
            _class_log_loss, -1, {}, "predict_proba"
        ),
        "neg_expected_calibration_error": _FittedScorer(
            _class_calibration_error, -1, {}, "predict_proba"
        ),
    }


class _FittedScorer(_BaseScorer):
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


def _shot_recall(
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


def _head_tail_distance(
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


def _class_log_loss(
    y_true: ArrayLike, y_prob: np.ndarray, estimator: Any, **weight: Any
) -> float:
    """Return `balanced_log_loss` over trained and tested classes."""
    labels, y_prob = _over_all_classes(y_true, y_prob, estimator)
    return balanced_log_loss(y_true, y_prob, labels=labels, **weight)


def _class_calibration_error(
    y_true: ArrayLike, y_prob: np.ndarray, estimator: Any, **weight: Any
) -> float:
    """Return the balanced calibration error over trained and tested classes."""
    labels, y_prob = _over_all_classes(y_true, y_prob, estimator)
    return expected_calibration_error(
        y_true, y_prob, labels=labels, class_balanced=True, **weight
    )
