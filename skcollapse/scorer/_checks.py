"""Checks of the scorer's parameters and classifier, and what can be measured."""

from typing import Any

import numpy as np

from skcollapse._utils.checks import check_choice, check_number
from skcollapse.measures import MEASURES, MeasureInputs
from skcollapse.moments import ClassMoments, RowMoments
from skcollapse.scorer._head import Head
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


def check_head(head: Head | None, n_classes: int, n_features: int) -> None:
    """Raise unless a head, if there is one, fits the features."""
    shape = n_classes, n_features
    if head is not None and head.coef.shape != shape:
        raise ValueError(
            f"classifier must hold class vectors of shape {shape}, a row for each "
            f"class; got the shape {head.coef.shape}."
        )


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
    has = set() if head is None else {"classifier"}
    if isinstance(moments, RowMoments):
        has |= {"rows", "spread", "class spread"}
        cheap = len(moments.labels) * moments.n_features**2 <= _CHEAP_SCATTER
        cheap &= moments.n_features <= 1024
        if scorer.scatter == "auto":
            wanted = cheap or "scatter" in MEASURES[scorer.metric].needs
        else:
            wanted = scorer.scatter
        has |= {"scatter"} if wanted else set()
    else:
        has |= {"scatter", "spread"} if moments.gathers else set()
        has |= {"class spread"} if moments.gathers == "class" else set()
        has |= {"rows"} if agreement is not None else set()
    return MeasureInputs(
        moments,
        frozenset(has),
        None if head is None else (head.coef, head.intercept),
        scorer.target,
        scorer.ridge,
        agreement,
    )
