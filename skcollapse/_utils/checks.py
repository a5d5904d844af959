"""Checks of what users pass: one wording, with the parameter, the value and a remedy.

Nothing here imports NumPy or torch, so that every room can use it.
"""

from collections.abc import Iterable
from functools import wraps
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any


def plain(value: Any) -> Any:
    """Return a NumPy scalar as the Python number it stands for, for messages."""
    return value.item() if getattr(value, "shape", None) == () else value


def is_auto(value: Any) -> bool:
    """Return whether a parameter is "auto"; arrays are not compared element by element."""
    return isinstance(value, str) and value == "auto"


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise ValueError unless the value is one of the choices.

    True and 1 are different choices, and an array is none.
    """
    choices = list(choices)
    for choice in choices:
        if value is choice or (type(value) is type(choice) and value == choice):
            return
    listed = ", ".join(map(repr, choices))
    raise ValueError(f"{name} must be one of {listed}; got {plain(value)!r}.")


def check_number(
    name: str,
    value: Any,
    low: float,
    high: float = inf,
    *,
    open_ends: str = "",
    also: tuple[Any, ...] = (),
) -> float:
    """Return a finite number as a float, or raise ValueError.

    Parameters
    ----------
    name : str
        The parameter, for the message.
    value : object
    low, high : float
        Its bounds, which it may reach.
    open_ends : {"", "low", "high", "both"}
        The bounds that it may not reach.
    also : tuple
        Other values that are allowed, such as "auto" or None; they are for the caller
        to look for first, and are named in the message.
    """
    return float(_checked(name, value, "a finite number", (low, high, open_ends), also))


def check_integer(
    name: str, value: Any, low: int, high: float = inf, *, also: tuple[Any, ...] = ()
) -> int:
    """Return an integer as an int, or raise ValueError; see :func:`check_number`."""
    return int(_checked(name, value, "an integer", (low, high, ""), also))


def _checked(name, value, noun, bounds, also):
    low, high, open_ends = bounds
    kind = Integral if noun == "an integer" else Real
    valid = isinstance(value, kind) and not isinstance(value, bool) and isfinite(value)
    open_low, open_high = open_ends in ("low", "both"), open_ends in ("high", "both")
    if valid and (low < value or (low == value and not open_low)):
        if value < high or (value == high and not open_high):
            return value
    bound = f"greater than {low}" if open_low else f"at least {low}"
    if high < inf:
        bound += f" and less than {high}" if open_high else f" and at most {high}"
    others = "".join(f", or {other!r}" for other in also)
    raise ValueError(f"{name} must be {noun}, {bound}{others}; got {plain(value)!r}.")


def check_one_label(y: Any) -> None:
    """Raise ValueError if the rows have several labels each."""
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
