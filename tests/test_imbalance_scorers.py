"""Scorers in the searches, wrappers and workers that users run them in."""

import pickle

import numpy as np
import pytest
import sklearn
from joblib import parallel_backend
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    balanced_accuracy_score,
    get_scorer,
    recall_score,
)
from sklearn.model_selection import (
    GridSearchCV,
    ShuffleSplit,
    TunedThresholdClassifierCV,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skcollapse import ETFClassifier
from skcollapse.datasets import LongTailSplit
from skcollapse.metrics import (
    balanced_log_loss,
    expected_calibration_error,
    geometric_mean_recall,
    head_tail_gap,
    imbalance_scorers,
    shot_accuracy,
    training_counts,
    worst_class_recall,
)

SIZES = {"a": 160, "b": 60, "c": 30, "d": 12, "e": 4}
ALONE = SIZES | {"f": 1}


def blobs(sizes, seed):
    """Return overlapping classes of these sizes."""
    rng = np.random.default_rng(seed)
    y = np.repeat(list(sizes), list(sizes.values()))
    centres = dict(
        zip(ALONE, 2 * np.random.default_rng(7).normal(size=(6, 4)), strict=True)
    )
    X = np.array([centres[label] for label in y]) + rng.normal(size=(len(y), 4))
    order = rng.permutation(len(y))
    return X[order], y[order]


@pytest.fixture(scope="module")
def train():
    return blobs(SIZES, 0)


@pytest.fixture(scope="module")
def test():
    return blobs(dict.fromkeys(SIZES, 20), 1)


def quick():
    return ETFClassifier(solver="closed_form", projector="linear", random_state=0)


@pytest.fixture(scope="module")
def fitted(train):
    return quick().fit(*train)


# --- what they return --------------------------------------------------------------


def test_scores_are_those_of_the_metrics(fitted, test):
    X, y = test
    weight = np.random.default_rng(2).uniform(size=len(y))
    predicted, prob = fitted.predict(X), fitted.predict_proba(X)
    for sample_weight in (None, weight):
        own = {"sample_weight": sample_weight}
        shots = shot_accuracy(y, predicted, class_counts=SIZES, **own)
        gap = head_tail_gap(y, predicted, class_counts=SIZES, **own)
        error = expected_calibration_error(y, prob, class_balanced=True, **own)
        expected = {
            "balanced_accuracy": balanced_accuracy_score(y, predicted, **own),
            "worst_class_recall": worst_class_recall(y, predicted, **own),
            "geometric_mean_recall": geometric_mean_recall(y, predicted, **own),
            "few_shot_recall": shots["few"],
            "medium_shot_recall": shots["medium"],
            "many_shot_recall": shots["many"],
            "neg_head_tail_gap": -abs(gap),
            "neg_balanced_log_loss": -balanced_log_loss(y, prob, **own),
            "neg_expected_calibration_error": -error,
        }
        found = {
            name: scorer(fitted, X, y, **own)
            for name, scorer in imbalance_scorers().items()
        }
        assert found == pytest.approx(expected)
        assert all(type(score) is float for score in found.values())


def test_given_counts_and_thresholds(fitted, test):
    X, y = test
    predicted = fitted.predict(X)
    flat = LogisticRegression().fit(X, y)
    for model, counts in [
        (fitted, dict.fromkeys("abc", 9) | dict.fromkeys("def", 4)),
        (flat, [9, 9, 9, 4, 4]),
    ]:
        scorers = imbalance_scorers(class_counts=counts, thresholds=(5, 8))
        recalls = recall_score(y, model.predict(X), average=None)
        found = scorers["many_shot_recall"](model, X, y)
        assert found == pytest.approx(recalls[:3].mean())
        found = scorers["few_shot_recall"](model, X, y)
        assert found == pytest.approx(recalls[3:].mean())
        with pytest.raises(ValueError, match="No class that was tested has medium"):
            scorers["medium_shot_recall"](model, X, y)
    assert len(np.unique(predicted)) > 1


def test_two_classes(train):
    X, y = train
    pair = np.isin(y, ["a", "e"])
    model = quick().fit(X[pair], y[pair])
    scorers = imbalance_scorers()
    loss = balanced_log_loss(y[pair], model.predict_proba(X[pair]))
    found = scorers["neg_balanced_log_loss"](model, X[pair], y[pair])
    assert found == pytest.approx(-loss)
    # A third class has probability zero.
    unseen = scorers["neg_balanced_log_loss"](model, X, y)
    assert unseen < -3 / 5 * 36
    assert scorers["worst_class_recall"](model, X, y) == 0


def test_a_class_missing_from_training(train, test):
    X, y = train
    known = y != "b"
    model = quick().fit(X[known], y[known])
    X, y = test
    recalls = recall_score(y, model.predict(X), average=None)
    assert recalls[1] == 0
    scorers = imbalance_scorers()
    found = scorers["few_shot_recall"](model, X, y)
    assert found == pytest.approx(recalls[[1, 3, 4]].mean())
    assert np.isfinite(scorers["neg_balanced_log_loss"](model, X, y))
    assert np.isfinite(scorers["neg_expected_calibration_error"](model, X, y))


def test_classes_that_are_not_tested(fitted, test):
    X, y = test
    own = np.isin(y, ["a", "c"])
    found = {
        name: scorer(fitted, X[own], y[own])
        for name, scorer in imbalance_scorers().items()
        if name not in ("few_shot_recall", "neg_head_tail_gap")
    }
    assert np.isfinite(list(found.values())).all()
    assert found["balanced_accuracy"] == pytest.approx(
        recall_score(y[own], fitted.predict(X[own]), labels=["a", "c"], average="macro")
    )
    with pytest.raises(ValueError, match="few training samples, with thresholds"):
        imbalance_scorers()["few_shot_recall"](fitted, X[own], y[own])
    with pytest.raises(ValueError, match="no rows of a small class"):
        imbalance_scorers()["neg_head_tail_gap"](fitted, X[own], y[own])


def test_bad_input_is_found_at_once(fitted, test):
    with pytest.raises(ValueError, match="thresholds must be two increasing"):
        imbalance_scorers(thresholds=(100, 20))
    for counts in ({"a": -1}, [3, -1]):
        with pytest.raises(ValueError, match="at least 0; got -1"):
            imbalance_scorers(class_counts=counts)
    for counts, message in [
        ({"a": 5}, "class_counts has no number for class 'b'"),
        ([3, 1], r"each of the 5 classes .* got the shape \(2,\)"),
    ]:
        scorer = imbalance_scorers(class_counts=counts)["few_shot_recall"]
        with pytest.raises(ValueError, match=message):
            scorer(fitted, *test)


# --- where counts are found --------------------------------------------------------


def calibrated(model, **options):
    return CalibratedClassifierCV(model, method="sigmoid", **options)


WRAPPERS = {
    "pipeline": lambda model: make_pipeline(StandardScaler(), model),
    "search": lambda model: GridSearchCV(model, {"target": ["etf"]}, cv=2),
    "search in a pipeline": lambda model: make_pipeline(
        StandardScaler(), GridSearchCV(make_pipeline(model), {}, cv=2)
    ),
    "features": lambda model: RFE(
        model, importance_getter=lambda fitted: np.arange(fitted.n_features_in_)
    ),
    "calibration": lambda model: calibrated(model, cv=4),
    "calibration without ensemble": lambda model: calibrated(
        model, ensemble=False, cv=2
    ),
    "calibration of a pipeline": lambda model: calibrated(make_pipeline(model), cv=2),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_counts_are_those_of_the_training_rows(wrap, train, test):
    X, y = train
    model = wrap(quick()).fit(X, y)
    assert training_counts(model) == SIZES
    frozen = FrozenEstimator(model)
    assert training_counts(make_pipeline(StandardScaler(), frozen)) == SIZES
    scorers = imbalance_scorers()
    recalls = recall_score(test[1], model.predict(test[0]), average=None)
    found = scorers["few_shot_recall"](model, *test)
    assert found == pytest.approx(recalls[3:].mean())


@pytest.mark.skipif(
    sklearn.__version__.startswith("1.7."),
    reason="scikit-learn has no calibration by temperature",
)
def test_calibration_by_temperature_encodes_labels(train, test):
    model = CalibratedClassifierCV(quick(), method="temperature", cv=4).fit(*train)
    member = model.calibrated_classifiers_[0].estimator
    assert_array_equal(member.classes_, np.arange(5))
    assert training_counts(model) == SIZES
    recalls = recall_score(test[1], model.predict(test[0]), average=None)
    found = imbalance_scorers()["many_shot_recall"](model, *test)
    assert found == recalls[0]


def test_a_frozen_model_counts_once_in_a_calibration(fitted, test):
    for ensemble in (True, False):
        model = calibrated(FrozenEstimator(fitted), cv=3, ensemble=ensemble).fit(*test)
        assert training_counts(model) == SIZES


def test_folds_that_overlap_are_close(train):
    cv = ShuffleSplit(4, test_size=0.25, random_state=0)
    model = calibrated(quick(), cv=cv).fit(*train)
    assert training_counts(model)["a"] == pytest.approx(SIZES["a"], rel=0.1)


def test_a_class_that_a_fold_of_the_calibration_lacks():
    y = np.array(list("aaaaab"))
    part = [
        (np.array([0, 1, 2, 5]), np.array([3, 4])),
        (np.array([0, 3, 4, 5]), np.array([1, 2])),
        (np.array([1, 2, 3, 4]), np.array([0, 5])),
    ]

    class Member:
        def __init__(self, rows):
            self.classes_, self.class_counts_ = np.unique(y[rows], return_counts=True)

    class Fold:
        def __init__(self, rows):
            self.estimator = Member(rows)

    class Calibrated:
        classes_ = np.array(["a", "b"])
        calibrated_classifiers_ = [Fold(train) for train, _ in part]

    assert training_counts(Calibrated()) == {"a": 5, "b": 1}


def test_thresholds_of_decisions(train):
    X, y = train
    pair = np.isin(y, ["a", "d"])
    model = TunedThresholdClassifierCV(quick(), scoring="balanced_accuracy", cv=2)
    model.fit(X[pair], y[pair])
    assert training_counts(model) == {"a": 160, "d": 12}
    found = imbalance_scorers()["few_shot_recall"](model, X[pair], y[pair])
    assert found == (model.predict(X[y == "d"]) == "d").mean()


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        # The members have rows, or labels, of their own.
        VotingClassifier([("one", quick())]),
        BaggingClassifier(quick(), n_estimators=2, random_state=0),
    ],
    ids=["classifier", "pipeline", "voting", "bagging"],
)
def test_counts_that_are_not_found(model, train, test):
    model.fit(*train)
    scorers = imbalance_scorers()
    for name in ("many_shot_recall", "neg_head_tail_gap"):
        with pytest.raises(ValueError, match="class_counts must be given, as") as e:
            scorers[name](model, *test)
        how = "class_counts=dict(zip(*np.unique(y, return_counts=True)))"
        assert how in str(e.value)
    given = imbalance_scorers(class_counts=SIZES)
    assert 0 <= given["many_shot_recall"](model, *test) <= 1


