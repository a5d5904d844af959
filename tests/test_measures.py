"""Measures against brute force in float64, closed forms and constructed geometries."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from skcollapse import measures
from skcollapse.moments import ClassMoments, RowMoments
from skcollapse.targets import seli, simplex_etf


def clouds(seed=0, counts=(9, 5, 3, 1), n_features=5, spread=0.3):
    """Draw classes of the given sizes, in the order of their indices."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    X = rng.standard_normal((len(counts), n_features))[y]
    return X + spread * rng.standard_normal(X.shape), y


def gathered(X, y, n_classes=None, weights=None):
    """Return the moments of both engines."""
    n_classes = int(y.max()) + 1 if n_classes is None else n_classes
    stream = ClassMoments(n_classes, X.shape[1], scatter="class")
    return RowMoments(X, y, n_classes, weights), stream.update(X, y, weights)


def textbook(X, y):
    """Return covariances by loops over the classes present, in float64."""
    X = np.asarray(X, dtype=np.float64)
    classes = np.unique(y)
    means = np.array([X[y == k].mean(axis=0) for k in classes])
    own = [np.cov(X[y == k].T, bias=True) for k in classes]
    own = [np.atleast_2d(c) for c in own]
    share = np.array([(y == k).mean() for k in classes])
    pooled = np.tensordot(share, own, 1)
    centred = means - means.mean(axis=0)
    return means, own, pooled, centred.T @ centred / len(classes)


def pseudo_inverse(matrix, rank):
    """Return the pseudo-inverse of a symmetric matrix of known rank."""
    values, basis = np.linalg.eigh(matrix)
    kept = basis[:, -rank:]
    return (kept / values[-rank:]) @ kept.T


def brute_force(X, y):
    means, own, pooled, between = textbook(X, y)
    n_classes = len(means)
    rank = min(n_classes - 1, X.shape[1])
    inverse = pseudo_inverse(between, rank)
    total = pooled + between
    total_rank = np.linalg.matrix_rank(total)
    pairs = [(i, j) for i in range(n_classes) for j in range(i)]
    return {
        "nc1": np.trace(pooled @ inverse) / n_classes,
        "balanced": np.trace(np.mean(own, axis=0) @ inverse) / n_classes,
        "ratio": np.trace(pooled) / np.trace(between),
        "cdnv": np.mean(
            [
                (np.trace(own[i]) + np.trace(own[j]))
                / (2 * np.sum((means[i] - means[j]) ** 2))
                for i, j in pairs
            ]
        ),
        "vci": 1 - np.trace(pseudo_inverse(total, total_rank) @ between) / rank,
    }


def measured(moments):
    return {
        "nc1": measures.nc1(moments),
        "balanced": measures.nc1(moments, balanced=True),
        "ratio": measures.nc1_trace_ratio(moments),
        "cdnv": measures.cdnv(moments),
        "vci": measures.vci(moments),
    }


def assert_measures(moments, expected, rtol=1e-9):
    found = measured(moments)
    for name, value in expected.items():
        assert_allclose(found[name], value, rtol=rtol, atol=1e-12, err_msg=name)


# Variability


@pytest.mark.parametrize(
    ("counts", "n_features"),
    [
        ((9, 5, 3, 2), 5),
        ((30, 20, 1, 1), 5),  # single samples
        ((9, 5, 3, 2), 60),  # more features than samples
        ((7,) * 12, 4),  # more classes than features
        ((7,) * 6, 5),  # as many directions as features
        ((6, 4), 3),
        ((4, 4, 4), 1),
    ],
)
def test_variability_is_that_of_the_textbook(counts, n_features):
    X, y = clouds(0, counts, n_features)
    for moments in gathered(X, y):
        assert_measures(moments, brute_force(X, y))


def test_absent_classes_do_not_count():
    X, y = clouds()
    for moments in gathered(X, 2 * y + 1, n_classes=9):
        assert_measures(moments, brute_force(X, y))
        assert np.isnan(measures.class_nc1(moments)[::2]).all()
        assert_allclose(measures.etf_distance(moments), etf_distance_of(X, y))


