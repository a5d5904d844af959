"""scikit-learn's own checks, and every combination of loss, target and solver."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.losses import LOSSES
from skcollapse.projectors import MLP
from skcollapse.targets import TARGETS, simplex_etf
from skcollapse.training import Trainer

ESTIMATORS = [
    ETFClassifier(),
    ETFClassifier(solver="closed_form"),
    ETFClassifier(solver="lbfgs_path", loss="dot_regression", projector="linear"),
    ETFClassifier(target="seli", projector="linear"),
    ETFClassifier(projector=MLP((16,)), solver="lbfgs"),
    HUGClassifier(),
]
MORE_ESTIMATORS = [
    ETFClassifier(solver="lbfgs_path", loss="dot_regression"),
    ETFClassifier(target="seli"),
    ETFClassifier(target="hyperspherical", assignment="identity", projector="linear"),
    HUGClassifier(solver="closed_form"),
    # The checks allow for a few epochs only.
    HUGClassifier(proxy="learnable", trainer=Trainer(learning_rate_init=0.1)),
    HUGClassifier(proxy="orthogonal", trainer=Trainer(learning_rate_init=0.1)),
]
# Some checks fit networks to noise, which takes more iterations than the default.
slow_convergence = pytest.mark.filterwarnings(
    "ignore:L-BFGS has not converged:sklearn.exceptions.ConvergenceWarning"
)


@slow_convergence
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(MORE_ESTIMATORS)
def test_more_scikit_learn_checks(estimator, check):
    check(estimator)


COUNTS = np.array([40, 16, 8, 4])
K = len(COUNTS)


def blobs(seed, counts=COUNTS):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(K), counts))
    centers = 2.5 * np.random.default_rng(7).normal(size=(K, 6))
    return centers[y] + rng.normal(size=(len(y), 6)), y


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("target", [*TARGETS, "array"])
@pytest.mark.parametrize(
    "solver",
    [
        {"solver": "lbfgs_path"},
        {"alpha": 1e-3, "feature_scaling": "standard", "tol": 1e-2},
        {"solver": "lbfgs_path", "projector": "kernel", "feature_scaling": "global"},
        {"solver": "closed_form", "projector": "linear"},
    ],
    ids=["path", "penalised", "kernel", "closed_form"],
)
# Rows that can be separated leave some losses of directions without a minimum.
@pytest.mark.filterwarnings("ignore:L-BFGS stopped at max_iter")
def test_every_combination_learns(loss, target, solver):
    if target == "array":
        target = 3 * simplex_etf(K, random_state=5)
    parameters = {"projector": "linear", **solver}
    model = ETFClassifier(target, loss=loss, random_state=0, **parameters)
    X, y = blobs(0)
    model.fit(X, y)
    new, new_y = blobs(1, np.full(K, 20))
    assert balanced_accuracy_score(new_y, model.predict(new)) > 0.75
    probabilities = model.predict_proba(new)
    assert_allclose(probabilities.sum(axis=1), 1)
    assert_allclose(np.exp(model.predict_log_proba(new)), probabilities)
    assert (probabilities.argmax(axis=1) == model.predict(new)).all()
    assert model.transform(new).shape == (4 * 20, K - 1)
    assert (np.diff(model.loss_curve_) <= 1e-12).all()
    assert bool(model.loss_curve_) == (model.solver != "closed_form")
    if LOSSES[loss]().unit_features and model.solver != "closed_form":
        assert_allclose(np.linalg.norm(model.transform(new), axis=1), 1)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("solver", ["adamw", "sgd"])
def test_mini_batches_learn_every_loss(loss, solver):
    model = ETFClassifier(
        loss=loss,
        projector="linear",
        feature_scaling="standard",
        solver=solver,
        trainer=Trainer(learning_rate_init=0.05, batch_size=16),
        max_iter=30,
        random_state=0,
    )
    model.fit(*blobs(0))
    new, new_y = blobs(1, np.full(K, 20))
    assert balanced_accuracy_score(new_y, model.predict(new)) > 0.75
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert_allclose(model.predict_proba(new).sum(axis=1), 1, rtol=1e-6)
