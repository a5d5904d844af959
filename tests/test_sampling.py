"""Which rows make an epoch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from skcollapse.network import SAMPLERS, EpochOrder, class_probabilities

COUNTS = np.array([640, 160, 40, 10])
Y = torch.from_numpy(np.random.default_rng(0).permutation(np.repeat(range(4), COUNTS)))
every_sampler = pytest.mark.parametrize("sampler", [None, *SAMPLERS])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_probabilities_of_classes():
    probabilities = class_probabilities(torch.from_numpy(COUNTS), "square_root")
    expected = np.sqrt(COUNTS) / np.sqrt(COUNTS).sum()
    np.testing.assert_allclose(probabilities, expected, rtol=1e-14)
    np.testing.assert_array_equal(
        class_probabilities(torch.tensor([5, 0, 1, 0]), "balanced"), [0.5, 0, 0.5, 0]
    )


def test_without_a_sampler_every_row_comes_once():
    epochs = EpochOrder(Y, 4)
    draw = generator()
    first, second = epochs(draw), epochs(draw)
    assert torch.equal(first.sort().values, torch.arange(len(Y)))
    assert torch.equal(second.sort().values, torch.arange(len(Y)))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("sampler", "share"), [("balanced", np.ones(4)), ("square_root", np.sqrt(COUNTS))]
)
def test_rows_come_as_often_as_expected(sampler, share):
    epochs, draw = EpochOrder(Y, 4, sampler), generator()
    n_epochs = 40
    drawn = torch.cat([epochs(draw) for _ in range(n_epochs)])
    expected_rows = (share / share.sum() / COUNTS)[Y] * len(drawn)
    of_class = Y[drawn].bincount(minlength=4).numpy()
    of_row = drawn.bincount(minlength=len(Y)).numpy()
    # Expected counts of a row are from 13 to 850.
    assert chisquare(of_class, share / share.sum() * len(drawn)).pvalue > 1e-3
    assert chisquare(of_row, expected_rows).pvalue > 1e-3


@every_sampler
@given(
    y=st.lists(st.integers(0, 5), min_size=1, max_size=30), seed=st.integers(0, 2**32)
)
@settings(max_examples=30, deadline=None)
def test_an_epoch_is_of_rows(sampler, y, seed):
    y = torch.tensor(y)
    order = EpochOrder(y, 6, sampler)(generator(seed))
    assert order.shape == y.shape
    assert order.dtype == torch.int64
    assert ((order >= 0) & (order < len(y))).all()


@every_sampler
def test_the_generator_says_it_all(sampler):
    state = torch.get_rng_state()
    first = EpochOrder(Y, 4, sampler)(generator(1))
    assert torch.equal(EpochOrder(Y, 4, sampler)(generator(1)), first)
    assert not torch.equal(EpochOrder(Y, 4, sampler)(generator(2)), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_more_rows_than_torch_tells_apart():
    n = 2**24 + 10
    y = torch.zeros(n, dtype=torch.int64)
    y[:5] = 1
    epochs = EpochOrder(y, 2, "balanced")
    epochs.n_rows = 1000  # enough to look at
    order = epochs(generator())
    share = (order < 5).double().mean()
    assert abs(share - 0.5) < 0.08  # five standard deviations
    assert order.max() > n / 2


@pytest.mark.parametrize("sampler", ["uniform", 1])
def test_bad_samplers_are_refused(sampler):
    with pytest.raises(ValueError, match=rf"sampler must .* got {sampler!r}"):
        EpochOrder(Y, 4, sampler)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="y must have rows"):
        EpochOrder(Y[:0], 4, "balanced")
