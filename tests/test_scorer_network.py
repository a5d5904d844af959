"""Networks measured batch by batch, against what their features say as a whole."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from skcollapse import NeuralCollapseScorer
from skcollapse.datasets import make_long_tailed
from skcollapse.extract import extract_features


@pytest.fixture(scope="module")
def images():
    digits = load_digits()
    index = make_long_tailed(digits.target, 10, n_max=100, random_state=0)
    X = torch.from_numpy(digits.images[index, None] / 16).float()
    return TensorDataset(X, torch.from_numpy(digits.target[index]))


def network(n_outputs=10, *last):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(288, 24),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(24, n_outputs),
        *last,
    )


def train(module, images, epochs=30):
    optimizer = torch.optim.AdamW(module.parameters(), 0.01)
    X, y = images.tensors
    for _ in range(epochs):
        for rows in torch.randperm(len(y)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(X[rows]), y[rows]).backward()
            optimizer.step()
    return module


def reports(module, data, layer=-1, batch_size=50, **parameters):
    """Return the report of a network, and that of its features as a whole."""
    scorer = NeuralCollapseScorer(**parameters)
    scorer.fit_network(module, DataLoader(data, batch_size))
    features, _, labels = extract_features(module, DataLoader(data, batch_size))
    parameters = {"classifier": module[layer]} | parameters
    whole = NeuralCollapseScorer(**parameters).fit(features, labels)
    return scorer, whole


def assert_same(found, expected, rtol=1e-4):
    assert found.to_dict().keys() == expected.to_dict().keys()
    for name, value in expected.to_dict().items():
        assert_allclose(found[name], value, rtol=rtol, atol=1e-6, err_msg=name)
    assert found.classes.keys() == expected.classes.keys()
    for name, values in expected.classes.items():
        assert_allclose(found.classes[name], values, rtol=rtol, atol=1e-6, err_msg=name)


def test_report_is_that_of_the_features(images):
    module = network()
    before = copy.deepcopy(module.state_dict())
    scorer, whole = reports(module, images, scatter=True)
    assert_same(scorer.report_, whole.report_)
    assert repr(scorer.report_).splitlines()[0] == repr(whole.report_).splitlines()[0]
    assert_array_equal(scorer.class_counts_, whole.class_counts_)
    assert_allclose(scorer.centres_, whole.centres_, rtol=1e-5)
    assert scorer.n_features_in_ == 24
    assert module.training
    assert not any(layer._forward_hooks for layer in module.modules())
    for name, values in module.state_dict().items():
        assert torch.equal(values, before[name])


def test_large_offsets_do_not_decide(images):
    module = network().double()
    with torch.no_grad():
        module[3].bias += 1000
    scorer, whole = reports(module.float(), images, scatter=True)
    exact, _ = reports(module.double(), images, scatter=True)
    for name in ("nc1", "cdnv", "nc2_etf_distance", "nc3_self_duality"):
        assert_allclose(scorer.report_[name], exact.report_[name], rtol=2e-3)
    assert_allclose(
        scorer.report_["nc4_ncc_agreement"],
        whole.report_["nc4_ncc_agreement"],
        atol=0.01,
    )


def test_trained_is_told_from_untrained(images):
    module = network()
    start, _ = reports(module, images)
    end, _ = reports(train(module, images), images)
    for name in ("nc1", "nc1_balanced", "cdnv", "nc3_self_duality", "nc3_cosine"):
        assert end.report_[name] < 0.5 * start.report_[name], name
    agreement = [s.report_["nc4_ncc_agreement"] for s in (start, end)]
    assert agreement[0] < 0.5 < agreement[1]


def test_one_look_at_an_iterator(images):
    module = network()
    expected, _ = reports(module, images)
    batches = iter(DataLoader(images, 50))
    found = NeuralCollapseScorer().fit_network(module, batches).report_
    assert np.isnan(found["nc4_ncc_agreement"])
    assert "nc4_ncc_agreement" not in found.classes
    for name, value in expected.report_.to_dict().items():
        if name != "nc4_ncc_agreement":
            assert_allclose(found[name], value, rtol=1e-12, err_msg=name)


def test_scores_other_rows_with_the_head_of_the_network(images):
    module = network()
    scorer = NeuralCollapseScorer(metric="nc3_self_duality")
    scorer.fit_network(module, DataLoader(images, 50))
    features, _, labels = extract_features(module, DataLoader(images, 50))
    twin = NeuralCollapseScorer(module[-1], metric="nc3_self_duality")
    twin.fit(features, labels)
    half = features[::2], labels[::2]
    assert_allclose(scorer.score(*half), twin.score(*half), rtol=1e-6)
    assert_array_equal(scorer.predict(features), twin.predict(features))
    # What comes next begins anew, without the head.
    with pytest.raises(ValueError, match="pass classifier="):
        scorer.fit(features, labels)
    scorer.set_params(metric="nc1").partial_fit(features, labels, classes=range(10))
    assert "nc3_cosine" not in scorer.report_.to_dict()


def test_two_classes_with_one_logit(images):
    X, y = images.tensors
    kept = y < 2
    module = network(1, nn.Sigmoid())
    data = TensorDataset(X[kept], y[kept])
    scorer, whole = reports(module, data, layer=-2, scatter=True)
    assert_same(scorer.report_, whole.report_)


def test_a_loader_may_lack_classes(images):
    X, y = images.tensors
    kept = y != 3
    data = TensorDataset(X[kept], y[kept])
    scorer, whole = reports(network(), data, scatter=True)
    assert_same(scorer.report_, whole.report_)
    assert_array_equal(scorer.classes_, np.arange(10))
    assert scorer.class_counts_[3] == 0


def test_layers_that_are_no_classifier(images):
    module = network()
    module.append(nn.Identity())
    loader = DataLoader(images, 50)
    scorer = NeuralCollapseScorer()
    with pytest.raises(ValueError, match="classes must be given, as the layer Identi"):
        scorer.fit_network(module, loader, layer="7")
    assert not hasattr(scorer, "classes_")
    found = scorer.fit_network(module, loader, layer="7", classes=range(10)).report_
    assert "nc3_cosine" not in found.to_dict()
    logits = extract_features(module, loader).logits
    expected = NeuralCollapseScorer().fit(logits, images.tensors[1]).report_
    assert_allclose(found["cdnv"], expected["cdnv"], rtol=1e-5)


class Cosine(nn.Linear):
    """Has weights, but they alone do not give its output."""

    def forward(self, x):
        return 10 * nn.functional.normalize(x) @ nn.functional.normalize(self.weight).T


def test_weights_must_give_the_output(images):
    module = network()
    module[-1] = Cosine(24, 10)
    loader = DataLoader(images, 50)
    found = NeuralCollapseScorer().fit_network(module, loader, classes=range(10))
    assert "nc3_cosine" not in found.report_.to_dict()
    given = NeuralCollapseScorer(module[-1].weight).fit_network(module, loader)
    assert "nc3_cosine" in given.report_.to_dict()


def test_labels_in_the_order_of_the_head(images):
    X, y = images.tensors
    expected, _ = reports(network(), images)
    shifted = TensorDataset(X, 3 * y - 5)
    scorer = NeuralCollapseScorer()
    with pytest.raises(ValueError, match=r"y holds .*-5.* is not one of the classes"):
        scorer.fit_network(network(), DataLoader(shifted, 50))
    classes = 3 * np.arange(10) - 5
    scorer.fit_network(network(), DataLoader(shifted, 50), classes=classes)
    assert scorer.report_.to_dict() == expected.report_.to_dict()
    assert_array_equal(scorer.report_.classes["class"], classes)
    with pytest.raises(ValueError, match=r"vectors of shape \(7, 24\).*\(10, 24\)"):
        scorer.fit_network(network(), DataLoader(images, 50), classes=range(7))


def test_mixed_precision(images):
    module = train(network(), images, 5)
    exact, _ = reports(module, images)
    loader = DataLoader(images, 50)
    scorer = NeuralCollapseScorer()
    found = scorer.fit_network(module, loader, autocast=torch.bfloat16).report_
    for name in ("nc1", "cdnv", "nc3_self_duality", "nc4_ncc_agreement"):
        assert_allclose(found[name], exact.report_[name], rtol=0.05)


def test_what_loaders_lack(images):
    X, y = images.tensors
    scorer = NeuralCollapseScorer()
    with pytest.raises(ValueError, match="loader gave no batches"):
        scorer.fit_network(network(), [])
    with pytest.raises(ValueError, match="loader gives no labels"):
        scorer.fit_network(network(), [X[:5]])
    with pytest.raises(ValueError, match="at least two classes, got one"):
        scorer.fit_network(network(), [(X[y == 1], y[y == 1])])
    broken = network()
    with torch.no_grad():
        broken[3].weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="hold NaN or infinity: has the training"):
        scorer.fit_network(broken, DataLoader(images, 50), layer="6")
    with pytest.raises(TypeError, match="module must be a torch"):
        scorer.fit_network(np.tanh, DataLoader(images, 50))
    assert not hasattr(scorer, "report_")


def test_progress(images, capsys):
    module, loader = network(), DataLoader(images, 50)
    NeuralCollapseScorer().fit_network(module, loader)
    assert capsys.readouterr().out == ""
    NeuralCollapseScorer().fit_network(module, loader, verbose=True)
    n = len(loader)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"[NeuralCollapseScorer] agreement: {n} of {n} batches")
    assert any(f"class means: {n} of {n} batches" in line for line in lines)
