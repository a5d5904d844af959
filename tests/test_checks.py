"""What parameters may be, and what the errors say otherwise."""

import subprocess
import sys
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

import numpy as np
import pytest
import torch

from skcollapse._utils.checks import (
    check_choice,
    check_integer,
    check_number,
    check_one_label,
    is_auto,
    plain,
    unchanged_on_error,
)

# What is no number at all, and how it is written in a message.
NO_NUMBERS = [
    (None, "None"),
    ("3", "'3'"),
    (True, "True"),
    (np.True_, "True"),
    (1j, "1j"),
    (Decimal(3), "Decimal('3')"),
    ([3], "[3]"),
    (np.array([3, 4]), "array([3, 4])"),
    (np.array(3), "array(3)"),
    (torch.tensor(3), "tensor(3)"),
    (torch.tensor([3, 4]), "tensor([3, 4])"),
    (np.timedelta64(3, "D"), "datetime.timedelta(days=3)"),
    (np.str_("auto"), "'auto'"),
    (int, "<class 'int'>"),
]
NOT_FINITE = [
    (float("nan"), "nan"),
    (np.float64("nan"), "nan"),
    (float("inf"), "inf"),
    (-np.inf, "-inf"),
    (np.float32(np.inf), "inf"),
]
named = pytest.mark.parametrize(("value", "written"), NO_NUMBERS + NOT_FINITE, ids=str)


def message(error):
    return str(error.value)


class Colour(StrEnum):
    RED = "red"


# Integers


@pytest.mark.parametrize(
    "value", [3, np.int8(3), np.uint64(3), np.int64(3), torch.tensor(3).item()]
)
def test_integers(value):
    checked = check_integer("n", value, 1, 5)
    assert (checked, type(checked)) == (3, int)


@named
def test_what_is_no_integer(value, written):
    with pytest.raises(ValueError, match=r"^n_rows must be") as error:
        check_integer("n_rows", value, 0)
    assert message(error) == f"n_rows must be an integer, at least 0; got {written}."


@pytest.mark.parametrize("value", [2.0, np.float64(2), 0.5, Fraction(4, 2)])
def test_floats_are_no_integers(value):
    with pytest.raises(ValueError, match=r"n must be an integer, .* got "):
        check_integer("n", value, 0)


@pytest.mark.parametrize(
    ("value", "low", "high", "valid"),
    [
        (1, 1, 3, True),
        (3, 1, 3, True),
        (0, 1, 3, False),
        (4, 1, 3, False),
        (-1, 0, np.inf, False),
        (10**400, 0, np.inf, False),
        (2**60, 0, np.inf, True),
        (np.int8(-128), 0, np.inf, False),
    ],
)
def test_bounds_of_integers(value, low, high, valid):
    if valid:
        assert check_integer("n", value, low, high) == value
        return
    with pytest.raises(ValueError, match=f"at least {low}.*; got {value}"):
        check_integer("n", value, low, high)


def test_message_of_an_integer():
    with pytest.raises(ValueError, match=r"^n must be") as error:
        check_integer("n", np.int64(9), 1, 5, also=("auto", None), hint="Use fewer.")
    assert message(error) == (
        "n must be an integer, at least 1 and at most 5, or 'auto', or None; got 9. "
        "Use fewer."
    )


# Numbers


@pytest.mark.parametrize(
    "value", [0.5, np.float32(0.5), np.float16(0.5), np.longdouble(0.5), Fraction(1, 2)]
)
def test_numbers(value):
    checked = check_number("x", value, 0)
    assert (checked, type(checked)) == (0.5, float)


def test_integers_are_numbers():
    for value in (2, np.int64(2)):
        checked = check_number("x", value)
        assert (checked, type(checked)) == (2.0, float)


@named
def test_what_is_no_number(value, written):
    with pytest.raises(ValueError, match=r"^rate must be") as error:
        check_number("rate", value, 0)
    assert message(error) == f"rate must be a finite number, at least 0; got {written}."


@pytest.mark.parametrize("value", [10**400, -(10**400), Fraction(10**400)])
def test_numbers_that_no_float_holds(value):
    with pytest.raises(ValueError, match=r"^x must be a finite number; got "):
        check_number("x", value)


