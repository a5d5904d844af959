"""The scorer: every way in, one report out."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch.utils.data import DataLoader, Dataset

from skcollapse import ETFClassifier, NeuralCollapseScorer, measures
from skcollapse.measures import MEASURES, Measure
from skcollapse.moments import ClassMoments, RowMoments
from skcollapse.targets import seli, simplex_etf

FEATURE_KEYS = {
    "nc1",
    "nc1_balanced",
    "nc1_trace_ratio",
    "cdnv",
    "vci",
    "nc2_equinorm",
    "nc2_equiangularity",
    "nc2_etf_distance",
    "min_angle",
    "uniformity",
    "seli_distance",
}
CLASSIFIER_KEYS = {
    "nc3_self_duality",
    "nc3_cosine",
    "nc4_ncc_agreement",
    "classifier_etf_distance",
    "classifier_seli_distance",
}


@parametrize_with_checks(
    [NeuralCollapseScorer(), NeuralCollapseScorer(metric="cdnv", scatter=False)]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def head(iris):
    return LogisticRegression(max_iter=1000).fit(*iris)


def report(X, y, sample_weight=None, **parameters):
    scorer = NeuralCollapseScorer(**parameters)
    return scorer.fit(X, y, sample_weight=sample_weight).report_


def assert_reports(found, expected, rtol=1e-7, atol=1e-9):
    assert found.to_dict().keys() == expected.to_dict().keys()
    for name, value in expected.to_dict().items():
        assert_allclose(found[name], value, rtol=rtol, atol=atol, err_msg=name)


# What is reported


def test_keys(iris, head):
    assert set(report(*iris).to_dict()) >= FEATURE_KEYS
    assert not set(report(*iris).to_dict()) & CLASSIFIER_KEYS
    everything = report(*iris, classifier=head).to_dict()
    assert set(everything) >= FEATURE_KEYS | CLASSIFIER_KEYS
    assert all(type(value) is float for value in everything.values())


def test_values_are_those_of_the_measures(iris, head):
    X, y = iris
    found = report(X, y, classifier=head, ridge=0.5)
    moments = RowMoments(X, y, 3)
    W, b = head.coef_, head.intercept_
    expected = {
        "nc1": measures.nc1(moments),
        "nc1_balanced": measures.nc1(moments, balanced=True),
        "nc1_trace_ratio": measures.nc1_trace_ratio(moments),
        "cdnv": measures.cdnv(moments),
        "vci": measures.vci(moments),
        "nc2_equinorm": measures.equinorm(moments),
        "nc2_equiangularity": measures.equiangularity(moments),
        "nc2_etf_distance": measures.etf_distance(moments),
        "seli_distance": measures.seli_distance(moments, ridge=0.5),
        "min_angle": measures.min_angle(moments.means - moments.means.mean(0)),
        "uniformity": measures.uniformity(moments.means - moments.means.mean(0)),
        "nc3_self_duality": measures.self_duality(W, moments),
        "nc3_cosine": measures.self_duality_cosine(W, moments),
        "nc4_ncc_agreement": measures.ncc_agreement(moments, W, b),
        "classifier_etf_distance": measures.etf_distance(W, centred=False),
        "classifier_seli_distance": measures.seli_distance(
            W, [50] * 3, ridge=0.5, vectors="classifier"
        ),
    }
    assert expected.keys() == FEATURE_KEYS | CLASSIFIER_KEYS
    for name, value in expected.items():
        assert_allclose(found[name], value, err_msg=name)


def test_agreement_against_scikit_learn(iris, head):
    X, y = iris
    nearest = NearestCentroid().fit(X, y).predict(X)
    agreement = (head.predict(X) == nearest).mean()
    found = report(X, y, classifier=head)
    assert_allclose(found["nc4_ncc_agreement"], agreement)
    by_class = found.classes["nc4_ncc_agreement"]
    expected = [(head.predict(X) == nearest)[y == k].mean() for k in range(3)]
    assert_allclose(by_class, expected)


@pytest.mark.parametrize("counts", [(20, 20, 20), (40, 10, 2, 2)])
def test_constructed_collapse(counts):
    classifier, means = seli(counts, 6, random_state=0)
    y = np.repeat(np.arange(len(counts)), counts)
    head = classifier, -classifier.sum(axis=1)  # the bias takes off the offset
    found = report(means[y] + 1, y, classifier=head).to_dict()
    zero = ["nc1", "nc1_balanced", "nc1_trace_ratio", "cdnv", "vci", "seli_distance"]
    zero += ["classifier_seli_distance"]
    if len(set(counts)) == 1:
        zero += ["nc2_equinorm", "nc2_equiangularity", "nc2_etf_distance"]
        zero += ["nc3_self_duality", "nc3_cosine", "classifier_etf_distance"]
        assert_allclose(found["min_angle"], 120)
    else:
        assert found["nc2_etf_distance"] > 0.1
        assert found["classifier_minority_cosine"] > 0 > found["minority_cosine"]
    assert_allclose([found[name] for name in zero], 0, atol=1e-10)
    assert found["nc4_ncc_agreement"] == 1


def test_columns_of_the_classes():
    counts = (40, 10, 2, 1)
    classifier, means = seli(counts, random_state=0)
    y = np.repeat(np.arange(4), counts)
    labels = np.array(["a", "b", "c", "d"])
    scorer = NeuralCollapseScorer(classifier).fit(means[y], labels[y])
    columns = scorer.report_.classes
    assert_array_equal(columns["class"], labels)
    assert_array_equal(columns["samples"], counts)
    assert_array_equal(columns["weight"], counts)
    assert_allclose(columns["variance"], 0, atol=1e-20)
    for name, vectors in (("norm", means), ("classifier_norm", classifier)):
        lengths = np.linalg.norm(vectors, axis=1)
        assert_allclose(columns[name], lengths)
        assert_allclose(columns[f"seli_{name}"], lengths)
    assert "1 with one sample" in repr(scorer.report_)


def test_target():
    y = np.repeat(np.arange(4), 5)
    square = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    assert_allclose(report(square[y], y, target=square)["target_distance"], 0)
    weights = np.array([1.0, 2.0, 3.0, 4.0])[y]
    means = seli(5 * np.arange(1, 5), random_state=1).means
    found = report(means[y], y, weights, target="seli")
    assert_allclose(found["target_distance"], 0, atol=1e-10)
    etf = simplex_etf(4, random_state=0)
    assert_allclose(report(etf[y], y)["target_distance"], 0, atol=1e-10)


# Forms of a report


def test_frames(iris, head):
    found = report(*iris, classifier=head, split="test")
    frame = found.to_frame()
    assert list(frame.index) == list(found.to_dict())
    assert_array_equal(frame["value"], list(found.to_dict().values()))
    assert frame.loc["nc4_ncc_agreement", "at_collapse"] == 1
    assert (frame["split"] == "test").all()
    classes = found.to_class_frame()
    assert_array_equal(classes.index, [0, 1, 2])
    assert_allclose(classes["nc1"].mean(), found["nc1_balanced"])


def test_readable(iris, head):
    found = report(*iris, classifier=head, split="<test>")
    text, html = repr(found), found._repr_html_()
    assert "on the <test> split: 150 samples, 3 classes of 50 to 50, 4 feat" in text
    for name, value in found.to_dict().items():
        shown = "–" if np.isnan(value) else f"{value:.4g}"
        (line,) = (line for line in text.splitlines() if f" {name} " in line)
        assert shown in line
        assert f"<code>{name}</code>" in html
        assert f"<td>{shown}</td>" in html
    assert "&lt;test&gt;" in html
    assert html.count("<tr>") == html.count("</tr>")
    assert max(map(len, text.splitlines())) <= 100


# Ways in


def test_forms_of_a_classifier(iris, head):
    X, y = iris
    layer = torch.nn.Linear(4, 3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.coef_))
        layer.bias.copy_(torch.from_numpy(head.intercept_))
    expected = report(X, y, classifier=head)
    for classifier in (
        (head.coef_, head.intercept_),
        FrozenEstimator(head),
        layer,
    ):
        assert_reports(report(X, y, classifier=classifier), expected)
    plain = report(X, y, classifier=head.coef_)
    for classifier in (head.coef_.tolist(), (head.coef_, np.zeros(3))):
        assert_reports(report(X, y, classifier=classifier), plain)
    layer = torch.nn.Linear(4, 3, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.coef_))
    assert_reports(report(X, y, classifier=layer), plain)


@pytest.mark.parametrize(
    "classifier",
    [LogisticRegression(), RidgeClassifier(), LinearDiscriminantAnalysis()],
)
def test_two_classes(iris, classifier):
    X, y = (values[50:] for values in iris)
    classifier.fit(X, y)
    nearest = NearestCentroid().fit(X, y).predict(X)
    found = report(X, y, classifier=classifier)
    agreement = (classifier.predict(X) == nearest).mean()
    assert_allclose(found["nc4_ncc_agreement"], agreement)
    assert_allclose(found["classifier_etf_distance"], 0, atol=1e-12)
    gap = X[y == 2].mean(axis=0) - X[y == 1].mean(axis=0)
    coef = classifier.coef_.ravel()
    cosine = coef @ gap / np.linalg.norm(coef) / np.linalg.norm(gap)
    assert_allclose(found["nc3_cosine"], 1 - cosine)


def test_labels_of_any_type(iris, head):
    X, y = iris
    expected = report(X, y, classifier=(head.coef_, head.intercept_))
    names = np.array(["x", "y", "z"])
    for labels in (names[y], names.astype(object)[y], y * 10 - 5, y / 2 * 2.0):
        found = report(X, labels, classifier=(head.coef_, head.intercept_))
        assert_reports(found, expected)
        assert_array_equal(found.classes["class"], np.unique(labels))


def test_torch_input(iris):
    X, y = iris
    expected = report(X, y)
    found = report(torch.from_numpy(X).requires_grad_(), torch.from_numpy(y))
    assert_reports(found, expected)
    for dtype, rtol in ((torch.float32, 1e-5), (torch.float16, 1e-2)):
        rows = torch.from_numpy(X).to(dtype)
        exact = report(rows.double(), y)
        assert_reports(report(rows, torch.from_numpy(y)), exact, rtol=rtol, atol=1e-5)


def test_memory_map(iris, tmp_path):
    X, y = iris
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_reports(report(mapped, y), report(X, y))


@given(
    weights=st.lists(st.integers(0, 3), min_size=30, max_size=30),
    scatter=st.booleans(),
)
def test_weights_are_repetitions(weights, scatter):
    X, y = load_iris(return_X_y=True)
    X, y = X[::5], y[::5]
    weights = np.array(weights)
    weights[::4] += 1
    repeated = np.repeat(np.arange(30), weights)
    expected = report(X[repeated], y[repeated], scatter=scatter)
    found = report(X, y, weights, scatter=scatter)
    assert_reports(found, expected, rtol=1e-6)


def test_a_split_may_lack_classes(iris, head):
    X, y = (values[:100] for values in iris)
    plain = head.coef_, head.intercept_
    for classifier in (head, plain):
        scorer = NeuralCollapseScorer(classifier).fit(X, y)
        assert_array_equal(scorer.classes_, [0, 1, 2])
        assert_array_equal(scorer.class_counts_, [50, 50, 0])
        assert set(scorer.predict(X)) == {0, 1}
        assert_allclose(scorer.report_["cdnv"], report(X, y)["cdnv"])
        expected = measures.self_duality(head.coef_[:2], scorer.centres_[:2])
        assert_allclose(scorer.report_["nc3_self_duality"], expected)
    with pytest.raises(ValueError, match="3 class vectors and y 2 classes"):
        report(X, np.array(["a", "b"])[y], classifier=plain)


# Batches


@given(cuts=st.lists(st.integers(0, 150), max_size=4), seed=st.integers(0, 99))
def test_batches_add_up(cuts, seed):
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(seed).permutation(150)
    scorer = NeuralCollapseScorer()
    for rows in np.split(order, sorted(set(cuts) - {0, 150})):
        scorer.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert_reports(scorer.report_, report(X, y))
    assert_array_equal(scorer.predict(X), NearestCentroid().fit(X, y).predict(X))


def test_what_batches_do_not_say(iris, head, monkeypatch):
    X, y = iris
    expected = report(X, y, classifier=head).to_dict()

    def missing(**parameters):
        scorer = NeuralCollapseScorer(head, **parameters).partial_fit(X, y, [0, 1, 2])
        values = scorer.report_.to_dict()
        known = [name for name, value in values.items() if not np.isnan(value)]
        assert_allclose(
            [values[name] for name in known], [expected[name] for name in known]
        )
        nowhere = {name for name, value in expected.items() if np.isnan(value)}
        return set(values) - set(known) - nowhere

    assert missing() == {"nc4_ncc_agreement"}
    without = {"nc1", "nc1_balanced", "vci", "nc4_ncc_agreement"}
    assert missing(scatter=False, metric="cdnv") == without
    monkeypatch.setattr("skcollapse.scorer._checks._CHEAP_CLASS_SCATTER", 1)
    assert missing() == {"nc1_balanced", "nc4_ncc_agreement"}


def test_batches_of_declared_classes(iris):
    X, y = iris
    scorer = NeuralCollapseScorer()
    with pytest.raises(ValueError, match="classes must be given in the first"):
        scorer.partial_fit(X, y)
    scorer.partial_fit(X[:50], y[:50], classes=[0, 1, 2, 7])
    with pytest.raises(ValueError, match="at least two classes, got one class"):
        _ = scorer.report_
    scorer.partial_fit(X[50:], y[50:])
    assert_reports(scorer.report_, report(X, y))
    with pytest.raises(ValueError, match=r"y holds .*3\)?, which is not one of"):
        scorer.partial_fit(X, y + 3)
    with pytest.raises(ValueError, match="is not what it was before"):
        scorer.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="NaN"):
        scorer.partial_fit(np.where(X > 6, np.nan, X), y)
    assert_reports(scorer.report_, report(X, y))
    # A fit is whole, and what follows begins anew.
    scorer.fit(X, y).partial_fit(X[y < 2], y[y < 2])
    assert_array_equal(scorer.class_counts_, [50, 50, 0])


# Scores


@pytest.mark.parametrize("metric", MEASURES)
def test_score_is_the_measure_of_other_rows(iris, head, metric):
    X, y = iris
    scorer = NeuralCollapseScorer(head, metric=metric).fit(X, y)
    found = scorer.score(X[::2], y[::2])
    value = report(X[::2], y[::2], classifier=head)[metric]
    rising = metric in ("min_angle", "nc4_ncc_agreement")
    assert_allclose(found, value if rising else -value)


@pytest.mark.parametrize("metric", ["nc1", "nc1_balanced", "cdnv", "vci"])
def test_scores_rise_with_collapse(iris, metric):
    X, y = iris
    means = np.array([X[y == k].mean(axis=0) for k in range(3)])[y]
    scorer = NeuralCollapseScorer(metric=metric).fit(X, y)
    scores = [scorer.score(means + r * (X - means), y) for r in (2, 1, 0.5, 0.1, 0)]
    assert (np.diff(scores) > 0).all()
    assert_allclose(scores[-1], 0, atol=1e-12)


def test_scorer_of_a_grid_search():
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    pipe = make_pipeline(StandardScaler(), PCA(), LogisticRegression(max_iter=20))
    pipe.set_params(logisticregression__tol=10)
    scorer = NeuralCollapseScorer(metric="cdnv")
    search = GridSearchCV(pipe, {"pca__n_components": [5, 20]}, scoring=scorer, cv=2)
    search.fit(X, y)
    features = search.best_estimator_[:-1].transform(X)
    assert_allclose(search.score(X, y), -report(features, y)["cdnv"])
    assert search.cv_results_["mean_test_score"].argmax() == search.best_index_
    assert not hasattr(scorer, "classes_")


@pytest.mark.filterwarnings("ignore:L-BFGS has not converged")
def test_scorer_of_etf_classifiers():
    X, y = load_iris(return_X_y=True)
    model = ETFClassifier(solver="closed_form", random_state=0)
    scorer = NeuralCollapseScorer(metric="nc2_etf_distance")
    scores = cross_val_score(model, X, y, scoring=scorer, cv=3)
    assert np.isfinite(scores).all()
    model.fit(X, y)
    assert_allclose(
        scorer(model, X, y),
        -measures.etf_distance(RowMoments(model.transform(X), y, 3)),
    )
    piped = make_pipeline(StandardScaler(), model).fit(X, y)
    expected = scorer.fit(piped.transform(X), y).score(piped.transform(X), y)
    assert_allclose(scorer(piped, X, y), expected)
    with pytest.raises(TypeError, match="has no transform"):
        scorer(LogisticRegression(), X, y)


# Objects


def test_clone_and_pickle(iris, head):
    scorer = NeuralCollapseScorer(FrozenEstimator(head), metric="vci").fit(*iris)
    twin = pickle.loads(pickle.dumps(scorer))
    assert_reports(twin.report_, scorer.report_)
    assert repr(twin.report_) == repr(scorer.report_)
    again = clone(scorer).fit(*iris)
    assert_reports(again.report_, scorer.report_)
    # No rows are kept.
    assert len(pickle.dumps(NeuralCollapseScorer().fit(*iris))) < 20_000
    streamed = NeuralCollapseScorer().partial_fit(*iris, classes=[0, 1, 2])
    assert_reports(pickle.loads(pickle.dumps(streamed)).report_, report(*iris))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "nc7"}, "metric must be one of 'nc1', .* got 'nc7'"),
        ({"metric": "nc3_cosine"}, "measures a classifier: pass classifier="),
        ({"scatter": "yes"}, "scatter must be one of True, False, 'auto'; got 'yes'"),
        ({"scatter": False, "metric": "vci"}, "metric='vci' needs a scatter matrix"),
        ({"target": "cube"}, "target must be one of 'etf', .* got 'cube'"),
        ({"target": np.eye(2)}, r"each of the 3 classes; got the shape \(2, 2\)"),
        ({"split": 3}, "split must be a name, .* got 3"),
        ({"ridge": -1}, "ridge must be a finite number"),
        ({"classifier": LogisticRegression()}, "must be a fitted linear classifier"),
        ({"classifier": np.eye(3)}, r"class vectors of shape \(3, 4\).*\(3, 3\)"),
        ({"classifier": np.eye(2, 4)}, "2 class vectors and y 3 classes"),
        ({"classifier": np.full((3, 4), np.nan)}, "finite class vectors"),
    ],
)
def test_bad_parameters(iris, parameters, message):
    with pytest.raises(ValueError, match=message):
        NeuralCollapseScorer(**parameters).fit(*iris)


def test_bad_rows(iris):
    X, y = iris
    scorer = NeuralCollapseScorer()
    with pytest.raises(ValueError, match="got one class"):
        scorer.fit(X, np.zeros(150))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        scorer.fit(np.where(X > 7, np.nan, X), y)
    with pytest.raises(ValueError, match="must not be zero for every row"):
        scorer.fit(X, y, sample_weight=np.zeros(150))
    with pytest.raises(ValueError, match="sample_weight must not be negative; got -1"):
        scorer.fit(X, y, sample_weight=-np.ones(150))
    scorer.fit(X, y)
    with pytest.raises(ValueError, match="not one of the classes"):
        scorer.score(X, y + 1)


# What fails leaves a scorer as it was


class Rows(Dataset):
    """Ends without an IndexError, as many data sets do."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return torch.zeros(4), 0


