"""Features and linear projectors in closed form, against scikit-learn."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler

from skcollapse.linear import RidgeRegression, discriminant_map
from skcollapse.moments import ClassMoments
from skcollapse.projectors import (
    Kernel,
    KernelExpansion,
    LinearProjection,
    fit_feature_map,
    fit_scaling,
)
from skcollapse.targets import seli, simplex_etf

K, P = 4, 5
COUNTS = np.array([40, 20, 9, 6])


def blobs(seed=0, counts=COUNTS, dtype=np.float64):
    """Draw correlated rows of classes that overlap, away from the origin."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    centers = 2 * rng.normal(size=(len(counts), P))
    mixing = rng.normal(size=(P, P))
    X = centers[y] + rng.normal(size=(len(y), P)) @ mixing + 3
    return X.astype(dtype), y


def balanced(y):
    """Return weights of sum 1 that give every class the same share."""
    weight = 1 / np.bincount(y)[y]
    return weight / weight.sum()


def moments_of(X, y, weight=None):
    return ClassMoments(y.max() + 1, X.shape[1]).update(X, y, weight)


def centred_rows(scores):
    return scores - scores.mean(axis=1, keepdims=True)


# --- scaling -----------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_standard_scaling_is_that_of_standard_scaler(weighted):
    X, y = blobs()
    weight = np.random.default_rng(1).uniform(0.1, 3, len(y)) if weighted else None
    reference = StandardScaler().fit(X, sample_weight=weight)
    weight = np.ones(len(y)) if weight is None else weight
    center, scale = fit_scaling(X, weight / weight.sum(), "standard")
    assert_allclose(center, reference.mean_, rtol=1e-12)
    assert_allclose(scale, np.sqrt(P) * reference.scale_, rtol=1e-12)


@pytest.mark.parametrize("kind", ["global", "standard"])
@pytest.mark.parametrize("n_constant", [0, 2])
def test_scaled_rows_have_mean_zero_and_mean_squared_norm_one(kind, n_constant):
    X, y = blobs()
    X = np.hstack([X, np.full((len(X), n_constant), 1e3 / 3)])
    weight = balanced(y)
    center, scale = fit_scaling(X, weight, kind)
    scaled = (X - center) / scale
    assert_allclose(weight @ scaled, 0, atol=1e-12)
    assert_allclose(weight @ (scaled**2).sum(axis=1), 1, rtol=1e-12)
    if kind == "global":
        assert len(set(scale)) == 1


def test_without_scaling_rows_are_centred_only():
    X, y = blobs()
    center, scale = fit_scaling(X, balanced(y), None)
    assert_allclose(center, balanced(y) @ X, rtol=1e-12)
    assert_array_equal(scale, 1)