@pytest.mark.parametrize("value", [0.0, 1.0, np.float32(0), 1])
@pytest.mark.parametrize("open_ends", ["", "low", "high", "both"])
def test_ends(value, open_ends):
    outside = {"low": [0], "high": [1], "both": [0, 1]}.get(open_ends, [])
    if value in outside:
        with pytest.raises(ValueError, match=r"^x must be"):
            check_number("x", value, 0, 1, open_ends=open_ends)
    else:
        assert check_number("x", value, 0, 1, open_ends=open_ends) == value
    assert check_number("x", 0.5, 0, 1, open_ends=open_ends) == 0.5
    for beyond in (-1e-9, 1 + 1e-9):
        with pytest.raises(ValueError, match=f"got {beyond}"):
            check_number("x", beyond, 0, 1, open_ends=open_ends)


@pytest.mark.parametrize(
    ("low", "high", "open_ends", "expected"),
    [
        (0, np.inf, "", "a finite number, at least 0;"),
        (0, np.inf, "low", "a finite number, greater than 0;"),
        (0, 1, "", "a finite number, at least 0 and at most 1;"),
        (0, 1, "high", "a finite number, at least 0 and less than 1;"),
        (0, 1, "both", "a finite number, greater than 0 and less than 1;"),
        (-np.inf, 1, "", "a finite number, at most 1;"),
        (-np.inf, np.inf, "", "a finite number;"),
    ],
)
def test_messages_of_numbers(low, high, open_ends, expected):
    with pytest.raises(ValueError, match=r"^x must be") as error:
        check_number("x", None, low, high, open_ends=open_ends)
    assert message(error) == f"x must be {expected} got None."


def test_other_values_are_named():
    with pytest.raises(ValueError, match=r"at least 0, or 'auto'; got 'much'\.$"):
        check_number("x", "much", 0, also=("auto",))


# Choices


@pytest.mark.parametrize(
    ("value", "choices"),
    [
        ("a", ("a", "b")),
        (np.str_("b"), ("a", "b")),
        (Colour.RED, ("red",)),
        (None, ("a", None)),
        (True, (False, True)),
        (np.True_, (False, True)),
        (2, (1, 2)),
        (np.int64(2), (1, 2)),
        ("a", {"a": 1}),
        ("a", iter("abc")),
    ],
)
def test_choices(value, choices):
    assert check_choice("mode", value, choices) is None


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("c", "'c'"),
        ("A", "'A'"),
        (np.str_("c"), "'c'"),
        (1, "1"),
        (np.int64(1), "1"),
        (np.float64(1), "1.0"),
        (0, "0"),
        (float("nan"), "nan"),
        (["a"], "['a']"),
        (("a", "b"), "('a', 'b')"),
        (np.array(["a", "b"]), "array(['a', 'b'], dtype='<U1')"),
        (np.array("a"), "array('a', dtype='<U1')"),
        (np.array([True]), "array([ True])"),
        (torch.tensor([1.0]), "tensor([1.])"),
        (str, "<class 'str'>"),
    ],
    ids=str,
)
def test_what_is_no_choice(value, written):
    with pytest.raises(ValueError, match=r"^mode must be") as error:
        check_choice("mode", value, ("a", "b", True, None))
    assert message(error) == (
        f"mode must be one of 'a', 'b', True, None; got {written}."
    )


def test_auto():
    assert is_auto("auto")
    assert is_auto(np.str_("auto"))
    for value in (None, "Auto", np.array(["auto"]), np.array("auto"), ["auto"], 0):
        assert is_auto(value) is False


def test_plain():
    assert type(plain(np.float32(0.5))) is float
    assert type(plain(np.int64(3))) is int
    assert type(plain(np.str_("a"))) is str
    array, tensor = np.array(3), torch.tensor(3)
    assert plain(array) is array
    assert plain(tensor) is tensor


# The others


@pytest.mark.parametrize("y", [[0, 1], np.zeros(3), np.zeros((3, 1)), None])
def test_one_label(y):
    check_one_label(y)


def test_several_labels():
    with pytest.raises(ValueError, match=r"y must have the shape .*\(3, 2\).* Use One"):
        check_one_label(np.zeros((3, 2)))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_unchanged_on_error(error):
    class Estimator:
        @unchanged_on_error
        def fit(self, problem=None):
            """Fit."""
            self.coef_ = 2
            self.new_ = 1
            del self.old_
            if problem is not None:
                raise problem
            return self

    estimator = Estimator()
    estimator.coef_, estimator.old_ = 1, 0
    with pytest.raises(error):
        estimator.fit(error())
    assert vars(estimator) == {"coef_": 1, "old_": 0}
    assert estimator.fit() is estimator
    assert vars(estimator) == {"coef_": 2, "new_": 1}
    assert Estimator.fit.__doc__ == "Fit."


def test_neither_numpy_nor_torch_is_imported():
    code = (
        "import sys, skcollapse._utils.checks as checks; checks.check_number('x', 1);"
        "assert not {'numpy', 'torch', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