def etf_distance_of(X, y):
    means = textbook(X, y)[0]
    return measures.etf_distance(means)


def test_balanced_is_the_mean_over_classes():
    X, y = clouds()
    for moments in gathered(X, y):
        by_class = measures.class_nc1(moments)
        assert_allclose(by_class.mean(), measures.nc1(moments, balanced=True))
        pooled = np.average(by_class, weights=moments.counts)
        assert_allclose(pooled, measures.nc1(moments))
        assert by_class[3] < 1e-20  # one sample


@given(weights=st.lists(st.integers(0, 3), min_size=18, max_size=18))
def test_weights_are_repetitions(weights):
    X, y = clouds()
    weights = np.array(weights)
    # A row of every class but the last, so that there is something to measure.
    weights[[0, 9, 14]] += 1
    repeated = np.repeat(np.arange(len(X)), weights)
    expected = brute_force(X[repeated], y[repeated])
    X = np.where(weights[:, None] > 0, X, np.nan)
    for moments in gathered(X, y, 4, weights):
        assert_measures(moments, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("counts", [(300, 200, 100, 2), (60,) * 12])
@pytest.mark.parametrize("n_features", [6, 40])
def test_an_offset_of_a_thousand(dtype, counts, n_features):
    # What float16 keeps beside such an offset are halves.
    X, y = clouds(0, counts, n_features, spread=1.0)
    X = (8 * X + 1000).astype(dtype)
    for moments in gathered(X, y):
        assert_measures(moments, brute_force(X, y), rtol=1e-3)


@pytest.mark.parametrize("spread", [1e-2, 1e-3, 1e-4])
def test_nearly_collapsed_in_float32(spread):
    X, y = clouds(0, (300, 200, 100, 50), 40, spread)
    X = X.astype(np.float32)
    expected = brute_force(X, y)
    # One less a number close to one: here without the difference.
    means, _, pooled, _ = textbook(X, y)
    # With rows x_k - x_0, the centred Gram matrix is that of L^T rows, L L^T = P.
    gram = np.linalg.cholesky(np.eye(3) - 1 / 4).T @ (means[1:] - means[0])
    ratios = gram @ np.linalg.solve(pooled, gram.T) / 4
    expected["vci"] = np.trace(np.linalg.inv(np.eye(3) + ratios)) / 3
    for moments in gathered(X, y):
        assert_measures(moments, expected, rtol=1e-4)


def test_scale_leaves_no_trace_in_rounding():
    X, y = clouds(n_features=30)
    for scale in (1e-12, 1e12):
        for moments in gathered(scale * X, y):
            assert_measures(moments, brute_force(X, y))


def test_collapse_is_zero():
    rng = np.random.default_rng(0)
    means = rng.standard_normal((4, 6))
    y = np.repeat(np.arange(4), (5, 3, 2, 1))
    for moments in gathered(means[y], y):
        assert_allclose(list(measured(moments).values()), 0, atol=1e-10)


def test_coinciding_means():
    X = np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [3.0, 4.0]]) + 1000.1
    for moments in gathered(X, np.array([0, 0, 1, 1])):
        values = measured(moments)
        assert values.pop("vci") == 1
        assert set(values.values()) == {np.inf}


def test_two_of_three_means_coincide():
    X, y = clouds(0, (5, 5, 5), 4)
    # Class 2 is class 1 mirrored at its mean.
    X[y == 2] = 2 * X[y == 1].mean(axis=0) - X[y == 1]
    _, _, pooled, between = textbook(X, y)
    inverse = pseudo_inverse(between, 1)
    for moments in gathered(X, y):
        assert_allclose(measures.nc1(moments), np.trace(pooled @ inverse) / 3)
        assert measures.nc1_trace_ratio(moments) > 0


