"""Searches, pipelines and model inspection of scikit-learn, with our classifiers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.metrics import balanced_accuracy_score, get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.projectors import MLP
from skcollapse.training import Trainer

COUNTS = np.array([60, 24, 12, 6])
K, P = len(COUNTS), 5
QUICK = {"projector": "linear", "feature_scaling": "global", "alpha": 1e-2}
CLASSIFIERS = {
    "etf": ETFClassifier(random_state=0, **QUICK),
    "hug": HUGClassifier(random_state=0, projector="linear", solver="closed_form"),
}
FOLDS = StratifiedKFold(3)
both = pytest.mark.parametrize("classifier", CLASSIFIERS.values(), ids=CLASSIFIERS)


def blobs(seed, counts):
    """Draw classes that overlap; the last feature says nothing."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(K), counts))
    centers = 2.5 * np.random.default_rng(7).normal(size=(K, P))
    centers[:, -1] = 0
    return centers[y] + rng.normal(size=(len(y), P)), y


X, Y = blobs(0, COUNTS)
NEW, NEW_Y = blobs(1, np.full(K, 50))


def balanced_accuracy(model):
    return balanced_accuracy_score(NEW_Y, model.predict(NEW))


# --- searches ----------------------------------------------------------------------


def check_search(search, n_candidates):
    """Compare two candidates, and the refit, with fits of one's own."""
    results = search.cv_results_
    scores = results["mean_test_score"]
    assert len(scores) == n_candidates
    assert np.isfinite(scores).all()
    assert search.best_score_ == scores.max()
    for i in (search.best_index_, scores.argmin()):
        alone = clone(search.estimator).set_params(**results["params"][i])
        assert_allclose(
            cross_val_score(alone, X, Y, cv=FOLDS, scoring=search.scoring).mean(),
            scores[i],
        )
    best = clone(search.estimator).set_params(**search.best_params_).fit(X, Y)
    assert_array_equal(search.predict_proba(NEW), best.predict_proba(NEW))


def test_grids_over_everything_that_a_classifier_is_made_of():
    grid = [
        {
            "target": ["etf", "seli"],
            "loss": ["cross_entropy", "logit_adjusted", "squared"],
            "alpha": [1e-3, 1e2],
        },
        {"projector": ["kernel"], "class_weight": [None, "balanced", {3: 5.0}]},
        {
            "projector": [MLP()],
            "projector__hidden_layer_sizes": [(4,), (8,)],
            "max_iter": [3],
            "trainer": [Trainer()],
            "trainer__learning_rate_init": [1e-4, 0.03],
        },
    ]
    search = GridSearchCV(
        CLASSIFIERS["etf"], grid, scoring="balanced_accuracy", cv=FOLDS
    ).fit(X, Y)
    check_search(search, 12 + 3 + 4)
    # Such a penalty leaves nothing to decide by.
    scores, params = search.cv_results_["mean_test_score"], search.cv_results_["params"]
    strong = [score for p, score in zip(params, scores, strict=True) if p.get("alpha")]
    assert search.best_params_.get("alpha") != 1e2
    assert search.best_score_ > min(strong) + 0.1


def test_random_searches():
    search = RandomizedSearchCV(
        HUGClassifier(projector="linear", solver="closed_form", random_state=0),
        {"alpha": loguniform(1e-6, 10), "criterion": ["mhe", "mhs", "mgd"]},
        n_iter=6,
        scoring="neg_log_loss",
        cv=FOLDS,
        random_state=0,
    )
    check_search(search.fit(X, Y), 6)
    first = search.cv_results_["mean_test_score"]
    assert_array_equal(search.fit(X, Y).cv_results_["mean_test_score"], first)
    assert len(set(first)) > 1


