"""Features of networks of all sorts, against what their parts compute by hand."""

import copy
import pickle
from collections import UserDict
from dataclasses import dataclass

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from skcollapse import ETFClassifier
from skcollapse.extract import (
    FeatureExtractor,
    extract_features,
    iter_features,
    last_linear,
)
from skcollapse.moments import ClassMoments

N, D, K = 7, 5, 3
IMAGES = (N, 1, 8, 8)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def mlp(*last):
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, D), nn.Tanh(), nn.Linear(D, K), *last
    )


class Residual(nn.Module):
    """A small residual network, with batch normalisation and dropout."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, D, 3)
        self.norm = nn.BatchNorm2d(D)
        self.block = nn.Conv2d(D, D, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(D, K)

    def features(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        return self.pool(torch.relu(x + self.block(x))).flatten(1)

    def forward(self, x):
        return self.fc(self.dropout(self.features(x)))


@dataclass
class Output:
    """Like the outputs of Hugging Face models."""

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    hidden_states: tuple | None = None


class Tokens(nn.Module):
    """A token classifier of the structure of BERT's: [CLS], pooler, dropout, head."""

    def __init__(self, output="object"):
        super().__init__()
        self.embeddings = nn.Embedding(20, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.pooler = nn.Linear(8, D)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(D, K)
        self.output = output

    def features(self, input_ids):
        return self.pooler(self.encoder(self.embeddings(input_ids))[:, 0]).tanh()

    def forward(self, input_ids, attention_mask=None, labels=None):
        assert labels is None
        pooled = self.features(input_ids)
        logits = self.classifier(self.dropout(pooled))
        return {
            "object": Output(logits=logits, hidden_states=(pooled, input_ids)),
            "dict": {"logits": logits, "pooled": pooled},
            "other dict": {"prediction": logits},
            "tuple": (logits, pooled),
        }[self.output]


class LastToken(nn.Module):
    """Score every position and keep the scores of the last one, as decoders do."""

    def __init__(self):
        super().__init__()
        self.embeddings = nn.Embedding(20, 8)
        self.body = nn.GRU(8, D, batch_first=True)
        self.score = nn.Linear(D, K, bias=False)

    def last(self, ids):
        return (ids != 0).sum(1) - 1

    def features(self, ids):
        return self.body(self.embeddings(ids))[0][
            torch.arange(len(ids)), self.last(ids)
        ]

    def forward(self, ids):
        scores = self.score(self.body(self.embeddings(ids))[0])
        return Output(logits=scores[torch.arange(len(ids)), self.last(ids)])


class Recurrent(nn.Module):
    """Call one layer several times; the last call gives the output."""

    def __init__(self, last=None):
        super().__init__()
        self.layer = nn.Linear(D, D)
        self.last = last or nn.Identity()

    def features(self, x):
        return self.layer(self.layer(x).relu()).relu()

    def forward(self, x):
        return self.last(self.layer(self.features(x)))


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, D)
        self.main = nn.Linear(D, K)
        self.auxiliary = nn.Linear(D, K)

    def forward(self, x):
        x = self.body(x).relu()
        return self.main(x), self.auxiliary(x)


class MeanOfHeads(TwoHeads):
    def forward(self, x):
        return sum(super().forward(x)) / 2


def floats(*shape):
    return torch.randn(*shape)


def token_ids():
    ids = torch.randint(1, 20, (N, 6))
    ids[1, 4:] = ids[4, 2:] = 0
    return ids


def body(network):
    """Return all of a sequential network before its last linear layer."""
    last = max(i for i, layer in enumerate(network) if isinstance(layer, nn.Linear))
    return network[:last]