def test_vci_is_one_less_pillai_over_rank():
    # The eigenvalues of discriminant analysis are those of W^-1 B.
    X, y = clouds(1, (20, 20, 20), 4, spread=1.0)
    lda = LinearDiscriminantAnalysis(solver="eigen", store_covariance=True).fit(X, y)
    between = np.cov(lda.means_.T, bias=True)
    ratios = np.linalg.eigvals(np.linalg.solve(lda.covariance_, between)).real
    pillai = (ratios / (1 + ratios)).sum()
    assert_allclose(measures.vci(RowMoments(X, y, 3)), 1 - pillai / 2)


def test_what_was_not_gathered_is_an_error():
    X, y = clouds()
    pooled = ClassMoments(4, 5).update(X, y)
    assert_allclose(measures.nc1(pooled), brute_force(X, y)["nc1"])
    with pytest.raises(AttributeError, match='scatter="class"'):
        measures.nc1(pooled, balanced=True)
    plain = ClassMoments(4, 5, scatter=False).update(X, y)
    assert_allclose(measures.cdnv(plain), brute_force(X, y)["cdnv"])
    with pytest.raises(AttributeError, match="scatter=True"):
        measures.nc1(plain)


@pytest.mark.parametrize(
    "function",
    [measures.nc1, measures.cdnv, measures.vci, measures.etf_distance],
)
def test_one_class_is_an_error(function):
    X, y = clouds(0, (5,), 3)
    with pytest.raises(ValueError, match="at least two classes with samples, got 1"):
        function(RowMoments(X, y, 4))


# Geometry


def test_etf_is_at_distance_zero():
    for n_classes, n_features in ((2, 1), (5, 4), (10, 30), (100, 99)):
        etf = 7 * simplex_etf(n_classes, n_features, random_state=0)
        counts = np.full(n_classes, 30)
        for rows in (etf, etf + 3):
            found = [
                measures.equinorm(rows),
                measures.equiangularity(rows),
                measures.cosine_std(rows),
                measures.etf_distance(rows),
                measures.seli_distance(rows, counts),
                measures.target_distance(rows, etf),
                measures.self_duality(etf, rows),
                measures.self_duality_cosine(etf, rows),
            ]
            assert_allclose(found, 0, atol=1e-10)
        straight = np.degrees(np.arccos(-1 / (n_classes - 1)))
        assert_allclose(measures.min_angle(etf), straight)
        energy = -np.log(2 * n_classes / (n_classes - 1)) / 2
        assert_allclose(measures.uniformity(etf), energy)


@pytest.mark.parametrize("counts", [(40, 30, 2, 1), (9, 9, 9), (100,) * 5 + (1,) * 5])
@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_seli_is_at_distance_zero(counts, ridge):
    classifier, means = seli(counts, 12, ridge=ridge, random_state=0)
    found = [
        measures.seli_distance(3 * means + 1, counts, ridge=ridge),
        measures.seli_distance(
            3 * classifier, counts, ridge=ridge, vectors="classifier"
        ),
    ]
    assert_allclose(found, 0, atol=1e-10)


@given(counts=st.lists(st.integers(1, 9), min_size=2, max_size=9))
def test_seli_grams_of_groups_are_those_of_the_target(counts):
    classifier, means = measures.seli_grams(counts)
    geometry = seli(counts, random_state=0)
    assert_allclose(classifier, geometry.classifier @ geometry.classifier.T, atol=1e-12)
    assert_allclose(means, geometry.means @ geometry.means.T, atol=1e-12)


def test_seli_grams_of_a_step():
    # Five classes of ten samples and five of one, in closed form.
    a = b = 5
    R = 10.0
    K, size = a + b, (R * b + a) / (a + b)
    classifier, means = measures.seli_grams([R] * a + [1] * b)
    for gram, power in ((classifier, 0.5), (means, -0.5)):
        root, last = R**power, size**power
        assert_allclose(gram[0, 0], root * (1 - 1 / a) + last * b / (K * a))
        assert_allclose(gram[0, 1], -root / a + last * b / (K * a))
        assert_allclose(gram[9, 9], (1 - 1 / b) + last * a / (K * b))
        assert_allclose(gram[9, 8], -1 / b + last * a / (K * b))
        assert_allclose(gram[0, 9], -last / K)
    cosines = classifier / np.sqrt(np.outer(np.diag(classifier), np.diag(classifier)))
    assert_allclose(
        cosines[[0, 9, 0], [1, 8, 9]], [-0.143952743, 0.033368868, -0.13868062]
    )
    assert_allclose(classifier[0, 0] / classifier[9, 9], 2.672099921)
    assert_allclose(means[0, 0] / means[9, 9], 0.350828712)


