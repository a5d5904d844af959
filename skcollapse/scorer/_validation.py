"""Checks of the scorer's parameters, sample weights and classifier."""

import numpy as np

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


def check_weight(sample_weight, n_samples):
    """Return (n_samples,) weights in float64, or raise."""
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have the shape ({n_samples},), a weight for each row "
            f"of X; got the shape {weight.shape}."
        )
    # NaN fails the comparison.
    if not ((weight >= 0) & (weight < np.inf)).all():
        raise ValueError(
            "sample_weight must be finite and not negative, got values from "
            f"{weight.min():g} to {weight.max():g}."
        )
    if not weight.any():
        raise ValueError("sample_weight must not be zero for every row.")
    return weight


def check_head(head, n_classes, n_features):
    """Raise unless a head, if there is one, fits the features."""
    shape = n_classes, n_features
    if head is not None and head.coef.shape != shape:
        raise ValueError(
            f"classifier must hold class vectors of shape {shape}, a row for each "
            f"class; got the shape {head.coef.shape}."
        )
