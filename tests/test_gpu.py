"""The same fits on CUDA as on the CPU, and nothing of CUDA left in what is kept."""

import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from skcollapse import ETFClassifier, HUGClassifier, NeuralCollapseScorer
from skcollapse.extract import FeatureExtractor, extract_features, iter_features
from skcollapse.projectors import MLP
from skcollapse.training import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600], y[:600], X[600:]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"solver": "closed_form"},
        {"solver": "lbfgs", "projector": "linear", "feature_scaling": "global"},
        {"alpha": 1e-2, "projector": "kernel", "feature_scaling": "global"},
        {"loss": "dot_regression", "projector": "linear"},
        {"target": "seli", "projector": "linear"},
    ],
)
def test_cuda_fits_as_the_cpu_does(digits, parameters):
    X, y, X_test = digits
    on_cpu = ETFClassifier(device="cpu", random_state=0, **parameters).fit(X, y)
    on_cuda = ETFClassifier(device="cuda", random_state=0, **parameters).fit(X, y)
    np.testing.assert_allclose(
        on_cuda.predict_proba(X_test), on_cpu.predict_proba(X_test), atol=1e-6
    )


@pytest.mark.parametrize("projector", ["linear", "mlp"])
def test_cuda_models_hold_no_cuda_tensors(digits, projector):
    X, y, X_test = digits
    model = ETFClassifier(
        projector=projector, device="cuda", max_iter=5, random_state=0
    ).fit(X, y)
    # Storages on CUDA are pickled with the name of their location.
    assert b"cuda:" not in pickle.dumps(model)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict(X_test), model.predict(X_test)
    )


def test_cuda_reproduces_bit_for_bit(digits):
    X, y, X_test = digits
    models = [
        ETFClassifier(projector="mlp", device="cuda", max_iter=5, random_state=0)
        for _ in range(2)
    ]
    first, second = (model.fit(X, y).decision_function(X_test) for model in models)
    np.testing.assert_array_equal(first, second)


def test_workers_on_one_cuda_device_find_what_one_finds(digits):
    X, y, X_test = digits
    search = GridSearchCV(
        ETFClassifier(projector=MLP(), device="cuda", max_iter=3, random_state=0),
        {"projector__hidden_layer_sizes": [(16,), (32,)]},
        cv=2,
    )
    alone, side_by_side = (
        clone(search).set_params(n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)
    )
    np.testing.assert_allclose(
        side_by_side.predict_proba(X_test), alone.predict_proba(X_test), atol=1e-6
    )


def test_cuda_tensors_are_accepted(digits):
    X, y, X_test = digits
    X, y = torch.as_tensor(X, device="cuda"), torch.as_tensor(y, device="cuda")
    model = ETFClassifier(solver="closed_form", random_state=0).fit(X, y)
    assert isinstance(model.predict(torch.as_tensor(X_test, device="cuda")), np.ndarray)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(64, 32),
        torch.nn.Tanh(),
        torch.nn.Linear(32, 10),
    )


def test_cuda_features_are_those_of_the_cpu(digits, network):
    X, y, _ = digits
    X = torch.from_numpy(X / 16).reshape(-1, 1, 8, 8)
    loader = list(zip(X.split(100), torch.from_numpy(y).split(100), strict=True))
    on_cpu = extract_features(network, loader, device="cpu")
    for device in ("cuda", "auto"):
        on_cuda = extract_features(network, loader, device=device)
        np.testing.assert_allclose(on_cuda.features, on_cpu.features, atol=1e-5)
        np.testing.assert_array_equal(on_cuda.labels, y)
    features, logits, labels = next(iter_features(network, loader))
    assert all(values.is_cuda for values in (features, logits, labels))
    assert not any(p.is_cuda for p in network.parameters())
    mixed = extract_features(network, loader, autocast=torch.float16)
    np.testing.assert_allclose(mixed.features, on_cpu.features, atol=1e-2)


