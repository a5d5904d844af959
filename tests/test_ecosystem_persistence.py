"""What stays of a fitted estimator elsewhere: in files, in caches and in notebooks."""

import pickle

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal, assert_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

from skcollapse import ETFClassifier, HUGClassifier, NeuralCollapseScorer
from skcollapse._utils.doc_link import DOCS_URL
from skcollapse.extract import FeatureExtractor
from skcollapse.fitting import Fitted
from skcollapse.network import Network, Stored
from skcollapse.projectors import MLP, KernelExpansion, LinearProjection, MLPProjection
from skcollapse.training import Trainer

X, Y = load_iris(return_X_y=True)
FEW = {"max_iter": 3, "tol": 0, "random_state": 0}
LINEAR = [Fitted, LinearProjection]
KERNEL = [KernelExpansion, *LINEAR]
NETWORK = [Fitted, Network, Stored, MLPProjection]
# Everything fitted but modules of the user's own, and what a reader must trust.
STORED = {
    "default": (ETFClassifier(random_state=0), KERNEL),
    "linear": (ETFClassifier(projector="linear", alpha=1e-2, random_state=0), LINEAR),
    "closed_form": (ETFClassifier(solver="closed_form", random_state=0), KERNEL),
    "batches": (ETFClassifier(projector="linear", solver="sgd", **FEW), NETWORK),
    "mlp": (ETFClassifier(projector="mlp", **FEW), NETWORK),
    "everything": (
        ETFClassifier(
            projector=MLP((6, 5), dropout=0.1, residual=True, batch_norm=True),
            trainer=Trainer(mixup_alpha=0.1),
            warm_start=True,
            **FEW,
        ),
        [*NETWORK, MLP, Trainer],
    ),
    "hug": (HUGClassifier(random_state=0), KERNEL),
    "learnable": (HUGClassifier(proxy="learnable", **FEW), NETWORK),
    "orthogonal": (HUGClassifier(proxy="orthogonal", **FEW), NETWORK),
    "class_mean": (HUGClassifier(proxy="class_mean", **FEW), NETWORK),
}
stored = pytest.mark.parametrize(("model", "types"), STORED.values(), ids=STORED)


def same_predictions(model, other):
    for method in ("predict", "predict_proba", "transform"):
        assert_array_equal(getattr(model, method)(X), getattr(other, method)(X))


def train_on(model):
    """Go on with training, and return what comes of it."""
    return model.partial_fit(X, Y).predict_proba(X)


# --- files -------------------------------------------------------------------------


@stored
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_skops_stores_what_is_trusted(model, types, dtype):
    sio = pytest.importorskip("skops.io", reason="needs skops")
    model = clone(model).fit(X.astype(dtype), Y)
    data = sio.dumps(model)
    trusted = sorted(f"{t.__module__}.{t.__name__}" for t in (type(model), *types))
    assert sorted(sio.get_untrusted_types(data=data)) == trusted
    same_predictions(sio.loads(data, trusted=trusted), model)
    for left_out in trusted:
        others = [name for name in trusted if name != left_out]
        with pytest.raises(sio.exceptions.UntrustedTypesFoundException, match=left_out):
            sio.loads(data, trusted=others)


@stored
def test_pickles_are_free_of_torch_and_alike(model, types, tmp_path):
    model = clone(model).fit(X, Y)
    data = pickle.dumps(model)
    assert b"torch" not in data
    same_predictions(pickle.loads(data), model)
    joblib.dump(model, tmp_path / "model.joblib", compress=3)
    same_predictions(joblib.load(tmp_path / "model.joblib"), model)
    assert joblib.hash(model) == joblib.hash(clone(model).fit(X, Y))


