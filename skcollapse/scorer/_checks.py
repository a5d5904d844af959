"""Checks of the scorer's parameters and classifier, and what can be measured."""

from typing import Any

import numpy as np

from skcollapse._utils.checks import check_choice, check_number
from skcollapse.measures import MEASURES, MeasureInputs
from skcollapse.moments import ClassMoments, RowMoments
from skcollapse.scorer._rows import Head, check_head
from skcollapse.targets import TARGETS

# Multiplications for which a scatter matrix takes some hundredths of a second.
_CHEAP_SCATTER = 2**30
# Values of the scatter matrices of all classes: 128 MiB.
_CHEAP_CLASS_SCATTER = 2**24


def check_parameters(scorer: Any, *, has_classifier: bool) -> None:
    """Raise ValueError unless all parameters are valid, and fit together."""
    check_choice("metric", scorer.metric, MEASURES)
    needs = MEASURES[scorer.metric].needs
    if "classifier" in needs and not has_classifier:
        raise ValueError(
            f"metric={scorer.metric!r} measures a classifier: pass classifier=."
        )
    check_choice("scatter", scorer.scatter, (True, False, "auto"))
    if "scatter" in needs and not scorer.scatter:
        raise ValueError(
            f"metric={scorer.metric!r} needs a scatter matrix: leave scatter='auto'."
        )
    if isinstance(scorer.target, str) and scorer.target not in TARGETS:
        names = ", ".join(map(repr, TARGETS))
        raise ValueError(
            f"target must be one of {names}, or an array of class means; got "
            f"{scorer.target!r}."
        )
    check_number("ridge", scorer.ridge, 0)
    if not isinstance(scorer.split, str):
        raise ValueError(f'split must be a name, such as "test"; got {scorer.split!r}.')


def streamed_scatter(scatter: Any, n_classes: int, n_features: int) -> Any:
    """Return the value of ``scatter`` for moments of rows that are seen once."""
    if not scatter:
        return False
    return "class" if n_classes * n_features**2 <= _CHEAP_CLASS_SCATTER else True


def make_inputs(
    scorer: Any,
    moments: ClassMoments | RowMoments,
    head: Head | None,
    agreement: np.ndarray | None = None,
) -> MeasureInputs:
    """Return what is measured, with what it can be asked for, or raise."""
    check_head(head, moments.n_classes, moments.n_features)
    if (moments.counts > 0).sum() < 2:
        raise ValueError("y must hold samples of at least two classes, got one class.")
    if isinstance(moments, RowMoments):
        n_products = len(moments.labels) * moments.n_features**2
        cheap = n_products <= _CHEAP_SCATTER and moments.n_features <= 1024
        needed = "scatter" in MEASURES[scorer.metric].needs
        scatter = cheap or needed if scorer.scatter == "auto" else scorer.scatter
        has = {"rows": True, "scatter": scatter, "spread": True, "class spread": True}
    else:
        gathers = moments.gathers
        has = {"rows": agreement is not None, "class spread": gathers == "class"}
        has |= dict.fromkeys(("scatter", "spread"), bool(gathers))
    has["classifier"] = head is not None
    return MeasureInputs(
        moments,
        frozenset(name for name, is_there in has.items() if is_there),
        None if head is None else (head.coef, head.intercept),
        scorer.target,
        scorer.ridge,
        agreement,
    )