def test_cuda_networks_stay_and_pickle_to_the_cpu(digits, network):
    X = digits[0] / 16
    expected = FeatureExtractor(network, device="cpu").transform(X)
    extractor = FeatureExtractor(network.cuda())
    np.testing.assert_allclose(extractor.transform(X), expected, atol=1e-5)
    on_cpu = FeatureExtractor(network, device="cpu").transform(
        torch.from_numpy(X).cuda()
    )
    np.testing.assert_array_equal(on_cpu, expected)
    assert all(p.is_cuda for p in network.parameters())
    assert b"cuda:" not in pickle.dumps(extractor)
    loaded = pickle.loads(pickle.dumps(extractor))
    assert not any(p.is_cuda for p in loaded.module_or_callable.parameters())
    assert joblib.hash(loaded) == joblib.hash(extractor)


def test_networks_are_measured_on_cuda_as_on_the_cpu(digits):
    X, y, _ = digits
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
    ).double()
    loader = [(torch.from_numpy(X[k::4]), torch.from_numpy(y[k::4])) for k in range(4)]
    scorer = NeuralCollapseScorer()
    on_cpu = scorer.fit_network(network, loader, device="cpu").report_.to_dict()
    on_cuda = scorer.fit_network(network, loader, device="cuda").report_.to_dict()
    for name, value in on_cpu.items():
        np.testing.assert_allclose(on_cuda[name], value, rtol=1e-6, err_msg=name)
    assert b"cuda:" not in pickle.dumps(scorer)


@pytest.mark.parametrize("proxy", ["fixed", "class_mean", "orthogonal"])
def test_estimators_along_the_way_are_on_the_cpu(digits, proxy):
    pytest.importorskip("sklearn.callback")
    X, y, X_test = digits
    seen = []

    class Recorder:
        def setup(self, estimator, context):
            pass

        teardown = on_fit_task_begin = setup

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            seen.append((fitted_estimator, fitted_estimator.predict_proba(X_test)))

    parameters = {"solver": "adamw", "max_iter": 3, "random_state": 0}
    model = HUGClassifier(proxy=proxy, device="cuda", **parameters)
    model.set_callbacks(Recorder()).fit(X, y)
    assert len(seen) == 4
    for fitted, then in seen:
        assert b"cuda:" not in pickle.dumps(fitted.set_callbacks())
        np.testing.assert_array_equal(fitted.predict_proba(X_test), then)
    np.testing.assert_allclose(seen[-2][1], model.predict_proba(X_test), atol=1e-5)


def convolutional():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Flatten()
        )


def trained(X, y, device, **trainer):
    return ETFClassifier(
        extractor=convolutional(),
        train_extractor=True,
        max_iter=3,
        trainer=Trainer(learning_rate_init=0.01, **trainer),
        device=device,
        random_state=0,
    ).fit(X.reshape(-1, 1, 8, 8).astype(np.float32), y)


def test_networks_train_on_cuda_as_on_the_cpu(digits):
    X, y, X_test = digits
    X_test = X_test.reshape(-1, 1, 8, 8).astype(np.float32)
    on_cpu, on_cuda = (trained(X, y, device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(
        on_cuda.predict_proba(X_test), on_cpu.predict_proba(X_test), atol=0.01
    )
    assert b"cuda:" not in pickle.dumps(on_cuda)
    assert next(on_cuda.extractor_.parameters()).device.type == "cpu"


def test_rows_that_are_sent_train_as_those_that_are_there(digits, monkeypatch):
    X, y, X_test = digits
    X_test = X_test.reshape(-1, 1, 8, 8).astype(np.float32)
    trainer = {"autocast": "bfloat16", "channels_last": True}
    there = trained(X, y, "cuda", **trainer)
    # A device without a byte left.
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (0, 0))
    sent = trained(X, y, "cuda", **trainer)
    np.testing.assert_allclose(
        sent.predict_proba(X_test), there.predict_proba(X_test), atol=0.01
    )


def test_checkpoints_of_cuda_go_on(digits, tmp_path):
    pytest.importorskip("safetensors")
    X, y, _ = digits
    trainer = {
        "checkpoint": tmp_path / "run.safetensors",
        "autocast": "float16",
        "ema_decay": 0.9,
    }
    first, again = (trained(X, y, "cuda", **trainer) for _ in range(2))
    assert again.loss_curve_ == first.loss_curve_