# A network, the name of its head, and inputs.
NETWORKS = {
    "mlp": (mlp, "4", lambda: floats(N, 6)),
    "dropout after": (lambda: mlp(nn.Dropout()), "4", lambda: floats(N, 6)),
    "reshaped": (lambda: mlp(nn.Unflatten(1, (K, 1))), "4", lambda: floats(N, 6)),
    "softmax": (lambda: mlp(nn.Softmax(-1)), "4", lambda: floats(N, 6)),
    "log-softmax": (lambda: mlp(nn.LogSoftmax(-1)), "4", lambda: floats(N, 6)),
    "sigmoid": (
        lambda: nn.Sequential(nn.Linear(6, D), nn.Linear(D, 1), nn.Sigmoid()),
        "1",
        lambda: floats(N, 6),
    ),
    "weight norm": (
        lambda: nn.Sequential(
            nn.Tanh(), nn.utils.parametrizations.weight_norm(nn.Linear(D, K))
        ),
        "1",
        lambda: floats(N, D),
    ),
    "pointwise": (
        lambda: nn.Sequential(nn.Conv2d(1, D, 8), nn.Flatten(), nn.Linear(D, K)),
        "2",
        lambda: floats(*IMAGES),
    ),
    "residual": (Residual, "fc", lambda: floats(*IMAGES)),
    "recurrent": (Recurrent, "layer", lambda: floats(N, D)),
    "recurrent softmax": (
        lambda: Recurrent(nn.Softmax(-1)),
        "layer",
        lambda: floats(N, D),
    ),
    "object": (Tokens, "classifier", token_ids),
    "dict": (lambda: Tokens("dict"), "classifier", token_ids),
    "other dict": (lambda: Tokens("other dict"), "classifier", token_ids),
    "tuple": (lambda: Tokens("tuple"), "classifier", token_ids),
    "last token": (LastToken, "score", token_ids),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    """Return a network in training mode, the name of its head, and inputs."""
    build, name, inputs = NETWORKS[request.param]
    return build(), name, inputs()


def by_hand(network, x):
    """Return the features of a network, computed by its own parts."""
    network = copy.deepcopy(network).eval()
    with torch.no_grad():
        compute = getattr(network, "features", None) or body(network)
        return compute(x).numpy()


def state(network):
    """Return all that a call could change."""
    return (
        [module.training for module in network.modules()],
        [len(module._forward_hooks) for module in network.modules()],
        [len(module._forward_pre_hooks) for module in network.modules()],
        {name: value.clone() for name, value in network.state_dict().items()},
    )


def assert_same_state(network, before):
    *modes, weights = state(network)
    assert modes == list(before[:-1])
    for name, value in weights.items():
        assert torch.equal(value, before[-1][name]), name


# --- the head ----------------------------------------------------------------------


def test_last_linear_is_the_head(case):
    network, name, x = case
    before = state(network)
    assert last_linear(network, x) is network.get_submodule(name)
    assert_same_state(network, before)


def test_last_linear_takes_what_loaders_give():
    network = Tokens()
    x = token_ids()
    for batch in (
        (x, torch.zeros(N)),
        [x],
        {"input_ids": x, "labels": None},
        x.numpy(),
    ):
        assert last_linear(network, batch) is network.classifier


def test_a_given_layer_is_not_looked_for():
    network = TwoHeads()
    assert last_linear(network, layer="main") is network.main
    assert last_linear(network, floats(N, 6), layer=network.body) is network.body


def test_one_linear_layer_needs_no_batch():
    network = Residual()
    assert last_linear(network) is network.fc
    linear = nn.Linear(2, 3)
    assert last_linear(linear) is last_linear(linear, floats(4, 2)) is linear
    with pytest.raises(
        ValueError, match=r"batch must be given.*3 linear.*'0', '2', '4'"
    ):
        last_linear(mlp())


def test_several_heads_are_listed():
    with pytest.raises(ValueError, match="several heads: 'main', 'auxiliary'"):
        last_linear(TwoHeads(), floats(N, 6))


def test_mixed_heads_are_listed_by_the_width_of_the_output():
    with pytest.raises(ValueError, match="no linear layer whose output") as info:
        last_linear(MeanOfHeads(), floats(N, 6))
    message = str(info.value)
    assert "'main' (Linear, output (7, 3)), 'auxiliary' (Linear, output (7, 3))" in (
        message
    )
    assert "'body'" not in message


def test_convolutional_heads_are_named():
    network = nn.Sequential(
        nn.Conv2d(1, D, 3), nn.Conv2d(D, K, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    with pytest.raises(ValueError, match=r"last layer .* '1' \(Conv2d, output \(7, 3"):
        last_linear(network, floats(*IMAGES))
    with pytest.raises(ValueError, match="no layers with weights"):
        last_linear(nn.ReLU(), floats(N, D))


def test_a_scaled_output_is_not_that_of_the_layer():
    class Scaled(Residual):
        def forward(self, x):
            return 10 * super().forward(x)

    with pytest.raises(ValueError, match=r"candidates among .* 'fc'"):
        last_linear(Scaled(), floats(*IMAGES))


@pytest.mark.parametrize("layer", ["fx", "features", nn.Linear(2, 2), 3])
def test_unknown_layers_are_refused(layer):
    with pytest.raises(ValueError, match=r"is not in module.*'fc'"):
        last_linear(Residual(), layer=layer)


def test_only_modules_have_heads():
    for function in (last_linear, extract_features, iter_features):
        with pytest.raises(TypeError, match="module must be a torch"):
            function(torch.tanh, [])


# --- features ----------------------------------------------------------------------


def test_features_are_those_of_the_parts(case):
    network, name, x = case
    y = torch.arange(N)
    before = state(network)
    loader = DataLoader(TensorDataset(x, y), batch_size=3)
    features, logits, labels = extract_features(network, loader)
    assert_same_state(network, before)
    assert_allclose(features, by_hand(network, x), rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        expected = network.get_submodule(name)(torch.from_numpy(features))
    assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
    assert_array_equal(labels, y)
    assert features.dtype == logits.dtype == np.float32
    assert all(array.flags.owndata for array in (features, logits, labels))


def test_networks_compute_without_dropout_and_batch_statistics():
    network = Residual().train()
    network.norm.running_mean.uniform_()
    x = floats(*IMAGES)
    first, second = (extract_features(network, [x]) for _ in range(2))
    assert_array_equal(first.features, second.features)
    assert_allclose(first.features, by_hand(network, x), rtol=1e-4, atol=1e-6)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 9))
def test_features_do_not_depend_on_batches(sizes, hint):
    class Loader(list):
        def __len__(self):
            return hint  # whatever it says

    x = floats(sum(sizes), 6).double()
    network = mlp().double()
    whole = extract_features(network, [x])
    parts = extract_features(network, Loader(x.split(sizes)))
    assert_allclose(parts.features, whole.features, rtol=1e-12)
    assert_allclose(parts.logits, whole.logits, rtol=1e-12)
    assert parts.features.dtype == np.float64
    assert parts.labels is None


def test_loaders_of_unknown_length():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(x)

    x = floats(23, 6)
    network = mlp()
    features = extract_features(network, DataLoader(Stream(), batch_size=2)).features
    assert_allclose(features, by_hand(network, x), rtol=1e-5, atol=1e-6)
    assert_array_equal(extract_features(network, iter(x.split(2))).features, features)


def labelled(x, y):
    """Return the same batch in all forms that loaders give."""
    return [
        (x, y),
        [x, y],
        (x, y[:, None]),
        (x, y.tolist()),
        (x.numpy(), y.numpy()),
        {"input_ids": x, "labels": y},
        {"input_ids": x, "label": y},
        {"input_ids": x, "attention_mask": torch.ones_like(x), "y": y},
        UserDict(input_ids=x, labels=y),
        {"image": x, "label": y},
        ({"input_ids": x}, y),
        ((x, torch.ones_like(x)), y),
    ]


@pytest.mark.parametrize("form", range(12))
def test_labels_come_from_batches_of_all_forms(form):
    x, y = token_ids(), torch.randint(0, K, (N,))
    network = Tokens()
    batch = labelled(x, y)[form]
    features, logits, labels = extract_features(network, [batch, batch])
    assert_array_equal(labels, np.tile(y, 2))
    assert labels.dtype == np.int64
    assert_allclose(features[N:], by_hand(network, x), rtol=1e-4, atol=1e-6)
    assert logits.shape == (2 * N, K)


@pytest.mark.parametrize("form", ["tensor", "array", "tuple", "dict"])
def test_batches_without_labels(form):
    x = token_ids()
    batch = {"tensor": x, "array": x.numpy(), "tuple": (x,), "dict": {"input_ids": x}}
    features, _, labels = extract_features(Tokens(), [batch[form]])
    assert labels is None
    assert features.shape == (N, D)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((floats(2, 6), [0, 1], [0, 1]), "a tuple of 3"),
        ((), "a tuple of 0"),
        ((floats(2, 6), ["a", "b"]), "LabelEncoder"),
        ((floats(2, 6), [0, 1, 1]), r"2 rows of a batch; got the shape \(3,\)"),
        ((floats(2, 6), torch.eye(2)), r"got the shape \(2, 2\)"),
    ],
)
def test_bad_batches(batch, message):
    network = mlp()
    before = state(network)
    with pytest.raises(ValueError, match=message):
        extract_features(network, [batch])
    assert_same_state(network, before)


