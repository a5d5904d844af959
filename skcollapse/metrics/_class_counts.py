"""Numbers of training samples of the classes, as they are passed to a metric."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skcollapse._utils.checks import check_number, plain


def counts_by_label(class_counts: Any, labels: np.ndarray) -> dict[Any, float]:
    """Return a dict from labels to numbers of training samples, or raise.

    What has keys, as a dict, a Counter and a pandas Series, is a mapping from labels;
    anything else is in the order of `labels`.
    """
    if hasattr(class_counts, "keys"):
        counts = dict(class_counts)
    else:
        values = np.asarray(class_counts)
        if values.shape != (len(labels),):
            raise ValueError(
                f"class_counts must hold a number for each of the {len(labels)} "
                f"classes {labels.tolist()!r}, got the shape {values.shape}. Pass a "
                "dict from labels to counts where not every class occurs."
            )
        counts = dict(zip(labels.tolist(), values.tolist(), strict=True))
    for label, count in counts.items():
        check_number(f"class_counts of class {plain(label)!r}", count, 0)
    return counts


def resolve_counts(
    class_counts: Any, y_true: ArrayLike, y_pred: ArrayLike, labels: ArrayLike | None
) -> dict[Any, float]:
    """Return the dict, where labels are as a metric is given them, or raise."""
    if labels is None:
        labels = np.union1d(y_true, y_pred)
    return counts_by_label(class_counts, np.asarray(labels))


def counts_of(classes: np.ndarray, counts: dict[Any, float]) -> np.ndarray:
    """Return the counts of tested classes as (n_tested,) float64, or raise."""
    unknown = [label for label in classes.tolist() if label not in counts]
    if unknown:
        raise ValueError(
            f"class_counts has no number for class {unknown[0]!r}; its classes are "
            f"{list(counts)!r}. Pass the number of training samples of every class, "
            "0 for those that had none."
        )
    return np.array([counts[label] for label in classes.tolist()], dtype=np.float64)
