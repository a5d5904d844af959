from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.naive_bayes import GaussianNB

from skcollapse.datasets import LongTailSplit, long_tail_counts, make_long_tailed

PROFILES = ["exp", "step"]


def class_counts(y, index):
    """Class sizes of the subsample, by class in sorted order."""
    y = np.asarray(y)
    return np.array([np.sum(y[index] == label) for label in np.unique(y)])


# long_tail_counts


def test_exponential_counts_of_cifar10_lt():
    expected = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert_array_equal(long_tail_counts(10, 5000, 100), expected)


def test_step_counts_give_the_odd_class_to_the_head():
    assert_array_equal(long_tail_counts(5, 20, 10, profile="step"), [20, 20, 20, 2, 2])


@pytest.mark.parametrize("profile", PROFILES)
def test_round_off_does_not_cost_a_sample(profile):
    # 2900 * 100**-1.0 is 28.999... in floating point
    n_max = 100 * np.arange(1, 200)
    last = [long_tail_counts(10, int(n), 100, profile)[-1] for n in n_max]
    assert_array_equal(last, n_max // 100)


def test_one_class_keeps_all():
    assert_array_equal(long_tail_counts(1, 7, 100), [7])
    assert_array_equal(long_tail_counts(1, 7, 100, profile="step"), [7])


@given(
    n_classes=st.integers(1, 200),
    n_max=st.integers(1, 10**6),
    ratio=st.floats(1, 1e4),
    profile=st.sampled_from(PROFILES),
)
def test_counts_properties(n_classes, n_max, ratio, profile):
    counts = long_tail_counts(n_classes, n_max, ratio, profile)
    assert counts.shape == (n_classes,)
    assert counts.dtype == np.int64
    assert counts[0] == n_max
    assert counts.min() >= 1
    assert (np.diff(counts) <= 0).all()
    if n_classes > 1:
        assert counts[-1] == pytest.approx(max(n_max / ratio, 1), abs=1)
    assert (long_tail_counts(n_classes, n_max + 1, ratio, profile) >= counts).all()


@given(n_classes=st.integers(1, 20), n_max=st.integers(1, 1000))
def test_ratio_one_is_balanced(n_classes, n_max):
    for profile in PROFILES:
        assert (long_tail_counts(n_classes, n_max, 1, profile) == n_max).all()


@pytest.mark.parametrize("ratio", [0.5, 0, -3, np.nan, np.inf, "10", None, True])
def test_bad_ratio(ratio):
    message = f"imbalance_ratio must be a finite number, at least 1; got {ratio!r}"
    with pytest.raises(ValueError, match=message):
        long_tail_counts(3, 10, ratio)
    with pytest.raises(ValueError, match=message):
        make_long_tailed([0, 1], ratio)


@pytest.mark.parametrize("profile", ["linear", None, ["exp"], np.array(["exp"])])
def test_bad_profile(profile):
    for draw in (partial(long_tail_counts, 3, 10), partial(make_long_tailed, [0, 1])):
        with pytest.raises(ValueError, match="profile must be one of 'exp', 'step'"):
            draw(2, profile=profile)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3", np.ones(2)])
def test_bad_counts(value):
    with pytest.raises(ValueError, match="n_classes must be an integer"):
        long_tail_counts(value, 10, 2)
    with pytest.raises(ValueError, match="n_max must be an integer"):
        long_tail_counts(3, value, 2)
    with pytest.raises(ValueError, match="n_max must be an integer"):
        make_long_tailed([0, 1], 2, n_max=value)
    with pytest.raises(ValueError, match="min_per_class must be an integer"):
        make_long_tailed([0, 1], 2, min_per_class=value)


# make_long_tailed


@st.composite
def labels(draw):
    """Integer labels in a random order, every one of a few classes present."""
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))
    y = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(y)


@given(
    y=labels(),
    ratio=st.floats(1, 50),
    profile=st.sampled_from(PROFILES),
    class_order=st.sampled_from([None, "random"]),
    seed=st.integers(0, 99),
)
def test_subsample_properties(y, ratio, profile, class_order, seed):
    options = {"profile": profile, "class_order": class_order, "random_state": seed}
    index = make_long_tailed(y, ratio, **options)
    assert index.dtype == np.int64
    assert (np.diff(index) > 0).all()
    assert index[0] >= 0
    assert index[-1] < len(y)
    counts = class_counts(y, index)
    assert_array_equal(
        np.sort(counts)[::-1],
        long_tail_counts(len(counts), counts.max(), ratio, profile),
    )
    assert_array_equal(index, make_long_tailed(y, ratio, **options))


