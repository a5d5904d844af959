"""Targets against closed forms, brute force and the optimality conditions."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import hadamard, orth
from scipy.stats import ortho_group
from sklearn.exceptions import ConvergenceWarning

from skcollapse._utils.checks import check_integer
from skcollapse.targets import (
    TARGETS,
    ClassGeometry,
    Target,
    nearest_etf,
    seli,
    simplex_etf,
)

counts_lists = st.lists(st.floats(0.1, 1e4), min_size=2, max_size=8)
seeds = st.integers(0, 2**32 - 1)


def centring(n_classes):
    return np.eye(n_classes) - 1 / n_classes


def cosines(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def normalised_gram(vectors):
    gram = vectors @ vectors.T
    return gram / np.linalg.norm(gram)


# Every target


COUNTS = [[3, 3], [50, 7], [100, 100, 10, 10], [512.5, 64.0, 8.0, 2.0, 1.0, 0.25]]
various_counts = pytest.mark.parametrize("counts", COUNTS, ids=len)


class TargetSuite:
    """What a target promises and declares; a subclass has the fixture `target`."""

    @various_counts
    @pytest.mark.parametrize("surplus", [0, 3])
    def test_shapes(self, target, counts, surplus):
        shape = len(counts), target.min_components(len(counts)) + surplus
        geometry = target.build(counts, shape[1], 0)
        assert isinstance(geometry, ClassGeometry)
        for vectors in geometry:
            assert vectors.shape == shape
            assert vectors.dtype == np.float64

    @various_counts
    def test_class_vectors_sum_to_zero_if_declared(self, target, counts):
        if target.centred:
            for vectors in target.build(counts, None, 0):
                largest = np.abs(vectors).max()
                assert_allclose(vectors.sum(axis=0), 0, atol=1e-12 * largest)

    @various_counts
    def test_own_means_are_classified(self, target, counts):
        geometry = target.build(counts, None, 0)
        assert geometry.classifier.shape[1] >= target.min_components(len(counts))
        best = np.argmax(geometry.scores(geometry.means), axis=1)
        assert_array_equal(best, range(len(counts)))

    def test_reproducible(self, target):
        build = target.build
        first, again, other = (build([5, 3, 2], 4, seed) for seed in (1, 1, 2))
        assert_array_equal(first, again)
        assert np.abs(first.classifier - other.classifier).max() > 1e-3
        state = np.random.RandomState(1)
        assert_array_equal(build([5, 3, 2], 4, state), first)
        assert np.abs(build([5, 3, 2], 4, state).means - first.means).max() > 1e-3

    def test_turns_without_changing_shape(self, target):
        pair = target.build([5, 3, 2], 2, 1), target.build([5, 3, 2], 6, 2)
        for one, two in zip(*pair, strict=True):
            assert_allclose(one @ one.T, two @ two.T, atol=1e-13)

    def test_order_of_the_classes(self, target):
        counts, order = np.array([9.0, 4.0, 1.0, 2.0]), [2, 0, 3, 1]
        pair = target.build(counts, None, 0), target.build(counts[order], None, 0)
        if target.assignable:
            # Nothing but the number of classes matters: any order is as good.
            assert_array_equal(*pair)
            return
        for one, two in zip(*pair, strict=True):
            assert_allclose(
                (one @ one.T)[np.ix_(order, order)], two @ two.T, atol=1e-13
            )

    @pytest.mark.parametrize("n_classes", [2, 3, 4, 7])
    def test_fewest_dimensions(self, target, n_classes):
        fewest = target.min_components(n_classes)
        assert target.build([1] * n_classes, fewest, 0).means.shape[1] == fewest
        message = (
            f"n_components must be an integer, at least {fewest}.* got {fewest - 1}"
        )
        with pytest.raises(ValueError, match=message):
            target.build([1] * n_classes, fewest - 1, 0)

    @pytest.mark.parametrize("n_components", [0, 4.0, "4", True, np.nan, np.ones(2)])
    def test_dimensions_are_a_whole_number(self, target, n_components):
        with pytest.raises(
            ValueError, match=r"^n_components must be an integer, at least"
        ):
            target.build([1] * 5, n_components, 0)


class TestTargets(TargetSuite):
    @pytest.fixture(params=TARGETS)
    def target(self, request):
        return TARGETS[request.param]


class EquiangularBasisVectors(Target):
    """Unit vectors of which no two are closer than the axes and Hadamard's rows."""

    assignable = True
    centred = False

    def min_components(self, n_classes):
        return 2 ** max(1, int(np.ceil(np.log2(n_classes / 2))))

    def build(self, class_counts, n_components=None, random_state=None):
        size = self.min_components(len(class_counts))
        if n_components is None:
            n_components = size
        n_components = check_integer("n_components", n_components, size)
        turn = ortho_group.rvs(n_components, random_state=random_state)
        axes = np.eye(size, n_components)
        code = np.vstack([axes, hadamard(size) / np.sqrt(size) @ axes])
        vectors = code[: len(class_counts)] @ turn
        return ClassGeometry(classifier=vectors, means=vectors)