def test_what_an_ensemble_was_grown_from_does_not_count(fitted, test):
    model = BaggingClassifier(fitted, n_estimators=2, random_state=0).fit(*test)
    assert model.estimator_ is fitted  # it has seen other rows
    with pytest.raises(ValueError, match="class_counts must be given"):
        training_counts(model)


def test_pipelines_of_imbalanced_learn(train, test):
    pipeline = pytest.importorskip("imblearn.pipeline", reason="needs imbalanced-learn")
    sampling = pytest.importorskip("imblearn.over_sampling")
    model = pipeline.make_pipeline(StandardScaler(), quick()).fit(*train)
    assert training_counts(model) == SIZES
    sampler = sampling.RandomOverSampler(random_state=0)
    model = pipeline.make_pipeline(sampler, quick()).fit(*train)
    # What the classifier counted is not what there was.
    assert set(model[-1].class_counts_) == {160}
    scorer = imbalance_scorers()["few_shot_recall"]
    with pytest.raises(ValueError, match=r"class_counts must be given, as Pipeline"):
        scorer(model, *test)
    scorer = imbalance_scorers(class_counts=SIZES)["few_shot_recall"]
    recalls = recall_score(test[1], model.predict(test[0]), average=None)
    assert scorer(model, *test) == pytest.approx(recalls[3:].mean())


