"""Networks from a spec to what they predict with."""

import pickle
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from skcollapse.fitting import FitContext, Fitted, TrainingData
from skcollapse.losses import CrossEntropy, HypersphericalUniformityGap
from skcollapse.network import PROXIES, Network, NetworkSpec, Proxies, Trainer, fit
from skcollapse.projectors import MLP, Linear
from skcollapse.rows import ArrayRows
from skcollapse.targets import ClassGeometry

N, P, K = 90, 5, 3
TRAINER = Trainer(batch_size=16, learning_rate_init=0.02)
CODE = ClassGeometry(np.eye(K), np.eye(K))
SPEC = NetworkSpec(
    loss=CrossEntropy(),
    target=CODE,
    projector=MLP((6,)),
    proxies=None,
    solver="adamw",
    alpha=1e-4,
    feature_scaling="global",
    max_iter=8,
    tol=1e-3,
    trainer=TRAINER,
)
GAP = HypersphericalUniformityGap("mhe", weighting="sample")
every_proxy = pytest.mark.parametrize("proxy", PROXIES)


class FadingProxies(Proxies):
    """Free directions that are longer or shorter, as a hyperparameter says."""

    hyperparameters = ("length",)

    def __init__(self, start, length=1.0):
        super().__init__()
        self.directions, self.length = nn.Parameter(start.clone()), length

    def forward(self):
        return self.length * nn.functional.normalize(self.directions)


def data(n=N, n_classes=K, **given):
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(n) % n_classes)
    centers = 2 * np.random.default_rng(1).normal(size=(n_classes, P))
    X = centers[y] + rng.normal(size=(n, P))
    weights = {"weight": np.ones(n), "class_weight": np.ones(n_classes)}
    return TrainingData(X, y, **{**weights, **given})


def fitted(spec=SPEC, rows=None, seed=0):
    rng = np.random.RandomState(seed)
    rows = data() if rows is None else rows
    return fit(rows, spec, FitContext(torch.device("cpu"), rng))


def with_trainer(spec, **parameters):
    return replace(spec, trainer=Trainer(**{**TRAINER.get_params(), **parameters}))


def accuracy(result, rows):
    return (result.scorer(rows.X).argmax(axis=1) == rows.y).mean()


def test_a_fit_leads_to_what_predicts():
    rows = data()
    for spec in (
        SPEC,
        replace(SPEC, solver="lbfgs", alpha=1e-2, max_iter=200),
        replace(SPEC, projector=Linear(), feature_scaling="standard"),
    ):
        result = fitted(spec, rows)
        assert isinstance(result, Fitted)
        assert accuracy(result, rows) > 0.7
        assert result.n_iter == len(result.loss_curve) <= spec.max_iter
        assert result.extractor is result.validation_scores is None
        assert result.network.class_counts.tolist() == [N / K] * K
        assert result.temperature == 1.0


def test_rows_without_weight_are_not_looked_at():
    rows = data()
    some = np.arange(N) < 60
    left_out = replace(rows, weight=some.astype(float))
    left_out.X[~some] = np.nan
    first, second = fitted(SPEC, left_out), fitted(SPEC, rows.take(some))
    np.testing.assert_array_equal(
        first.projection(rows.X[:60]), second.projection(rows.X[:60])
    )


def test_one_epoch_after_the_other():
    rows, result = data(), None
    spec = replace(SPEC, one_epoch=True)
    losses = []
    for n in range(1, 5):
        spec = replace(spec, start=result and result.network)
        result = fitted(spec, rows)
        losses += result.loss_curve
        assert result.network.class_counts.tolist() == [n * N / K] * K
        assert result.network.optimizer
    assert len(losses) == 4
    assert losses[-1] < losses[0]


