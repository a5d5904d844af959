"""The monitor: which epochs it measures, and what it keeps."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from torch.utils.data import DataLoader, TensorDataset

from skcollapse import NeuralCollapseScorer
from skcollapse.monitor import CollapseMonitor


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def test_features_every_few_epochs(iris):
    X, y = iris
    means = np.array([X[y == k].mean(axis=0) for k in range(3)])[y]
    monitor = CollapseMonitor(every=3)
    returned = [
        monitor.record(means + 0.5**epoch * (X - means), y) for epoch in range(8)
    ]
    assert list(monitor.reports) == [0, 3, 6]
    assert [report is not None for report in returned] == [e % 3 == 0 for e in range(8)]
    epochs, cdnv = monitor.curve("cdnv")
    assert_array_equal(epochs, [0, 3, 6])
    # Variances fall by the square of the factor.
    assert_allclose(cdnv, cdnv[0] * 0.25 ** np.array([0, 3, 6]))
    with pytest.raises(KeyError):
        monitor.curve("nc3_cosine")


def test_epochs_may_be_given(iris):
    monitor = CollapseMonitor(every=10)
    assert monitor.record(*iris, epoch=15) is None
    monitor.record(*iris, epoch=20)
    for _ in range(10):
        monitor.record(*iris)
    assert list(monitor.reports) == [20, 30]


def test_the_scorer_says_how(iris):
    scorer = NeuralCollapseScorer(split="test", ridge=0.5)
    monitor = CollapseMonitor(scorer)
    W = np.eye(3, 4)
    report = monitor.record(*iris, classifier=W)
    expected = NeuralCollapseScorer(W, split="test", ridge=0.5).fit(*iris).report_
    assert report.to_dict() == expected.to_dict()
    assert report.split == "test"
    assert not hasattr(scorer, "classes_")


def test_networks(iris):
    X, y = map(torch.from_numpy, iris)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    )
    loader = DataLoader(TensorDataset(X.float(), y), 50)
    monitor = CollapseMonitor(every=2)
    report = monitor.record_network(network, loader)
    expected = NeuralCollapseScorer().fit_network(network, loader).report_
    assert report.to_dict() == expected.to_dict()
    # In between nothing is looked at.
    assert monitor.record_network(None, None) is None
    with torch.no_grad():
        network[-1].weight.zero_()
        network[-1].weight[:, 0] = torch.tensor([1.0, 2.0, 3.0])
    monitor.record_network(network, loader)
    assert monitor.reports[2]["nc1"] == monitor.reports[0]["nc1"]
    assert monitor.reports[2]["nc3_cosine"] != monitor.reports[0]["nc3_cosine"]


@pytest.mark.parametrize("every", [0, 1.5, True, "2"])
def test_bad_interval(every):
    with pytest.raises(ValueError, match="every must be an integer of at least 1"):
        CollapseMonitor(every=every)
