"""Data frames in, data frames out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcollapse import ETFClassifier, HUGClassifier, NeuralCollapseScorer

NAMES = ["width", "height", "depth", "weight"]
LABELS = np.array(["ash", "elm", "oak"])
COUNTS = np.array([30, 15, 6])
QUICK = {"projector": "linear", "solver": "closed_form", "random_state": 0}
CLASSIFIERS = {"etf": ETFClassifier(**QUICK), "hug": HUGClassifier(**QUICK)}
both = pytest.mark.parametrize("classifier", CLASSIFIERS.values(), ids=CLASSIFIERS)
_RNG = np.random.default_rng(0)
Y = _RNG.permutation(np.repeat(LABELS, COUNTS))
X = _RNG.normal(size=(len(Y), 4)) + 2 * np.searchsorted(LABELS, Y)[:, None] * [
    1,
    0,
    -1,
    0,
]
WEIGHT = _RNG.uniform(0.5, 2, len(Y))


def in_pandas():
    pd = pytest.importorskip("pandas", reason="needs pandas")
    index = [f"row {i}" for i in range(len(Y))]
    columns = pd.Series(Y, index=index), pd.Series(WEIGHT, index=index)
    return pd.DataFrame(X, index=index, columns=NAMES), *columns


def in_polars():
    pl = pytest.importorskip("polars", reason="needs polars")
    return pl.DataFrame(X, schema=NAMES), pl.Series(Y), pl.Series(WEIGHT)


def in_pyarrow():
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow")
    table = pa.table({name: X[:, i] for i, name in enumerate(NAMES)})
    return table, pa.array(Y), pa.array(WEIGHT)


frames = pytest.mark.parametrize("framed", [in_pandas, in_polars, in_pyarrow])


@both
@frames
def test_frames_are_as_good_as_arrays(classifier, framed):
    table, y, weight = framed()
    model = clone(classifier).fit(table, y, sample_weight=weight)
    expected = clone(classifier).fit(X, Y, sample_weight=WEIGHT)
    assert_array_equal(model.classes_, LABELS)
    assert_array_equal(model.feature_names_in_, NAMES)
    # Columns are stored one after the other, so that sums round in another way.
    for method in ("predict_proba", "decision_function", "transform"):
        ours, theirs = getattr(model, method)(table), getattr(expected, method)(X)
        assert_allclose(ours, theirs, atol=1e-9)
    assert_array_equal(model.predict(table), expected.predict(X))
    assert model.score(table, y) == expected.score(X, Y)


@frames
def test_collapse_is_measured_in_frames(framed):
    table, y, weight = framed()
    report = NeuralCollapseScorer().fit(table, y, sample_weight=weight).report_
    expected = NeuralCollapseScorer().fit(X, Y, sample_weight=WEIGHT).report_
    for name, value in expected.to_dict().items():
        assert_allclose(report.to_dict()[name], value, rtol=1e-9, err_msg=name)


@both
@pytest.mark.parametrize("framed", [in_pandas, in_polars])
def test_columns_in_another_order_are_an_error(classifier, framed):
    table, y, _ = framed()
    model = clone(classifier).fit(table, y)
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(table[NAMES[::-1]])
    renamed = (
        table.rename(columns={"depth": "length"})
        if framed is in_pandas
        else (table.rename({"depth": "length"}))
    )
    with pytest.raises(ValueError, match="length"):
        model.predict(renamed)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)


@both
@pytest.mark.parametrize(
    ("container", "framed"), [("pandas", in_pandas), ("polars", in_polars)]
)
def test_output_is_in_frames(classifier, container, framed):
    table, y, _ = framed()
    model = clone(classifier).set_output(transform=container).fit(table, y)
    projected = model.transform(table)
    assert type(projected) is type(table)
    prefix = type(model).__name__.lower()
    assert list(projected.columns) == [f"{prefix}0", f"{prefix}1"]
    assert_array_equal(model.get_feature_names_out(), projected.columns)
    plain = clone(classifier).fit(table, y).transform(table)
    assert_array_equal(projected.to_numpy(), plain)
    if container == "pandas":
        assert_array_equal(projected.index, table.index)
    # What predicts is not a transformer's output.
    assert isinstance(model.predict_proba(table), np.ndarray)


@both
@pytest.mark.parametrize(
    ("container", "framed"), [("pandas", in_pandas), ("polars", in_polars)]
)
def test_frames_go_through_pipelines(classifier, container, framed):
    table, y, _ = framed()
    columns = make_column_transformer((StandardScaler(), ["depth", "width"]))
    pipeline = make_pipeline(columns, clone(classifier)).set_output(transform=container)
    pipeline.fit(table, y)
    chosen = ["standardscaler__depth", "standardscaler__width"]
    assert_array_equal(pipeline[-1].feature_names_in_, chosen)
    scaled = StandardScaler().fit_transform(X[:, [2, 0]])
    alone = clone(classifier).fit(scaled, Y)
    assert_allclose(
        pipeline.transform(table).to_numpy(), alone.transform(scaled), atol=1e-9
    )