def test_minority_of_a_step():
    counts = [10] * 5 + [1] * 5
    geometry = seli(counts, random_state=0)
    for vectors, cosine, ratio in (
        (geometry.classifier, 0.033368868, 2.672099921),
        (geometry.means, -0.186746214, 0.350828712),
    ):
        excess = measures.minority_cosine(vectors, counts)
        assert_allclose(excess, cosine + 1 / 9, rtol=1e-6)
        assert_allclose(measures.norm_ratio(vectors, counts), np.sqrt(ratio))


def test_minority_collapse():
    vectors = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    excess = measures.minority_cosine(vectors, [50, 50, 2, 2], centred=False)
    assert_allclose(excess, 1 + 1 / 3)


def test_without_a_minority():
    assert np.isnan(measures.minority_cosine(np.eye(3), [5, 5, 5]))
    assert np.isnan(measures.norm_ratio(np.eye(3), [5, 5, 5]))
    assert np.isnan(measures.minority_cosine(np.eye(3), [5, 5, 1]))
    assert not measures.minority_classes(np.full(7, 0.3)).any()


def test_geometry_by_brute_force():
    rng = np.random.default_rng(0)
    means = rng.standard_normal((6, 4)) + 3
    centred = means - means.mean(axis=0)
    cosines = 1 - pdist(centred, "cosine")
    lengths = np.linalg.norm(centred, axis=1)
    assert_allclose(measures.equinorm(means), lengths.std() / lengths.mean())
    assert_allclose(measures.cosine_std(means), cosines.std())
    assert_allclose(measures.equiangularity(means), np.abs(cosines + 0.2).mean())
    angles = np.degrees(np.arccos(1 - pdist(means, "cosine")))
    assert_allclose(measures.min_angle(means), angles.min())
    units = means / np.linalg.norm(means, axis=1, keepdims=True)
    assert_allclose(measures.uniformity(means), -np.log(pdist(units)).mean())
    assert_allclose(measures.uniformity(means, s=2), (pdist(units) ** -2.0).mean())
    P = np.eye(6) - 1 / 6
    gram = centred @ centred.T
    expected = np.linalg.norm(gram / np.linalg.norm(gram) - P / np.linalg.norm(P))
    assert_allclose(measures.etf_distance(means), expected)


def test_small_and_straight_angles():
    for angle in (1e-9, 1e-3, 179.9999999):
        radians = np.radians(angle)
        vectors = [[1.0, 0.0], [np.cos(radians), np.sin(radians)]]
        assert_allclose(measures.min_angle(vectors), angle, rtol=1e-7)
    assert measures.min_angle([[2.0, 2.0], [5.0, 5.0]]) == 0
    assert measures.uniformity([[2.0, 2.0], [5.0, 5.0]]) == np.inf


def test_nc5():
    rng = np.random.default_rng(0)
    means, ood = rng.standard_normal((4, 6)), rng.standard_normal(6)
    expected = [abs(1 - pdist([mean, ood], "cosine")[0]) for mean in means]
    assert_allclose(measures.nc5(means, ood), np.mean(expected))
    with pytest.raises(ValueError, match="ood_mean must hold 6 finite values"):
        measures.nc5(means, ood[:5])