@pytest.mark.parametrize(
    "name", ["batches", "mlp", "everything", "learnable", "orthogonal", "class_mean"]
)
def test_training_goes_on_from_a_file(name):
    model = clone(STORED[name][0]).fit(X, Y)
    copies = [pickle.loads(pickle.dumps(model))]
    if name == "everything":
        warm = pickle.loads(pickle.dumps(model)).fit(X, Y).predict_proba(X)
        assert_array_equal(
            pickle.loads(pickle.dumps(model)).fit(X, Y).predict_proba(X), warm
        )
        assert not np.array_equal(warm, clone(model).fit(X, Y).predict_proba(X))
    sio = pytest.importorskip("skops.io", reason="needs skops")
    data = sio.dumps(model)
    copies.append(sio.loads(data, trusted=sio.get_untrusted_types(data=data)))
    expected = train_on(model)
    for copied in copies:
        assert_array_equal(train_on(copied), expected)


def test_modules_of_the_users_own_are_pickled():
    module = torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)
    )
    model = ETFClassifier(projector=module, **FEW).fit(X, Y)
    copied = pickle.loads(pickle.dumps(model))
    same_predictions(copied, model)
    assert_array_equal(train_on(copied), train_on(model))
    # skops knows no tensors, and says so before anything is lost.
    sio = pytest.importorskip("skops.io", reason="needs skops")
    with pytest.raises(RuntimeError, match="TensorBase"):
        sio.dumps(model)


def test_skops_stores_pipelines_and_reports():
    sio = pytest.importorskip("skops.io", reason="needs skops")
    pipeline = make_pipeline(StandardScaler(), ETFClassifier(solver="closed_form")).fit(
        X, Y
    )
    data = sio.dumps(pipeline)
    same_predictions(
        sio.loads(data, trusted=sio.get_untrusted_types(data=data)), pipeline
    )
    scorer = NeuralCollapseScorer().fit(X, Y)
    data = sio.dumps(scorer)
    types = (type(scorer), type(scorer.report_))
    trusted = [f"{t.__module__}.{t.__name__}" for t in types]
    loaded = sio.loads(data, trusted=trusted)
    assert_equal(loaded.report_.to_dict(), scorer.report_.to_dict())


# --- caches ------------------------------------------------------------------------


@pytest.mark.parametrize("classifier", [ETFClassifier, HUGClassifier])
def test_caches_fit_a_transformer_once(classifier, tmp_path):
    transformer = classifier(solver="closed_form", random_state=0)
    memory = joblib.Memory(tmp_path, verbose=0)
    fits = []
    plain_fit = classifier.fit

    def counted(self, *args, **kwargs):
        fits.append(1)
        return plain_fit(self, *args, **kwargs)

    steps = [("project", transformer), ("last", StandardScaler())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "fit", counted)
        results = [
            Pipeline(steps, memory=memory).fit(X, Y).transform(X) for _ in range(3)
        ]
        assert len(fits) == 1
        changed = clone(transformer).set_params(alpha=1e-2)
        Pipeline([("project", changed), steps[1]], memory=memory).fit(X, Y)
        assert len(fits) == 2
    assert_array_equal(results[0], results[2])
    uncached = Pipeline(steps).fit(X, Y).transform(X)
    assert_array_equal(results[0], uncached)


# --- notebooks ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "page"),
    [
        (ETFClassifier(), "skcollapse.ETFClassifier"),
        (HUGClassifier(), "skcollapse.HUGClassifier"),
        (NeuralCollapseScorer(), "skcollapse.NeuralCollapseScorer"),
        (FeatureExtractor(abs), "skcollapse.extract.FeatureExtractor"),
    ],
)
def test_representations_link_to_the_documentation(estimator, page):
    link = f'href="{DOCS_URL}api/{page}.html"'
    assert link in estimator_html_repr(estimator)
    within = estimator_html_repr(make_pipeline(StandardScaler(), estimator))
    assert link in within
    assert "scikit-learn.org" in within
    assert estimator.__class__.__name__ in estimator._repr_mimebundle_()["text/html"]


def test_classes_of_the_users_own_have_no_page():
    class Mine(ETFClassifier):
        pass

    assert DOCS_URL not in estimator_html_repr(Mine())
