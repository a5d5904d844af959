"""Checks of what users pass: one wording, with the parameter, the value and a remedy.

Nothing here imports NumPy or torch, so that every room can use it.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from math import inf
from numbers import Integral, Real
from os import PathLike
from sys import float_info, maxsize
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
E = TypeVar("E")


def plain(value: Any) -> Any:
    """Return a NumPy scalar as the Python number it stands for, and others as is."""
    # Arrays and tensors without axes have that shape too, but can be written to.
    without_axes = getattr(value, "shape", None) == ()
    return value.item() if without_axes and not hasattr(value, "__setitem__") else value


def is_auto(value: Any) -> bool:
    """Return whether a parameter is "auto"; arrays are not compared by element."""
    return isinstance(value, str) and value == "auto"


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise ValueError unless the value is one of the choices.

    True and 1 are different choices, and an array is none.
    """
    choices, seen = list(choices), plain(value)
    for choice in choices:
        alike = type(seen) is type(choice) or isinstance(seen, str)
        if seen is choice or (alike and seen == choice):
            return
    listed = ", ".join(map(repr, choices))
    raise ValueError(f"{name} must be one of {listed}; got {seen!r}.")


def check_integer(
    name: str,
    value: Any,
    low: int,
    high: float = inf,
    *,
    also: tuple[Any, ...] = (),
    hint: str = "",
) -> int:
    """Return an integer as an int, or raise ValueError.

    Parameters
    ----------
    name : str
        The parameter, for the message.
    value : object
    low, high : int
        Its bounds, which it may reach.
    also : tuple
        Other values that are allowed, such as "auto" or None; they are for the caller
        to look for first, and are named in the message.
    hint : str
        A sentence for the end of the message: a reason or a remedy.
    """
    seen = plain(value)
    # No size is greater than what the machine counts with.
    if _is(Integral, seen) and low <= seen <= min(high, maxsize):
        return int(seen)
    must = f"an integer{_bounds(low, high)}{_others(also)}"
    raise ValueError(f"{name} must be {must}; got {seen!r}.{hint and ' ' + hint}")


def check_number(
    name: str,
    value: Any,
    low: float = -inf,
    high: float = inf,
    *,
    open_ends: str = "",
    also: tuple[Any, ...] = (),
) -> float:
    """Return a finite number as a float, or raise ValueError; see `check_integer`.

    `open_ends` are the bounds that it may not reach: "", "low", "high" or "both".
    """
    seen = plain(value)
    # NaN is in no range, and numbers that no float holds are not either.
    if _is(Real, seen) and -float_info.max <= seen <= float_info.max:
        above = low < seen or (low == seen and open_ends not in ("low", "both"))
        below = seen < high or (seen == high and open_ends not in ("high", "both"))
        if above and below:
            return float(seen)
    must = f"a finite number{_bounds(low, high, open_ends)}{_others(also)}"
    raise ValueError(f"{name} must be {must}; got {seen!r}.")


def _is(kind: type, seen: object) -> bool:
    """Return whether something is a number of a kind; True and False are none."""
    return isinstance(seen, kind) and not isinstance(seen, bool)


def _bounds(low: float, high: float, open_ends: str = "") -> str:
    """Return the bounds of a number in words, after a comma."""
    least = "greater than" if open_ends in ("low", "both") else "at least"
    most = "less than" if open_ends in ("high", "both") else "at most"
    bounds = [f"{least} {low}"] * (low > -inf) + [f"{most} {high}"] * (high < inf)
    return ", " + " and ".join(bounds) if bounds else ""


def _others(also: tuple[Any, ...]) -> str:
    return "".join(f", or {other!r}" for other in also)


def check_switch(name: str, value: Any) -> None:
    """Raise ValueError unless the value is True or False."""
    check_choice(name, value, (False, True))


def check_path(name: str, value: Any) -> None:
    """Raise TypeError unless the value can name a file."""
    if not isinstance(value, str | PathLike):
        raise TypeError(f"{name} must be a str or a path; got {value!r}.")


def check_one_label(y: Any) -> None:
    """Raise ValueError if the rows have several labels each."""
    shape: tuple[int, ...] = getattr(y, "shape", ())
    if len(shape) > 1 and shape[1] > 1:
        raise ValueError(
            f"y must have the shape (n_samples,), one label for each row of X; got the "
            f"shape {tuple(shape)}. Multilabel and multioutput targets are not "
            "supported. Use OneVsRestClassifier or MultiOutputClassifier of "
            "scikit-learn."
        )


def snapshot(estimator: E) -> E:
    """Return an estimator with all its attributes of this moment, which it shares."""
    copied = object.__new__(type(estimator))
    copied.__dict__ = dict(vars(estimator))
    return copied


def unchanged_on_error(method: F) -> F:
    """Let a method that returns its estimator change it in one step, at the end.

    If it fails or is interrupted the estimator is as it was, and whoever looks at it
    meanwhile, in another thread, sees the state before or the one after.
    """

    @wraps(method)
    def careful(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        working = snapshot(estimator)
        method(working, *args, **kwargs)
        estimator.__dict__ = vars(working)
        return estimator

    return cast(F, careful)