def test_labels_for_some_batches_only():
    x = floats(2, 6)
    with pytest.raises(ValueError, match="labels for 2 rows of 6"):
        extract_features(mlp(), [x, (x, [0, 1]), x])


def test_a_loader_without_batches():
    with pytest.raises(ValueError, match="loader gave no batches"):
        extract_features(mlp(), [])


@pytest.mark.parametrize("given", ["name", "module"])
def test_features_of_a_given_layer(given):
    network = TwoHeads()
    layer = "auxiliary" if given == "name" else network.auxiliary
    x = floats(N, 6)
    features, logits, _ = extract_features(network, [x], layer=layer)
    with torch.no_grad():
        assert_allclose(features, network.body(x).relu(), rtol=1e-6)
        assert_allclose(logits, network(x)[1], rtol=1e-6)


def test_layers_that_are_not_linear():
    # A pointwise convolution of pooled features, and what stands for no head at all.
    x = floats(*IMAGES)
    network = nn.Sequential(
        nn.Conv2d(1, D, 8), nn.Conv2d(D, K, 1), nn.Flatten(), nn.Identity()
    )
    features, logits, _ = extract_features(network, [x], layer="1")
    assert features.shape == (N, D)
    with torch.no_grad():
        assert_allclose(logits, network(x), rtol=1e-6)
    assert_array_equal(extract_features(network, [x], layer="3").features, logits)


