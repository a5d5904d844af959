"""Checks of what users pass, at the border: afterwards all is NumPy and as expected."""

from functools import wraps
from numbers import Integral, Real

import numpy as np


def check_choice(name, value, choices):
    """Raise unless the value is one of the choices."""
    if not any(value is choice or value == choice for choice in choices):
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"{name} must be one of {listed}; got {value!r}.")


def check_number(name, value, low, high=np.inf, *, integer=False, strict=False):
    """Raise unless the value is a finite number from low, or above it, to high."""
    kind = Integral if integer else Real
    noun = "an integer" if integer else "a finite number"
    if (
        not isinstance(value, kind)
        or isinstance(value, bool)
        or not np.isfinite(value)
        or not low <= value <= high
        or (strict and value == low)
    ):
        bound = f"greater than {low}" if strict else f"at least {low}"
        if high < np.inf:
            bound += f" and at most {high}"
        raise ValueError(f"{name} must be {noun}, {bound}; got {value!r}.")


def check_one_label(y):
    """Raise if the rows have several labels each."""
    shape = getattr(y, "shape", ())
    if len(shape) > 1 and shape[1] > 1:
        raise ValueError(
            f"y must have the shape (n_samples,), one label for each row of X; got the "
            f"shape {tuple(shape)}. Multilabel and multioutput targets are not "
            "supported. Use OneVsRestClassifier or MultiOutputClassifier of "
            "scikit-learn."
        )


def unchanged_on_error(method):
    """Let a method leave its estimator as it was if it fails or is interrupted."""

    @wraps(method)
    def careful(estimator, *args, **kwargs):
        before = dict(vars(estimator))
        try:
            return method(estimator, *args, **kwargs)
        except BaseException:
            vars(estimator).clear()
            vars(estimator).update(before)
            raise

    return careful
