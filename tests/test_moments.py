"""Moments against two-pass loops in float64 and against scikit-learn."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import ortho_group
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from skcollapse._utils import parallel as _parallel
from skcollapse.moments import ClassMoments, RowMoments, whitening

ROOM = "skcollapse.moments"
K, D = 5, 4
ATTRIBUTES = "counts", "means", "scatter", "class_scatter_trace"


def two_pass(X, y, n_classes, weights=None):
    """Return counts, means, scatter and trace by explicit loops in float64."""
    X = np.asarray(X, dtype=np.float64)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, np.float64)
    counts = np.zeros(n_classes)
    means = np.full((n_classes, X.shape[1]), np.nan)
    scatter = np.zeros((X.shape[1],) * 2)
    trace = np.zeros(n_classes)
    for k in range(n_classes):
        rows, share = X[y == k], weights[y == k]
        counts[k] = share.sum()
        if counts[k] > 0:
            means[k] = share @ rows / counts[k]
            rows = rows[share > 0] - means[k]
            own = (rows * share[share > 0, None]).T @ rows
            scatter += own
            trace[k] = np.trace(own)
    return counts, means, scatter, trace


def read(moments):
    return tuple(getattr(moments, name) for name in ATTRIBUTES)


def assert_moments(moments, expected, rtol=1e-10, scale=1.0):
    """Compare relative to the size of each moment, `scale` being that of a value."""
    counts, means, scatter, trace = expected
    mass = max(counts.sum(), 1.0)
    assert_allclose(moments.counts, counts, rtol=1e-12)
    assert_allclose(moments.means, means, rtol=rtol, atol=rtol * scale)
    for ours, theirs in (
        (moments.scatter, scatter),
        (moments.class_scatter_trace, trace),
    ):
        assert_allclose(ours, theirs, rtol=rtol, atol=rtol * mass * scale**2)


def sample(seed=0, n_samples=60, n_classes=K, n_features=D):
    rng = np.random.RandomState(seed)
    y = rng.randint(n_classes, size=n_samples)
    X = rng.standard_normal((n_classes, n_features))[y] * 3
    return X + rng.standard_normal(X.shape), y


def gather(X, y, weights=None, n_classes=K):
    return ClassMoments(n_classes, X.shape[1]).update(X, y, weights)


# One batch


def test_two_pass_reference():
    X, y = sample()
    assert_moments(gather(X, y), two_pass(X, y, K))


def test_against_linear_discriminant_analysis():
    X, y = sample()
    lda = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True).fit(X, y)
    moments = gather(X, y)
    assert_allclose(moments.scatter / len(X), lda.covariance_, rtol=1e-12)
    assert_allclose(moments.means, lda.means_, rtol=1e-12)
    assert_allclose(moments.counts / moments.weight_sum, lda.priors_, rtol=1e-12)


def test_shapes_and_dtypes():
    moments = gather(*sample())
    assert (moments.n_classes, moments.n_features, moments.weight_sum) == (K, D, 60)
    assert [values.shape for values in read(moments)] == [(K,), (K, D), (D, D), (K,)]
    assert all(values.dtype == np.float64 for values in read(moments))
    assert_array_equal(moments.scatter, moments.scatter.T)


def test_absent_class():
    X, y = sample(n_classes=2)
    moments = gather(X, y * 2)
    assert_array_equal(moments.counts[[1, 3, 4]], 0)
    assert np.isnan(moments.means[[1, 3, 4]]).all()
    assert np.isfinite(moments.means[[0, 2]]).all()
    assert_array_equal(moments.class_scatter_trace[[1, 3, 4]], 0)
    assert_moments(moments.update(X, y + 3), two_pass(*doubled(X, y * 2, y + 3), K))


def doubled(X, first, second):
    return np.vstack([X, X]), np.concatenate([first, second])


def test_class_of_one_sample_has_no_scatter():
    moments = gather(np.array([[0.1, 1e6]]), [3])
    assert_array_equal(moments.scatter, 0)
    assert_array_equal(moments.means[3], [0.1, 1e6])


def test_before_any_data():
    moments = ClassMoments(2, 3)
    assert moments.weight_sum == 0
    assert np.isnan(moments.means).all()
    assert_array_equal(moments.scatter, np.zeros((3, 3)))
    moments.update(np.empty((0, 3)), [])
    assert moments.weight_sum == 0


def test_attributes_are_copies():
    X, y = sample()
    moments = gather(X, y)
    before = read(moments)
    for values in read(moments):
        values[...] = 7
    moments.update(X, y)
    assert_moments(moments, two_pass(*doubled(X, y, y), K))
    assert_moments(gather(X, y), before)


# Kinds of input


def reversed_view(X):
    return np.ascontiguousarray(X[::-1])[::-1]


def memory_map(X, path):
    np.save(path, X)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", ">f4", "int8", "int64", "uint8"]
)
@pytest.mark.parametrize(
    "layout", [np.ascontiguousarray, np.asfortranarray, reversed_view, memory_map]
)
def test_dtype_and_layout(dtype, layout, tmp_path):
    X, y = sample()
    X = (10 * (X - X.min())).clip(0, 120).astype(dtype)
    options = (tmp_path / "X.npy",) if layout is memory_map else ()
    moments = gather(layout(X, *options), y)
    assert_moments(moments, two_pass(X, y, K), rtol=1e-6, scale=10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_torch_input(dtype):
    X, y = sample()
    X = torch.from_numpy(X).to(dtype)
    expected = two_pass(X.double().numpy(), y, K)
    for rows in (X, X.clone().requires_grad_(), X.T.contiguous().T):
        moments = gather(rows, torch.from_numpy(y))
        assert all(isinstance(values, np.ndarray) for values in read(moments))
        assert_moments(moments, expected, rtol=1e-6, scale=10)


def test_torch_and_numpy_agree_exactly():
    X, y = sample()
    X, weights = X.astype(np.float32), np.arange(len(X), dtype=float)
    expected = read(gather(X, y, weights))
    for labels, share in [(torch.from_numpy(y), weights), (y, torch.tensor(weights))]:
        moments = gather(torch.from_numpy(X), labels, share)
        for ours, theirs in zip(read(moments), expected, strict=True):
            assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "uint64"])
def test_dtype_of_labels(dtype):
    X, y = sample(n_classes=2)
    expected = two_pass(X, y, 2)
    assert_moments(gather(X, y.astype(dtype), n_classes=2), expected)
    assert_moments(gather(X, y.astype(dtype).tolist(), n_classes=2), expected)
    if dtype != "uint64":
        labels = torch.from_numpy(y.astype(dtype))
        assert_moments(gather(torch.from_numpy(X), labels, n_classes=2), expected)


def test_input_is_not_changed():
    X, y = sample()
    weights = np.linspace(0, 1, len(X))
    kept = X.copy(), y.copy(), weights.copy()
    gather(X, y, weights)
    gather(torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(weights))
    for now, before in zip((X, y, weights), kept, strict=True):
        assert_array_equal(now, before)


# Accuracy


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
@pytest.mark.parametrize("spread", [1.0, 1e-2])
@pytest.mark.parametrize("chunk", [2**23, 600])
def test_float32_with_an_offset_and_nearly_collapsed(
    offset, spread, chunk, monkeypatch
):
    monkeypatch.setattr(f"{ROOM}._class_moments._CHUNK_VALUES", chunk)
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=3000)
    X = rng.standard_normal((3, 6))[y] + spread * rng.standard_normal((3000, 6))
    X = (X + offset).astype(np.float32)
    moments = gather(X, y, n_classes=3)
    _, means, scatter, trace = two_pass(X, y, 3)
    assert_allclose(moments.means, means, rtol=1e-13, atol=1e-13)
    assert_allclose(moments.class_scatter_trace, trace, rtol=1e-5)
    difference = np.linalg.norm(moments.scatter - scatter)
    assert difference < 1e-5 * np.linalg.norm(scatter)


def test_collapsed_classes_have_no_scatter():
    # Values that have no short binary form, and sums of them that round.
    means = np.float32([[0.1, 1000.1], [-3.3, 1e7 / 3]])
    y = np.arange(999) % 2
    moments = gather(means[y], y, n_classes=2)
    assert np.abs(moments.scatter).max() < 1e-12
    assert_allclose(moments.means, means, rtol=1e-14)


def test_trace_of_the_scatter():
    X, y = sample(n_samples=500)
    for dtype, rtol in (("float32", 1e-6), ("float64", 1e-12)):
        moments = gather(X.astype(dtype), y)
        total = moments.class_scatter_trace.sum()
        assert_allclose(np.trace(moments.scatter), total, rtol=rtol)


# Many batches


@st.composite
def problems(draw):
    n_samples = draw(st.integers(1, 40))
    X, y = sample(draw(st.integers(0, 1000)), n_samples)
    weights = draw(st.lists(st.integers(0, 4), min_size=n_samples, max_size=n_samples))
    return X, y, np.array(weights)


@given(problem=problems(), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_batch_splits_do_not_matter(problem, cuts):
    X, y, weights = problem
    moments = ClassMoments(K, D)
    for rows in np.split(np.arange(len(X)), sorted(cuts)):
        assert moments.update(X[rows], y[rows], weights[rows]) is moments
    assert_moments(moments, two_pass(X, y, K, weights))


@given(problem=problems(), values=st.integers(1, 10 * D))
def test_chunks_do_not_matter(problem, values):
    X, y, weights = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{ROOM}._class_moments._CHUNK_VALUES", values)
        patch.setattr(f"{ROOM}._rows._SUMMED_ROWS", 3)
        patch.setattr(f"{ROOM}._rows._CENTRED_ROWS", 2)
        moments = gather(X, y, weights)
    assert_moments(moments, two_pass(X, y, K, weights))


@given(problem=problems(), cut=st.integers(0, 40), order=st.permutations(range(3)))
def test_order_of_merging_does_not_matter(problem, cut, order):
    X, y, weights = problem
    rows = np.arange(len(X))
    parts = [rows[:cut], rows[cut::2], rows[cut + 1 :: 2]]
    parts = [gather(X[part], y[part], weights[part]) for part in parts]
    first, second, third = (copy.copy(parts[i]) for i in order)
    expected = two_pass(X, y, K, weights)
    left = copy.copy(first).merge(second).merge(third)
    right = copy.copy(first).merge(copy.copy(second).merge(third))
    assert_moments(left, expected)
    assert_moments(right, expected)


def test_merging_leaves_the_other_alone():
    X, y = sample()
    other = gather(X, y)
    before = read(other)
    moments = ClassMoments(K, D).merge(other)
    moments.update(X, y)
    for now, then in zip(read(other), before, strict=True):
        assert_array_equal(now, then)


def test_merging_with_oneself_doubles():
    X, y = sample()
    moments = gather(X, y)
    assert_moments(moments.merge(moments), two_pass(*doubled(X, y, y), K))


def test_merging_nothing():
    X, y = sample()
    moments = ClassMoments(K, D).merge(gather(X, y)).merge(ClassMoments(K, D))
    assert_moments(moments, two_pass(X, y, K))


# Weights


@given(problem=problems())
def test_weights_are_repetitions(problem):
    X, y, weights = problem
    repeated = np.repeat(np.arange(len(X)), weights)
    assert_moments(gather(X, y, weights), two_pass(X[repeated], y[repeated], K))


@given(problem=problems(), factor=st.floats(1e-3, 1e3))
def test_weights_scale_sums(problem, factor):
    X, y, weights = problem
    plain, scaled = gather(X, y, weights), gather(X, y, weights * factor)
    assert_allclose(scaled.counts, plain.counts * factor)
    assert_allclose(scaled.means, plain.means)
    atol = 1e-10 * factor
    assert_allclose(scaled.scatter, plain.scatter * factor, atol=atol)


def test_rows_of_weight_zero_are_absent():
    X, y = sample()
    weights = np.ones(len(X))
    weights[::3] = 0
    expected = two_pass(X, y, K, weights)
    X[::3] = np.nan
    for rows in (X, torch.from_numpy(X)):
        assert_moments(gather(rows, y, weights), expected)
    assert gather(X, y, np.zeros(len(X))).weight_sum == 0


# Symmetries


@given(problem=problems(), rng=st.randoms(use_true_random=False))
def test_order_of_rows_and_names_of_classes(problem, rng):
    X, y, weights = problem
    rows = np.array(rng.sample(range(len(X)), len(X)))
    names = np.array(rng.sample(range(K), K))
    plain = read(gather(X, y, weights))
    moments = gather(X[rows], names[y[rows]], weights[rows])
    counts, means, scatter, trace = plain
    back = np.argsort(names)
    assert_moments(moments, (counts[back], means[back], scatter, trace[back]))


@given(problem=problems(), scale=st.floats(0.01, 100), offset=st.floats(-1e3, 1e3))
def test_translation_rotation_and_scaling(problem, scale, offset):
    X, y, weights = problem
    turn = ortho_group.rvs(D, random_state=0)
    counts, means, scatter, trace = read(gather(X, y, weights))
    expected = (
        counts,
        scale * means @ turn + offset,
        scale**2 * turn.T @ scatter @ turn,
        scale**2 * trace,
    )
    moments = gather(scale * X @ turn + offset, y, weights)
    assert_moments(moments, expected, rtol=1e-9, scale=scale + abs(offset))


# Memory


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_memory_is_bounded_by_the_chunk(layout, monkeypatch):
    monkeypatch.setattr(f"{ROOM}._class_moments._CHUNK_VALUES", 2**16)
    rng = np.random.RandomState(0)
    X = layout(rng.standard_normal((40_000, 50)).astype(np.float32))
    y = rng.randint(10, size=len(X))
    moments = ClassMoments(10, 50)
    tracemalloc.start()
    try:
        moments.update(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**16 * 4
    assert X.nbytes > 7 * peak


# Accelerators


def on_device(X, y, weights=None):
    """Gather moments as tensors, the CPU standing in for an accelerator."""
    moments = ClassMoments(K, D)
    moments._move(torch.device("cpu"))
    weights = None if weights is None else torch.from_numpy(weights)
    moments._update_chunk(torch.from_numpy(X), torch.from_numpy(y), weights)
    return moments


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("weights", [None, np.linspace(0.1, 2, 60)])
def test_device_and_host_agree(dtype, rtol, weights):
    X, y = sample()
    X = X.astype(dtype)
    found, expected = on_device(X, y, weights), gather(X, y, weights)
    assert_moments(found, read(expected), rtol=rtol, scale=10)


def test_state_on_a_device():
    X, y = sample()
    moments = on_device(X, y)
    assert isinstance(moments._scatter, torch.Tensor)
    assert moments._scatter.dtype == torch.float64
    assert_moments(moments, two_pass(X, y, K))
    twice = two_pass(*doubled(X, y, y), K)
    assert_moments(on_device(X, y).merge(gather(X, y)), twice)
    assert_moments(gather(X, y).merge(moments), twice)
    assert_moments(copy.deepcopy(moments).merge(moments), twice)
    # The state follows the data.
    assert_moments(moments.update(X, y), twice)
    assert isinstance(moments._scatter, np.ndarray)


def test_pickle_of_state_on_a_device_is_on_the_host():
    X, y = sample()
    loaded = pickle.loads(pickle.dumps(on_device(X, y)))
    assert isinstance(loaded._scatter, np.ndarray)
    assert_moments(loaded.update(X, y), two_pass(*doubled(X, y, y), K))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_cuda(dtype):
    X, y = sample(n_samples=2000)
    X = torch.from_numpy(X).to("cuda", dtype)
    weights = np.arange(len(X)) % 4
    moments = gather(X, y, weights)
    assert moments._scatter.is_cuda
    expected = two_pass(X.double().cpu().numpy(), y, K, weights)
    assert_moments(moments, expected, rtol=1e-6, scale=10)
    again = gather(X, torch.from_numpy(y).to("cuda"), weights)
    for one, two in zip(read(moments), read(again), strict=True):
        assert_array_equal(one, two)
    with pytest.raises(ValueError, match="class indices"):
        gather(X, y + 1, weights)


# Objects


def test_without_a_scatter_matrix():
    X, y = sample()
    moments = ClassMoments(K, D, scatter=False).update(X[:30], y[:30])
    moments.merge(ClassMoments(K, D, scatter=False).update(X[30:], y[30:]))
    counts, means, _, trace = two_pass(X, y, K)
    assert_allclose(moments.counts, counts)
    assert_allclose(moments.means, means)
    assert_allclose(moments.class_scatter_trace, trace)
    with pytest.raises(AttributeError, match="Construct ClassMoments with scatter"):
        _ = moments.scatter
    assert pickle.loads(pickle.dumps(moments))._scatter is None
    assert repr(moments).endswith("scatter=False, weight_sum=60)")


def test_pickle_and_copies():
    X, y = sample()
    moments = gather(X, y)
    expected = read(moments)
    for twin in (
        pickle.loads(pickle.dumps(moments)),
        copy.copy(moments),
        copy.deepcopy(moments),
    ):
        assert repr(twin) == repr(moments)
        twin.update(X, y)
        assert_moments(twin, two_pass(*doubled(X, y, y), K))
        for now, before in zip(read(moments), expected, strict=True):
            assert_array_equal(now, before)


def test_repr():
    X, y = sample()
    expected = "ClassMoments(n_classes=5, n_features=4, weight_sum=60)"
    assert repr(gather(X, y)) == expected


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None, True])
def test_sizes(value):
    with pytest.raises(ValueError, match="n_classes must be an integer, at least 1"):
        ClassMoments(value, 3)
    with pytest.raises(ValueError, match="n_features must be an integer, at least 1"):
        ClassMoments(3, value)


X3 = np.ones((3, D))


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize(
    ("X", "y", "weights", "message"),
    [
        (np.ones((3, 5)), [0, 1, 2], None, r"\(n_samples, 4\), got \(3, 5\)"),
        (np.ones(4), [0], None, r"\(n_samples, 4\), got \(4,\)"),
        (X3, [0, 1], None, r"each of the 3 rows of X, got the shape \(2,\)"),
        (X3, [[0], [1], [2]], None, r"got the shape \(3, 1\)"),
        (X3, [0, 1, 5], None, "from 0 to n_classes - 1 = 4, got values from 0 to 5"),
        (X3, [0, -1, 2], None, "got values from -1 to 2"),
        (X3, [0.0, 1.0, 2.0], None, "got the dtype .*float.*LabelEncoder"),
        (X3, [0, 1, 2], [1.0, 2.0], r"sample_weight .* got the shape \(2,\)"),
        (X3, [0, 1, 2], [1.0, -1.0, 0.5], "not negative, got values from -1 to 1"),
        (X3, [0, 1, 2], [1.0, np.inf, 0.5], "finite .* to inf"),
        (X3, [0, 1, 2], [1.0, np.nan, 0.5], "finite .* nan"),
    ],
)
def test_bad_batches_leave_the_moments_alone(kind, X, y, weights, message):
    moments = gather(*sample())
    weights = None if weights is None else kind(weights)
    with pytest.raises(ValueError, match=message):
        moments.update(kind(X), kind(y), weights)
    assert_moments(moments, two_pass(*sample(), K))


def test_bad_labels_of_words():
    with pytest.raises(ValueError, match="integer class indices"):
        gather(X3, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            ClassMoments(4, D),
            "different n_classes cannot be merged: 5 and, in other, 4",
        ),
        (
            ClassMoments(K, 7),
            "different n_features cannot be merged: 4 and, in other, 7",
        ),
        (ClassMoments(K, D, scatter=False), "with and without a scatter matrix"),
    ],
)
def test_merging_what_does_not_fit(other, message):
    with pytest.raises(ValueError, match=message):
        ClassMoments(K, D).merge(other)


def test_merging_something_else():
    with pytest.raises(TypeError, match="other must be ClassMoments; got 3"):
        ClassMoments(K, D).merge(3)


# A scatter matrix for each class


def test_scatter_of_each_class():
    X, y = sample()
    moments = ClassMoments(K, D, scatter="class").update(X[:25], y[:25])
    moments.merge(ClassMoments(K, D, scatter="class").update(X[25:40], y[25:40]))
    moments.update(X[40:], y[40:])
    expected = [np.cov(X[y == k].T, bias=True) * (y == k).sum() for k in range(K)]
    assert_allclose(moments.class_scatter, expected, rtol=1e-10, atol=1e-10)
    assert_moments(moments, two_pass(X, y, K))
    assert moments.gathers == "class"
    assert repr(moments).endswith("scatter='class', weight_sum=60)")
    twin = pickle.loads(pickle.dumps(moments))
    assert_array_equal(twin.class_scatter, moments.class_scatter)
    with pytest.raises(ValueError, match="same value of scatter"):
        moments.merge(ClassMoments(K, D))
    with pytest.raises(AttributeError, match='with scatter="class"'):
        _ = gather(X, y).class_scatter


def test_scatter_of_each_class_on_a_device():
    X, y = sample()
    moments = ClassMoments(K, D, scatter="class")
    moments._move(torch.device("cpu"))
    for part in (slice(30), slice(30, 60)):
        rows = torch.from_numpy(X[part]), torch.from_numpy(y[part])
        moments._update_chunk(*rows, None)
    assert isinstance(moments._scatter, torch.Tensor)
    expected = ClassMoments(K, D, scatter="class").update(X, y).class_scatter
    assert_allclose(moments.class_scatter, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("value", ["classes", 1, None])
def test_value_of_scatter(value):
    with pytest.raises(ValueError, match="scatter must be one of True, False, 'class'"):
        ClassMoments(K, D, scatter=value)


# Whitening


@pytest.mark.parametrize(("n_classes", "n_features"), [(5, 9), (9, 5), (6, 5), (2, 1)])
@pytest.mark.parametrize("rank", [None, 1])
def test_whitening_factors_the_pseudo_inverse(n_classes, n_features, rank):
    rng = np.random.default_rng(0)
    means = rng.standard_normal((n_classes, n_features))
    full = min(n_classes - 1, n_features)
    if rank is not None:
        means = means[:, :1] * rng.standard_normal(n_features) + 1000
        full = 1
    centred = means - means.mean(axis=0)
    factor = whitening(means)
    assert factor.shape == (n_features, full)
    expected = np.linalg.pinv(centred.T @ centred, rcond=1e-9, hermitian=True)
    atol = 1e-9 * np.abs(expected).max()
    assert_allclose(factor @ factor.T, expected, rtol=1e-7, atol=atol)


def test_whitening_of_what_does_not_differ():
    assert whitening(np.ones((1, 3))).shape == (3, 0)
    assert whitening(np.full((4, 3), 0.1)).shape == (3, 0)


# Rows that stay where they are


def assert_same(rows, stream, rtol=1e-10, scale=1.0):
    counts, means, scatter, trace = read(stream)
    assert_moments(rows, (counts, means, scatter, trace), rtol, scale)
    found, expected = rows.class_whitened_trace, stream.class_whitened_trace
    assert_allclose(found, expected, rtol=1e3 * rtol, atol=1e-20)
    found, expected = rows.whitened_trace, stream.whitened_trace
    assert_allclose(found, expected, rtol=1e3 * rtol, atol=1e-20)


def streamed(X, y, weights=None):
    return ClassMoments(K, X.shape[1], scatter="class").update(X, y, weights)


@given(problem=problems(), values=st.integers(1, 10 * D), threads=st.integers(1, 3))
def test_rows_and_stream_agree(problem, values, threads):
    X, y, weights = problem
    weights = weights + (np.arange(len(X)) < 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{ROOM}._row_moments._BLOCK_VALUES", values)
        patch.setattr(f"{ROOM}._row_moments._SUMMED_VALUES", values)
        patch.setattr(_parallel, "_SMALL", 0)
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            rows = RowMoments(X, y, K, weights)
            _ = rows.class_scatter_trace
        finally:
            torch.set_num_threads(before)
    assert_same(rows, streamed(X, y, weights))
    assert_array_equal(rows.sizes, np.bincount(y[weights > 0], minlength=K))


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", ">f4", "int8", "int64", "uint8"]
)
@pytest.mark.parametrize(
    "layout", [np.ascontiguousarray, np.asfortranarray, reversed_view, memory_map]
)
def test_rows_of_any_dtype_and_layout(dtype, layout, tmp_path):
    X, y = sample()
    X = (10 * (X - X.min())).clip(0, 120).astype(dtype)
    options = (tmp_path / "X.npy",) if layout is memory_map else ()
    rows = RowMoments(layout(X, *options), y, K)
    assert_same(rows, streamed(X.astype(float), y), rtol=1e-6, scale=10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int32])
def test_rows_of_torch(dtype):
    X, y = sample()
    X = torch.from_numpy(10 * X).to(dtype)
    rows = RowMoments(X, torch.from_numpy(y), K)
    assert_same(rows, streamed(X.double().numpy(), y), rtol=1e-6, scale=30)


def test_rows_of_weight_zero_may_hold_anything():
    X, y = sample()
    weights = np.arange(len(X)) % 3.0
    kept = weights > 0
    expected = streamed(X[kept], y[kept], weights[kept])
    X[~kept] = np.nan
    assert_same(RowMoments(X, y, K, weights), expected)
    assert_same(
        RowMoments(torch.from_numpy(X), y, K, torch.from_numpy(weights)), expected
    )


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_functions_of_the_rows(offset):
    X, y = sample()
    X += offset
    moments = RowMoments(X, y, K, 1 + y)
    assert moments.centres.any() == bool(offset)
    largest, total, ones = moments.sum_by_class(
        lambda rows, projected, labels: rows.abs().amax(dim=1),
        lambda rows, projected, labels: projected.abs().sum(dim=1),
        lambda rows, projected, labels: labels >= 0,
    )

    def expected(values):
        return [(1 + k) * values[y == k].sum() for k in range(K)]

    gaps = np.abs(X - moments.centres[y]).max(axis=1)
    assert_allclose(largest, expected(gaps))
    projected = (X - moments.means[y]) @ moments.whitening
    assert_allclose(total, expected(np.abs(projected).sum(axis=1)))
    assert_allclose(ones, moments.counts)


@pytest.mark.parametrize("offset", [0.0, 0.7, 5.0, 1000.0])
@pytest.mark.parametrize("spread", [1.0, 0.1, 0.01])
def test_float32_rows_are_as_exact_as_float64(spread, offset):
    # Some of these are centred and some are not; the results do not show which.
    rng = np.random.default_rng(0)
    y = rng.integers(K, size=400)
    X = rng.standard_normal((K, 50))[y] + spread * rng.standard_normal((400, 50))
    X = (X + offset).astype(np.float32)
    rows, exact = RowMoments(X, y, K), RowMoments(X.astype(np.float64), y, K)
    assert rows.centres.any() == (1 + offset**2 + spread**2 > 64 * spread**2)
    for name in ("class_scatter_trace", "class_whitened_trace"):
        assert_allclose(getattr(rows, name), getattr(exact, name), rtol=1e-5)


def test_threads_are_as_before():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), _parallel.one_thread:
        _ = 1 / 0
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones(3), [0, 0, 0], r"\(n_samples, n_features\), got \(3,\)"),
        (X3, [0, 1], "each of the 3 rows"),
        (X3, [0, 1, 5], "from 0 to 5"),
        (np.ones((3, 0)), [0, 1, 2], "n_features must be an integer, at least 1"),
    ],
)
def test_bad_rows(X, y, message):
    with pytest.raises(ValueError, match=message):
        RowMoments(X, y, K)


def test_memory_of_rows_is_bounded_by_the_block(monkeypatch, tmp_path):
    for name in ("_BLOCK_VALUES", "_SUMMED_VALUES"):
        monkeypatch.setattr(f"{ROOM}._row_moments.{name}", 2**14)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40_000, 50)).astype(np.float32)
    y = rng.integers(10, size=len(X))
    mapped = memory_map(X, tmp_path / "X.npy")
    for rows in (X, mapped):
        tracemalloc.start()
        try:
            _ = RowMoments(rows, y, 10).class_whitened_trace
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        # Labels are copied; blocks are summed in float64.
        assert peak < y.nbytes + 6 * 2**14 * 8
        assert peak < X.nbytes / 4


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_rows_on_cuda(dtype):
    X, y = sample(n_samples=2000)
    X = torch.from_numpy(X).to("cuda", dtype)
    weights = np.arange(len(X)) % 4
    rows = RowMoments(X, torch.from_numpy(y).to("cuda"), K, weights)
    expected = streamed(X.double().cpu().numpy(), y, weights)
    assert_same(rows, expected, rtol=1e-6, scale=10)


def test_rows_on_a_device():
    # The CPU stands in for an accelerator.
    X, y = sample()
    weights = np.linspace(0, 2, len(X))
    rows = RowMoments.__new__(RowMoments)
    device = torch.device("cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{ROOM}._row_moments.host_device", lambda X: device)
        rows.__init__(torch.from_numpy(X), y, K, weights)
        assert_same(rows, streamed(X, y, weights))


# One row that is far from all others


@pytest.mark.parametrize("length", [1e5, 1e7, 1e9])
@pytest.mark.parametrize("n_features", [4, 30])
def test_a_row_far_away_in_float32(length, n_features):
    X, y = sample(n_samples=300, n_features=n_features)
    X[7] = length * np.random.default_rng(0).standard_normal(n_features)
    short = X.astype(np.float32)
    X = short.astype(np.float64)
    exact = RowMoments(X, y, K)
    # The square of the row has as many digits as float64, the scatter no more.
    rtol = 1e-2 if length == 1e9 else 1e-4
    parts = np.split(np.arange(300), [5, 100, 200])
    for stream in (streamed(short, y), ClassMoments(K, n_features, scatter="class")):
        if not stream.weight_sum:
            for part in parts:
                stream.update(short[part], y[part])
        assert_allclose(stream.means, exact.means, rtol=1e-12)
        assert_allclose(stream.whitened_trace, exact.whitened_trace, rtol=rtol)
    pooled = ClassMoments(K, n_features)
    for part in parts:
        pooled.update(torch.from_numpy(short[part]), y[part])
    assert_allclose(pooled.whitened_trace, exact.whitened_trace, rtol=rtol)
    rows = RowMoments(short, y, K)
    assert_allclose(rows.means, exact.means, rtol=1e-12)
    assert_allclose(rows.class_whitened_trace, exact.class_whitened_trace, rtol=1e-9)


# Batches that fail


@pytest.mark.parametrize("scatter", [True, False, "class"])
@pytest.mark.parametrize("failing", ["_add_scatter", "_merge_classes"])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("way", ["update", "merge"])
def test_an_interrupted_batch_leaves_the_moments_alone(
    scatter, failing, after, way, monkeypatch
):
    X, y = sample()
    moments = ClassMoments(K, D, scatter=scatter).update(X[:20], y[:20])
    other = ClassMoments(K, D, scatter=scatter).update(X, y)
    before = pickle.dumps(moments)
    monkeypatch.setattr(f"{ROOM}._class_moments._CHUNK_VALUES", 20 * D)
    calls = 0
    method = getattr(ClassMoments, failing)

    def interrupted(self, *args):
        nonlocal calls
        result = method(self, *args)
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(ClassMoments, failing, interrupted)
        try:
            moments.update(X, y) if way == "update" else moments.merge(other)
        except KeyboardInterrupt:
            assert pickle.dumps(moments) == before
        else:
            assert calls <= after
    moments = pickle.loads(before).update(X, y)
    assert_allclose(
        moments.counts, np.bincount(y, minlength=K) + np.bincount(y[:20], minlength=K)
    )