def test_inputs_that_are_not_one_vector():
    network = nn.Sequential(nn.Embedding(20, D), nn.Linear(D, K))
    with pytest.raises(ValueError, match=r"layer '1' has the shape \(7, 6, 5\)"):
        extract_features(network, [token_ids()])


def test_layers_that_are_not_called():
    network = Residual()
    network.forward = network.features
    with pytest.raises(ValueError, match="layer 'fc' was not called"):
        extract_features(network, [floats(*IMAGES)], layer="fc")


def test_heads_that_give_two_outputs():
    class Siamese(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(D, K)

        def forward(self, x):
            return self.head(x), self.head(-x)

    with pytest.raises(ValueError, match="'head' was called 2 times, and 2 of them"):
        extract_features(Siamese(), [floats(N, D)])


def test_inputs_take_the_precision_of_the_network():
    x = floats(N, 6)
    network = mlp()
    single = extract_features(network, [x])
    double = extract_features(network, [x.double().numpy()])
    assert_array_equal(double.features, single.features)
    half = extract_features(network.bfloat16(), [x])
    assert half.features.dtype == half.logits.dtype == np.float32
    assert_allclose(half.features, single.features, atol=0.05)


def test_mixed_precision():
    x = floats(N, 6)
    network = mlp()
    single = extract_features(network, [x])
    mixed = extract_features(network, [x], autocast=torch.bfloat16)
    assert mixed.features.dtype == mixed.logits.dtype == np.float32
    assert_allclose(mixed.features, single.features, atol=0.05)
    assert not np.array_equal(mixed.features, single.features)
    with pytest.raises(ValueError, match=r"autocast must be one of None, torch\.bf"):
        iter_features(network, [x], autocast=torch.float32)


# --- what is left behind -----------------------------------------------------------


class Fragile(Residual):
    """Fail at inputs that are not finite, after part of the network has run."""

    def forward(self, x):
        logits = super().forward(x)
        if not logits.isfinite().all():
            raise ArithmeticError("not finite")
        return logits


def mixed_modes(network):
    network.train()
    network.norm.eval()
    network.pool.eval()
    return network


def test_modes_and_hooks_after_an_error_in_the_network():
    network = mixed_modes(Fragile())
    before = state(network)
    good = floats(*IMAGES)
    for batches in ([good, good / 0], [good / 0]):
        with pytest.raises(ArithmeticError):
            extract_features(network, batches)
        assert_same_state(network, before)
    with pytest.raises(ArithmeticError):
        last_linear(network, good / 0)
    assert_same_state(network, before)


def test_modes_and_hooks_after_an_error_in_the_loader():
    def loader():
        yield floats(*IMAGES)
        raise KeyError("gone")

    network = mixed_modes(Residual())
    before = state(network)
    with pytest.raises(KeyError):
        extract_features(network, loader())
    assert_same_state(network, before)


def test_between_batches_the_network_is_as_it_was():
    network = mixed_modes(Residual())
    before = state(network)
    batches = iter_features(network, [floats(*IMAGES)] * 3)
    for batch in batches:
        assert_same_state(network, before)
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert not batch.features.requires_grad
        assert not batch.features.is_inference()
        break
    assert_same_state(network, before)


def test_networks_that_keep_tensors_can_be_trained_afterwards():
    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(D, K)
            self.scale = None

        def forward(self, x):
            if self.scale is None:
                self.scale = torch.ones(D) * 2
            return self.head(x * self.scale)

    network = Cached()
    x = floats(N, D).requires_grad_()
    extract_features(network, [x])
    network(x).sum().backward()
    assert network.head.weight.grad is not None


def test_a_network_elsewhere_is_copied_not_moved():
    # "meta" is a device that every machine has.
    network = Residual()
    (batch,) = iter_features(network, [floats(*IMAGES)], layer="fc", device="meta")
    assert batch.features.device.type == batch.logits.device.type == "meta"
    assert {p.device.type for p in network.parameters()} == {"cpu"}
    with pytest.raises(ValueError, match="device='nowhere'"):
        iter_features(network, [], device="nowhere")


def test_streamed_features_have_the_moments_of_all_features():
    network = Residual()
    x, y = floats(*IMAGES), torch.arange(N) % K
    moments = ClassMoments(K, D)
    loader = DataLoader(TensorDataset(x, y), batch_size=2)
    for features, _, labels in iter_features(network, loader):
        moments.update(features, labels)
    whole = ClassMoments(K, D).update(by_hand(network, x), y)
    assert_allclose(moments.means, whole.means, rtol=1e-5, atol=1e-7)
    assert_array_equal(moments.counts, whole.counts)


# --- the transformer ---------------------------------------------------------------


class Sigmoid:
    """A callable whose representation has no address, for the names of tests."""

    def __call__(self, x):
        return torch.sigmoid(x)

    def __repr__(self):
        return "Sigmoid()"


@parametrize_with_checks([FeatureExtractor(Sigmoid())])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(11, 1, 8, 8))


