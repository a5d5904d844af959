"""Softmax regression that is shrunk towards class prototypes."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from skcollapse import ETFClassifier
from skcollapse.fitting import Problem
from skcollapse.linear import PrototypeSoftmax, Strength
from skcollapse.losses import CrossEntropy, DotRegression
from skcollapse.targets import ClassGeometry, seli, simplex_etf

COUNTS = np.array([30, 12, 6, 3, 1])
K = len(COUNTS)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(K), COUNTS))
    X = 2 * np.random.default_rng(1).normal(size=(K, 7))[y] + rng.normal(
        size=(len(y), 7)
    )
    return X - X.mean(axis=0), y


def problem_of(X, y, weight=None, adjustment=1.0):
    etf = simplex_etf(K, random_state=0)
    weight = np.ones(len(y)) if weight is None else weight
    counts = np.bincount(y, weight, minlength=K)
    return Problem(
        torch.from_numpy(X),
        torch.from_numpy(y),
        torch.from_numpy(weight),
        CrossEntropy(logit_adjustment=adjustment),
        ClassGeometry(etf, etf),
        torch.from_numpy(counts),
    )


def solve(problem, strength, tol=1e-12):
    solver = PrototypeSoftmax()
    prepared = solver.prepare(problem, 2000, tol)
    ((affine,), losses) = solver.solve(prepared, strength)
    scores = affine(problem.features) @ problem.class_vectors.T
    return scores.numpy(), losses, affine


def centred(scores):
    return scores - scores.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("alpha", [1e-1, 1e-3])
def test_without_a_pull_it_is_logistic_regression(rows, alpha):
    X, y = rows
    scores, _, _ = solve(problem_of(X, y, adjustment=0.0), Strength(alpha))
    peer = LogisticRegression(C=1 / (alpha * len(y)), tol=1e-10, max_iter=10_000)
    expected = peer.fit(X, y).decision_function(X)
    assert_allclose(centred(scores), centred(expected), atol=2e-4)


def test_the_prior_is_taken_off_afterwards(rows):
    X, y = rows
    plain, _, _ = solve(problem_of(X, y, adjustment=0.0), Strength(1e-2, pull=3.0))
    adjusted, _, _ = solve(problem_of(X, y), Strength(1e-2, pull=3.0))
    shift = centred(plain - np.log(COUNTS / COUNTS.sum()))
    assert_allclose(centred(adjusted), shift, atol=1e-4)


def brute_force(X, y, coef, intercept, alpha, pull):
    """Return the objective, every class mean of a row taken anew without it."""
    means = np.stack([X[y == k].mean(axis=0) for k in range(K)])
    center = means.mean(axis=0)
    units = (means - center) / np.linalg.norm(means - center, axis=1, keepdims=True)
    loss = 0.0
    for row, own in zip(range(len(y)), y, strict=True):
        prototypes = units.copy()
        others = (y == own) & (np.arange(len(y)) != row)
        if others.any():
            mean = X[others].mean(axis=0) - center
            prototypes[own] = mean / np.linalg.norm(mean)
        else:
            prototypes[own] = 0.0
        scores = pull * prototypes @ (X[row] - center) + X[row] @ coef + intercept
        loss += np.log(np.exp(scores - scores[own]).sum()) / len(y)
    return loss + 0.5 * alpha * np.square(coef).sum()


def test_it_minimises_what_it_says(rows):
    X, y = rows
    alpha, pull = 1e-2, 2.5
    strength = Strength(alpha, pull=pull)
    _, losses, affine = solve(problem_of(X, y, adjustment=0.0), strength)
    vectors = simplex_etf(K, random_state=0)
    means = np.stack([X[y == k].mean(axis=0) for k in range(K)])
    units = means - means.mean(axis=0)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    residual = affine.coef.numpy() @ vectors.T - centred(pull * units.T)
    # The map to scores is centred; what all classes share is free but for the penalty.
    intercept = affine.intercept.numpy() @ vectors.T
    intercept = intercept + centred((pull * units @ means.mean(axis=0))[None])[0]
    at_minimum = brute_force(X, y, residual, intercept, alpha, pull)
    assert at_minimum == pytest.approx(losses[-1], abs=1e-6)
    rng = np.random.default_rng(2)
    for _ in range(20):
        step = 1e-2 * centred(rng.normal(size=residual.shape))
        shift = 1e-2 * rng.normal(size=K)
        other = brute_force(X, y, residual + step, intercept + shift, alpha, pull)
        assert other > at_minimum


def test_losses_fall_and_a_later_strength_starts_from_the_last(rows):
    X, y = rows
    solver, problem = PrototypeSoftmax(), problem_of(X, y)
    prepared = solver.prepare(problem, 2000, 1e-12)
    warm = [solver.solve(prepared, Strength(a, pull=4.0)) for a in (1e-2, 3e-3, 1e-3)]
    cold, losses, _ = solve(problem, Strength(1e-3, pull=4.0), tol=1e-12)
    scores = warm[-1].maps[0](problem.features) @ problem.class_vectors.T
    assert_allclose(scores.numpy(), cold, atol=1e-3)
    assert len(warm[-1].loss_curve) < len(losses)
    for solution in warm:
        assert (np.diff(solution.loss_curve) <= 1e-12).all()


def test_a_weight_is_a_row_that_stands_several_times(rows):
    X, y = rows
    weight = np.random.default_rng(3).integers(1, 4, len(y))
    # A lone row of weight 2 is two rows that are alike, each the mean of the other.
    weight[y == K - 1] = 1
    often = np.repeat(np.arange(len(y)), weight)
    strength = Strength(1e-2, pull=3.0)
    weighted, _, _ = solve(problem_of(X, y, weight.astype(float)), strength)
    repeated, _, _ = solve(problem_of(X[often], y[often]), strength)
    assert_allclose(centred(weighted)[often], centred(repeated), atol=1e-4)


def test_strengths_follow_the_losses():
    solver = PrototypeSoftmax()

    def loss(strength):
        return (np.log10(strength.alpha) + 6) ** 2 + (strength.pull - 16) ** 2 / 64

    losses = {}
    while (strength := solver.propose(losses, solver.alphas)) is not None:
        losses[strength] = loss(strength)
        assert len(losses) < 40
    best = min(losses, key=losses.get)
    assert best.pull == 16
    assert best.alpha == pytest.approx(1e-6)


def test_only_softmax_on_a_simplex():
    solver = PrototypeSoftmax()
    etf = simplex_etf(6, random_state=0)
    simplex = ClassGeometry(3 * etf, 3 * etf)
    assert solver.accepts(CrossEntropy(), simplex)
    assert not solver.accepts(DotRegression(), simplex)
    assert not solver.accepts(CrossEntropy(scale=8.0), simplex)
    assert not solver.accepts(CrossEntropy(), seli([50, 20, 10, 5, 2, 1]))
    assert solver.accepts(CrossEntropy(), seli([5, 5, 5, 5, 5, 5]))


def test_a_classifier_has_it(rows):
    X, y = rows
    model = ETFClassifier(solver="prototypes", random_state=0).fit(X, y)
    results = model.selection_results_
    assert set(results["solver"]) == {"prototypes"}
    assert (results["prior_adjustment"] == "afterwards").all()
    assert len(set(zip(results["alpha"], results["pull"], strict=True))) > 3
    given = ETFClassifier(solver="prototypes", alpha=1e-2, projector="linear")
    assert given.fit(X, y).predict(X).shape == y.shape


def test_what_it_cannot_do_is_an_error(rows):
    X, y = rows
    for bad in ({"loss": "dot_regression"}, {"target": "seli"}):
        with pytest.raises(ValueError, match="solver='prototypes' cannot minimise"):
            ETFClassifier(solver="prototypes", **bad).fit(X, y)


def test_discriminant_analysis_is_that_of_scikit_learn(rows):
    X, y = (values[rows[1] < K - 1] for values in rows)
    model = ETFClassifier(solver="discriminant", alpha=0.0, projector="linear")
    model.set_params(feature_scaling="global", target="etf").fit(X, y)
    # With a balanced covariance, as of rows repeated until classes are alike.
    often = np.concatenate(
        [np.repeat(np.flatnonzero(y == k), 60 // COUNTS[k]) for k in range(K - 1)]
    )
    peer = LinearDiscriminantAnalysis(solver="lsqr", priors=np.full(K - 1, 0.25))
    expected = peer.fit(X[often], y[often]).decision_function(X)
    assert_allclose(
        centred(model.decision_function(X)) * model.temperature_,
        centred(expected)
        / np.std(centred(expected))
        * np.std(centred(model.decision_function(X)) * model.temperature_),
        atol=1e-4,
    )
