"""Displays: what is drawn, against what was measured."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcollapse import ETFClassifier, NeuralCollapseScorer
from skcollapse.datasets import long_tail_counts
from skcollapse.display import CollapseDisplay, GramDisplay, ShotAccuracyDisplay
from skcollapse.metrics import shot_accuracy
from skcollapse.targets import seli, simplex_etf

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def iris():
    """Return long-tailed irises, the rarest first."""
    X, y = load_iris(return_X_y=True)
    kept = np.r_[0:5, 50:70, 100:150]
    return X[kept], y[kept]


@pytest.fixture(scope="module")
def head(iris):
    return LogisticRegression(max_iter=1000).fit(*iris)


@pytest.fixture(scope="module")
def report(iris, head):
    return NeuralCollapseScorer(head).fit(*iris).report_


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def overlapping_texts(figure):
    """Return pairs of texts of the same axes that lie on each other."""
    figure.draw_without_rendering()
    found = []
    for ax in figure.axes:
        texts = [ax.title, ax.xaxis.label, ax.yaxis.label]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if low <= tick.get_loc() <= high:
                    texts += [tick.label1, tick.label2]
        boxes = [
            (text.get_text(), text.get_window_extent())
            for text in texts
            if text.get_visible() and text.get_text()
        ]
        found += [
            (text, other)
            for (text, box), (other, other_box) in combinations(boxes, 2)
            if box.overlaps(other_box)
        ]
    return found


# One report


def test_classes_of_a_report(report):
    display = CollapseDisplay.from_report(report)
    assert display.axes_.shape == (2, 2)
    assert display.ax_ is display.axes_[0, 0]
    assert display.figure_ is display.ax_.figure
    order = [2, 1, 0]  # from common to rare
    nc1, nc2, nc3, nc4 = display.axes_.ravel()
    (line,) = nc1.lines
    assert_array_equal(line.get_ydata(), report.classes["nc1"][order])
    norm = report.classes["norm"][order]
    assert_allclose(lines(nc2)["class mean"].get_ydata(), norm / norm.mean())
    seli_norm = report.classes["seli_classifier_norm"][order]
    line = lines(nc2)["class vector, SELI"]
    assert_allclose(line.get_ydata(), seli_norm / seli_norm.mean())
    assert_array_equal(nc3.lines[0].get_ydata(), report.classes["nc3_cosine"][order])
    agreement = report.classes["nc4_ncc_agreement"][order]
    assert_array_equal(nc4.lines[0].get_ydata(), agreement)
    for ax in display.axes_.ravel():
        assert [t.get_text() for t in ax.get_xticklabels()] == ["2", "1", "0"]
        assert ax.get_xlabel() == "class, from common to rare"
        assert ax.get_ylabel()


def test_without_a_classifier(iris):
    scorer = NeuralCollapseScorer().fit(*iris)
    display = CollapseDisplay.from_estimator(scorer)
    assert display.axes_.shape == (1, 2)
    assert set(lines(display.axes_[0, 1])) == {"class mean", "class mean, SELI"}


def test_what_batches_do_not_say(iris, head):
    scorer = NeuralCollapseScorer(head, scatter=False, metric="cdnv")
    scorer.partial_fit(*iris, classes=[0, 1, 2])
    nc1, *_, nc4 = CollapseDisplay.from_estimator(scorer).axes_.ravel()
    for ax in (nc1, nc4):
        assert not ax.lines
        assert [text.get_text() for text in ax.texts] == ["not measured"]


@pytest.mark.parametrize("display", [CollapseDisplay, GramDisplay])
def test_given_axes(report, display):
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    drawn = display.from_report(report, ax=left)
    assert drawn.figure_ is figure
    assert not right.images
    assert not right.lines
    n_panels = drawn.axes_.size
    _, axes = plt.subplots(n_panels)
    drawn = display.from_report(report, ax=axes)
    assert_array_equal(drawn.axes_.ravel(), axes)
    with pytest.raises(ValueError, match=f"ax must hold {n_panels} axes.* got 3"):
        display.from_report(report, ax=axes[:3])


# Histories


def test_curves_of_a_history(iris, head):
    X, y = iris
    means = np.array([X[y == k].mean(axis=0) for k in range(3)])[y]
    history = {
        epoch: NeuralCollapseScorer(head).fit(means + r * (X - means), y).report_
        for epoch, r in [(0, 1), (5, 0.1), (20, 0.01)]
    }
    display = CollapseDisplay.from_history(history)
    nc1, nc2, nc3, nc4 = display.axes_.ravel()
    drawn = {
        (nc1, "NC1"): "nc1",
        (nc1, "CDNV"): "cdnv",
        (nc2, "means, from SELI"): "seli_distance",
        (nc2, "classifier, from ETF"): "classifier_etf_distance",
        (nc3, "mean 1 − cosine"): "nc3_cosine",
        (nc4, "agreement"): "nc4_ncc_agreement",
    }
    for (ax, label), name in drawn.items():
        line = lines(ax)[label]
        assert_array_equal(line.get_xdata(), [0, 5, 20])
        assert_array_equal(line.get_ydata(), [r[name] for r in history.values()])
    assert nc1.get_yscale() == "log"
    assert nc2.get_yscale() == "linear"
    for reports in ([], (), {}):
        with pytest.raises(ValueError, match="reports must be a list of at least one"):
            CollapseDisplay(reports).plot()
    with pytest.raises(TypeError, match="a CollapseReport; got 3"):
        CollapseDisplay([3]).plot()
    with pytest.raises(TypeError, match="a CollapseReport; got 'a'"):
        GramDisplay.from_report("a")
    with pytest.raises(ValueError, match="history must hold a report"):
        CollapseDisplay.from_history({})


# Estimators


@pytest.mark.parametrize("display", [CollapseDisplay, GramDisplay])
def test_features_of_estimators(iris, head, display):
    X, y = iris
    model = ETFClassifier(solver="closed_form", random_state=0).fit(X, y)
    piped = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    scaled = StandardScaler().fit_transform(X)
    for estimator, features, classifier in (
        (model, model.transform(X), model.target_),
        (piped, scaled, piped[1]),
    ):
        found = display.from_estimator(estimator, X, y)
        report = NeuralCollapseScorer(classifier).fit(features, y).report_
        for own, other in zip(
            found.axes_.flat, display.from_report(report).axes_.flat, strict=True
        ):
            for line, twin in zip(own.lines, other.lines, strict=True):
                assert_allclose(line.get_ydata(), twin.get_ydata())
            for image, twin in zip(own.images, other.images, strict=True):
                assert_allclose(image.get_array(), twin.get_array())
    scorer = NeuralCollapseScorer(ridge=0.3, split="test")
    assert display.from_estimator(piped, X, y, scorer=scorer).axes_.shape[0] == 2
    with pytest.raises(TypeError, match="X and y must be given"):
        display.from_estimator(piped)
    with pytest.raises(TypeError, match="has no transform"):
        display.from_estimator(head, X, y)


# Gram matrices


def test_grams(report):
    display = GramDisplay.from_report(report)
    assert_array_equal(display.order_, [2, 1, 0])
    shown = [ax.images[0].get_array() for ax in display.axes_.flat]
    assert_array_equal(shown, list(display.grams_.values()))
    for gram in shown:
        assert_allclose(np.trace(gram), 3)
    means = (report.means - report.means.mean(axis=0))[::-1]
    assert_allclose(shown[0], 3 * means @ means.T / np.square(means).sum())
    coef = report.coef[::-1]
    assert_allclose(shown[3], 3 * coef @ coef.T / np.square(coef).sum())
    etf = simplex_etf(3, random_state=0)
    assert_allclose(shown[1], etf @ etf.T, atol=1e-12)
    assert_allclose(shown[4], etf @ etf.T, atol=1e-12)
    geometry = seli([50, 20, 5], random_state=0)
    for gram, vectors in ((shown[2], geometry.means), (shown[5], geometry.classifier)):
        expected = vectors @ vectors.T
        assert_allclose(gram, 3 * expected / np.trace(expected), atol=1e-10)
    limits = {ax.images[0].get_clim() for ax in display.axes_.flat}
    ((low, high),) = limits
    assert low == -high


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_seli_geometry_is_as_predicted(ridge):
    counts = np.array([3, 100, 30, 10])
    classifier, means = seli(counts, ridge=ridge, random_state=0)
    display = GramDisplay(means + 1, counts, classifier, ridge=ridge).plot()
    grams = display.grams_
    assert_allclose(grams["class means"], grams["means of SELI"], atol=1e-8)
    assert_allclose(grams["classifier"], grams["classifier of SELI"], atol=1e-8)
    with pytest.raises(ValueError, match="a size for each of the 4 classes"):
        GramDisplay(means, counts[:3]).plot()


def test_counts_of_training(report):
    display = GramDisplay.from_report(report, class_counts=[70, 20, 10])
    assert_array_equal(display.order_, [0, 1, 2])


# Recalls


def test_recalls(iris):
    X, y = load_iris(return_X_y=True)
    model = ETFClassifier(solver="closed_form", random_state=0).fit(*iris)
    display = ShotAccuracyDisplay.from_estimator(model, X, y)
    recalls = recall_score(y, model.predict(X), average=None)
    assert_array_equal(display.points_.get_xdata(), [5, 20, 50])
    assert_allclose(display.points_.get_ydata(), recalls)
    assert display.shots_ == {"few": recalls[0], "medium": recalls[1:].mean()}
    assert display.ax_.get_xscale() == "log"
    search = GridSearchCV(
        make_pipeline(StandardScaler(), model), {"etfclassifier__target": ["etf"]}, cv=2
    ).fit(*iris)
    again = ShotAccuracyDisplay.from_estimator(search, X, y, ax=display.ax_, name="2")
    assert_array_equal(again.points_.get_xdata(), [5, 20, 50])
    assert again.points_.get_color() != display.points_.get_color()
    assert again.points_.get_marker() != display.points_.get_marker()
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend[0].startswith("ETFClassifier: few ")
    assert legend[1].startswith("2: few ")


def test_bounds_of_shots():
    counts = [5, 19, 20, 100, 101, 2000]
    recalls = [0.0, 0.2, 0.3, 0.5, 0.6, np.nan]
    display = ShotAccuracyDisplay(recalls, counts).plot()
    expected = {"few": 0.1, "medium": 0.4, "many": 0.6}
    assert display.shots_ == pytest.approx(expected)


def test_predictions_of_labels():
    true, predicted = list("aaabbb"), list("aabbbc")
    draw = ShotAccuracyDisplay.from_predictions
    display = draw(true, predicted, class_counts=[10, 20, 30])
    assert_allclose(display.points_.get_ydata(), [2 / 3, 2 / 3, np.nan])
    display = draw(true, predicted, class_counts=[1, 2], classes=["b", "a"])
    assert_array_equal(display.points_.get_xdata(), [1, 2])
    with pytest.raises(ValueError, match="a number for each of the 3 classes"):
        draw(true, predicted, class_counts=[1, 2])
    with pytest.raises(ValueError, match="class_counts must hold a positive number"):
        draw(true, predicted, class_counts=[0, 1, 2])


def test_counts_are_found_and_named(iris):
    X, y = iris
    quick = ETFClassifier(solver="closed_form", random_state=0)
    calibrated = CalibratedClassifierCV(quick, cv=2).fit(X, y)
    draw = ShotAccuracyDisplay.from_estimator
    display = draw(calibrated, X, y)
    assert_array_equal(display.points_.get_xdata(), [5, 20, 50])
    assert display.name == "ETFClassifier"
    shots = shot_accuracy(y, calibrated.predict(X), class_counts=[5, 20, 50])
    assert display.shots_ == pytest.approx(shots)
    display = draw(calibrated, X, y, class_counts={0: 7, 1: 8, 2: 9, 3: 1})
    assert_array_equal(display.points_.get_xdata(), [7, 8, 9])
    with pytest.raises(ValueError, match="no number for class 0"):
        draw(calibrated, X, y, class_counts={1: 8, 2: 9})


def test_other_classifiers_need_counts(iris, head):
    with pytest.raises(ValueError, match="has no class_counts_"):
        ShotAccuracyDisplay.from_estimator(head, *iris)
    display = ShotAccuracyDisplay.from_estimator(head, *iris, class_counts=[5, 20, 50])
    assert_array_equal(display.points_.get_xdata(), [5, 20, 50])


# To be read


@pytest.mark.parametrize("n_classes", [2, 10, 15, 100])
def test_nothing_overlaps(n_classes):
    counts = long_tail_counts(n_classes, 500, 100)
    classifier, means = seli(counts, random_state=0)
    y = np.repeat(np.arange(n_classes), 2)
    X = means[y] + 0.1 * np.random.default_rng(0).standard_normal((len(y), 1))
    report = NeuralCollapseScorer(classifier, scatter=False).fit(X, y).report_
    figures = [
        CollapseDisplay.from_report(report).figure_,
        CollapseDisplay.from_history({0: report, 10: report}).figure_,
        GramDisplay(means, counts, classifier).plot().figure_,
        ShotAccuracyDisplay(np.linspace(1, 0, n_classes), counts, name="a")
        .plot()
        .figure_,
    ]
    for figure in figures:
        assert overlapping_texts(figure) == []


def test_long_labels_stand_upright():
    counts = long_tail_counts(12, 500, 100)
    names = [f"a long name {k}" for k in range(12)]
    means = seli(counts, random_state=0).means
    figure = GramDisplay(means, counts, classes=names).plot().figure_
    assert overlapping_texts(figure) == []
