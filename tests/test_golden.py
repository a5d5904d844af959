"""Small fits of every kind lead to what they led to before."""

import importlib.util
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

_SPEC = importlib.util.spec_from_file_location(
    "golden", Path(__file__).with_name("golden.py")
)
golden = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(golden)

# Where rounding is magnified by many steps along a path of its own.
MINI_BATCHES = {"rtol": 1e-3, "atol": 1e-4}
FULL_BATCH = {"rtol": 1e-4, "atol": 1e-6}


@pytest.fixture(scope="module")
def frozen():
    """Return the results by case and name."""
    by_case = {name: {} for name in golden.CASES}
    with np.load(golden.FILE) as file:
        for key, value in file.items():
            case, name = key.split("/")
            by_case[case][name] = value
    return by_case


def pinned():
    """Return whether these are the versions that the results are of."""
    pins = (golden.FILE.parents[1] / "constraints.txt").read_text().split()
    names = ("numpy", "scipy", "scikit-learn")
    return all(f"{name}=={version(name)}" in pins for name in names)


@pytest.mark.skipif(
    not pinned(), reason="codes and paths depend on the versions of NumPy and SciPy"
)
@pytest.mark.parametrize("case", golden.CASES)
def test_results_are_as_they_were(case, frozen):
    found = {key.split("/")[1]: value for key, value in golden.results(case).items()}
    expected = frozen[case]
    assert found.keys() == expected.keys()
    assert_array_equal(found.pop("labels"), expected["labels"])
    tolerance = MINI_BATCHES if "trainer" in golden.CASES[case] else FULL_BATCH
    for name, value in found.items():
        assert_allclose(value, expected[name], err_msg=name, **tolerance)