# Agreement


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_agreement_by_brute_force(dtype, offset):
    rng = np.random.default_rng(0)
    X, y = clouds(0, (60, 50, 40, 30), 6, spread=1.0)
    X = (X + offset).astype(dtype)
    W, b = rng.standard_normal((4, 6)), rng.standard_normal(4)
    b -= W.sum(axis=1) * offset
    exact = X.astype(np.float64)
    means = textbook(X, y)[0]
    nearest = np.square(exact[:, None] - means).sum(axis=2).argmin(axis=1)
    agree = (exact @ W.T + b).argmax(axis=1) == nearest
    moments = RowMoments(X, y, 4)
    assert measures.ncc_agreement(moments, W, b) == agree.mean()
    by_class = measures.ncc_agreement(moments, W, b, by_class=True)
    assert_allclose(by_class, [agree[y == k].mean() for k in range(4)])
    # The nearest centre is a linear decision, and agrees with itself.
    assert measures.ncc_agreement(moments, means, -np.square(means).sum(1) / 2) == 1


def test_absent_classes_are_no_centres():
    X, y = clouds()
    moments = RowMoments(X, y + 1, 6)
    means = np.nan_to_num(moments.means)
    bias = -np.square(means).sum(axis=1) / 2
    bias[[0, 5]] = -np.inf
    assert measures.ncc_agreement(moments, means, np.maximum(bias, -1e9)) == 1


def test_agreement_with_weights():
    X, y = clouds(0, (20, 20), 3, spread=2.0)
    W = np.eye(2, 3)
    weights = np.arange(40.0)
    moments = RowMoments(X, y, 2, weights)
    means = np.array([np.average(X[y == k], 0, weights[y == k]) for k in range(2)])
    nearest = np.square(X[:, None] - means).sum(axis=2).argmin(axis=1)
    expected = np.average((X @ W.T).argmax(axis=1) == nearest, weights=weights)
    assert_allclose(measures.ncc_agreement(moments, W), expected)


@pytest.mark.parametrize(
    ("coef", "intercept", "message"),
    [
        (np.eye(3, 5), None, r"coef must have the shape \(4, 5\), got \(3, 5\)"),
        (np.eye(4, 5), [0.0], r"intercept must have the shape \(4,\), got \(1,\)"),
    ],
)
def test_heads_that_do_not_fit(coef, intercept, message):
    with pytest.raises(ValueError, match=message):
        measures.ncc_agreement(RowMoments(*clouds(), 4), coef, intercept)


# Invariances

VECTORS = {
    "equinorm": measures.equinorm,
    "equiangularity": measures.equiangularity,
    "cosine_std": measures.cosine_std,
    "etf_distance": measures.etf_distance,
    "seli_distance": lambda m: measures.seli_distance(m, [9, 5, 3, 1]),
    "minority_cosine": lambda m: measures.minority_cosine(m, [9, 5, 3, 1]),
    "norm_ratio": lambda m: measures.norm_ratio(m, [9, 5, 3, 1]),
}
motions = {
    "seed": st.integers(0, 100),
    "scale": st.floats(1e-3, 1e3),
    "offset": st.floats(-10, 10),
}


def moved(X, seed, scale, offset):
    turn = ortho_group.rvs(X.shape[1], random_state=seed)
    return scale * X @ turn + scale * offset


@given(**motions)
def test_rotation_scale_and_translation(seed, scale, offset):
    X, y = clouds(seed)
    before = gathered(X, y)
    for old, new in zip(
        before, gathered(moved(X, seed, scale, offset), y), strict=True
    ):
        assert_measures(new, measured(old), rtol=1e-7)
        for name, function in VECTORS.items():
            found, expected = function(new.means), function(old.means)
            assert_allclose(found, expected, rtol=1e-7, atol=1e-9, err_msg=name)


@given(seed=st.integers(0, 100), scale=st.floats(1e-3, 1e3))
def test_directions_about_the_origin(seed, scale):
    vectors = np.random.default_rng(seed).standard_normal((5, 4))
    lengths = 1 + np.arange(5)[:, None]
    other = moved(vectors, seed, scale, 0) * lengths
    for function in (measures.min_angle, measures.uniformity):
        assert_allclose(function(other), function(vectors), rtol=1e-7)
    for function in (measures.self_duality, measures.self_duality_cosine):
        turned = moved(vectors, seed + 1, scale, 0)
        again = moved(vectors, seed + 1, 1, 3)
        expected = function(vectors, vectors[::-1])
        both = function(turned, again[::-1])
        assert_allclose(both, expected, rtol=1e-7, atol=1e-9)