@given(y=labels(), ratio=st.floats(1, 50), profile=st.sampled_from(PROFILES))
def test_default_n_max_is_the_largest_possible(y, ratio, profile):
    largest = class_counts(y, make_long_tailed(y, ratio, profile=profile)).max()
    make_long_tailed(y, ratio, profile=profile, n_max=int(largest))
    with pytest.raises(ValueError, match="too few samples"):
        make_long_tailed(y, ratio, profile=profile, n_max=int(largest) + 1)


@given(ratio=st.floats(1, 20), factor=st.floats(1, 5), seed=st.integers(0, 99))
def test_subsamples_are_nested(ratio, factor, seed):
    y = np.tile(np.arange(4), 50)
    options = {"n_max": 40, "class_order": "random", "random_state": seed}
    small = make_long_tailed(y, ratio * factor, **options)
    large = make_long_tailed(y, ratio, **options)
    assert np.isin(small, large).all()


def test_all_samples_of_balanced_labels_at_ratio_one():
    y = np.tile(["a", "b"], 5)
    assert_array_equal(make_long_tailed(y, 1, random_state=0), np.arange(10))


@pytest.mark.parametrize(
    "names",
    [
        ["b", "a", "c"],
        [10, -3, 7],
        [2.0, 0.0, 1.0],
        np.array(["x", "yy", "zzz"], dtype=object),
    ],
    ids=["str", "int", "float", "object"],
)
def test_any_label_type(names):
    y = np.repeat(names, 64)
    index = make_long_tailed(y, 16, random_state=0)
    assert_array_equal(class_counts(y, index), [64, 16, 4])
    index = make_long_tailed(y, 16, class_order=np.unique(names)[::-1], random_state=0)
    assert_array_equal(class_counts(y, index), [4, 16, 64])


def test_pandas_labels_are_counted_by_position():
    pd = pytest.importorskip("pandas")
    y = np.repeat(["b", "a", "c"], 64)
    expected = make_long_tailed(y, 16, random_state=0)
    series = pd.Series(y, index=np.arange(len(y))[::-1])
    assert_array_equal(make_long_tailed(series, 16, random_state=0), expected)
    categorical = pd.Categorical(y)
    assert_array_equal(make_long_tailed(categorical, 16, random_state=0), expected)


def test_random_order_follows_the_seed():
    y = np.repeat(np.arange(10), 100)
    heads = {
        np.argmax(
            class_counts(y, make_long_tailed(y, class_order="random", random_state=s))
        )
        for s in range(20)
    }
    assert len(heads) > 3


def test_seed_changes_the_draw_and_not_the_counts():
    y = np.repeat(np.arange(3), 100)
    first, second = (make_long_tailed(y, 10, random_state=s) for s in (0, 1))
    assert_array_equal(class_counts(y, first), class_counts(y, second))
    assert not np.array_equal(first, second)


def test_random_state_instance():
    y = np.repeat(np.arange(3), 100)
    assert_array_equal(
        make_long_tailed(y, 10, random_state=np.random.RandomState(3)),
        make_long_tailed(y, 10, random_state=3),
    )


def test_min_per_class():
    y = np.repeat(np.arange(3), 100)
    index = make_long_tailed(y, 100, min_per_class=5, random_state=0)
    assert_array_equal(class_counts(y, index), [100, 10, 5])


def test_default_n_max_respects_min_per_class():
    y = np.repeat(np.arange(2), [100, 4])
    with pytest.raises(ValueError, match="class 1 needs 5 and has 4"):
        make_long_tailed(y, 100, min_per_class=5)


def test_n_max_below_min_per_class():
    with pytest.raises(ValueError, match="n_max=2 is smaller than min_per_class=3"):
        make_long_tailed(np.repeat([0, 1], 9), 2, n_max=2, min_per_class=3)


def test_too_few_samples_names_class_and_counts():
    y = np.repeat(["head", "mid", "tail"], [30, 4, 50])
    with pytest.raises(ValueError, match="class 'mid' needs 9 and has 4") as error:
        make_long_tailed(y, 9, n_max=27, class_order=["tail", "mid", "head"])
    assert "'head'" not in str(error.value)


@pytest.mark.parametrize(
    "order", [["a"], ["a", "a"], ["a", "c"], ["a", "b", "b"], [["a"], ["b"]]]
)
def test_bad_class_order(order):
    with pytest.raises(ValueError, match="every class of y exactly once"):
        make_long_tailed(["a", "b"], 1, class_order=order)


def test_unknown_class_order_name():
    with pytest.raises(ValueError, match="class_order must be None, 'random'"):
        make_long_tailed(["a", "b"], 1, class_order="sorted")


