"""Classifiers around ours: calibration, ensembles, thresholds, samplers, routing."""

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    get_scorer,
    log_loss,
    make_scorer,
)
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcollapse import ETFClassifier, HUGClassifier

SKLEARN = tuple(map(int, sklearn.__version__.split(".")[:2]))
COUNTS = np.array([80, 36, 18, 9])
K, P = len(COUNTS), 5
NAMES = np.array(["ash", "elm", "oak", "yew"])
QUICK = {"projector": "linear", "feature_scaling": "global", "alpha": 1e-2}
CLASSIFIERS = {
    "etf": ETFClassifier(random_state=0, **QUICK),
    "hug": HUGClassifier(random_state=0, projector="linear", solver="closed_form"),
}
FOLDS = StratifiedKFold(3)
both = pytest.mark.parametrize("classifier", CLASSIFIERS.values(), ids=CLASSIFIERS)


def blobs(seed, counts):
    """Draw classes that overlap, with names for labels."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    centers = 2 * np.random.default_rng(7).normal(size=(K, P))
    return centers[y] + rng.normal(size=(len(y), P)), NAMES[y]


X, Y = blobs(0, COUNTS)
NEW, NEW_Y = blobs(1, np.full(K, 50))


def balanced_accuracy(model):
    return balanced_accuracy_score(NEW_Y, model.predict(NEW))


# --- calibration -------------------------------------------------------------------


class Overconfident(ETFClassifier):
    """Five times as sure as it should be."""

    def decision_function(self, X):
        return 5 * super().decision_function(X)

    def predict_proba(self, X):
        scores = np.exp(5 * self.predict_log_proba(X))
        return scores / scores.sum(axis=1, keepdims=True)


has_temperature = pytest.mark.skipif(
    SKLEARN < (1, 8),
    reason="scikit-learn calibrates by temperature from 1.8 on",
)


@pytest.mark.parametrize(
    ("method", "n_classes"),
    [
        ("isotonic", 2),
        ("sigmoid", 2),
        pytest.param("temperature", 2, marks=has_temperature),
        pytest.param("temperature", K, marks=has_temperature),
    ],
)
@pytest.mark.parametrize("ensemble", [False, True])
def test_calibration_mends_probabilities(method, n_classes, ensemble):
    model = Overconfident(random_state=0, loss="cross_entropy", **QUICK)
    calibrated = CalibratedClassifierCV(model, method=method, cv=3, ensemble=ensemble)
    many, many_y = blobs(2, np.full(n_classes, 200))
    new, new_y = blobs(3, np.full(n_classes, 200))
    before = clone(model).fit(many, many_y).predict_proba(new)
    after = calibrated.fit(many, many_y).predict_proba(new)
    # Isotonic regression minimises squared errors, the others the log-loss.
    judge = brier_score_loss if method == "isotonic" else log_loss
    assert judge(new_y, after) < judge(new_y, before)
    assert_array_equal(calibrated.classes_, NAMES[:n_classes])


@has_temperature
@both
def test_one_temperature_changes_no_decision(classifier):
    calibrated = CalibratedClassifierCV(
        clone(classifier), method="temperature", cv=FOLDS, ensemble=False
    ).fit(X, Y)
    alone = clone(classifier).fit(X, Y)
    assert_array_equal(calibrated.predict(NEW), alone.predict(NEW))


@both
def test_frozen_classifiers_are_calibrated_as_they_are(classifier, monkeypatch):
    fitted = clone(classifier).fit(X, Y)
    expected = fitted.predict_proba(NEW)

    def refit(*_args, **_kwargs):
        raise AssertionError("a frozen classifier was fitted")

    monkeypatch.setattr(type(fitted), "fit", refit)
    frozen = FrozenEstimator(fitted)
    assert_array_equal(clone(frozen).fit(NEW, NEW_Y).predict_proba(NEW), expected)
    calibrated = CalibratedClassifierCV(frozen, method="sigmoid").fit(NEW, NEW_Y)
    assert calibrated.calibrated_classifiers_[0].estimator.estimator is fitted
    stacked = make_pipeline(frozen, StandardScaler()).fit(NEW)
    assert_allclose(stacked.transform(NEW).mean(axis=0), 0, atol=1e-9)


# --- ensembles ---------------------------------------------------------------------


@both
def test_stacked_classifiers_beat_chance_and_pass_on_all_probabilities(classifier):
    stack = StackingClassifier(
        [("ours", clone(classifier)), ("theirs", LogisticRegression())],
        final_estimator=LogisticRegression(class_weight="balanced"),
        cv=FOLDS,
    ).fit(X, Y)
    assert balanced_accuracy(stack) > 2 / K
    passed_on = stack.transform(NEW)[:, :K]
    assert_array_equal(passed_on, clone(classifier).fit(X, Y).predict_proba(NEW))


@both
def test_votes_are_averages(classifier):
    members = [("ours", clone(classifier)), ("theirs", LogisticRegression())]
    vote = VotingClassifier(members, voting="soft").fit(X, Y)
    probabilities = [clone(m).fit(X, Y).predict_proba(NEW) for _, m in members]
    assert_allclose(vote.predict_proba(NEW), np.mean(probabilities, axis=0))


@both
def test_bags_are_fits_to_their_draws(classifier):
    bag = BaggingClassifier(
        clone(classifier), n_estimators=4, max_features=4, random_state=0
    ).fit(X, Y)
    for member, features in zip(bag.estimators_, bag.estimators_features_, strict=True):
        assert member.n_features_in_ == len(features) == 4
    seeds = {member.random_state for member in bag.estimators_}
    assert len(seeds) == 4
    again = clone(bag).fit(X, Y).predict_proba(NEW)
    assert_array_equal(bag.predict_proba(NEW), again)
    assert balanced_accuracy(bag) > 2 / K


@both
def test_one_classifier_for_each_class(classifier):
    rest = OneVsRestClassifier(clone(classifier)).fit(X, Y)
    assert_array_equal(rest.classes_, NAMES)
    for name, member in zip(NAMES, rest.estimators_, strict=True):
        alone = clone(classifier).fit(X, name == Y)
        assert_array_equal(member.predict_proba(NEW), alone.predict_proba(NEW))
    assert set(rest.predict(NEW)) <= set(NAMES)
    assert balanced_accuracy(rest) > 2 / K


@both
def test_thresholds_are_tuned(classifier):
    y, new_y = Y == "yew", NEW_Y == "yew"
    # A missed row costs as much as twenty false alarms: the threshold comes down.
    costs = make_scorer(lambda y, p: -((~y & p).sum() * 0.05 + (y & ~p).sum()))
    tuned = TunedThresholdClassifierCV(
        clone(classifier), scoring=costs, cv=FOLDS, store_cv_results=True
    ).fit(X, y)
    scores = tuned.cv_results_["scores"]
    assert tuned.best_score_ == scores.max()
    alone = clone(classifier).fit(X, y)
    above = alone.predict_proba(NEW)[:, 1] >= tuned.best_threshold_
    assert_array_equal(tuned.predict(NEW), above)
    assert get_scorer("recall")(tuned, NEW, new_y) >= get_scorer("recall")(
        alone, NEW, new_y
    )


# --- metadata routing --------------------------------------------------------------


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


WEIGHT = np.where(Y == "yew", 30.0, 1.0) * np.random.default_rng(0).uniform(
    0.5, 2, len(Y)
)


@both
@pytest.mark.usefixtures("routing")
def test_routed_weights_reach_the_fit_and_the_score(classifier):
    weighted = clone(classifier).set_fit_request(sample_weight=True)
    scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
    pipeline = make_pipeline(
        StandardScaler().set_fit_request(sample_weight=False), weighted
    )
    grid = {f"{pipeline.steps[-1][0]}__alpha": [1e-3, 1.0]}
    search = GridSearchCV(pipeline, grid, scoring=scorer, cv=FOLDS)
    search.fit(X, Y, sample_weight=WEIGHT)
    scores = []
    for train, held in FOLDS.split(X, Y):
        scaler = StandardScaler().fit(X[train])
        alone = clone(classifier).set_params(**_last(search.best_params_))
        alone.fit(scaler.transform(X[train]), Y[train], sample_weight=WEIGHT[train])
        scores.append(alone.score(scaler.transform(X[held]), Y[held], WEIGHT[held]))
    assert_allclose(search.best_score_, np.mean(scores))
    without = clone(search).fit(X, Y)
    different = search.predict_proba(NEW) != without.predict_proba(NEW)
    assert different.any()


def _last(params):
    return {name.split("__")[-1]: value for name, value in params.items()}


@both
@pytest.mark.usefixtures("routing")
def test_weights_that_nobody_asked_for_are_an_error(classifier):
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        cross_validate(clone(classifier), X, Y, params={"sample_weight": WEIGHT})
    scored = clone(classifier).set_fit_request(sample_weight=False)
    scored.set_score_request(sample_weight=True)
    result = cross_validate(scored, X, Y, cv=FOLDS, params={"sample_weight": WEIGHT})
    for score, (train, held) in zip(
        result["test_score"], FOLDS.split(X, Y), strict=True
    ):
        alone = clone(classifier).fit(X[train], Y[train])
        assert_allclose(score, alone.score(X[held], Y[held], WEIGHT[held]))


@pytest.mark.usefixtures("routing")
def test_groups_are_routed_to_the_search_within_the_fit():
    groups = np.arange(len(Y)) // 3
    model = ETFClassifier(projector="linear", random_state=0)
    model.set_fit_request(groups=True)
    pipeline = make_pipeline(StandardScaler(), model).fit(X, Y, groups=groups)
    scaled = StandardScaler().fit_transform(X)
    alone = clone(model).fit(scaled, Y, groups=groups)
    losses = [
        fitted.selection_results_["log_loss"]
        for fitted in (pipeline[-1], alone, clone(model).fit(scaled, Y))
    ]
    assert_array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[1], losses[2])


# --- imbalanced-learn --------------------------------------------------------------


@both
@pytest.mark.parametrize("sampler", ["SMOTE", "RandomOverSampler"])
def test_samplers_balance_what_is_fitted_only(classifier, sampler):
    over_sampling = pytest.importorskip(
        "imblearn.over_sampling", reason="needs imblearn"
    )
    from imblearn.pipeline import make_pipeline

    oversample = getattr(over_sampling, sampler)(random_state=0)
    pipeline = make_pipeline(StandardScaler(), oversample, clone(classifier)).fit(X, Y)
    assert_array_equal(pipeline[-1].class_counts_, np.full(K, COUNTS.max()))
    scaler = StandardScaler().fit(X)
    drawn, drawn_y = clone(oversample).fit_resample(scaler.transform(X), Y)
    alone = clone(classifier).fit(drawn, drawn_y)
    expected = alone.predict_proba(scaler.transform(NEW))
    assert_array_equal(pipeline.predict_proba(NEW), expected)
    assert balanced_accuracy(pipeline) > 2 / K


def imblearn_checks():
    checks = pytest.importorskip(
        "imblearn.utils.estimator_checks", reason="needs imblearn"
    )
    for classifier in (ETFClassifier(), HUGClassifier()):
        yield from checks.estimator_checks_generator(classifier)


def test_checks_of_imbalanced_learn():
    checks = list(imblearn_checks())
    assert len(checks) > 2
    for estimator, check in checks:
        check(estimator)