# --- searches ----------------------------------------------------------------------


def search(**options):
    return GridSearchCV(
        make_pipeline(StandardScaler(), quick()),
        {"etfclassifier__target": ["etf", "seli"]},
        scoring=imbalance_scorers(),
        refit="balanced_accuracy",
        cv=LongTailSplit(3, random_state=0),
        error_score="raise",
        **options,
    )


@pytest.fixture(scope="module")
def found():
    return search().fit(*blobs(ALONE, 0))


def test_a_search_with_a_class_of_one_row(found):
    X, y = blobs(ALONE, 0)
    for name in imbalance_scorers():
        assert np.isfinite(found.cv_results_[f"mean_test_{name}"]).all()
    # The counts are those of each training part.
    cv = LongTailSplit(3, random_state=0)
    for k, (rows, held) in enumerate(cv.split(X, y)):
        labels, sizes = np.unique(y[rows], return_counts=True)
        assert_array_equal(labels, list(ALONE))
        model = make_pipeline(StandardScaler(), quick()).fit(X[rows], y[rows])
        counts = dict(zip(labels.tolist(), sizes, strict=True))
        shots = shot_accuracy(y[held], model.predict(X[held]), class_counts=counts)
        for shot, recall in shots.items():
            result = found.cv_results_[f"split{k}_test_{shot}_shot_recall"][0]
            assert result == pytest.approx(recall)
    assert found.score(X, y) == pytest.approx(
        balanced_accuracy_score(y, found.predict(X))
    )
    assert training_counts(found) == ALONE