@pytest.mark.parametrize("how", ["fit", "score", "partial_fit", "predict"])
@pytest.mark.parametrize("X", [Rows(), DataLoader(Rows())])
def test_a_data_set_is_no_array(iris, how, X):
    scorer = NeuralCollapseScorer().fit(*iris)
    more = () if how == "predict" else (np.arange(6) % 2,)
    with pytest.raises(TypeError, match=r"X must be an array .* extract_features"):
        getattr(scorer, how)(X, *more)


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def failures(X, y):
    """Return calls that fail, by what is wrong with them."""
    wrong = np.full_like(X, np.nan)
    labels = np.arange(3)
    net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(3, 3))
    return {
        "NaN": lambda s: s.fit(wrong, y),
        "one class": lambda s: s.fit(X, 0 * y),
        "features": lambda s: s.partial_fit(X[:, :2], y, labels, y[:3]),
        "labels": lambda s: s.partial_fit(X, y + 7, labels),
        "no classes": lambda s: s.partial_fit(X, y, [5, 6]),
        "NaN in a batch": lambda s: s.partial_fit(wrong, y, labels),
        "weights": lambda s: s.fit(X[:, :3], y, -np.ones(len(y))),
        "parameter": lambda s: s.set_params(split=3).fit(X[:, :3], y),
        "target": lambda s: s.set_params(target=np.eye(2)).fit(X[:, :3], y),
        "network": lambda s: s.fit_network(net, [(torch.ones(2, 3), torch.ones(2))]),
        "no batches": lambda s: s.fit_network(net, []),
    }


