"""The assignment of code vectors to classes against all permutations."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from skcollapse.targets import assign_code, class_similarity, hyperspherical_code

seeds = st.integers(0, 2**32 - 1)


def match(code, similarity):
    off_diagonal = ~np.eye(len(code), dtype=bool)
    return np.sum((similarity * (code @ code.T))[off_diagonal])


def best_match(code, similarity):
    return max(
        match(code[list(order)], similarity) for order in permutations(range(len(code)))
    )


@given(n_classes=st.integers(2, 6), n_components=st.integers(2, 4), seed=seeds)
@settings(max_examples=15)
def test_no_permutation_is_better(n_classes, n_components, seed):
    rng = np.random.RandomState(seed)
    code = rng.standard_normal((n_classes, n_components))
    similarity = class_similarity(rng.standard_normal((n_classes, 5)))
    assigned = assign_code(code, similarity, random_state=rng)
    assert_allclose(
        match(assigned, similarity), best_match(code, similarity), atol=1e-9
    )


def test_vectors_that_look_all_alike():
    # Every vertex of a polygon sees the same: equal weights say nothing.
    code = hyperspherical_code(7, 2, random_state=0)
    similarity = class_similarity(np.random.RandomState(0).standard_normal((7, 3)))
    assigned = assign_code(code, similarity, random_state=0)
    assert_allclose(match(assigned, similarity), best_match(code, similarity))


@pytest.mark.parametrize(("n_classes", "n_components"), [(30, 3), (120, 8)])
def test_a_hidden_order_is_found(n_classes, n_components):
    rng = np.random.RandomState(0)
    code = rng.standard_normal((n_classes, n_components))
    order = rng.permutation(n_classes)
    similarity = (code @ code.T)[np.ix_(order, order)]
    assert_allclose(assign_code(code, similarity, random_state=0), code[order])


@given(n_classes=st.integers(2, 25), seed=seeds)
@settings(max_examples=15)
def test_rows_are_permuted_and_the_match_no_worse(n_classes, seed):
    rng = np.random.RandomState(seed)
    code = rng.standard_normal((n_classes, 3))
    similarity = rng.standard_normal((n_classes, n_classes))
    assigned = assign_code(code, similarity, random_state=rng)
    assert_array_equal(np.sort(assigned[:, 0]), np.sort(code[:, 0]))
    assert match(assigned, similarity) >= match(code, similarity) - 1e-9


def test_no_exchange_of_two_helps():
    rng = np.random.RandomState(0)
    code = rng.standard_normal((12, 3))
    similarity = class_similarity(rng.standard_normal((12, 4)))
    assigned = assign_code(code, similarity, random_state=0)
    value = match(assigned, similarity)
    assert value > match(code, similarity) + 1
    for i in range(12):
        for j in range(i):
            other = assigned.copy()
            other[[i, j]] = assigned[[j, i]]
            assert match(other, similarity) < value + 1e-9


def test_reproducible():
    rng = np.random.RandomState(0)
    code = hyperspherical_code(40, 3, n_init=1, random_state=0)
    similarity = class_similarity(rng.standard_normal((40, 6)))
    first, again = (assign_code(code, similarity, random_state=1) for _ in range(2))
    assert_array_equal(first, again)
    untouched = code.copy(), similarity.copy()
    assign_code(code, similarity, random_state=2)
    assert_array_equal(code, untouched[0])
    assert_array_equal(similarity, untouched[1])


def test_offset_scale_and_asymmetry_of_the_similarity_do_not_matter():
    rng = np.random.RandomState(0)
    code = rng.standard_normal((6, 2))
    similarity = class_similarity(rng.standard_normal((6, 3)))
    skew = rng.standard_normal((6, 6))
    plain = assign_code(code, similarity, random_state=0)
    changed = assign_code(code, 3 * similarity + 5 + skew - skew.T, random_state=0)
    assert_allclose(plain @ plain.T, changed @ changed.T)


def test_a_similarity_without_content_keeps_the_order():
    code = hyperspherical_code(6, 2, random_state=0)
    assert_array_equal(assign_code(code, np.ones((6, 6)), random_state=0), code)


@pytest.mark.slow
def test_a_thousand_classes():
    rng = np.random.RandomState(0)
    code = rng.standard_normal((1000, 16))
    order = rng.permutation(1000)
    similarity = (code @ code.T)[np.ix_(order, order)]
    assert_allclose(assign_code(code, similarity, random_state=0), code[order])


# Similarity


@given(
    means=arrays(float, (5, 3), elements=st.floats(-10, 10).map(lambda x: round(x, 2))),
    scale=st.floats(0.01, 100),
    offset=st.floats(-10, 10),
)
def test_similarity_is_of_directions_from_the_centre(means, scale, offset):
    similarity = class_similarity(means)
    assert_allclose(similarity, similarity.T)
    assert np.abs(similarity).max() < 1 + 1e-12
    centred = means - means.mean(axis=0)
    if np.linalg.norm(centred, axis=1).min() > 1e-3:
        unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        assert_allclose(similarity, unit @ unit.T, atol=1e-9)
        moved = class_similarity(scale * means + offset)
        assert_allclose(moved, similarity, atol=1e-6)


def test_a_class_at_the_centre_is_similar_to_none():
    similarity = class_similarity(
        np.array([[0.1, 0.2], [0.3, 0.1], [0.2, 0.3], [0.2, 0.2]]) + 7
    )
    assert_array_equal(similarity[3], 0)
    assert_allclose(np.diagonal(similarity)[:3], 1)


@pytest.mark.parametrize(
    ("means", "message"),
    [
        ([[1.0, 2.0]], r"at least two classes, got an array of shape \(1, 2\)"),
        ([1.0, 2.0], r"at least two classes, got an array of shape \(2,\)"),
        ([[1, 2], [np.nan, 0]], "means must be finite, but row 1 is not. Leave out"),
    ],
)
def test_similarity_input(means, message):
    with pytest.raises(ValueError, match=message):
        class_similarity(means)


@pytest.mark.parametrize(
    ("code", "similarity", "message"),
    [
        (np.ones(3), np.eye(3), r"code must hold .*, got an array of shape \(3,\)"),
        (np.ones((1, 3)), np.eye(1), r"code must hold .* of shape \(1, 3\)"),
        ([[0, 1], [np.inf, 0]], np.eye(2), "code must be finite, but row 1 is not"),
        (np.eye(3), np.eye(2), r"similarity must have the shape \(3, 3\).*\(2, 2\)"),
        (np.eye(3), np.ones((3, 2)), r"similarity must have the shape .* got \(3, 2\)"),
        (
            np.eye(3),
            np.diag([1, 1, np.nan]),
            "similarity must be finite, but row 2 is not. Use 0 where nothing is known",
        ),
    ],
)
def test_assignment_input(code, similarity, message):
    with pytest.raises(ValueError, match=message):
        assign_code(code, similarity)
