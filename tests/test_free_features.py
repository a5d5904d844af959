"""Features and classifier that nothing constrains take the geometry of theory."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skcollapse.losses import CrossEntropy
from skcollapse.measures import seli_distance
from skcollapse.targets import seli

# (R, ρ)-STEP with R = 10 and half of the classes in the minority.
COUNTS = np.array([10, 10, 1, 1])
Y = np.repeat(np.arange(4), COUNTS)
RIDGES = (0.1, 0.01, 0.001)
# Cosines of the two minority classifiers along the path, and where it ends.
COSINES, LIMIT = (0.188, 0.143, 0.125), 0.0794


def train(ridge, start):
    """Minimise Σ CE(W h_i, y_i) + ridge/2 (‖W‖² + ‖H‖²) over free W and H."""
    y, n_components = torch.from_numpy(Y), 4

    def objective(values):
        values = torch.from_numpy(values).requires_grad_()
        rows = values.reshape(-1, n_components)
        loss = len(Y) * CrossEntropy()(rows[4:], y, rows[:4])
        loss = loss + ridge / 2 * values.square().sum()
        (gradient,) = torch.autograd.grad(loss, values)
        return loss.item(), gradient.numpy()

    options = {"maxiter": 20_000, "maxfun": 40_000, "gtol": 1e-9, "ftol": 1e-15}
    end = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    return end, end.reshape(-1, n_components)[:4], end.reshape(-1, n_components)[4:]


@pytest.fixture(scope="module")
def path():
    """Return classifiers and features along the path, each from the one before."""
    end = np.random.default_rng(0).normal(size=(4 + len(Y)) * 4)
    trained = []
    for ridge in RIDGES:
        end, *parts = train(ridge, end)
        trained.append(parts)
    return trained


def normalised(gram):
    return gram / np.linalg.norm(gram)


def test_features_of_a_class_collapse(path):
    for _, features in path:
        for k in range(4):
            spread = features[k == Y] - features[k == Y].mean(axis=0)
            assert np.abs(spread).max() < 1e-3 * np.abs(features).max()


def test_minority_cosines_along_the_path(path):
    for (classifier, _), expected in zip(path, COSINES, strict=True):
        lengths = np.linalg.norm(classifier, axis=1)
        cosine = classifier[2] @ classifier[3] / (lengths[2] * lengths[3])
        assert_allclose(cosine, expected, atol=1e-3)
        assert cosine > LIMIT


def test_grams_are_those_of_the_target_at_the_same_ridge(path):
    for ridge, (classifier, features) in zip(RIDGES, path, strict=True):
        target = seli(COUNTS, ridge=ridge, random_state=0)
        means = np.stack([features[k == Y].mean(axis=0) for k in range(4)])
        for found, expected in (
            (classifier, target.classifier),
            (means, target.means),
        ):
            assert_allclose(
                normalised(found @ found.T),
                normalised(expected @ expected.T),
                atol=2e-3,
            )


def test_distance_to_seli_falls_along_the_path(path):
    distances = [
        seli_distance(classifier, COUNTS, vectors="classifier")
        for classifier, _ in path
    ]
    assert (np.diff(distances) < 0).all()
    assert distances[-1] > 0.01  # at a logarithmic rate only
