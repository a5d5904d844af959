"""Hyperspherical codes against published optima, closed forms and brute force."""

import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime
from scipy.spatial.distance import pdist

from skcollapse.targets import hyperspherical_code, simplex_etf

# What the code is computed with, wherever it is kept.
PARTS = sys.modules[hyperspherical_code.__module__]
GaussianLogDeterminant, RieszEnergy = PARTS.GaussianLogDeterminant, PARTS.RieszEnergy
symmetric_code, sharpen = PARTS.symmetric_code, PARTS.sharpen

CRITERIA = ["mhe", "mhs", "mgd"]

# Least known energies of the Thomson problem, sum of 1/distance in three dimensions, as
# tabulated in the Cambridge Cluster Database and on Wikipedia.
THOMSON = {
    4: 3.674234614,
    5: 6.474691495,
    6: 9.985281374,
    7: 14.452977414,
    8: 19.675287861,
    9: 25.759986531,
    10: 32.716949460,
    11: 40.596450510,
    12: 49.165253058,
    13: 58.853230612,
    14: 69.306363297,
    15: 80.670244114,
    16: 92.911655302,
    17: 106.050404829,
    18: 120.084467447,
    19: 135.089467557,
    20: 150.881568334,
    21: 167.641622399,
    22: 185.287536149,
    23: 203.930190663,
    24: 223.347074052,
}
# Largest known minimum angles in three dimensions, in degrees, from Sloane's tables.
TAMMES = {
    4: 109.4712206,
    5: 90.0,
    6: 90.0,
    7: 77.8695421,
    8: 74.8584922,
    9: 70.5287794,
    10: 66.1468220,
    11: 63.4349488,
    12: 63.4349488,
    13: 57.1367031,
    14: 55.6705700,
    15: 53.6578501,
    16: 52.2443957,
    17: 51.0903285,
    18: 49.5566548,
    19: 47.6919141,
    20: 47.4310362,
    21: 45.6132231,
    22: 44.7401612,
    23: 43.7099642,
    24: 43.6907671,
}


def energy(code, s):
    distances = pdist(code)
    return -np.log(distances).sum() if s == 0 else (distances**-s).sum()


def angle(code):
    return np.degrees(2 * np.arcsin(pdist(code).min() / 2))


def log_determinant(code, epsilon):
    squares = np.sum((code[:, None] - code) ** 2, axis=2)
    return np.linalg.slogdet(np.exp(-(epsilon**2) * squares))[1]


def off_diagonal(code):
    return (code @ code.T)[~np.eye(len(code), dtype=bool)]


def tangent_gradient(gradient, code):
    return gradient - np.sum(gradient * code, axis=1, keepdims=True) * code


def random_codes(n_starts, n_classes, n_components, random_state):
    codes = random_state.standard_normal((n_starts, n_classes, n_components))
    return codes / np.linalg.norm(codes, axis=-1, keepdims=True)


# Published optima