@given(seed=st.integers(0, 100))
def test_linear_maps(seed):
    rng = np.random.default_rng(seed)
    X, y = clouds(seed, (9, 8, 7, 6), 3)
    stretch = rng.standard_normal((3, 3)) + 3 * np.eye(3)
    for old, new in zip(gathered(X, y), gathered(X @ stretch, y), strict=True):
        assert_allclose(measures.vci(new), measures.vci(old), rtol=1e-6)
        # Between four means lie as many directions as there are features.
        assert_allclose(measures.nc1(new), measures.nc1(old), rtol=1e-6)


@given(rng=st.randoms(use_true_random=False))
def test_order_of_rows_and_names_of_classes(rng):
    X, y = clouds()
    rows = np.array(rng.sample(range(len(X)), len(X)))
    names = np.array(rng.sample(range(4), 4))
    old, new = gathered(X, y), gathered(X[rows], names[y[rows]])
    for before, after in zip(old, new, strict=True):
        assert_measures(after, measured(before), rtol=1e-8)
        by_class = measures.class_nc1(after)[names]
        assert_allclose(by_class, measures.class_nc1(before), rtol=1e-8, atol=1e-12)
        counts = before.counts, after.counts
        for name in ("seli_distance", "minority_cosine", "norm_ratio"):
            function = getattr(measures, name)
            assert_allclose(function(after), function(before), rtol=1e-8, err_msg=name)
            vectors = [m.means for m in (before, after)]
            given_counts = [function(*a) for a in zip(vectors, counts, strict=True)]
            assert_allclose(given_counts, function(before), rtol=1e-8, err_msg=name)


# Input


def test_moments_stand_for_their_means():
    X, y = clouds()
    for moments in gathered(X, y + 2, n_classes=7):
        means = textbook(X, y)[0]
        for name in ("equinorm", "equiangularity", "uniformity", "min_angle"):
            function = getattr(measures, name)
            assert_allclose(function(moments), function(means), err_msg=name)
        head = np.random.default_rng(0).standard_normal((7, 5))
        expected = measures.self_duality(head[2:6], means)
        assert_allclose(measures.self_duality(head, moments), expected)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: measures.equinorm(np.ones(3)), r"means must have the shape .*\(3,\)"),
        (lambda: measures.equinorm(np.ones((1, 3))), "at least two classes"),
        (lambda: measures.etf_distance([[0.0], [np.nan]]), "row 1 is not. Leave out"),
        (lambda: measures.seli_distance(np.eye(3)), "class_counts must be given"),
        (lambda: measures.seli_distance(np.eye(3), [1, 2]), "each of the 3 class"),
        (lambda: measures.seli_distance(np.eye(2), [1, 0]), "positive and finite"),
        (
            lambda: measures.seli_distance(np.eye(2), [1, 2], vectors="both"),
            "got 'both'",
        ),
        (lambda: measures.self_duality(np.eye(2), np.eye(2, 3)), "shape of the class"),
        (lambda: measures.target_distance(np.eye(3), np.eye(2)), "each of the 3"),
        (lambda: measures.uniformity(np.eye(2), s=-1), "s must be .* got -1"),
    ],
)
def test_bad_input(function, message):
    with pytest.raises(ValueError, match=message):
        function()


def test_vectors_without_direction():
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert np.isnan(measures.equiangularity(rows))
    assert np.isnan(measures.self_duality(0 * rows, rows))
    assert np.isnan(measures.etf_distance(np.ones((3, 2))))
    assert np.isnan(measures.equinorm(np.ones((3, 2))))


def test_torch_rows():
    X, y = clouds()
    tensors = torch.from_numpy(X), torch.from_numpy(y)
    found = RowMoments(*tensors, 4)
    assert_measures(found, brute_force(X, y))