@pytest.mark.parametrize("batch_size", [1, 4, 11, 256])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_transformed_images_are_features(images, batch_size, dtype):
    network = Residual()
    before = state(network)
    X = images.astype(dtype)
    features = FeatureExtractor(network, batch_size=batch_size).fit_transform(X)
    assert features.dtype == np.float32
    expected = by_hand(network, torch.from_numpy(X.astype(np.float32)))
    assert_allclose(features, expected, rtol=1e-4, atol=1e-6)
    assert_same_state(network, before)


def test_inputs_of_the_transformer(images):
    network = Residual()
    extractor = FeatureExtractor(network, batch_size=4)
    expected = extractor.transform(images)
    read_only = images.copy()
    read_only.setflags(write=False)
    for X in (
        torch.from_numpy(images),
        images.tolist(),
        read_only,
        np.asfortranarray(images),
        images[::-1].copy()[::-1],
    ):
        assert_allclose(extractor.transform(X), expected, rtol=1e-6)
    assert_allclose(
        extractor.transform(torch.from_numpy(images).bfloat16()), expected, atol=0.05
    )


def test_bytes_are_pixels_and_longer_integers_are_indices():
    pixels = np.random.default_rng(0).integers(0, 255, IMAGES)
    network = Residual()
    expected = by_hand(network, torch.from_numpy(pixels.astype(np.float32)))
    features = FeatureExtractor(network).transform(pixels.astype(np.uint8))
    assert_allclose(features, expected, rtol=1e-4)
    network, ids = Tokens(), token_ids()
    for dtype in (np.int64, np.int32, np.uint16):
        features = FeatureExtractor(network).transform(ids.numpy().astype(dtype))
        assert_allclose(features, by_hand(network, ids), rtol=1e-4, atol=1e-6)


def flattened(batch):
    assert not torch.is_grad_enabled()
    return batch.flatten(1)


