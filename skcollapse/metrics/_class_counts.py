"""Numbers of training samples of the classes: given, or counted by an estimator."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from skcollapse._utils.checks import check_number, plain
from skcollapse._utils.numbers import as_float64


def counts_by_label(class_counts: Any, labels: np.ndarray) -> dict[Any, float]:
    """Return a dict from labels to numbers of training samples, or raise.

    What has keys, as a dict, a Counter and a pandas Series, is a mapping from labels;
    anything else is in the order of `labels`.
    """
    if hasattr(class_counts, "keys"):
        counts = dict(class_counts)
    else:
        values = as_float64("class_counts", class_counts)
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


def _last_step(steps: list[tuple[str, Any]]) -> list[Any]:
    """Return the last step, unless a sampler has changed what it was fitted to."""
    resampled = any(hasattr(step, "fit_resample") for _, step in steps)
    return [] if resampled else [steps[-1][1]]


# How to get from a fitted estimator to those that it has fitted, by the attribute that
# holds them; the first that there is. Frozen estimators show what they hold.
_WAYS_IN: dict[str, Callable[[Any], list[Any]]] = {
    # The members of an ensemble have samples, or even labels, of their own.
    "estimators_": lambda members: [],
    # Searches.
    "best_estimator_": lambda best: [best],
    # Thresholds, selections of features.
    "estimator_": lambda fitted: [fitted],
    # Calibration: one member for each fold, or one in all.
    "calibrated_classifiers_": lambda members: [each.estimator for each in members],
    # Pipelines.
    "steps": _last_step,
}


def innermost(estimator: Any) -> list[Any]:
    """Return the fitted estimators that count classes, or that lead no further."""
    if hasattr(estimator, "class_counts_"):
        return [estimator]
    for attribute, ways in _WAYS_IN.items():
        if hasattr(estimator, attribute):
            found = ways(getattr(estimator, attribute))
            return [part for each in found for part in innermost(each)]
    return [estimator]


def training_counts(estimator: Any) -> dict[Any, float]:
    """Return a dict from labels to numbers of training samples, or raise.

    Where calibration has fitted several members, each has left out one fold. Every
    sample is so in all but one of them, and the sum over the members is divided by
    their number less one: these are the counts of the rows that calibration was given.
    """
    # A frozen estimator is the same in every fold.
    parts = list({id(part): part for part in innermost(estimator)}.values())
    if not parts or not all(hasattr(part, "class_counts_") for part in parts):
        raise ValueError(
            f"class_counts must be given, as {estimator!r} has no class_counts_ of the "
            "rows that it was fitted to: the number of training samples of each class, "
            "such as class_counts=dict(zip(*np.unique(y, return_counts=True))). "
            "Classifiers of skcollapse count by themselves, also in searches, "
            "calibration, and pipelines that do not resample."
        )
    sums: Counter[Any] = Counter()
    for part in parts:
        labels, counts = part.classes_.tolist(), part.class_counts_.tolist()
        sums.update(dict(zip(labels, counts, strict=True)))
    divisor = max(len(parts) - 1, 1)
    classes = estimator.classes_.tolist()
    if not sums.keys() <= set(classes):
        # Calibration by temperature shows its members numbers in place of strings.
        sums = Counter({classes[k]: count for k, count in sums.items()})
    return {label: count / divisor for label, count in sums.items()}
