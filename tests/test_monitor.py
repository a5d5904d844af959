"""The monitor: which epochs it measures, and what it keeps."""

import pickle

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from torch.utils.data import DataLoader, TensorDataset

from skcollapse import ETFClassifier, HUGClassifier, NeuralCollapseScorer
from skcollapse.display import CollapseDisplay
from skcollapse.monitor import CollapseMonitor
from skcollapse.projectors import MLP
from skcollapse.training import Trainer

needs_callbacks = pytest.mark.skipif(
    not hasattr(LogisticRegression, "set_callbacks"),
    reason="scikit-learn has callbacks from version 1.9 on",
)
NETWORK = ETFClassifier(
    projector=MLP(hidden_layer_sizes=(8,)),
    trainer=Trainer(learning_rate="constant", learning_rate_init=0.02),
    max_iter=7,
    random_state=0,
)


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
    with pytest.raises(ValueError, match="every must be an integer, at least 1"):
        CollapseMonitor(every=every)


@pytest.mark.parametrize("scorer", [3, "nc1", NeuralCollapseScorer])
def test_a_scorer_of_another_kind(scorer):
    with pytest.raises(TypeError, match="scorer must be a NeuralCollapseScorer"):
        CollapseMonitor(scorer)


@pytest.mark.parametrize("epoch", ["3", 1.5, -1])
def test_bad_epoch(epoch, iris):
    with pytest.raises(ValueError, match="epoch must be an integer, at least 0"):
        CollapseMonitor().record(*iris, epoch=epoch)


# --- as a callback -----------------------------------------------------------------


@needs_callbacks
@pytest.mark.parametrize(
    "estimator",
    [
        NETWORK,
        clone(NETWORK).set_params(trainer__early_stopping=True),
        HUGClassifier(
            proxy="orthogonal",
            trainer=Trainer(learning_rate="constant"),
            max_iter=7,
            random_state=0,
        ),
    ],
    ids=["network", "early", "proxies"],
)
def test_iterations_of_a_classifier(estimator, iris):
    X, y = iris
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    monitor = CollapseMonitor(NeuralCollapseScorer(ridge=0.1), every=3)
    model = clone(estimator).set_callbacks(monitor).fit(X, y, weight)
    # The seventh is the last.
    assert list(monitor.reports) == [3, 6, 7]
    for epoch, report in monitor.reports.items():
        # At a constant learning rate shorter training is the beginning of longer.
        shorter = clone(estimator).set_params(max_iter=epoch).fit(X, y, weight)
        scorer = NeuralCollapseScorer(shorter.target_, ridge=0.1)
        expected = scorer.fit(shorter.transform(X), y, weight).report_
        assert_allclose(
            list(report.to_dict().values()), list(expected.to_dict().values())
        )
    assert model.n_iter_ == 7
    display = CollapseDisplay.from_history(monitor.reports)
    assert display.axes_.shape == (2, 2)
    plt.close(display.figure_)


@needs_callbacks
@pytest.mark.parametrize("parameters", [{}, {"solver": "closed_form"}])
def test_an_average_and_a_closed_form_have_an_end(parameters, iris):
    monitor = CollapseMonitor(every=100)
    model = ETFClassifier(random_state=0, **parameters).set_callbacks(monitor)
    model.fit(*iris)
    assert list(monitor.reports) == [model.n_iter_]
    features = model.transform(iris[0])
    expected = NeuralCollapseScorer(model.target_).fit(features, iris[1]).report_
    assert monitor.reports[model.n_iter_].to_dict() == expected.to_dict()


@needs_callbacks
def test_a_fit_begins_a_new_history(iris):
    X, y = iris
    monitor = CollapseMonitor(every=2)
    model = clone(NETWORK).set_callbacks(monitor).fit(X, y)
    first = monitor.reports
    model.set_params(max_iter=3).fit(X, y)
    assert list(first) == [2, 4, 6, 7]
    assert list(monitor.reports) == [2, 3]
    assert first[2].to_dict() == monitor.reports[2].to_dict()
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict(X), model.predict(X))


@needs_callbacks
@pytest.mark.parametrize(
    ("n_jobs", "backend"), [(1, "sequential"), (2, "threading"), (2, "loky")]
)
def test_a_grid_search_leaves_the_reports_of_the_refit(n_jobs, backend, iris):
    monitor = CollapseMonitor(every=2)
    search = GridSearchCV(
        clone(NETWORK).set_callbacks(monitor), {"max_iter": [3, 7]}, cv=2, n_jobs=n_jobs
    )
    with joblib.parallel_backend(backend):
        search.fit(*iris)
    assert monitor.reports
    alone = CollapseMonitor(every=2)
    clone(search.best_estimator_).set_callbacks(alone).fit(*iris)
    found, expected = (
        {epoch: report.to_dict() for epoch, report in m.reports.items()}
        for m in (monitor, alone)
    )
    assert found == expected


@needs_callbacks
def test_other_estimators_are_refused(iris):
    model = LogisticRegression().set_callbacks(CollapseMonitor())
    with pytest.raises(TypeError, match="not LogisticRegression"):
        model.fit(*iris)