def test_empty_labels():
    with pytest.raises(ValueError, match="y must hold samples"):
        make_long_tailed([], 2)


def test_labels_must_be_one_dimensional():
    with pytest.raises(ValueError, match="1d array"):
        make_long_tailed(np.zeros((4, 2)), 2)


# LongTailSplit


@given(
    y=labels(),
    n_splits=st.integers(2, 6),
    shuffle=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_class_is_in_every_training_part(y, n_splits, shuffle, seed):
    sizes = np.bincount(y)
    divisible = sizes[sizes > 1].sum()
    cv = LongTailSplit(
        n_splits, shuffle=shuffle, random_state=seed if shuffle else None
    )
    if divisible < n_splits:
        with pytest.raises(ValueError, match=f"n_splits={n_splits} is more than the "):
            next(cv.split(y, y))
        return
    splits = list(cv.split(y, y))
    assert len(splits) == cv.get_n_splits() == n_splits
    held = np.concatenate([test for _, test in splits])
    assert_array_equal(np.sort(held), np.flatnonzero(sizes[y] > 1))
    assert np.ptp([len(test) for _, test in splits]) <= 1
    for train, test in splits:
        assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(y)))
        assert_array_equal(np.unique(y[train]), np.arange(len(sizes)))
    by_fold = np.array(
        [np.bincount(y[test], minlength=len(sizes)) for _, test in splits]
    )
    assert (np.ptp(by_fold, axis=0) <= 1).all()
    assert_array_equal(
        (by_fold > 0).sum(axis=0)[sizes > 1], sizes[sizes > 1].clip(max=n_splits)
    )


def test_test_parts_are_as_large_as_those_of_scikit_learn():
    y = np.random.default_rng(0).permutation(np.repeat(list("abc"), [31, 17, 8]))
    ours, theirs = (
        [np.unique(y[test], return_counts=True)[1] for _, test in cv.split(y, y)]
        for cv in (LongTailSplit(4, shuffle=False), StratifiedKFold(4))
    )
    assert np.abs(np.subtract(ours, theirs)).max() <= 1


def test_rows_that_follow_each_other_share_a_fold():
    y = np.tile([0, 1], 6)
    for _, test in LongTailSplit(3, shuffle=False).split(y, y):
        for k in (0, 1):
            assert_array_equal(np.diff(test[y[test] == k]), [2])


def test_folds_are_reproducible():
    y = np.repeat(list("abcd"), [20, 9, 3, 1])
    cv = LongTailSplit(3, random_state=4)
    assert repr(cv) == "LongTailSplit(n_splits=3, random_state=4, shuffle=True)"
    first, second, other, drawn = (
        np.concatenate([test for _, test in each.split(y, y)])
        for each in (cv, clone(cv, safe=False), LongTailSplit(3, random_state=5), cv)
    )
    assert_array_equal(first, second)
    assert_array_equal(first, drawn)
    assert (first != other).any()


def test_scikit_learn_takes_it():
    y = np.repeat([0, 1, 2], [12, 3, 1])
    X = np.random.default_rng(0).normal(size=(16, 2)) + 4 * y[:, None]
    scores = cross_val_score(GaussianNB(var_smoothing=0.1), X, y, cv=LongTailSplit(4))
    assert scores.shape == (4,)
    with pytest.warns(UserWarning, match="least populated class"):
        lacking = [
            set(y) - set(y[train]) for train, _ in StratifiedKFold(4).split(X, y)
        ]
    assert {2} in lacking  # what it is for


@pytest.mark.parametrize("n_splits", [1, 0, 2.5, "5", None])
def test_bad_number_of_splits(n_splits):
    message = f"n_splits must be an integer, at least 2; got {n_splits!r}"
    with pytest.raises(ValueError, match=message):
        LongTailSplit(n_splits)


def test_bad_splits():
    with pytest.raises(ValueError, match="shuffle must be one of True, False; got 1"):
        LongTailSplit(shuffle=1)
    with pytest.raises(ValueError, match="random_state=3 has no effect"):
        LongTailSplit(shuffle=False, random_state=3)
    split = LongTailSplit(2).split
    with pytest.raises(ValueError, match="more than the 0 rows of y"):
        next(split([[0], [1]], [0, 1]))
    with pytest.raises(ValueError, match="Unknown label type"):
        next(split(np.zeros((3, 1)), [0.1, 0.2, 0.3]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        next(split(np.zeros((3, 1)), [0, 0]))
    with pytest.warns(UserWarning, match="groups parameter is ignored"):
        next(split(np.zeros((4, 1)), [0, 0, 1, 1], groups=[0, 1, 0, 1]))