def test_a_start_goes_on_and_is_not_changed():
    first = fitted()
    before = pickle.dumps(first.network)
    second = fitted(replace(SPEC, start=first.network))
    assert second.loss_curve[0] < first.loss_curve[0]
    assert pickle.dumps(first.network) == before
    with pytest.raises(ValueError, match=r"needs the features and .* 5 and 3; "):
        fitted(replace(SPEC, start=first.network), replace(data(), X=np.ones((N, 4))))
    with pytest.raises(ValueError, match=r"needs the features and .* 5 and 2\. "):
        fitted(replace(SPEC, start=first.network), data(n_classes=2))


def test_an_extractor_is_trained_and_the_one_given_is_not():
    extractor = nn.Sequential(nn.Linear(P, 7), nn.ReLU())
    given = deepcopy(extractor.state_dict())
    rows = replace(data(), X=ArrayRows(data().X.astype(np.float32)))
    spec = replace(SPEC, extractor=extractor, projector=Linear(), feature_scaling=None)
    result = fitted(spec, rows)
    assert result.extractor is result.network.extractor
    assert not torch.equal(result.extractor[0].weight, extractor[0].weight)
    assert all(torch.equal(given[n], t) for n, t in extractor.state_dict().items())
    features = result.extractor(torch.from_numpy(rows.X.data)).detach().numpy()
    assert (result.scorer(features).argmax(axis=1) == rows.y).mean() > 0.7
    again = fitted(replace(spec, start=result.network), rows)
    assert again.loss_curve[0] < result.loss_curve[0]
    # With or without an extractor is another network.
    for other, X in ((SPEC, data().X), (spec, rows.X)):
        start = (result if other is SPEC else fitted()).network
        with pytest.raises(ValueError, match="needs the features and classes"):
            fitted(replace(other, start=start), replace(rows, X=X))


def test_nothing_to_hold_out_is_explained():
    rows = data(n=K)
    with pytest.raises(ValueError, match="early_stopping=True needs a class with at"):
        fitted(with_trainer(SPEC, early_stopping=True), rows)


@every_proxy
def test_proxies_are_trained_and_kept_in_the_network(proxy):
    kind = PROXIES[proxy]
    loss = replace(GAP, decoupled=kind.decoupled)
    result = fitted(replace(SPEC, loss=loss, proxies=kind))
    assert isinstance(result.network.proxies, kind)
    np.testing.assert_allclose(np.linalg.norm(result.target, axis=1), 1)
    assert abs(result.target - CODE.means).max() > 1e-3
    assert result.temperature != 1.0
    # Others begin anew, the same go on.
    same = fitted(replace(SPEC, loss=loss, proxies=kind, start=result.network))
    assert same.loss_curve[0] < result.loss_curve[0]
    without = fitted(replace(SPEC, start=result.network))
    assert without.network.proxies is None
    np.testing.assert_array_equal(without.target, CODE.classifier)


def test_proxies_that_coincide_are_named():
    start = np.ones((K, 2)) + 1e-9 * np.arange(2 * K).reshape(K, 2)
    spec = replace(
        with_trainer(SPEC, learning_rate_init=1e-9),
        loss=GAP,
        proxies=PROXIES["learnable"],
        target=ClassGeometry(start, start),
    )
    with pytest.raises(
        ValueError,
        match=r"classes [01] and [12] coincide.* Lower learning_rate_init of the "
        r"trainer, which is 1e-09.* the loss is Hyper.*intra_weight=1",
    ):
        fitted(spec)


def test_a_new_kind_of_proxies_is_a_class_and_a_line(monkeypatch):
    monkeypatch.setitem(PROXIES, "fading", FadingProxies)
    network = fitted(replace(SPEC, loss=GAP, proxies=FadingProxies)).network
    network.proxies.length = 0.5
    for copied in (pickle.loads(pickle.dumps(network)), deepcopy(network)):
        assert isinstance(copied, Network)
        assert copied.proxies.length == 0.5
        assert torch.equal(copied.proxies(), network.proxies())
