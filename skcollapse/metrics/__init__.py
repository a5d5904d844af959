"""Scores for classes of unequal size, by themselves and as scorers for a search."""

from skcollapse.metrics._class_counts import (
    counts_by_label,
    counts_of,
    innermost,
    training_counts,
)
from skcollapse.metrics._probabilities import (
    balanced_log_loss,
    expected_calibration_error,
)
from skcollapse.metrics._recall import geometric_mean_recall, worst_class_recall
from skcollapse.metrics._scorers import imbalance_scorers
from skcollapse.metrics._shots import (
    SHOTS,
    THRESHOLDS,
    head_tail_gap,
    shot_accuracy,
    shot_of,
)

__all__ = [
    "SHOTS",
    "THRESHOLDS",
    "balanced_log_loss",
    "counts_by_label",
    "counts_of",
    "expected_calibration_error",
    "geometric_mean_recall",
    "head_tail_gap",
    "imbalance_scorers",
    "innermost",
    "shot_accuracy",
    "shot_of",
    "training_counts",
    "worst_class_recall",
]
