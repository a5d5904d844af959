"""Bad arguments end in an error that names the parameter and shows the value."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from skcollapse.losses import CrossEntropy
from skcollapse.moments import ClassMoments

_SPEC = importlib.util.spec_from_file_location(
    "bad_input", Path(__file__).with_name("bad_input.py")
)
bad_input = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(bad_input)

# Every so many calls; prime, so that all kinds of values come up.
STEP = 13


def failures(cases):
    wrong = [
        f"{subject.name}({name}={value!r:.60}) {found}"
        for subject, name, value in cases
        if (found := bad_input.verdict(subject, name, value)) is not None
    ]
    return "\n".join(wrong)


def test_good_arguments_are_accepted():
    for subject in bad_input.subjects():
        # Nothing to call without a path, an X or other moments.
        if subject.good or "fit" in subject.name:
            subject.call(**subject.good)


def test_some_bad_arguments():
    assert not failures(bad_input.cases()[::STEP])


@pytest.mark.slow
def test_all_bad_arguments():
    cases = bad_input.cases()
    assert len(cases) >= 3000
    assert not failures(cases)


def test_classes_of_a_loss_are_looked_at():
    rows, vectors = torch.zeros(2, 3), torch.eye(3)
    for y in ([0, 3], [-1, 0]):
        with pytest.raises(ValueError, match=r"y must hold class indices from 0 to 2"):
            CrossEntropy()(rows, torch.tensor(y), vectors)


def test_complex_numbers_are_no_features():
    with pytest.raises((TypeError, ValueError), match="X"):
        ClassMoments(2, 1).update(np.ones((2, 1)) * 1j, [0, 1])
