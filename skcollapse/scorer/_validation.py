"""Checks of the scorer's parameters and classifier."""

from skcollapse.scorer._catalogue import CATALOGUE
from skcollapse.targets import TARGETS


def check_parameters(scorer, *, has_classifier):
    """Raise unless all parameters are valid, and fit together."""
    if scorer.metric not in CATALOGUE:
        names = ", ".join(map(repr, CATALOGUE))
        raise ValueError(f"metric must be one of {names}; got {scorer.metric!r}.")
    needs = CATALOGUE[scorer.metric].needs
    if "classifier" in needs and not has_classifier:
        raise ValueError(
            f"metric={scorer.metric!r} measures a classifier: pass classifier=."
        )
    if not (scorer.scatter is True or scorer.scatter is False):
        if scorer.scatter != "auto":
            raise ValueError(
                f'scatter must be True, False or "auto"; got {scorer.scatter!r}.'
            )
    elif not scorer.scatter and "scatter" in needs:
        raise ValueError(
            f"metric={scorer.metric!r} needs a scatter matrix: leave scatter='auto'."
        )
    if isinstance(scorer.target, str) and scorer.target not in TARGETS:
        names = ", ".join(map(repr, TARGETS))
        raise ValueError(
            f"target must be one of {names}, or an array of class means; got "
            f"{scorer.target!r}."
        )
    if not isinstance(scorer.split, str):
        raise ValueError(f"split must be a name, got {scorer.split!r}.")


def check_head(head, n_classes, n_features):
    """Raise unless a head, if there is one, fits the features."""
    shape = n_classes, n_features
    if head is not None and head.coef.shape != shape:
        raise ValueError(
            f"classifier must hold class vectors of shape {shape}, a row for each "
            f"class; got the shape {head.coef.shape}."
        )