@pytest.mark.parametrize("kind", ["global", "standard", None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaling_of_rows_that_do_not_vary_is_finite(kind, dtype):
    X = np.full((7, 3), 0.1, dtype)
    center, scale = fit_scaling(X, np.full(7, 1 / 7), kind)
    assert center.dtype == scale.dtype == dtype
    scaled = (X - center) / scale
    assert_allclose(scaled, 0, atol=1e-6)


def test_scaling_in_float32_survives_a_large_offset():
    X, y = blobs()
    shifted = X.astype(np.float32) + np.float32(1000)
    exact = StandardScaler().fit(shifted.astype(np.float64))
    center, scale = fit_scaling(shifted, np.full(len(y), 1 / len(y)), "standard")
    assert_allclose(center, exact.mean_, rtol=1e-6)
    assert_allclose(scale, np.sqrt(P) * exact.scale_, rtol=1e-4)


# --- the kernel --------------------------------------------------------------------


def kernel_of(X, y, seed=0, **parameters):
    """Fit a kernel to rows; return it and the rows that are its landmarks."""
    weight = np.full(len(y), 1 / len(y))
    features = fit_feature_map(
        X, y, weight, scaling="standard", kernel=Kernel(**parameters), seed=seed
    )
    scaled = (X - features.center) / features.scale
    distances = abs(features.kernel.landmarks[:, None] - scaled).sum(axis=-1)
    assert_allclose(distances.min(axis=1), 0, atol=1e-9)
    return features.kernel, distances.argmin(axis=1)


def test_bumps_are_the_kernel_of_scikit_learn():
    rng = np.random.default_rng(0)
    rows, landmarks = rng.normal(size=(6, 3)), rng.normal(size=(4, 3))
    bumps = KernelExpansion(np.zeros(3), np.ones(3), landmarks, 0.7, np.eye(4))
    assert_allclose(bumps(rows), rbf_kernel(rows, landmarks, 0.7))
    far = 1e4 + rows.astype(np.float32)
    zeros, ones, each = (
        a.astype(np.float32) for a in (0 * far[0], 1 + 0 * far[0], np.eye(6))
    )
    assert KernelExpansion(zeros, ones, far, 1.0, each)(far).max() <= 1


def test_inner_products_of_landmarks_are_their_kernel():
    X, y = blobs()
    weight = np.full(len(y), 1 / len(y))
    center, scale = fit_scaling(X, weight, "standard")
    scaled = (X - center) / scale
    block, drawn = kernel_of(X, y)
    landmarks = scaled[drawn]
    features = block(landmarks) + block.mean
    gram = features @ features.T
    kernel = rbf_kernel(landmarks, gamma=block.gamma)
    # The features may have any common length.
    assert_allclose(gram / gram[0, 0], kernel, atol=1e-5)
    # The kernel is as wide as the rows are apart.
    distances = ((scaled[:, None] - scaled) ** 2).sum(axis=-1)
    assert_allclose(block.gamma * distances.mean(), 1, rtol=1e-10)


def test_kernel_features_are_centred_and_as_large_as_the_rows():
    X, y = blobs()
    weight = balanced(y)
    features = fit_feature_map(X, y, weight, scaling="global", kernel=Kernel(), seed=0)
    both = features(X)
    linear, kernel = both[:, :P], both[:, P:]
    assert_allclose(weight @ both, 0, atol=1e-10)
    assert_allclose(weight @ (kernel**2).sum(axis=1), 1, rtol=1e-10)
    assert_allclose(weight @ (linear**2).sum(axis=1), 1, rtol=1e-10)


def test_landmarks_do_not_depend_on_order_or_repetition():
    X, y = blobs()
    drawn = X[kernel_of(X, y, 3)[1]]
    assert len(drawn) == len(X) // 5
    order = np.random.default_rng(0).permutation(len(X))
    assert_array_equal(X[order][kernel_of(X[order], y[order], 3)[1]], drawn)
    twice, twice_y = np.repeat(X, 2, axis=0), np.repeat(y, 2)
    assert_array_equal(twice[kernel_of(twice, twice_y, 3)[1]], drawn)
    assert not np.array_equal(X[kernel_of(X, y, 4)[1]], drawn)


def test_number_of_landmarks_and_width_of_the_kernel_are_parameters():
    X, y = blobs()
    block, drawn = kernel_of(X, y, n_landmarks=9, gamma=0.25)
    assert block.gamma == 0.25
    assert len(drawn) == 9
    auto, all_rows = kernel_of(X, y, n_landmarks=10_000)
    assert_array_equal(np.sort(all_rows), np.arange(len(X)))
    assert auto.gamma == pytest.approx(kernel_of(X, y)[0].gamma)


def test_landmarks_come_from_all_classes_alike():
    X, y = blobs()
    drawn = np.bincount(y[kernel_of(X, y)[1]], minlength=K)
    assert drawn.max() - drawn.min() <= 1


def test_a_handful_of_rows_has_a_landmark():
    X, y = blobs(counts=np.array([1, 1]))
    features = fit_feature_map(
        X, y, np.array([0.5, 0.5]), scaling="global", kernel=Kernel(), seed=0
    )
    assert len(features.kernel.landmarks) == 1
    assert np.isfinite(features(X)).all()


# --- feature maps ------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [None, Kernel()])
@pytest.mark.parametrize("scaling", ["global", "standard", None])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-3)]
)
def test_pulled_back_maps_are_maps_of_the_features(kernel, scaling, dtype, tolerance):
    X, y = blobs(dtype=dtype)
    features = fit_feature_map(
        X, y, balanced(y), scaling=scaling, kernel=kernel, seed=0
    )
    rng = np.random.default_rng(2)
    coef = rng.normal(size=(features(X).shape[1], 3))
    intercept = rng.normal(size=3)
    new = rng.normal(size=(9, P)).astype(dtype)
    projection = features.pull_back(coef, intercept)
    expected = features(new) @ coef + intercept
    assert projection(new).dtype == dtype
    size = abs(expected).max()
    assert_allclose(projection(new), expected, rtol=0, atol=tolerance * size)
    # So are what becomes of them in the estimator: sums, and scores.
    matrix = rng.normal(size=(3, 2))
    assert_allclose(
        (projection + projection)(new), 2 * expected, atol=2 * tolerance * size
    )
    assert_allclose(
        projection.followed_by(matrix)(new),
        expected @ matrix,
        rtol=0,
        atol=3 * tolerance * abs(expected @ matrix).max(),
    )
    copied = pickle.loads(pickle.dumps(projection))
    assert_array_equal(copied(new), projection(new))