def test_functions_and_methods_give_the_features_themselves(images):
    assert_array_equal(
        FeatureExtractor(flattened).transform(images), images.reshape(11, -1)
    )
    in_numpy = FeatureExtractor(lambda batch: batch.flatten(1).numpy())
    assert_array_equal(in_numpy.transform(images), images.reshape(11, -1))
    network = mixed_modes(Residual())
    before = state(network)
    X = images.astype(np.float32)
    features = FeatureExtractor(network.features, batch_size=3).transform(images)
    assert_allclose(features, by_hand(network, torch.from_numpy(X)), rtol=1e-4)
    assert_same_state(network, before)


def test_a_data_set_is_no_array(images):
    data = TensorDataset(torch.ones(4, 6), torch.zeros(4))
    for X in (data, DataLoader(data)):
        with pytest.raises(TypeError, match=r"X must be .* extract_features"):
            FeatureExtractor(mlp()).fit(X)


def test_functions_return_rows(images):
    with pytest.raises(ValueError, match=r"each of 11 rows; got the shape \(11, 1, 8"):
        FeatureExtractor(torch.sigmoid).transform(images)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"module_or_callable": 3}, TypeError, "module_or_callable must be"),
        ({"layer": nn.Linear(2, 2)}, TypeError, "layer must be None or the qualified"),
        ({"layer": "nothing"}, ValueError, "layer='nothing' is not in module"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer"),
        ({"batch_size": True}, ValueError, "batch_size must be an integer"),
        ({"device": "nowhere"}, ValueError, "device='nowhere'"),
        ({"module_or_callable": flattened, "layer": "fc"}, ValueError, "needs a torch"),
        ({"module_or_callable": TwoHeads().body}, RuntimeError, "shapes cannot"),
    ],
)
def test_bad_parameters(images, parameters, error, message):
    extractor = FeatureExtractor(Residual()).set_params(**parameters)
    for method in (extractor.fit, extractor.transform):
        with pytest.raises(error, match=message):
            method(images)


def test_bad_inputs(images):
    extractor = FeatureExtractor(Residual()).fit(images)
    with pytest.raises(ValueError, match="NaN"):
        extractor.transform(np.full_like(images, np.nan))
    with pytest.raises(ValueError, match="2D array"):
        extractor.transform(images[:, 0, 0, 0])
    with pytest.raises(ValueError, match="expecting 1 features"):
        extractor.transform(np.repeat(images, 3, axis=1))


def test_layer_of_the_transformer():
    X = floats(N, 6)
    network = TwoHeads()
    with pytest.raises(ValueError, match="several heads"):
        FeatureExtractor(network).fit(X)
    features = FeatureExtractor(network, layer="main").fit_transform(X)
    with torch.no_grad():
        assert_allclose(features, network.body(X).relu(), rtol=1e-6)


def test_names_of_the_features(images):
    extractor = FeatureExtractor(Residual())
    with pytest.raises(NotFittedError):
        extractor.get_feature_names_out()
    names = [f"featureextractor{i}" for i in range(D)]
    assert extractor.fit(images).get_feature_names_out().tolist() == names
    pandas = pytest.importorskip("pandas", reason="set_output needs pandas")
    frame = extractor.set_output(transform="pandas").transform(images)
    assert isinstance(frame, pandas.DataFrame)
    assert frame.columns.tolist() == names