class TestTargetOfOnesOwn(TargetSuite):
    @pytest.fixture
    def target(self, monkeypatch):
        monkeypatch.setitem(TARGETS, "equiangular", EquiangularBasisVectors())
        return TARGETS["equiangular"]

    @pytest.mark.parametrize("n_classes", [3, 8, 13])
    def test_angles(self, target, n_classes):
        vectors = target.build([1] * n_classes, random_state=0).classifier
        off_diagonal = cosines(vectors) - np.eye(n_classes)
        bound = target.min_components(n_classes) ** -0.5
        assert np.abs(off_diagonal).max() < bound + 1e-12


@pytest.mark.parametrize("module", [np, torch], ids=["numpy", "torch"])
def test_products_of_a_geometry(module):
    rng = np.random.RandomState(0)
    parts = [*seli([9, 4, 1], 5), rng.randn(7, 5), rng.randn(7, 3)]
    asarray = module.asarray if module is np else torch.as_tensor
    classifier, means, h, g = map(asarray, parts)
    geometry = ClassGeometry(classifier, means)
    assert_allclose(geometry.scores(h), parts[2] @ parts[0].T)
    assert_allclose(geometry.pull(g), parts[3] @ parts[0])
    # The one is the transpose of the other.
    assert_allclose((geometry.scores(h) * g).sum(), (h * geometry.pull(g)).sum())


# Simplex ETF


@given(n_classes=st.integers(2, 30), surplus=st.integers(0, 5), seed=seeds)
@settings(max_examples=30)
def test_etf_gram_matrix(n_classes, surplus, seed):
    etf = simplex_etf(n_classes, n_classes - 1 + surplus, random_state=seed)
    expected = centring(n_classes) * n_classes / (n_classes - 1)
    assert_allclose(etf @ etf.T, expected, atol=1e-13)


def test_etf_of_two_classes_on_a_line():
    etf = simplex_etf(2, random_state=0)
    assert_allclose(np.sort(etf.ravel()), [-1, 1])


def test_etf_is_uniformly_turned():
    # The first two moments of a Haar-uniform frame: without the sign fix of the QR
    # factors, the mean is off zero.
    rng = np.random.RandomState(0)
    draws = np.stack([simplex_etf(3, 3, random_state=rng) for _ in range(4000)])
    assert_allclose(draws.mean(axis=0), 0, atol=0.04)
    second = np.einsum("nki,nkj->kij", draws, draws) / len(draws)
    assert_allclose(second, np.broadcast_to(np.eye(3) / 3, (3, 3, 3)), atol=0.03)


def test_etf_memory():
    n_classes = 500
    assert etf_peak(n_classes) < 3


@pytest.mark.slow
def test_etf_of_ten_thousand_classes():
    assert etf_peak(10_000) < 3


