"""Scores for classes of unequal size, by themselves and as scorers for a search."""

from skcollapse.metrics._calibration import expected_calibration_error
from skcollapse.metrics._class_counts import counts_by_label, counts_of
from skcollapse.metrics._head_tail import head_tail_gap
from skcollapse.metrics._log_loss import balanced_log_loss
from skcollapse.metrics._recall import geometric_mean_recall, worst_class_recall
from skcollapse.metrics._scorers import imbalance_scorers
from skcollapse.metrics._shots import SHOTS, THRESHOLDS, shot_accuracy, shot_of
from skcollapse.metrics._training_counts import innermost, training_counts

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