def assert_same_scores(search, expected):
    for name in imbalance_scorers():
        key = f"mean_test_{name}"
        assert_allclose(search.cv_results_[key], expected.cv_results_[key])


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers(backend, found):
    with parallel_backend(backend):
        assert_same_scores(search(n_jobs=2).fit(*blobs(ALONE, 0)), found)


def test_dask_workers(found):
    distributed = pytest.importorskip("distributed", reason="needs dask[distributed]")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    )
    with cluster, distributed.Client(cluster), parallel_backend("dask"):
        assert_same_scores(search(n_jobs=2).fit(*blobs(ALONE, 0)), found)


def test_pickling(fitted, test):
    for name, scorer in imbalance_scorers(class_counts=SIZES).items():
        again = pickle.loads(pickle.dumps(scorer))
        assert again(fitted, *test) == scorer(fitted, *test), name


def test_predictions_are_shared(train):
    calls = []

    class Counting(ETFClassifier):
        def predict(self, X):
            calls.append("predict")
            return super().predict(X)

        def predict_proba(self, X):
            calls.append("predict_proba")
            return super().predict_proba(X)

    model = Counting(solver="closed_form", projector="linear", random_state=0)
    scorers = imbalance_scorers(class_counts=SIZES)
    cross_validate(model, *train, scoring=scorers, cv=2)
    assert sorted(calls) == ["predict"] * 2 + ["predict_proba"] * 2


def test_without_probabilities(train, test):
    scorers = imbalance_scorers(class_counts=SIZES)
    del scorers["neg_balanced_log_loss"], scorers["neg_expected_calibration_error"]
    scores = cross_validate(LinearSVC(), *train, scoring=scorers, cv=2)
    assert np.isfinite(scores["test_few_shot_recall"]).all()


def test_balanced_accuracy_does_not_warn_where_scikit_learn_does(fitted, test):
    X, y = test
    own = y == "a"
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = get_scorer("balanced_accuracy")(fitted, X[own], y[own])
    assert imbalance_scorers()["balanced_accuracy"](fitted, X[own], y[own]) == expected


# --- metadata routing --------------------------------------------------------------


def test_weights_are_routed():
    X, y = blobs(ALONE, 0)
    weight = np.random.default_rng(3).integers(1, 4, size=len(y)).astype(float)
    cv = LongTailSplit(3, random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        scorers = imbalance_scorers()
        model = quick().set_fit_request(sample_weight=False)
        options = {"scoring": scorers, "cv": cv, "error_score": "raise"}
        routed = {"params": {"sample_weight": weight}}
        # No scorer has asked for them.
        with pytest.raises((TypeError, ValueError), match="sample_weight"):
            cross_validate(model, X, y, **options, **routed)
        for scorer in scorers.values():
            scorer.set_score_request(sample_weight=True)
        scores = cross_validate(model, X, y, **options, **routed)
        searched = GridSearchCV(model, {}, refit="balanced_accuracy", **options)
        searched.fit(X, y, sample_weight=weight)
    for k, (rows, held) in enumerate(cv.split(X, y)):
        model = quick().fit(X[rows], y[rows])
        for name, scorer in imbalance_scorers().items():
            expected = scorer(model, X[held], y[held], sample_weight=weight[held])
            assert scores[f"test_{name}"][k] == pytest.approx(expected)
            result = searched.cv_results_[f"split{k}_test_{name}"][0]
            assert result == pytest.approx(expected)