def etf_peak(n_classes):
    """Peak memory of a draw, in arrays of n_classes x n_classes."""
    tracemalloc.start()
    try:
        etf = simplex_etf(n_classes, random_state=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    sample = etf[:: n_classes // 50]
    off_diagonal = cosines(sample)[~np.eye(len(sample), dtype=bool)]
    assert_allclose(off_diagonal, -1 / (n_classes - 1), rtol=1e-8)
    return peak / (8 * n_classes**2)


@pytest.mark.parametrize("n_classes", [1, 0, 2.5, "3", True, None])
def test_etf_number_of_classes(n_classes):
    message = f"n_classes must be an integer, at least 2; got {n_classes!r}"
    with pytest.raises(ValueError, match=message):
        simplex_etf(n_classes)


@pytest.mark.parametrize("n_components", [3, 0, 4.0, "4", True])
@pytest.mark.parametrize("target", ["etf", "seli"])
def test_dimension_too_small(n_components, target):
    message = (
        f"n_components must be an integer, at least 4, or None; got {n_components!r}. "
        "Fewer than n_classes - 1 dimensions cannot hold 5 .* Pass None"
    )
    with pytest.raises(ValueError, match=message):
        TARGETS[target].build([1] * 5, n_components, 0)


def test_hyperspherical_target_in_fewer_dimensions():
    geometry = TARGETS["hyperspherical"].build([9, 4, 2, 1, 1], 2, 0)
    assert geometry.classifier.shape == (5, 2)
    assert_array_equal(*geometry)
    nearest = np.sort(cosines(geometry.means), axis=1)[:, -2]
    assert_allclose(nearest, np.cos(2 * np.pi / 5))


# SELI


def brute_force(counts):
    """Return classifier and class-mean Gram matrices from the SVD of K x n labels."""
    labels = np.repeat(np.arange(len(counts)), counts)
    left, sizes, right = np.linalg.svd(centring(len(counts))[:, labels])
    rank = len(counts) - 1
    left, sizes, right = left[:, :rank], sizes[:rank], right[:rank].T
    first = np.searchsorted(labels, np.arange(len(counts)))
    features = right * np.sqrt(sizes)
    assert_allclose(features, features[first[labels]], atol=1e-12)
    return (left * sizes) @ left.T, features[first] @ features[first].T


@given(counts=st.lists(st.integers(1, 30), min_size=2, max_size=6), seed=seeds)
@settings(max_examples=30)
def test_seli_is_the_svd_of_the_label_matrix(counts, seed):
    classifier, means = seli(counts, len(counts), random_state=seed)
    expected_classifier, expected_means = brute_force(counts)
    assert_allclose(classifier @ classifier.T, expected_classifier, atol=1e-10)
    assert_allclose(means @ means.T, expected_means, atol=1e-10)


@given(counts=counts_lists, seed=seeds)
@settings(max_examples=30)
def test_seli_interpolates_the_simplex_encoding(counts, seed):
    classifier, means = seli(counts, random_state=seed)
    assert_allclose(classifier @ means.T, centring(len(counts)), atol=1e-12)


@given(counts=counts_lists, factor=st.floats(1e-3, 1e3))
@settings(max_examples=30)
def test_seli_depends_on_ratios_of_counts(counts, factor):
    small, large = (seli(np.multiply(counts, c), random_state=0) for c in (1.0, factor))
    for one, two in zip(small, large, strict=True):
        assert_allclose(cosines(one), cosines(two), atol=1e-9)


def test_seli_of_balanced_classes_is_the_etf_of_the_same_seed():
    etf = simplex_etf(6, 9, random_state=3)
    for vectors in seli([40] * 6, 9, random_state=3):
        assert_allclose(vectors / np.linalg.norm(vectors[0]), etf, atol=1e-13)


def test_seli_of_extreme_imbalance():
    classifier, means = seli([1e9, 1e9, 1.0, 1.0], random_state=0)
    assert_allclose(classifier @ means.T, centring(4), atol=1e-10)
    # Beside class vectors of norm 1e2, the small classes still differ as they should.
    assert_allclose(np.sum((classifier[2] - classifier[3]) ** 2), 2, rtol=1e-9)


def step_gram(n_major, n_minor, ratio, power):
    """Closed form of the Gram matrix for (R, rho)-STEP imbalance, up to n_min.

    The power is 1 for the classifier and -1 for the class means.
    """
    a, b, k = n_major, n_minor, n_major + n_minor
    root, last = ratio ** (power / 2), ((ratio * b + a) / k) ** (power / 2)
    return np.block(
        [
            [
                root * (np.eye(a) - 1 / a) + last * b / (k * a),
                np.full((a, b), -last / k),
            ],
            [
                np.full((b, a), -last / k),
                np.eye(b) - 1 / b + last * a / (k * b),
            ],
        ]
    )


@given(n_major=st.integers(1, 6), n_minor=st.integers(1, 6), ratio=st.floats(1.0, 1e3))
@settings(max_examples=30)
def test_seli_step_imbalance_closed_form(n_major, n_minor, ratio):
    classifier, means = seli([ratio] * n_major + [1.0] * n_minor, random_state=0)
    for vectors, power in ((classifier, 1), (means, -1)):
        expected = step_gram(n_major, n_minor, ratio, power)
        assert_allclose(vectors @ vectors.T, expected, rtol=1e-9, atol=1e-11)


def test_seli_step_imbalance_figures():
    pairs = ([0, 5, 0], [1, 6, 5])  # majority, minority, across
    classifier, means = seli([1000] * 5 + [100] * 5, random_state=0)
    expected = [-0.143952743, 0.033368868, -0.138680620]
    assert_allclose(cosines(classifier)[pairs], expected, atol=1e-9)
    expected = [-0.069701799, -0.186746214, -0.085433647]
    assert_allclose(cosines(means)[pairs], expected, atol=1e-9)
    for vectors, ratio in ((classifier, 2.672099921), (means, 0.350828712)):
        squares = np.sum(vectors**2, axis=1)
        assert_allclose(squares[0] / squares[5], ratio, rtol=1e-8)


@pytest.mark.parametrize("n_classes", [4, 10])
def test_seli_minority_cosine(n_classes):
    # arXiv:2208.05512: with half of the classes in the minority its class vectors
    # are orthogonal at a ratio of 7, and close up beyond.
    for ratio in (2, 7, 100):
        counts = np.repeat([ratio, 1], n_classes // 2)
        root = np.sqrt((ratio + 1) / 2)
        expected = (root - 2) / (root + n_classes - 2)
        classifier = seli(counts, random_state=0).classifier
        assert_allclose(cosines(classifier)[-1, -2], expected, atol=1e-12)


# SELI with a ridge penalty


def weighted_logits(counts, ridge, **options):
    classifier, means = seli(counts, ridge=ridge, random_state=0, **options)
    return (classifier @ means.T) * np.sqrt(counts)


def loss_gradient(weighted, counts):
    """Gradient of the summed cross-entropy, as softmax less one-hot labels."""
    logits = weighted / np.sqrt(counts)
    odds = np.exp(logits - logits.max(axis=0))
    return (odds / odds.sum(axis=0) - np.eye(len(counts))) * np.sqrt(counts)


ridge_problems = pytest.mark.parametrize(
    ("counts", "ridge"),
    [
        ([10, 10, 1, 1], 1e-3),
        ([10, 10, 1, 1], 0.5),
        ([10, 10, 1, 1], 1.0),
        ([10, 10, 1, 1], 3.0),
        ([7.0, 3.0], 0.1),
        ([400, 90, 30, 8, 2, 0.5], 0.2),
        ([400, 90, 30, 8, 2, 0.5], 5.0),
        (np.geomspace(5000, 50, 12), 1e-2),
        (np.geomspace(5000, 50, 12), 7.5),
    ],
)


@ridge_problems
def test_ridge_optimality_conditions(counts, ridge):
    # Z D^(1/2) = V L U^T is the unique minimiser iff the negative gradient is
    # ridge (V U^T + rest), with the rest orthogonal to V and U and of norm <= 1.
    weighted = weighted_logits(counts, ridge)
    subgradient = -loss_gradient(weighted, counts) / ridge
    assert np.linalg.norm(subgradient, 2) < 1 + 1e-6
    left, sizes, right = np.linalg.svd(weighted)
    rank = np.sum(sizes > 1e-9 * sizes[0])
    left, right = left[:, :rank], right[:rank]
    assert_allclose(subgradient @ right.T, left, atol=1e-6)
    assert_allclose(left.T @ subgradient, right, atol=1e-6)


@ridge_problems
def test_ridge_factors_are_balanced(counts, ridge):
    # The gradient in the factors vanishes only if W^T W equals H^T H.
    classifier, means = seli(counts, len(counts), ridge=ridge, random_state=0)
    features = means * np.sqrt(counts)[:, None]
    assert_allclose(classifier.T @ classifier, features.T @ features, atol=1e-8)
    assert_allclose(classifier.sum(axis=0), 0, atol=1e-9)


@ridge_problems
def test_ridge_is_no_worse_than_its_neighbours(counts, ridge):
    def objective(weighted):
        logits = weighted / np.sqrt(counts)
        losses = np.log(np.exp(logits - np.diagonal(logits)).sum(axis=0))
        return counts @ losses + ridge * np.linalg.norm(weighted, "nuc")

    counts = np.asarray(counts, dtype=float)
    weighted = weighted_logits(counts, ridge)
    best = objective(weighted)
    rng = np.random.RandomState(0)
    for size in (1e-3, 1e-2, 1e-1):
        step = rng.standard_normal(weighted.shape)
        step *= size * np.linalg.norm(weighted) / np.linalg.norm(step)
        assert objective(weighted + step) > best
        assert objective(weighted * (1 + size)) > best
        assert objective(weighted * (1 - size)) > best


@pytest.mark.parametrize(
    ("ridge", "cosine"), [(0.1, 0.188), (0.01, 0.143), (0.001, 0.125), (0.0, 0.0794)]
)
def test_ridge_minority_cosine(ridge, cosine):
    classifier = seli([10, 10, 1, 1], ridge=ridge, random_state=0).classifier
    assert_allclose(cosines(classifier)[2, 3], cosine, atol=6e-4)


def test_ridge_of_balanced_classes_is_the_etf():
    etf = simplex_etf(5, random_state=3)
    for vectors in seli([8] * 5, ridge=0.7, random_state=3):
        assert_allclose(vectors / np.linalg.norm(vectors[0]), etf, atol=1e-7)


@pytest.mark.parametrize("n_min", [1.0, 4.0])
def test_minority_collapse_from_the_root_of_the_smallest_count(n_min):
    counts = np.multiply([10, 10, 1, 1], n_min)
    edge = np.sqrt(n_min)
    for factor, collapsed in ((0.99, False), (1.0, True), (1.2, True)):
        classifier = seli(counts, ridge=factor * edge, random_state=0).classifier
        distance = np.linalg.norm(classifier[2] - classifier[3])
        assert (distance < 1e-6) == collapsed


def test_vanishing_ridge_leads_to_seli():
    limit = normalised_gram(seli([10, 10, 1, 1]).classifier)
    distances = [
        np.linalg.norm(
            normalised_gram(seli([10, 10, 1, 1], ridge=ridge).classifier) - limit
        )
        for ridge in (1e-1, 1e-3, 1e-6, 1e-9)
    ]
    assert np.all(np.diff(distances) < 0)
    # At a logarithmic rate: the distance falls like 1/log(1/ridge).
    assert 0.5 < distances[2] * 6 / (distances[3] * 9) < 2


@given(
    counts=st.lists(st.floats(0.5, 500), min_size=2, max_size=6),
    exponent=st.floats(-5, -0.05),
    factor=st.floats(0.1, 10),
)
@settings(max_examples=15)
def test_ridge_scales_like_the_root_of_the_counts(counts, exponent, factor):
    largest = np.linalg.norm(centring(len(counts)) * np.sqrt(counts), 2)
    ridge = largest * 10**exponent
    # Right at the edge of collapse, rounding decides the small differences.
    assume(np.all(np.abs(ridge / np.sqrt(counts) - 1) > 0.05))
    plain = weighted_logits(np.array(counts), ridge)
    scaled = weighted_logits(np.array(counts) * factor**2, ridge * factor)
    assert_allclose(scaled / factor, plain, atol=1e-6 * np.abs(plain).max())


def test_ridge_beyond_which_nothing_remains():
    with pytest.raises(ValueError, match=r"ridge=4\.0 leaves .* from 3\.16228 on"):
        seli([10, 10, 1, 1], ridge=4)
    for vectors in seli([10, 10, 1, 1], ridge=3.16, random_state=0):
        assert np.isfinite(vectors).all()
        assert np.abs(vectors).max() > 0


def test_ridge_warns_when_stopped_early(monkeypatch):
    monkeypatch.setattr("skcollapse.targets._seli._MAX_ITER", 2)
    with pytest.warns(ConvergenceWarning, match="ridge=0.001 is less accurate"):
        seli([100, 20, 5, 1], ridge=1e-3)


@pytest.mark.parametrize("ridge", [-1.0, np.nan, np.inf, None, "0.1", True])
def test_ridge_must_be_a_number(ridge):
    message = f"ridge must be a finite number, at least 0; got {ridge!r}"
    with pytest.raises(ValueError, match=message):
        seli([2, 1], ridge=ridge)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([5, 0, 1], r"class 1 has 0\. Leave out"),
        ([5, 3, -2], "class 2 has -2"),
        ([np.nan, 3], "class 0 has nan"),
        ([3, np.inf], "class 1 has inf"),
        ([3], r"at least two class sizes, got an array of shape \(1,\)"),
        (7, r"at least two class sizes, got an array of shape \(\)"),
        ([[1, 2], [3, 4]], r"got an array of shape \(2, 2\)"),
        (["a", "b"], r"class_counts must hold numbers; got \['a', 'b'\]"),
        ([1, [2, 3]], r"class_counts must hold numbers; got \[1, \[2, 3\]\]"),
    ],
)
def test_seli_counts(counts, message):
    with pytest.raises(ValueError, match=message):
        seli(counts)


# Nearest ETF


def distance(means, etf):
    """Distance of centred means to the best positive multiple of an ETF."""
    centred = means - means.mean(axis=0)
    scale = max(np.sum(etf * centred), 0) / np.sum(etf**2)
    return np.linalg.norm(centred - scale * etf)


@given(n_classes=st.integers(2, 7), surplus=st.integers(0, 3), seed=seeds)
@settings(max_examples=25)
def test_nearest_etf_beats_every_other(n_classes, surplus, seed):
    rng = np.random.RandomState(seed)
    means = rng.standard_normal((n_classes, n_classes - 1 + surplus)) + 5
    nearest = nearest_etf(means)
    gram = centring(n_classes) * n_classes / (n_classes - 1)
    assert_allclose(nearest @ nearest.T, gram, atol=1e-12)
    best = distance(means, nearest)
    for _ in range(20):
        other = simplex_etf(*means.shape, random_state=rng)
        assert distance(means, other) > best - 1e-12
    # Nor does a small rotation help: no direction of descent remains.
    for _ in range(20):
        generator = 1e-3 * rng.standard_normal((means.shape[1],) * 2)
        turn, _ = np.linalg.qr(np.eye(means.shape[1]) + generator - generator.T)
        turn *= np.sign(np.diagonal(turn))
        assert distance(means, nearest @ turn) > best - 1e-12


@given(
    n_classes=st.integers(2, 6),
    scale=st.floats(1e-3, 1e3),
    offset=st.floats(-100, 100),
    seed=seeds,
)
@settings(max_examples=25)
def test_nearest_etf_moves_with_the_means(n_classes, scale, offset, seed):
    rng = np.random.RandomState(seed)
    means = simplex_etf(n_classes, n_classes + 1, random_state=rng)
    means += 0.1 * rng.standard_normal(means.shape)
    turn = ortho_group.rvs(n_classes + 1, random_state=rng)
    order = rng.permutation(n_classes)
    moved = (scale * means @ turn + offset)[order]
    expected = (nearest_etf(means) @ turn)[order]
    assert_allclose(nearest_etf(moved), expected, atol=1e-6)


def test_nearest_etf_of_an_etf():
    etf = simplex_etf(8, 12, random_state=0)
    assert_allclose(nearest_etf(etf), etf, atol=1e-13)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_nearest_etf_of_collapsed_means(rank):
    rng = np.random.RandomState(0)
    means = rng.standard_normal((6, rank)) @ rng.standard_normal((rank, 7))
    nearest = nearest_etf(means)
    assert_allclose(nearest @ nearest.T, centring(6) * 6 / 5, atol=1e-13)
    assert_array_equal(nearest, nearest_etf(means.copy()))
    if rank:
        # The attainable optimum is the nuclear norm of the centred means.
        centred = means - means.mean(axis=0)
        attained = np.sum(nearest * centred) / np.sqrt(6 / 5)
        assert_allclose(attained, np.linalg.norm(centred, "nuc"), rtol=1e-12)
        assert orth(centred).shape[1] == rank


@pytest.mark.parametrize(
    ("means", "message"),
    [
        (np.ones((5, 3)), r"3 columns for 5 classes.* at least n_classes - 1 = 4"),
        (np.ones((1, 3)), r"at least two classes, got an array of shape \(1, 3\)"),
        (np.ones(3), r"at least two classes, got an array of shape \(3,\)"),
        ([[1, 2], [np.nan, 0]], "row 1 is not. Leave out"),
        ([[np.inf, 2], [1, 0]], "row 0 is not"),
        ([["a"], ["b"]], r"means must hold numbers; got \[\['a'\], \['b'\]\]"),
    ],
)
def test_nearest_etf_input(means, message):
    with pytest.raises(ValueError, match=message):
        nearest_etf(means)
