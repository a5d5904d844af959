"""How many training samples of each class a fitted estimator has seen."""

from collections import Counter
from collections.abc import Callable
from typing import Any


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
    """Return the fitted estimators that count classes, or that lead no further.

    There are none in an ensemble, nor in a pipeline that resamples.
    """
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