def test_halving_searches():
    search = HalvingGridSearchCV(
        CLASSIFIERS["etf"],
        {"alpha": [1e-3, 1e2], "loss": ["cross_entropy", "logit_adjusted"]},
        factor=2,
        min_resources=200,
        scoring="balanced_accuracy",
        cv=FOLDS,
        random_state=0,
    )
    many, many_y = blobs(2, 8 * COUNTS)
    search.fit(many, many_y)
    assert search.n_resources_ == [200, 400, 800]
    assert search.n_candidates_ == [4, 2, 1]
    assert search.best_params_["alpha"] == 1e-3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    # The number of iterations is a resource too.
    search.set_params(
        estimator=ETFClassifier(random_state=0, tol=0, **QUICK),
        resource="max_iter",
        max_resources=8,
        min_resources=2,
    )
    with pytest.warns(match="L-BFGS"):
        search.fit(X, Y)
    assert search.n_resources_ == [2, 4, 8]
    assert search.best_estimator_.n_iter_ == 8


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "neg_log_loss"])
def test_cross_validation_scores_the_fits_of_its_folds(scoring):
    model = make_pipeline(StandardScaler(), CLASSIFIERS["etf"])
    scores = cross_val_score(model, X, Y, cv=FOLDS, scoring=scoring)
    for score, (train, held) in zip(scores, FOLDS.split(X, Y), strict=True):
        fitted = clone(model).fit(X[train], Y[train])
        assert score == get_scorer(scoring)(fitted, X[held], Y[held])


@both
@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_rows_are_predicted_by_the_fold_that_has_not_seen_them(classifier, method):
    predicted = cross_val_predict(classifier, X, Y, cv=FOLDS, method=method)
    for train, held in FOLDS.split(X, Y):
        fitted = clone(classifier).fit(X[train], Y[train])
        assert_array_equal(predicted[held], getattr(fitted, method)(X[held]))


@both
def test_learning_curves_rise(classifier):
    many, many_y = blobs(2, 8 * COUNTS)
    sizes, _, scores = learning_curve(
        classifier,
        many,
        many_y,
        train_sizes=[30, 500],
        cv=FOLDS,
        scoring="balanced_accuracy",
        shuffle=True,
        random_state=0,
    )
    assert_array_equal(sizes, [30, 500])
    few, all_of_them = scores.mean(axis=1)
    assert 1 / K < few < all_of_them


@both
def test_features_that_say_nothing_are_of_no_importance(classifier):
    importances = permutation_importance(
        clone(classifier).fit(X, Y),
        NEW,
        NEW_Y,
        scoring="balanced_accuracy",
        n_repeats=10,
        random_state=0,
    ).importances_mean
    assert abs(importances[-1]) < 0.03
    assert (importances[:-1] > abs(importances[-1])).all()


# --- pipelines ---------------------------------------------------------------------


@both
def test_pipelines_do_the_steps_one_after_the_other(classifier):
    skewed, new = np.exp(X), np.exp(NEW)
    log = FunctionTransformer(np.log, feature_names_out="one-to-one")
    pipeline = make_pipeline(log, StandardScaler(), PCA(4), clone(classifier))
    pipeline.fit(skewed, Y)
    scaler, pca = StandardScaler().fit(X), PCA(4)
    features = pca.fit_transform(scaler.transform(X))
    alone = clone(classifier).fit(features, Y)
    expected = alone.predict_proba(pca.transform(scaler.transform(NEW)))
    assert_allclose(pipeline.predict_proba(new), expected, atol=1e-6)
    assert_array_equal(pipeline.get_feature_names_out(), alone.get_feature_names_out())
    assert balanced_accuracy_score(NEW_Y, pipeline.predict(new)) > 2 / K


@both
@pytest.mark.parametrize(
    "last", [LinearDiscriminantAnalysis(), KNeighborsClassifier(5)], ids=["lda", "knn"]
)
def test_projected_features_feed_other_classifiers(classifier, last):
    pipeline = make_pipeline(clone(classifier), clone(last)).fit(X, Y)
    projector = clone(classifier).fit(X, Y)
    alone = clone(last).fit(projector.transform(X), Y)
    assert_array_equal(pipeline.predict(NEW), alone.predict(projector.transform(NEW)))
    assert pipeline[:-1].transform(NEW).shape == (len(NEW), K - 1)
    assert balanced_accuracy(pipeline) > 2 / K


def test_searches_reach_into_pipelines():
    pipeline = make_pipeline(StandardScaler(), PCA(), ETFClassifier(random_state=0))
    grid = {
        "pca__n_components": [1, 4],
        "etfclassifier": [CLASSIFIERS["etf"], CLASSIFIERS["hug"]],
    }
    search = GridSearchCV(pipeline, grid, scoring="balanced_accuracy", cv=FOLDS)
    check_search(search.fit(X, Y), 4)