def state(scorer):
    learnt = {name: v for name, v in vars(scorer).items() if name.endswith("_")}
    counts, centres = scorer.class_counts_, scorer.centres_
    return pickle.dumps((learnt, counts, centres, scorer.report_))


@pytest.mark.parametrize("way", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", failures(*load_iris(return_X_y=True)))
def test_a_failed_fit_leaves_a_scorer_alone(iris, way, name):
    X, y = iris
    scorer = NeuralCollapseScorer()
    scorer.fit(X, y) if way == "fit" else scorer.partial_fit(X, y, [0, 1, 2])
    before = state(scorer)
    with pytest.raises((ValueError, TypeError)):
        failures(X, y)[name](scorer)
    scorer.set_params(split="train", target="etf")
    assert state(scorer) == before
    scorer.partial_fit(X, y, [0, 1, 2])
    assert scorer.class_counts_.sum() == (150 if way == "fit" else 300)


@pytest.mark.parametrize("step", ["_merge_classes", "_add_scatter"])
def test_an_interrupted_batch_is_not_added(iris, step, monkeypatch):
    X, y = iris
    scorer = NeuralCollapseScorer().partial_fit(X, y, [0, 1, 2])
    before = state(scorer)
    with monkeypatch.context() as patch:
        patch.setattr(ClassMoments, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            scorer.partial_fit(2 * X, y)
    assert state(scorer) == before


# Weights, magnitudes and targets


def test_a_class_of_weight_zero_is_left_out(iris, head):
    X, y = iris
    weight = np.where(y == 1, 0.0, 1.0)
    kept = y != 1
    for labels in (y, np.array(["a", "b", "c"])[y]):
        scorer = NeuralCollapseScorer().fit(X, labels, weight)
        assert_reports(scorer.report_, report(X[kept], labels[kept]))
        assert_array_equal(scorer.classes_, np.unique(labels[kept]))
        assert_allclose(
            scorer.score(X, labels, weight), scorer.score(X[kept], labels[kept])
        )
    streamed = NeuralCollapseScorer()
    streamed.partial_fit(np.where(kept[:, None], X, np.nan), y, [0, 2], weight)
    assert_reports(streamed.report_, report(X[kept], y[kept]))
    with pytest.raises(ValueError, match="y holds 1, which is not one of"):
        NeuralCollapseScorer().partial_fit(X, y, [0, 2], np.ones(150))


@pytest.mark.parametrize("length", [1e5, 1e7, 1e9])
def test_a_row_far_away_in_float32(iris, head, length):
    X, y = iris
    X = X.astype(np.float32)
    X[3] = length * np.float32([1, -2, 0.5, 3])
    expected = report(X.astype(np.float64), y, classifier=head)
    assert_reports(report(X, y, classifier=head), expected)
    streamed = NeuralCollapseScorer(head)
    for rows in np.split(np.random.default_rng(0).permutation(150), 3):
        streamed.partial_fit(X[rows], y[rows], [0, 1, 2])
    for name in ("nc1", "nc1_balanced", "cdnv", "seli_distance", "nc3_cosine"):
        assert_allclose(streamed.report_[name], expected[name], rtol=0.02)


def test_hyperspherical_target_has_as_many_dimensions_as_the_means():
    angles = np.pi / 3 * np.array([0, 3, 1, 5, 2, 4])
    hexagon = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    y = np.repeat(np.arange(6), 5)
    found = report(3 * hexagon[y] + 1, y, target="hyperspherical")
    assert_allclose(found["target_distance"], 0, atol=1e-6)
    assert found["nc2_etf_distance"] > 0.5
    etf = simplex_etf(6, 8, random_state=0)
    found = report(etf[y], y, target="hyperspherical")
    assert_allclose(found["target_distance"], 0, atol=1e-6)
    # On a line there is no code for more than two classes.
    found = report(y[:, None] * 1.0, y, target="hyperspherical")
    assert np.isnan(found["target_distance"])


# A measure of one's own


def directional_cdnv(moments):
    """Variance of each class along its gap to each other class, over the gap."""
    means, own = moments.means, moments.class_scatter
    values = []
    for k, j in zip(*np.triu_indices(len(means), 1), strict=True):
        gap = means[k] - means[j]
        spread = own[k] / moments.counts[k] + own[j] / moments.counts[j]
        values.append(gap @ spread @ gap / (2 * (gap @ gap) ** 2))
    return np.mean(values)


def test_a_new_measure_is_one_entry(iris, monkeypatch):
    entry = Measure("CDNV along gaps", lambda i: directional_cdnv(i.moments), "NC1")
    monkeypatch.setitem(MEASURES, "directional_cdnv", entry)
    scorer = NeuralCollapseScorer(metric="directional_cdnv", scatter=True)
    scorer.partial_fit(*iris, [0, 1, 2])
    value = scorer.report_["directional_cdnv"]
    assert 0 < value < scorer.report_["cdnv"]
    text = repr(scorer.report_)
    assert text.index("directional_cdnv") < text.index("NC2, class means")
    assert scorer.report_.to_frame().loc["directional_cdnv", "at_collapse"] == 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ridge": "x"}, "ridge must be a finite number, at least 0; got 'x'"),
        ({"metric": np.array(["nc1", "cdnv"])}, "metric must be one of 'nc1'"),
        ({"scatter": np.ones(2)}, "scatter must be one of True, False, 'auto'"),
        ({"target": [1.0, 2.0, 3.0]}, r"target must be .* got the shape \(3,\)"),
        ({"target": ["a", "b", "c"]}, "target must hold numbers; got"),
        ({"target": None}, "target must be"),
        ({"classifier": "lda"}, "classifier must hold numbers; got 'lda'"),
        ({"classifier": (np.eye(3, 4), np.ones(2))}, "a bias for each of its 3"),
    ],
)
def test_values_of_the_wrong_kind(iris, parameters, message):
    with pytest.raises(ValueError, match=message):
        NeuralCollapseScorer(**parameters).fit(*iris)
