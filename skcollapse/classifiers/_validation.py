"""Checks of what users pass, at the border: afterwards all is NumPy and as expected."""

from functools import wraps
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_array


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


def check_sample_weight(sample_weight, n_samples):
    """Return weights of the rows as a float64 array, or raise."""
    if sample_weight is None:
        return np.ones(n_samples)
    weight = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have the shape ({n_samples},), a weight for each row "
            f"of X; got the shape {weight.shape}."
        )
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight must not be negative; got {weight.min():g}. Leave out rows "
            "that should not count, or weigh them 0."
        )
    if not weight.any():
        raise ValueError("sample_weight must not be zero for every row.")
    return weight


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