def test_clones_have_networks_of_their_own(images):
    network = Residual()
    extractor = FeatureExtractor(network, batch_size=3)
    cloned = clone(extractor)
    expected = extractor.transform(images)
    assert cloned.module_or_callable is not network
    assert_array_equal(cloned.transform(images), expected)
    with torch.no_grad():
        network.stem.weight.zero_()
    assert_array_equal(cloned.transform(images), expected)
    assert not np.array_equal(extractor.transform(images), expected)


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],
    ids=["copy", "deepcopy", "pickle"],
)
@pytest.mark.parametrize("network", [Residual, Tokens, LastToken])
def test_copies_compute_the_same(images, copied, network):
    extractor = FeatureExtractor(network())
    X = images if network is Residual else token_ids().numpy()
    expected = extractor.fit_transform(X)
    other = copied(extractor)
    assert_array_equal(other.transform(X), expected)
    assert other.get_feature_names_out().shape == (D,)
    # Its network can be trained still, and the first one is as it was.
    parameters = list(other.module_or_callable.parameters())
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in parameters)
    assert_array_equal(extractor.transform(X), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_pickles_keep_weights_of_all_sorts(dtype):
    network = Residual().to(dtype)
    network.fc.requires_grad_(False)
    network.stem.weight = network.stem.weight
    network.block.bias = nn.Parameter(network.norm.bias)
    network.tied = network.fc
    loaded = pickle.loads(pickle.dumps(FeatureExtractor(network))).module_or_callable
    assert loaded.tied is loaded.fc
    assert not loaded.fc.weight.requires_grad
    assert loaded.stem.weight.requires_grad
    assert_same_state(loaded, state(network))


def test_methods_pickle_with_their_network(images):
    extractor = FeatureExtractor(Residual().features)
    loaded = pickle.loads(pickle.dumps(extractor))
    assert_array_equal(loaded.transform(images), extractor.transform(images))


def test_pickles_of_other_devices_hold_no_trace_of_them():
    # Without such a device: torch would store the name of the location.
    text = pickle.dumps(FeatureExtractor(Residual()))
    assert b"torch.storage" not in text
    assert b"_rebuild_tensor" not in text


def test_hashes_depend_on_values_only(images):
    network = Residual()
    extractor = FeatureExtractor(network)
    digest = joblib.hash(extractor)
    extractor.transform(images)
    same = (
        extractor,
        clone(extractor),
        copy.deepcopy(extractor),
        pickle.loads(pickle.dumps(extractor)),
        FeatureExtractor(copy.deepcopy(network)),
    )
    assert {joblib.hash(other) for other in same} == {digest}
    with torch.no_grad():
        network.stem.weight[0, 0, 0, 0] += 1e-3
    assert joblib.hash(extractor) != digest


COUNTED = []


class Counted(Residual):
    def forward(self, x):
        COUNTED.append(len(x))
        return super().forward(x)


def test_cached_pipelines_compute_features_once(tmp_path, images):
    memory = joblib.Memory(tmp_path, verbose=0)
    y = np.arange(len(images)) % K
    network = Counted()
    head = ETFClassifier(solver="closed_form", projector="linear", alpha=1e-2)

    def fit(network):
        COUNTED.clear()
        pipeline = make_pipeline(FeatureExtractor(network), head, memory=memory)
        pipeline.fit(images, y)
        return sum(COUNTED)

    assert fit(network) > 0
    assert fit(network) == 0
    assert fit(copy.deepcopy(network)) == 0
    with torch.no_grad():
        network.fc.bias += 1
    assert fit(network) > 0


def test_digits_through_a_network():
    X, y = load_digits(return_X_y=True)
    X = X.reshape(-1, 1, 8, 8) / 16
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(288, 10),
    )
    model = make_pipeline(
        FeatureExtractor(network), ETFClassifier(solver="closed_form", random_state=0)
    )
    model.fit(X[:900], y[:900])
    assert model[0].transform(X[:5]).shape == (5, 288)
    # Random convolutions are features good enough for digits.
    assert model.score(X[900:], y[900:]) > 0.9


# --- published architectures, of random weights ------------------------------------

# These libraries warn of this and that when they are imported.
published = pytest.mark.filterwarnings("ignore")
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "num_labels": K,
}
TEXT = {**SMALL, "vocab_size": 50, "max_position_embeddings": 16, "pad_token_id": 0}
VISION = {**SMALL, "image_size": 8, "patch_size": 4, "num_channels": 1}


def hugging_face(name, **config):
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    model = getattr(transformers, name)
    return model(model.config_class(**config))


def encodings(kind):
    """Return a batch as Hugging Face loaders give them."""
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    labels = torch.arange(N) % K
    if kind == "text":
        ids = token_ids()
        mask = (ids != 0).long()
        return transformers.BatchEncoding(
            {"input_ids": ids, "attention_mask": mask, "labels": labels}
        )
    return transformers.BatchFeature(
        {"pixel_values": floats(*IMAGES), "labels": labels}
    )


