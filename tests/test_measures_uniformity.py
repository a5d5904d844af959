"""Uniformity, angles and margins against brute force, closed forms and optimality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.stats import ortho_group

from skcollapse.measures import min_angle, one_vs_rest_margin, uniformity
from skcollapse.targets import hyperspherical_code, simplex_etf

MEASURES = [uniformity, min_angle, one_vs_rest_margin]
seeds = st.integers(0, 2**32 - 1)


def circle(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@given(
    n_classes=st.integers(2, 8),
    n_components=st.integers(2, 5),
    s=st.sampled_from([0, 0.5, 1, 2, 10]),
    seed=seeds,
)
@settings(max_examples=40)
def test_uniformity_is_the_mean_over_pairs(n_classes, n_components, s, seed):
    vectors = np.random.RandomState(seed).standard_normal((n_classes, n_components))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    energies = []
    for i in range(n_classes):
        for j in range(i):
            distance = np.linalg.norm(unit[i] - unit[j])
            energies.append(distance**-s if s else np.log(1 / distance))
    assert_allclose(uniformity(vectors, s), np.mean(energies), rtol=1e-9, atol=1e-12)


def test_uniformity_of_the_simplex():
    for n_classes in (2, 5, 30):
        squared = 2 * n_classes / (n_classes - 1)
        etf = simplex_etf(n_classes, random_state=0)
        assert_allclose(uniformity(etf), -np.log(squared) / 2)
        assert_allclose(uniformity(etf, s=3), squared**-1.5)


def test_uniformity_is_least_for_its_code():
    best = hyperspherical_code(9, 3, s=2, random_state=0)
    others = np.random.RandomState(0).standard_normal((50, 9, 3))
    for other in [*others, hyperspherical_code(9, 3, criterion="mhs", random_state=0)]:
        assert uniformity(other, s=2) > uniformity(best, s=2)


@pytest.mark.parametrize("s", [0, 1])
def test_uniformity_of_the_same_direction_is_infinite(s):
    assert uniformity([[1.0, 0], [2.0, 0], [0, 1.0]], s) == np.inf


@pytest.mark.parametrize("s", [-1, np.nan, np.inf, None, "0"])
def test_uniformity_exponent(s):
    with pytest.raises(
        ValueError, match=rf"s must be a finite number, at least 0; got {s!r}"
    ):
        uniformity(np.eye(3), s)


@given(angles=st.lists(st.floats(0, 359.9), min_size=2, max_size=7))
def test_min_angle_on_the_circle(angles):
    turns = np.sort(angles)
    gaps = np.diff([*turns, turns[0] + 360])
    assert_allclose(min_angle(circle(*angles)), gaps.min(), atol=1e-9)


@pytest.mark.parametrize("angle", [1e-12, 1e-7, 1e-3])
def test_min_angle_is_precise_at_both_ends(angle):
    tilted = [np.cos(np.radians(angle)), np.sin(np.radians(angle))]
    assert_allclose(min_angle([[1.0, 0], tilted]), angle, rtol=1e-12)
    opposite = min_angle([[-1.0, 0], tilted])
    assert_allclose(180 - opposite, angle, rtol=1e-9, atol=1e-13)


def test_min_angle_finds_the_closest_pair():
    rng = np.random.RandomState(0)
    vectors = rng.standard_normal((40, 6))
    vectors[31] = vectors[17] + 1e-3 * rng.standard_normal(6)
    u, v = vectors[[17, 31]] / np.linalg.norm(vectors[[17, 31]], axis=1)[:, None]
    assert_allclose(min_angle(vectors), np.degrees(np.arccos(u @ v)), rtol=1e-6)


# One-vs-rest margin


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_margin_of_the_simplex(n_classes):
    # The centre of the others is at -u / (K - 1).
    margins = one_vs_rest_margin(simplex_etf(n_classes, 12, random_state=0))
    assert_allclose(margins, n_classes / (n_classes - 1))


@pytest.mark.parametrize("n_classes", [4, 5, 12, 50])
def test_margin_of_the_polygon(n_classes):
    # The distance to the chord of the two neighbours.
    code = hyperspherical_code(n_classes, 2, random_state=0)
    expected = 1 - np.cos(2 * np.pi / n_classes)
    assert_allclose(one_vs_rest_margin(code), expected, rtol=1e-10)


def test_margin_of_the_cross_polytope():
    # The others contain the origin between two opposite ones.
    assert_allclose(one_vs_rest_margin(hyperspherical_code(10, 5, random_state=0)), 1)


@given(n_classes=st.integers(3, 7), n_components=st.integers(2, 4), seed=seeds)
@settings(max_examples=15)
def test_margin_against_a_general_solver(n_classes, n_components, seed):
    vectors = np.random.RandomState(seed).standard_normal((n_classes, n_components))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    others, point = unit[1:], unit[0]
    solution = minimize(
        lambda weights: np.sum((weights @ others - point) ** 2),
        np.full(n_classes - 1, 1 / (n_classes - 1)),
        jac=lambda weights: 2 * others @ (weights @ others - point),
        bounds=[(0, 1)] * (n_classes - 1),
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    margin = one_vs_rest_margin(vectors)[0]
    assert_allclose(margin**2, solution.fun, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("n_classes", "n_components"), [(60, 3), (300, 20), (40, 64)])
def test_margin_has_a_supporting_hyperplane(n_classes, n_components):
    # Two bounds that meet: a convex combination, and a direction that separates.
    rng = np.random.RandomState(0)
    unit = rng.standard_normal((n_classes, n_components))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    margins = one_vs_rest_margin(unit)
    assert margins.shape == (n_classes,)
    for k in range(0, n_classes, n_classes // 20):
        differences = unit[k] - np.delete(unit, k, axis=0)

        def lowest(direction, differences=differences):
            # No direction separates by more than the distance of the hulls.
            return (differences @ direction).min() / np.linalg.norm(direction)

        for direction in rng.standard_normal((50, n_components)):
            assert lowest(direction) <= margins[k] + 1e-9
        # Frank-Wolfe bounds it from above and converges to it.
        point = differences.mean(axis=0)
        for _ in range(300):
            vertex = differences[np.argmin(differences @ point)]
            towards = point - vertex
            length = np.clip(point @ towards / (towards @ towards + 1e-300), 0, 1)
            point = point - length * towards
        assert margins[k] <= np.linalg.norm(point) + 1e-9
        assert margins[k] >= lowest(point) - 1e-9


def test_margin_of_a_vector_that_others_surround_is_small():
    # Neighbours at one degree on either side, on the circle.
    margins = one_vs_rest_margin(circle(0, 1, -1, 180))
    assert_allclose(margins[0], 1 - np.cos(np.radians(1)), rtol=1e-9)
    assert one_vs_rest_margin([[1.0, 0], [1.0, 0], [0, 1.0]])[0] < 1e-12


# All of them


@pytest.mark.parametrize("measure", MEASURES)
@given(n_classes=st.integers(2, 8), n_components=st.integers(2, 4), seed=seeds)
@settings(max_examples=15)
def test_lengths_turns_and_order_do_not_matter(measure, n_classes, n_components, seed):
    rng = np.random.RandomState(seed)
    vectors = rng.standard_normal((n_classes, n_components))
    turn = ortho_group.rvs(n_components, random_state=rng)
    order = rng.permutation(n_classes)
    lengths = rng.uniform(0.1, 10, size=(n_classes, 1))
    expected = np.broadcast_to(measure(vectors), n_classes)[order]
    changed = measure((lengths * vectors @ turn)[order])
    assert_allclose(np.broadcast_to(changed, n_classes), expected, atol=1e-7)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_extreme_lengths(measure, scale):
    vectors = np.random.RandomState(0).standard_normal((4, 3))
    assert_allclose(measure(scale * vectors), measure(vectors), rtol=1e-9)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones(3), r"vectors must have the shape .* got \(3,\)"),
        (np.ones((1, 3)), "at least two classes"),
        ([[1, 0], [0, 0]], "must not be zero, but row 1 has no direction"),
        ([[np.nan, 0], [0, 1]], "must be finite, but row 0"),
        ([[1, 0], [0, 1], [np.inf, 1]], "must be finite, but row 2"),
    ],
)
def test_margin_input(vectors, message):
    with pytest.raises(ValueError, match=message):
        one_vs_rest_margin(vectors)