def test_features_do_not_write_to_the_rows():
    X, y = blobs()
    X.setflags(write=False)
    features = fit_feature_map(X, y, balanced(y), scaling=None, kernel=Kernel(), seed=0)
    assert features(X).base is not X


def test_sum_of_projections_is_the_projection_to_the_sum():
    rng = np.random.default_rng(0)
    first, second = (
        LinearProjection(rng.normal(size=(P, 2)), rng.normal(size=2)) for _ in range(2)
    )
    X = rng.normal(size=(6, P))
    assert_allclose((first + second)(X), first(X) + second(X))


# --- ridge regression --------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 1e-6, 1e-2, 10.0])
@pytest.mark.parametrize("weighting", ["equal", "balanced", "arbitrary"])
def test_ridge_is_that_of_scikit_learn(alpha, weighting):
    X, y = blobs()
    vectors = np.random.default_rng(1).normal(size=(K, 3))
    weight = {
        "equal": np.full(len(y), 1 / len(y)),
        "balanced": balanced(y),
        "arbitrary": np.random.default_rng(2).dirichlet(np.ones(len(y))),
    }[weighting]
    total = np.cov(X.T, aweights=weight, ddof=0)
    reference = Ridge(alpha * np.trace(total)) if alpha else LinearRegression()
    reference.fit(X, vectors[y], weight)
    coef, intercept = RidgeRegression(moments_of(X, y, weight), vectors).solve(alpha)
    assert_allclose(coef, reference.coef_.T, rtol=1e-7, atol=1e-10)
    assert_allclose(intercept, reference.intercept_, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_ridge_does_not_depend_on_the_scale_of_the_features(factor):
    X, y = blobs()
    vectors = simplex_etf(K, random_state=0)
    coef, intercept = RidgeRegression(moments_of(X, y), vectors).solve(1e-3)
    scaled = RidgeRegression(moments_of(X * factor, y), vectors).solve(1e-3)
    assert_allclose(scaled[0] * factor, coef, rtol=1e-8)
    assert_allclose(scaled[1], intercept, rtol=1e-8)


def test_ridge_without_penalty_is_the_shortest_solution_for_duplicated_features():
    X, y = blobs()
    vectors = simplex_etf(K, random_state=0)
    single, intercept = RidgeRegression(moments_of(X, y), vectors).solve(0.0)
    doubled = np.hstack([X, X, np.ones((len(X), 1))])
    coef, same = RidgeRegression(moments_of(doubled, y), vectors).solve(0.0)
    assert_allclose(coef[:P], single / 2, atol=1e-8)
    assert_allclose(coef[P : 2 * P], single / 2, atol=1e-8)
    assert_allclose(coef[-1], 0, atol=1e-12)
    assert_allclose(same, intercept, atol=1e-8)


@pytest.mark.parametrize("alpha", [1e-4, 0.1])
@pytest.mark.parametrize("target", ["etf", "seli"])
@pytest.mark.parametrize("surplus", [0, 3])
def test_ridge_onto_a_target_has_the_scores_of_one_hot_ridge(alpha, target, surplus):
    X, y = blobs()
    weight = balanced(y)
    if target == "etf":
        classifier = means = simplex_etf(K, K - 1 + surplus, random_state=0)
        factor = K / (K - 1)
    else:
        classifier, means = seli(COUNTS, K - 1 + surplus, random_state=0)
        factor = 1.0
    trace = np.trace(np.cov(X.T, aweights=weight, ddof=0))
    one_hot = Ridge(alpha * trace).fit(X, np.eye(K)[y], weight).predict(X)
    coef, intercept = RidgeRegression(moments_of(X, y, weight), means).solve(alpha)
    scores = (X @ coef + intercept) @ classifier.T
    # One-hot fits sum to one.
    assert_allclose(scores, factor * (one_hot - 1 / K), atol=1e-9)
    assert_array_equal(scores.argmax(axis=1), one_hot.argmax(axis=1))


# --- discriminant analysis ---------------------------------------------------------


def assert_same_scores_up_to_scale(scores, reference):
    scores, reference = centred_rows(scores), centred_rows(reference)
    factor = (scores * reference).sum() / (reference**2).sum()
    assert factor > 0
    assert_allclose(scores, factor * reference, atol=1e-6 * abs(scores).max())


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("shrinkage", [0.0, 1e-13])
def test_discriminant_map_has_the_scores_of_discriminant_analysis(uniform, shrinkage):
    X, y = blobs()
    reference = LinearDiscriminantAnalysis(
        "lsqr", priors=np.full(K, 1 / K) if uniform else None
    ).fit(X, y)
    etf = simplex_etf(K, random_state=0)
    moments = moments_of(X, y, balanced(y) if uniform else None)
    coef, intercept = discriminant_map(moments, etf, shrinkage)
    scores = (X @ coef + intercept) @ etf.T
    assert_same_scores_up_to_scale(scores, reference.decision_function(X))
    assert_array_equal(scores.argmax(axis=1), reference.predict(X))


def test_shrinkage_adds_a_share_of_the_total_variance():
    X, y = blobs()
    weight = balanced(y)
    means = np.array([X[y == k].mean(axis=0) for k in range(K)])
    within = ((X - means[y]).T * weight) @ (X - means[y])
    variance = np.trace(np.cov(X.T, aweights=weight, ddof=0))
    inverse = np.linalg.inv(within + 0.3 * variance * np.eye(P))
    own = np.einsum("kp,pq,kq->k", means, inverse, means)
    expected = X @ inverse @ means.T - own / 2
    etf = simplex_etf(K, random_state=0)
    coef, intercept = discriminant_map(moments_of(X, y, weight), etf, 0.3)
    assert_same_scores_up_to_scale((X @ coef + intercept) @ etf.T, expected)
    projected = means @ coef + intercept
    assert_allclose((projected**2).sum(axis=1).mean(), 1, rtol=1e-10)


def test_absent_classes_and_rows_that_do_not_vary_are_no_obstacle():
    X, y = blobs()
    etf = simplex_etf(K + 2, random_state=0)
    moments = ClassMoments(K + 2, P).update(X, y)
    for coef, intercept in (
        discriminant_map(moments, etf, 1e-3),
        RidgeRegression(moments, etf).solve(0.0),
        discriminant_map(ClassMoments(K + 2, P).update(0 * X, y), etf, 1e-3),
        RidgeRegression(ClassMoments(K + 2, P).update(0 * X, y), etf).solve(0.0),
    ):
        assert np.isfinite(coef).all()
        assert np.isfinite(intercept).all()