@pytest.mark.parametrize("n_classes", THOMSON)
def test_thomson(n_classes):
    code = hyperspherical_code(n_classes, 3, random_state=n_classes)
    assert_allclose(energy(code, 1), THOMSON[n_classes], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_classes", [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 20, 24])
def test_tammes(n_classes):
    code = hyperspherical_code(n_classes, 3, criterion="mhs", random_state=n_classes)
    assert_allclose(angle(code), TAMMES[n_classes], atol=2e-7, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_optima_do_not_hang_on_the_seed(seed):
    for n_classes in THOMSON:
        code = hyperspherical_code(n_classes, 3, random_state=seed)
        assert_allclose(energy(code, 1), THOMSON[n_classes], rtol=1e-9, atol=1e-9)
        code = hyperspherical_code(n_classes, 3, criterion="mhs", random_state=seed)
        assert_allclose(angle(code), TAMMES[n_classes], atol=2e-7, rtol=0)


def test_snub_cube():
    # Robinson 1961: every vertex touches five others.
    code = hyperspherical_code(24, 3, criterion="mhs", random_state=0)
    cosines = code @ code.T - 2 * np.eye(24)
    contacts = cosines > cosines.max() - 1e-8
    assert_array_equal(contacts.sum(axis=0), 5)
    # Between contacts and other pairs there is a gap: nothing else is near the bound.
    assert np.sum(cosines > cosines.max() - 1e-3) == 120


def test_five_points_change_shape_with_the_exponent():
    # Up to an exponent of about 15.048 the bipyramid is best, then a square pyramid.
    def bipyramid(s):
        return energy(symmetric_code(5, 3), s)

    logarithmic = hyperspherical_code(5, 3, s=0, random_state=0)
    expected = -(4 * np.log(2) + 1.5 * np.log(3))
    assert_allclose(bipyramid(0), expected)
    assert_allclose(energy(logarithmic, 0), expected)
    assert_allclose(energy(hyperspherical_code(5, 3, s=15), 15), bipyramid(15))
    pyramid = hyperspherical_code(5, 3, s=16, random_state=0)
    assert energy(pyramid, 16) < 0.999 * bipyramid(16)


@pytest.mark.parametrize("n_components", [2, 4, 8])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_cross_polytope(n_components, criterion):
    code = hyperspherical_code(
        2 * n_components, n_components, criterion=criterion, random_state=0
    )
    cosines = np.sort(code @ code.T, axis=1)
    expected = np.zeros(2 * n_components)
    expected[[0, -1]] = -1, 1
    assert_allclose(cosines, np.tile(expected, (len(code), 1)), atol=1e-8)


def test_cross_polytope_figures():
    code = hyperspherical_code(8, 4, random_state=0)
    assert_allclose(energy(code, 1), 18.970562748, rtol=1e-10)
    assert_allclose(energy(code, 2), 13, rtol=1e-12)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("n_classes", [4, 5, 9])
def test_polygon(n_classes, criterion):
    code = hyperspherical_code(n_classes, 2, criterion=criterion, random_state=0)
    angles = np.sort(np.arctan2(code[:, 1], code[:, 0]))
    assert_allclose(np.diff(angles), 2 * np.pi / n_classes, atol=1e-8)


@pytest.mark.parametrize(
    ("n_classes", "n_components", "cosines", "n_nearest"),
    [
        (12, 3, [-1, -1 / np.sqrt(5), 1 / np.sqrt(5)], 5),
        (16, 5, [-3 / 5, 1 / 5], 10),
        (27, 6, [-1 / 2, 1 / 4], 16),
        (56, 7, [-1, -1 / 3, 1 / 3], 27),
        (240, 8, [-1, -1 / 2, 0, 1 / 2], 56),
        (
            120,
            4,
            np.cos(np.pi * np.array([10, 8, 2 / 3 * 10, 6, 5, 4, 10 / 3, 2]) / 10),
            12,
        ),
    ],
)
@pytest.mark.parametrize("criterion", ["mhe", "mhs"])
def test_sharp_codes(n_classes, n_components, cosines, n_nearest, criterion):
    # The cosines and contact numbers of Table 1 of arXiv:math/0607446.
    code = hyperspherical_code(
        n_classes, n_components, criterion=criterion, random_state=0
    )
    values = np.unique(off_diagonal(code).round(10))
    assert_allclose(values, np.sort(cosines), atol=1e-9)
    nearest = code @ code.T > np.max(cosines) - 1e-9
    assert_array_equal(nearest.sum(axis=0), n_nearest + 1)
    # Spherical designs: centred, with equal variance in all directions.
    assert_allclose(code.sum(axis=0), 0, atol=1e-12)
    expected = np.eye(n_components) * n_classes / n_components
    assert_allclose(code.T @ code, expected, atol=1e-11)


def test_farthest_codes():
    code = hyperspherical_code(24, 4, criterion="mhs", random_state=0)
    assert_allclose(np.unique(off_diagonal(code).round(9)), [-1, -0.5, 0, 0.5])
    code = hyperspherical_code(10, 4, criterion="mhs", random_state=0)
    assert_allclose(np.unique(off_diagonal(code).round(9)), [-2 / 3, 1 / 6])
    # The ten points do not have the least energy.
    searched = hyperspherical_code(10, 4, random_state=0)
    assert energy(searched, 1) < energy(code, 1) - 1e-3


@pytest.mark.parametrize(
    ("n_classes", "n_components"), [(5, 3), (7, 4), (9, 6), (11, 6)]
)
def test_right_angles_up_to_twice_the_dimension(n_classes, n_components):
    code = hyperspherical_code(n_classes, n_components, criterion="mhs", random_state=0)
    assert_allclose(angle(code), 90, atol=1e-10)
    assert_allclose(code.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("surplus", [0, 2])
def test_simplex_where_there_is_room(criterion, surplus):
    code = hyperspherical_code(6, 5 + surplus, criterion=criterion, random_state=3)
    assert_array_equal(code, simplex_etf(6, 5 + surplus, random_state=3))


# The search, where it is not needed


@pytest.fixture
def _search_at_random(monkeypatch):
    monkeypatch.setattr(PARTS, "is_known_optimum", lambda *_: False)
    monkeypatch.setattr(PARTS, "starts", random_codes)


@pytest.mark.usefixtures("_search_at_random")
@pytest.mark.parametrize(
    ("n_classes", "n_components"), [(7, 2), (8, 4), (12, 3), (16, 5), (27, 6)]
)
def test_search_finds_what_is_known(n_classes, n_components):
    known = symmetric_code(n_classes, n_components)
    for s in (0, 1, 2.5, 40):
        code = hyperspherical_code(n_classes, n_components, s=s, random_state=0)
        assert_allclose(energy(code, s), energy(known, s), rtol=1e-9)
    code = hyperspherical_code(n_classes, n_components, criterion="mhs", random_state=0)
    assert_allclose(angle(code), angle(known), atol=1e-4)


@pytest.mark.usefixtures("_search_at_random")
@pytest.mark.parametrize("n_classes", [10, 24])
def test_search_finds_the_farthest_codes(n_classes):
    code = hyperspherical_code(n_classes, 4, criterion="mhs", random_state=0)
    assert_allclose(angle(code), angle(symmetric_code(n_classes, 4)), atol=1e-4)


@pytest.mark.parametrize(
    ("n_classes", "n_components", "s"), [(9, 3, 0), (15, 3, 1), (30, 5, 2), (60, 9, 6)]
)
def test_energies_are_minimal_to_machine_precision(n_classes, n_components, s):
    code = hyperspherical_code(n_classes, n_components, s=s, random_state=0)
    difference = code[:, None] - code
    squares = np.sum(difference**2, axis=2)
    np.fill_diagonal(squares, np.inf)
    force = np.sum(difference * squares[..., None] ** (-s / 2 - 1), axis=1)
    residual = np.linalg.norm(tangent_gradient(force, code), axis=1)
    assert residual.max() < 1e-10 * np.linalg.norm(force, axis=1).max()
    rng = np.random.RandomState(0)
    for size in (1e-4, 1e-2, 0.3):
        other = code + size * rng.standard_normal(code.shape)
        other /= np.linalg.norm(other, axis=1, keepdims=True)
        assert energy(other, s) > energy(code, s)


@pytest.mark.parametrize(("n_classes", "n_components"), [(7, 2), (9, 3), (12, 5)])
def test_gram_determinant_is_maximal(n_classes, n_components):
    code = hyperspherical_code(n_classes, n_components, criterion="mgd", random_state=0)
    epsilon = max(1, n_classes ** (1 / (n_components - 1)) / 4)

    def objective(flat):
        return log_determinant(flat.reshape(code.shape), epsilon)

    gradient = approx_fprime(code.ravel(), objective, 1e-6).reshape(code.shape)
    assert np.abs(tangent_gradient(gradient, code)).max() < 1e-3
    best = log_determinant(code, epsilon)
    rng = np.random.RandomState(0)
    for other in random_codes(200, n_classes, n_components, rng):
        assert log_determinant(other, epsilon) < best
    for criterion in ("mhe", "mhs"):
        other = hyperspherical_code(
            n_classes, n_components, criterion=criterion, random_state=0
        )
        assert log_determinant(other, epsilon) < best + 1e-9


def test_gram_determinant_of_many_points_in_few_dimensions():
    code = hyperspherical_code(150, 2, criterion="mgd", n_init=1, random_state=0)
    assert np.isfinite(code).all()
    assert angle(code) > 0.9 * 360 / 150


def test_large_exponents_approach_the_largest_distance():
    angles = [
        angle(hyperspherical_code(10, 3, s=s, random_state=0)) for s in (1, 30, 1e4)
    ]
    assert np.all(np.diff(angles) > 0)
    assert_allclose(angles[-1], TAMMES[10], rtol=1e-3)


def test_sharpening_never_loses():
    rng = np.random.RandomState(0)
    for code in random_codes(5, 9, 3, rng):
        assert angle(sharpen(code)) >= angle(code)


# Energies


def symmetric_change(rng, n_classes):
    change = rng.standard_normal((n_classes, n_classes))
    change += change.T
    np.fill_diagonal(change, 0)
    return change


@given(s=st.floats(0, 30) | st.just(0), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_riesz_derivatives(s, seed):
    check_derivatives(RieszEnergy(s), seed)


@given(epsilon=st.floats(0.5, 2), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_gaussian_derivatives(epsilon, seed):
    check_derivatives(GaussianLogDeterminant(epsilon), seed)


def check_derivatives(energy, seed):
    rng = np.random.RandomState(seed)
    code = hyperspherical_code(6, 3, n_init=1, random_state=rng)
    code += 0.1 * rng.standard_normal(code.shape)
    code /= np.linalg.norm(code, axis=1, keepdims=True)
    cosines, change = code @ code.T, symmetric_change(rng, 6)
    _, slope = energy.value_and_slope(cosines)
    step = 1e-6
    above, upper = energy.value_and_slope(cosines + step * change)
    below, lower = energy.value_and_slope(cosines - step * change)
    numeric = (above - below) / (2 * step)
    assert_allclose(np.sum(slope * change) / 2, numeric, rtol=1e-5, atol=1e-8)
    numeric = (upper - lower) / (2 * step)
    exact = energy.slope_change(cosines)(change)
    assert_allclose(exact, numeric, rtol=1e-4, atol=1e-6 * np.abs(exact).max())


@pytest.mark.parametrize("s", [0, 1, 7.5])
def test_riesz_energy_is_a_power_mean(s):
    codes = random_codes(3, 8, 4, np.random.RandomState(0))
    values, _ = RieszEnergy(s).value_and_slope(codes @ codes.swapaxes(1, 2))
    means = np.array([energy(code, s) for code in codes]) / 28
    assert_allclose(values, means if s == 0 else np.log(means) / s, rtol=1e-12)


def test_energy_of_coinciding_points_is_finite():
    codes = np.tile([1.0, 0, 0], (5, 1))
    codes[0] = 0, 1, 0
    for one in (RieszEnergy(1.0), RieszEnergy(1e4), GaussianLogDeterminant(1.0)):
        value, slope = one.value_and_slope(codes @ codes.T)
        assert np.isfinite(value)
        assert np.isfinite(slope).all()


# The interface


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("size", [(2, 1), (2, 3), (9, 2), (11, 3), (40, 6)])
def test_unit_rows_of_float64(size, criterion):
    code = hyperspherical_code(*size, criterion=criterion, n_init=2, random_state=0)
    assert code.shape == size
    assert code.dtype == np.float64
    assert_allclose(np.linalg.norm(code, axis=1), 1, atol=1e-14)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_reproducible(criterion):
    codes = [
        hyperspherical_code(11, 3, criterion=criterion, n_init=4, random_state=seed)
        for seed in (1, 1, 2, np.random.RandomState(1))
    ]
    assert_array_equal(codes[0], codes[1])
    assert_array_equal(codes[0], codes[3])
    assert np.abs(codes[0] - codes[2]).max() > 1e-3


def test_known_codes_turn_without_changing_shape():
    one, two = (hyperspherical_code(12, 3, random_state=seed) for seed in (1, 2))
    assert np.abs(one - two).max() > 1e-3
    assert_allclose(one @ one.T, two @ two.T, atol=1e-13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_classes": 1}, "n_classes must be an integer, at least 2; got 1"),
        ({"n_classes": 3.0}, r"n_classes must be an integer, at least 2; got 3\.0"),
        ({"n_components": 0}, "n_components must be an integer, at least 2; got 0"),
        ({"n_components": None}, "n_components must be an integer.* got None"),
        ({"n_components": True}, "n_components must be an integer.* got True"),
        ({"n_components": 1}, "got 1. On a line there is room for two classes only"),
        (
            {"criterion": "mse"},
            "criterion must be one of 'mhe', 'mhs', 'mgd'; got 'mse'",
        ),
        ({"criterion": None}, "criterion must be .*; got None"),
        ({"criterion": np.array(["mhe"])}, "criterion must be .*; got array"),
        ({"s": -1}, "s must be a finite number, at least 0; got -1"),
        ({"s": np.float64("nan")}, "s must be a finite number, at least 0; got nan"),
        ({"s": "1"}, "s must be a finite number, at least 0; got '1'"),
        ({"n_init": 0}, "n_init must be an integer, at least 1, or 'auto'; got 0"),
        ({"n_init": "many"}, "n_init must be an integer, at least 1, .* got 'many'"),
        ({"n_init": np.arange(2)}, r"n_init must be an integer, .* got array\(\[0, 1"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        hyperspherical_code(**{"n_classes": 5, "n_components": 3} | arguments)


@pytest.mark.slow
@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("n_components", [3, 128])
def test_a_thousand_classes_within_a_minute(n_components, criterion):
    start = time.process_time()
    code = hyperspherical_code(1000, n_components, criterion=criterion, random_state=0)
    assert time.process_time() - start < 120  # two cores, one minute
    rng = np.random.RandomState(0)
    assert angle(code) > 3 * angle(random_codes(1, 1000, n_components, rng)[0]) or (
        n_components == 128 and angle(code) > 75
    )