def agrees_with(network, head, batch):
    """Compare features with the input of a head as a wrapped forward sees it."""
    seen = []
    compute = head.forward

    def spied(*args):
        seen.append(args[0])
        return compute(*args)

    mode = network.training
    before = state(network)
    features, logits, labels = extract_features(network, [batch, batch])
    assert_same_state(network, before)
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    head.forward = spied
    with torch.no_grad():
        output = network.eval()(**inputs)
    del head.forward
    network.train(mode)
    output = output if isinstance(output, torch.Tensor) else output.logits
    assert_allclose(logits, np.tile(output, (2, 1)), rtol=1e-4, atol=1e-6)
    assert labels is None or labels.tolist() == (batch["labels"].tolist() * 2)
    if seen[0].ndim == 2:
        assert_allclose(features, np.tile(seen[0], (2, 1)), rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        assert_allclose(head(torch.from_numpy(features)), logits, rtol=1e-4, atol=1e-6)
    return features


@published
@pytest.mark.parametrize(
    ("name", "config", "head", "kind"),
    [
        ("ViTForImageClassification", VISION, "classifier", "image"),
        ("BertForSequenceClassification", TEXT, "classifier", "text"),
        ("RobertaForSequenceClassification", TEXT, "classifier.out_proj", "text"),
        (
            "GPT2ForSequenceClassification",
            {
                "vocab_size": 50,
                "n_positions": 16,
                "n_embd": 16,
                "n_layer": 2,
                "n_head": 2,
                "num_labels": K,
                "pad_token_id": 0,
                "bos_token_id": 1,
                "eos_token_id": 1,
            },
            "score",
            "text",
        ),
    ],
)
def test_hugging_face_models(name, config, head, kind):
    network = hugging_face(name, **config).train()
    batch = encodings(kind)
    head = network.get_submodule(head)
    assert last_linear(network, batch) is head
    features = agrees_with(network, head, batch)
    X = batch["pixel_values" if kind == "image" else "input_ids"].numpy()
    extractor = FeatureExtractor(network, batch_size=3)
    assert extractor.transform(X).shape == (N, features.shape[1])
    digest = joblib.hash(extractor)
    loaded = pickle.loads(pickle.dumps(extractor))
    assert joblib.hash(loaded) == digest
    assert_array_equal(loaded.transform(X), extractor.transform(X))
    assert joblib.hash(extractor) == digest


@published
def test_hugging_face_models_without_a_head_of_their_own():
    batch = encodings("image")
    network = hugging_face("DeiTForImageClassificationWithTeacher", **VISION)
    with pytest.raises(
        ValueError, match=r"'cls_classifier'.*'distillation_classifier'"
    ):
        last_linear(network, batch)
    network = hugging_face("BertForTokenClassification", **TEXT)
    with pytest.raises(
        ValueError, match=r"layer 'classifier' has the shape \(7, 6, 16"
    ):
        extract_features(network, [{"input_ids": token_ids()}])


@published
@pytest.mark.parametrize(
    ("name", "head"), [("resnet18", "fc"), ("mobilenet_v3_small", "classifier.3")]
)
def test_torchvision_models(name, head):
    torchvision = pytest.importorskip("torchvision", reason="needs torchvision")
    network = getattr(torchvision.models, name)(num_classes=K)
    head = network.get_submodule(head)
    x = floats(2, 3, 32, 32)
    assert last_linear(network, x) is head
    agrees_with(network, head, {"x": x})


@published
def test_torchvision_convolutional_heads():
    torchvision = pytest.importorskip("torchvision", reason="needs torchvision")
    network = torchvision.models.squeezenet1_1(num_classes=K)
    with pytest.raises(ValueError, match=r"'classifier.1' \(Conv2d, output"):
        last_linear(network, floats(2, 3, 64, 64))


@published
@pytest.mark.parametrize(
    "name", ["resnet10t", "convnext_atto", "mobilenetv3_small_050"]
)
def test_timm_models(name):
    timm = pytest.importorskip("timm", reason="needs timm")
    network = timm.create_model(name, num_classes=K)
    head = network.get_classifier()
    x = floats(2, 3, 64, 64)
    assert last_linear(network, x) is head
    agrees_with(network, head, {"x": x})
    # Without its head there is nothing to find, and the place to name.
    network.reset_classifier(0)
    name = next(n for n, m in network.named_modules() if m is network.get_classifier())
    with pytest.raises(ValueError, match="no linear layer whose output"):
        extract_features(network, [x])
    assert extract_features(network, [x], layer=name).features.ndim == 2
