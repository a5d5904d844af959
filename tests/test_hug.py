"""Codes in few dimensions: HUGClassifier, its proxies, and which class gets what."""

import copy
import pickle
from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from threadpoolctl import threadpool_limits
from torch import nn

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.losses import CrossEntropy, DotRegression, HypersphericalUniformityGap
from skcollapse.measures import min_angle, uniformity
from skcollapse.network import PROXIES
from skcollapse.projectors import MLP
from skcollapse.targets import class_similarity, hyperspherical_code
from skcollapse.training import Trainer

COUNTS = np.array([60, 24, 12, 8, 6])
K, P = len(COUNTS), 6
TRAINED = {
    "trainer": Trainer(learning_rate_init=0.03, batch_size=32),
    "max_iter": 40,
    "feature_scaling": "standard",
}
FIXED = {"projector": "linear", "feature_scaling": "standard"}
every_proxy = pytest.mark.parametrize("proxy", ["fixed", *PROXIES])
every_trained = pytest.mark.parametrize("proxy", PROXIES)
every_criterion = pytest.mark.parametrize("criterion", ["mhe", "mhs", "mgd"])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Leave matrices this small to one thread: more would wait for each other."""
    with threadpool_limits(1):
        yield


def blobs(seed=0, counts=COUNTS):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(K), counts))
    centers = 2.5 * np.random.default_rng(7).normal(size=(K, P))
    return centers[y] + rng.normal(size=(len(y), P)), y


X, Y = blobs()
NEW, NEW_Y = blobs(1, np.full(K, 20))


def trainer(**parameters):
    """Return a trainer that differs in these parameters."""
    return clone(TRAINED["trainer"]).set_params(**parameters)


def fit(X=X, y=Y, sample_weight=None, **parameters):
    given = FIXED if parameters.get("proxy", "fixed") == "fixed" else TRAINED
    model = HUGClassifier(
        **{"random_state": 0, "n_components": 2, **given, **parameters}
    )
    return model.fit(X, y, sample_weight)


# --- unconstrained features ---------------------------------------------------------


def train_free_features(classifier, counts, epochs=400):
    """Train a feature for each sample, which nothing constrains; return all and y."""
    y = np.repeat(np.arange(len(counts)), counts)
    # A linear map of one-hot rows: every row is projected to where it likes.
    X = np.eye(len(y))
    classifier.set_params(
        projector="linear",
        feature_scaling=None,
        assignment="identity",
        solver="adamw",
        alpha=0.0,
        max_iter=epochs,
        tol=0.0,
        trainer=Trainer(
            learning_rate_init=0.05, batch_size=len(y), n_iter_no_change=epochs
        ),
        random_state=0,
    )
    features = classifier.fit(X, y).transform(X)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features, classifier.target_, y


@pytest.mark.parametrize(
    ("n_classes", "n_components"), [(3, 2), (4, 3), (5, 6), (6, 3), (7, 2)]
)
@pytest.mark.parametrize("proxy", ["learnable", "class_mean"])
def test_free_features_collapse_to_the_code(n_classes, n_components, proxy):
    counts = [12, 2, *range(3, n_classes + 1)]
    optimum = hyperspherical_code(n_classes, n_components, random_state=0)
    model = HUGClassifier(proxy=proxy, n_components=n_components)
    features, vectors, y = train_free_features(model, counts)
    expected = uniformity(optimum, s=1.0)
    means = np.array([features[y == k].mean(axis=0) for k in range(n_classes)])
    for found in (vectors, means):
        assert uniformity(found, s=1.0) == pytest.approx(expected, rel=1e-3)
    assert np.linalg.norm(features - vectors[y], axis=1).max() < 5e-3


@every_criterion
def test_free_features_collapse_under_every_criterion(criterion):
    model = HUGClassifier(criterion, proxy="learnable", n_components=3)
    features, vectors, y = train_free_features(model, [9, 2, 3, 4, 5, 6], 800)
    # The octahedron, under each of them.
    assert min_angle(vectors) == pytest.approx(90, abs=1)
    assert np.linalg.norm(features - vectors[y], axis=1).max() < 5e-3


@pytest.mark.parametrize(
    ("loss", "cosine"),
    [
        # Flat near its minimum.
        (DotRegression(), 1 - 0.03),
        (CrossEntropy(scale=2.0), 1 - 1e-3),
        (HypersphericalUniformityGap(), 1 - 1e-6),
    ],
)
def test_free_features_go_to_fixed_vectors(loss, cosine):
    model = ETFClassifier("hyperspherical", loss=loss, n_components=4)
    features, simplex, y = train_free_features(model, [12, 2, 3, 4, 5])
    assert ((features * simplex[y]).sum(axis=1) > cosine).all()


# --- proxies ------------------------------------------------------------------------


def test_fixed_proxies_are_a_target_of_the_other_classifier():
    ours = fit()
    loss = HypersphericalUniformityGap(weighting="sample")
    theirs = ETFClassifier(
        "hyperspherical",
        loss=loss,
        n_components=2,
        class_weight="balanced",
        random_state=0,
        **FIXED,
    ).fit(X, Y)
    assert_array_equal(ours.target_, theirs.target_)
    assert_array_equal(ours.decision_function(NEW), theirs.decision_function(NEW))
    assert_array_equal(ours.class_counts_, COUNTS)


@every_proxy
def test_every_proxy_learns(proxy):
    for n_components in (3, K - 1, K + 2):
        model = fit(proxy=proxy, n_components=n_components)
        assert model.target_.shape == (K, n_components)
        assert_allclose(np.linalg.norm(model.target_, axis=1), 1)
        assert_array_equal(model.target_, model.target_means_)
        assert_allclose(np.linalg.norm(model.transform(NEW), axis=1), 1)
        if n_components >= K - 1:
            assert balanced_accuracy_score(NEW_Y, model.predict(NEW)) > 0.85
        scores = model.transform(NEW) @ model.target_.T / model.temperature_
        assert_allclose(model.decision_function(NEW), scores, atol=1e-10)
        assert_allclose(model.predict_proba(NEW).sum(axis=1), 1)
        assert np.isfinite(model.loss_curve_).all()


def test_learnable_proxies_do_not_look_at_the_features():
    parameters = {"proxy": "learnable", "assignment": "identity"}
    other = np.random.default_rng(3).normal(size=X.shape)
    model, elsewhere = fit(**parameters), fit(other, **parameters)
    assert_allclose(model.target_, elsewhere.target_, atol=1e-12)
    start = np.linalg.norm(model.target_[0] - fit(max_iter=1, **parameters).target_[0])
    assert start > 0.1


def test_orthogonal_proxies_turn_the_code():
    before = fit(proxy="fixed", n_components=3).target_
    after = fit(proxy="orthogonal", n_components=3).target_
    assert_allclose(after @ after.T, before @ before.T, atol=1e-6)
    assert abs(after - before).max() > 0.05


def test_class_means_are_proxies():
    model = fit(proxy="class_mean", n_components=3)
    Z = model.transform(X)
    means = np.array([Z[k == Y].mean(axis=0) for k in range(K)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert_allclose(model.target_, means, atol=1e-6)
    # The term between classes moves features: without it they are not as uniform.
    alone = fit(proxy="class_mean", n_components=3, inter_weight=1e-3)
    assert uniformity(model.target_) < uniformity(alone.target_)


@every_criterion
def test_criteria_and_exponents_choose_the_code(criterion):
    code = fit(criterion=criterion, s=3.0, n_components=3).target_
    expected = hyperspherical_code(K, 3, criterion=criterion, s=3.0, random_state=1)
    assert min_angle(code) == pytest.approx(min_angle(expected), abs=1e-4)
    assert uniformity(code) == pytest.approx(uniformity(expected), abs=1e-6)


@every_proxy
def test_copies_predict_the_same(proxy):
    torch.manual_seed(1)
    state = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    model = fit(proxy=proxy)
    for copied in (
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
        clone(model).fit(X, Y),
    ):
        assert_array_equal(copied.predict_proba(NEW), model.predict_proba(NEW))
        assert_array_equal(copied.target_, model.target_)
        if proxy != "fixed":  # and go on the same
            again = copy.deepcopy(model).partial_fit(X, Y)
            assert_array_equal(copied.partial_fit(X, Y).target_, again.target_)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert_array_equal(np.random.get_state()[1], state[1])  # noqa: NPY002


@every_proxy
def test_partial_fit_goes_on(proxy):
    model = HUGClassifier(proxy=proxy, random_state=0, **TRAINED)
    first = Y % 2 == 0  # two classes come later
    model.partial_fit(X[first], Y[first], classes=np.arange(K))
    assert_allclose(np.linalg.norm(model.target_, axis=1), 1)
    for _ in range(20):
        for rows in (slice(None, None, 2), slice(1, None, 2)):
            model.partial_fit(X[rows], Y[rows])
    assert balanced_accuracy_score(NEW_Y, model.predict(NEW)) > 0.85
    assert len(model.loss_curve_) == 41
    assert_array_equal(
        model.class_counts_, 20 * COUNTS + np.bincount(Y[first], minlength=K)
    )


@every_trained
def test_warm_start_goes_on(proxy):
    parameters = {"proxy": proxy, "trainer": trainer(learning_rate="constant")}
    model = fit(**parameters, warm_start=True, max_iter=10)
    first = model.loss_curve_
    assert model.fit(X, Y).loss_curve_[0] < first[0]
    # Other proxies start anew, on the projector as it is.
    other = {"learnable": "orthogonal"}.get(proxy, "learnable")
    assert np.isfinite(model.set_params(proxy=other).fit(X, Y).target_).all()
    assert np.isfinite(
        model.set_params(proxy="fixed", solver="adamw").fit(X, Y).target_
    ).all()


@every_trained
def test_early_stopping_judges_proxies_as_they_are(proxy):
    stopped = trainer(early_stopping=True, validation_fraction=0.3)
    model = fit(proxy=proxy, n_components=4, trainer=stopped)
    best = max(model.validation_scores_)
    assert best > 0.8
    assert balanced_accuracy_score(NEW_Y, model.predict(NEW)) > 0.75


@every_trained
def test_networks_and_modules_have_proxies(proxy):
    module = nn.Sequential(nn.Linear(P, 8), nn.Tanh(), nn.Linear(8, 4))
    for projector in (MLP((16,)), module):
        model = fit(
            proxy=proxy,
            n_components=4,
            projector=projector,
            max_iter=20,
        )
        assert balanced_accuracy_score(NEW_Y, model.predict(NEW)) > 0.75
        copied = pickle.loads(pickle.dumps(model))
        assert_array_equal(copied.predict(NEW), model.predict(NEW))


# --- weights ------------------------------------------------------------------------


@every_proxy
@pytest.mark.filterwarnings("ignore:L-BFGS stopped at max_iter")
def test_weights_are_repetitions(proxy):
    repeats = np.random.default_rng(0).integers(1, 4, len(Y))
    many = np.repeat(X, repeats, axis=0), np.repeat(Y, repeats)
    # One batch of all rows, and no folds that would differ.
    parameters = {"proxy": proxy, "assignment": "identity"}
    parameters["max_iter"] = 5  # rounding must not grow
    if proxy == "fixed":
        parameters["alpha"] = 0.1
    else:
        parameters["trainer"] = trainer(batch_size=10_000)
    weighted, copied = fit(X, Y, repeats, **parameters), fit(*many, **parameters)
    assert_allclose(weighted.target_, copied.target_, atol=1e-6)
    assert_allclose(weighted.transform(NEW), copied.transform(NEW), atol=1e-4)


@every_proxy
def test_sizes_of_classes_do_not_matter_but_costs_do(proxy):
    # Classes that overlap, so that a cost has something to move.
    near = X + 3 * np.random.default_rng(5).normal(size=X.shape)
    plain = fit(near, proxy=proxy, n_components=4)
    balanced = fit(near, proxy=proxy, n_components=4, class_weight="balanced")
    assert_array_equal(plain.decision_function(NEW), balanced.decision_function(NEW))
    if proxy != "class_mean":  # which go where the features are
        costs = {0: 1.0, 1: 1.0, 2: 50.0, 3: 1.0, 4: 1.0}
        dear = fit(near, proxy=proxy, n_components=4, class_weight=costs)
        assert (dear.predict(near) == 2).sum() > (plain.predict(near) == 2).sum()


# --- which class gets which vector --------------------------------------------------


@pytest.mark.parametrize("estimator", [ETFClassifier, HUGClassifier])
def test_similar_classes_sit_close_together(estimator):
    first = ["hyperspherical"] if estimator is ETFClassifier else []
    placed, given = (
        estimator(*first, n_components=2, assignment=a, random_state=0, **FIXED)
        .fit(X, Y)
        .target_
        for a in ("auto", "identity")
    )
    # The same vectors, in the best of all orders.
    assert_allclose(
        placed[np.lexsort(placed.round(9).T)], given[np.lexsort(given.round(9).T)]
    )
    scaled = X / X.std(axis=0)
    similarity = class_similarity([scaled[k == Y].mean(axis=0) for k in range(K)])
    np.fill_diagonal(similarity, 0)
    matches = [
        np.sum(similarity * (given[order] @ given[order].T))
        for order in map(list, permutations(range(K)))
    ]
    assert np.sum(similarity * (placed @ placed.T)) == pytest.approx(max(matches))


def test_a_simplex_has_nothing_to_assign():
    for target, n_components in (("etf", None), ("seli", 6), ("hyperspherical", 4)):
        first, second = (
            ETFClassifier(
                target,
                n_components=n_components,
                assignment=a,
                random_state=0,
                alpha=0.1,
                **FIXED,
            ).fit(X, Y)
            for a in ("auto", "identity")
        )
        assert_array_equal(first.target_, second.target_)


def test_digits_in_three_dimensions():
    X, y = load_digits(return_X_y=True)
    model = ETFClassifier("hyperspherical", n_components=3, random_state=0)
    model.fit(X[:600], y[:600])
    assert model.transform(X[600:]).shape == (1197, 3)
    assert model.score(X[600:], y[600:]) > 0.75
    with pytest.raises(ValueError, match=r"n_components.* 9"):
        ETFClassifier("etf", n_components=3).fit(X[:600], y[:600])


@every_proxy
def test_two_classes_have_a_circle(proxy):
    rows = Y < 2
    for n_components in (None, 1, 2):
        model = fit(X[rows], Y[rows], proxy=proxy, n_components=n_components)
        assert model.target_.shape == (2, 2)
        assert model.decision_function(NEW).shape == (len(NEW),)
        assert model.score(NEW[NEW_Y < 2], NEW_Y[NEW_Y < 2]) > 0.9


# --- errors -------------------------------------------------------------------------

BAD_PARAMETERS = {
    "criterion": ({"criterion": "max"}, "criterion must be one of 'mhe'.* got 'max'"),
    "s": ({"s": -1.0}, "s must be a finite number.* 0; got -1"),
    "proxy": ({"proxy": "free"}, "proxy must be one of 'fixed', .* got 'free'"),
    "assignment": (
        {"assignment": "best"},
        "assignment must be one of 'auto'.*got 'best'",
    ),
    "inter": ({"inter_weight": -1}, "inter_weight must be.*got -1"),
    "intra": ({"intra_weight": np.nan}, "intra_weight must be.*got nan"),
    "n_components": ({"n_components": 0}, "n_components must be an integer"),
    "kernel": (
        {"proxy": "learnable", "projector": "kernel"},
        "projector='kernel' .*mini-batches.* Choose 'linear'.* proxy='fixed'",
    ),
    "solver": (
        {"proxy": "class_mean", "solver": "lbfgs"},
        "solver='lbfgs' cannot train .*proxies.*'adamw'",
    ),
}


@pytest.mark.parametrize(
    ("parameters", "message"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS
)
def test_bad_parameters_are_named(parameters, message):
    model = HUGClassifier(**{"n_components": 2, **parameters})
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
    assert not hasattr(model, "classes_")
    with pytest.raises(ValueError, match="assignment must be one of"):
        ETFClassifier(assignment="best").fit(X, Y)


COLLAPSE = {"proxy": "class_mean", "inter_weight": 0.0, "max_iter": 200}
COLLAPSE |= {"feature_scaling": None, "tol": 0.0}
COLLAPSE |= {"trainer": trainer(learning_rate_init=0.1)}


def test_a_collapse_of_proxies_changes_nothing():
    # Classes that are hardly apart, and nothing that keeps them so.
    near = 1e-6 * X
    model = fit(proxy="class_mean")
    expected, state = model.predict_proba(NEW), set(vars(model))
    model.set_params(**COLLAPSE)
    with pytest.raises(ValueError, match=r"coincide.* which is 0\.1,.* intra_weight=1"):
        model.fit(near, Y)
    assert set(vars(model)) == state
    assert_array_equal(model.predict_proba(NEW), expected)


@every_trained
def test_a_loss_that_is_not_finite_changes_nothing(proxy):
    model = HUGClassifier(
        proxy=proxy, trainer=Trainer(learning_rate_init=1e30), n_components=2
    )
    with pytest.raises(ValueError, match=r"lower learning_rate_init .*which is 1e\+30"):
        model.fit(X.astype(np.float32), Y)
    assert set(vars(model)) == set(model.get_params(deep=False))
