"""Linear solvers: their objective, their minimiser, and what they converge to."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_info

from skcollapse._utils import parallel
from skcollapse._utils.devices import resolve_device
from skcollapse._utils.parallel import limited_threads
from skcollapse.fitting import NullProgress, Problem
from skcollapse.linear import (
    LBFGS,
    ClosedForm,
    LBFGSPath,
    LinearObjective,
    Strength,
    lbfgs,
    second_moment,
)
from skcollapse.losses import LOSSES, CrossEntropy, SquaredError
from skcollapse.targets import ClassGeometry, seli, simplex_etf

K, Q = 4, 5
COUNTS = np.array([30, 15, 8, 5])
every_loss = pytest.mark.parametrize("loss", LOSSES)


def problem(loss="cross_entropy", *, weighted=False, target=None, dtype=torch.float64):
    """Draw overlapping classes with features of weighted mean zero."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(K), COUNTS))
    X = rng.normal(size=(K, Q))[y] + rng.normal(size=(len(y), Q))
    weight = rng.integers(1, 4, len(y)).astype(float) if weighted else np.ones(len(y))
    X -= np.average(X, axis=0, weights=weight)
    if target is None:
        etf = simplex_etf(K, random_state=0)
        target = ClassGeometry(etf, etf)
    loss = LOSSES[loss]() if isinstance(loss, str) else loss
    return Problem(
        torch.tensor(X, dtype=dtype),
        torch.tensor(y),
        torch.tensor(weight) if weighted else None,
        loss,
        target,
    )


def objective_of(problem, ridge=0.1, alpha=0.0):
    return LinearObjective(problem, second_moment(problem), ridge, alpha)


def solve(solver, problem, alpha, *, max_iter, tol):
    """Return the maps and the losses that a solver leads to."""
    return solver.solve(solver.prepare(problem, max_iter, tol), Strength(alpha))


def minimise(objective, start, **options):
    return lbfgs(objective, start, progress=NullProgress(), **options)


def loss_at(problem, coef, intercept, alpha=0.0):
    """Return the loss as it is defined, without any change of coordinates."""
    projected = problem.features @ coef + intercept
    loss = problem.loss(
        projected,
        problem.y,
        problem.class_vectors,
        problem.weight,
        problem.log_prior,
    )
    return float(loss + alpha / 2 * coef.square().sum())


# --- the problem -------------------------------------------------------------------


def test_weights_and_prior_of_a_problem():
    rows = problem(weighted=True)
    y, weight = rows.y.numpy(), rows.sample_weight.numpy()
    assert_allclose(rows.weight, weight / weight.sum())
    frequency = np.bincount(y, weight) / weight.sum()
    assert_allclose(rows.class_frequency, frequency)
    assert_allclose(rows.log_prior, np.log(frequency))
    assert_allclose(np.bincount(y, rows.balanced_weight), 1 / K)


def test_given_counts_are_the_prior():
    rows = problem()
    counts = torch.tensor([1.0, 1.0, 2.0, 4.0])
    given = Problem(
        rows.features, rows.y, None, rows.loss, rows.target, class_counts=counts
    )
    assert_allclose(given.log_prior, np.log([1 / 8, 1 / 8, 1 / 4, 1 / 2]))


# --- the objective -----------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_gradient_is_that_of_the_values(loss, weighted, alpha):
    rows = problem(loss, weighted=weighted, target=seli(COUNTS, random_state=0))
    objective = objective_of(rows, alpha=alpha)
    rng = np.random.default_rng(1)
    point = rng.normal(size=objective.shape).ravel()
    _, gradient = objective(point)
    for _ in range(5):
        direction = rng.normal(size=point.shape)
        step = 1e-5 * direction
        slope = (objective(point + step)[0] - objective(point - step)[0]) / 2e-5
        assert_allclose(gradient @ direction, slope, rtol=1e-6, atol=1e-8)


@every_loss
def test_value_is_the_loss_of_the_affine_map(loss):
    rows = problem(loss, weighted=True)
    objective = objective_of(rows, alpha=0.2)
    rng = np.random.default_rng(1)
    coef, intercept = rng.normal(size=(Q, K - 1)), rng.normal(size=K - 1)
    vector = objective.pack(coef, intercept)
    for unpacked, given in zip(
        objective.unpack(vector), (coef, intercept), strict=True
    ):
        assert_allclose(unpacked, given, atol=1e-12)
    expected = loss_at(rows, torch.tensor(coef), torch.tensor(intercept), 0.2)
    assert_allclose(objective(vector)[0], expected)


@every_loss
@pytest.mark.parametrize("threads", [1, 2])
def test_objective_of_parts_is_that_of_the_whole(loss, threads, monkeypatch):
    rows = problem(loss)
    whole = objective_of(rows)
    at = np.random.default_rng(0).normal(size=whole.shape).ravel()
    value, gradient = whole(at)
    monkeypatch.setattr("skcollapse.linear._objective._ROWS_AT_ONCE", 7)
    monkeypatch.setattr(parallel, "_SMALL", 0)
    torch.set_num_threads(threads)
    try:
        parts = objective_of(rows)(at)
    finally:
        torch.set_num_threads(1)
    assert_allclose(parts[0], value)
    assert_allclose(parts[1], gradient, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_second_moment(weighted):
    rows = problem(weighted=weighted)
    X = rows.features.numpy()
    expected = np.cov(X.T, aweights=rows.weight.numpy(), ddof=0)
    assert_allclose(second_moment(rows), expected, atol=1e-12)


def test_whitened_coordinates_see_the_identity():
    # The curvature of this loss is 1 everywhere.
    rows = problem(SquaredError())
    objective = objective_of(rows, ridge=1e-12)
    zero = np.zeros(objective.shape).ravel()
    hessian = [objective(unit)[1] - objective(zero)[1] for unit in np.eye(len(zero))]
    assert_allclose(hessian, np.eye(len(zero)), atol=1e-8)


def test_a_loss_that_is_not_finite_says_what_to_do():
    rows = problem(dtype=torch.float32)
    objective = objective_of(rows)
    with pytest.raises(ValueError, match=r"loss became .* scale them, or raise alpha"):
        objective(np.full(objective.shape, 1e38).ravel())


# --- L-BFGS ------------------------------------------------------------------------


def quadratic(hessian, solution):
    def objective(point):
        error = point - solution
        return 0.5 * error @ hessian @ error - 3.0, hessian @ error

    return objective


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_first_step_is_the_minimiser_where_the_curvature_is_the_identity(size):
    solution = size * np.random.default_rng(0).normal(size=6)
    iterates, values, converged = minimise(
        quadratic(np.eye(6), solution), np.zeros(6), max_iter=1, tol=0.0
    )
    assert len(iterates) == len(values) == 1
    assert_allclose(iterates[0], solution, rtol=1e-8)
    iterates, values, converged = minimise(
        quadratic(np.eye(6), solution), np.zeros(6), max_iter=9, tol=1e-6
    )
    assert converged
    assert len(iterates) == 1


@pytest.mark.parametrize("start", [0.0, 5.0])
def test_path_leads_to_the_minimum(start):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 8))
    hessian, solution = root @ root.T + 0.1 * np.eye(8), rng.normal(size=8)
    objective = quadratic(hessian, solution)
    start = np.full(8, start)
    iterates, values, converged = minimise(objective, start, max_iter=500, tol=1e-10)
    assert converged
    assert_allclose(iterates[-1], solution, atol=1e-6)
    assert_allclose(values, [objective(point)[0] for point in iterates], atol=1e-12)
    assert (np.diff([objective(start)[0], *values]) <= 1e-12).all()


def test_path_is_a_prefix_of_a_longer_path():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 8))
    objective = quadratic(root @ root.T + np.eye(8), rng.normal(size=8))
    short, _, converged = minimise(objective, np.zeros(8), max_iter=3, tol=0.0)
    longer, _, _ = minimise(objective, np.zeros(8), max_iter=6, tol=0.0)
    assert not converged
    assert (len(short), len(longer)) == (3, 6)
    for first, second in zip(short, longer, strict=False):
        assert_array_equal(first, second)


def test_a_stationary_start_is_the_whole_path():
    start = np.ones(3)
    iterates, values, converged = minimise(
        quadratic(np.eye(3), start), start, max_iter=5, tol=0.0
    )
    assert_array_equal(iterates, [start])
    assert values == [-3.0]
    assert converged


# --- solvers -----------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [1e-3, 0.1])
def test_penalised_cross_entropy_is_logistic_regression(weighted, alpha):
    rows = problem(weighted=weighted)
    [fitted], _ = solve(LBFGS(), rows, alpha, max_iter=500, tol=1e-8)
    scores = fitted(rows.features) @ rows.class_vectors.T
    X, y = rows.features.numpy(), rows.y.numpy()
    weight = rows.sample_weight.numpy() if weighted else np.ones(len(y))
    # With B = A Wᵀ and WᵀW = K/(K−1) I, ‖B‖² is K/(K−1) ‖A‖².
    C = K / ((K - 1) * alpha * weight.sum())
    reference = LogisticRegression(C=C, tol=1e-12, max_iter=5000).fit(X, y, weight)
    assert_allclose(
        scores.softmax(dim=1).numpy(), reference.predict_proba(X), atol=1e-6
    )


@pytest.mark.parametrize("loss", ["cross_entropy", "logit_adjusted", "squared"])
def test_penalised_finds_the_minimum_of_a_convex_loss(loss):
    rows = problem(loss, weighted=True, target=seli(COUNTS, random_state=0))
    alpha = 0.05
    [fitted], _ = solve(LBFGS(), rows, alpha, max_iter=500, tol=1e-8)
    shape = Q + 1, K - 1

    def plain(vector):
        affine = torch.tensor(vector.reshape(shape), requires_grad=True)
        loss = rows.loss(
            rows.features @ affine[:-1] + affine[-1],
            rows.y,
            rows.class_vectors,
            rows.weight,
            rows.log_prior,
        )
        value = loss + alpha / 2 * affine[:-1].square().sum()
        (gradient,) = torch.autograd.grad(value, affine)
        return value.item(), gradient.numpy().ravel()

    options = {"gtol": 1e-11, "ftol": 0, "maxiter": 5000}
    start = np.zeros(shape).ravel()
    minimum = minimize(plain, start, jac=True, method="L-BFGS-B", options=options)
    expected = minimum.x.reshape(shape)
    assert_allclose(fitted.coef, expected[:-1], atol=1e-6)
    assert_allclose(fitted.intercept, expected[-1], atol=1e-6)


def test_penalised_squared_error_is_ridge():
    rows = problem(SquaredError(weighting="sample"), weighted=True)
    [fitted], _ = solve(LBFGS(), rows, 0.02, max_iter=100, tol=1e-10)
    means = rows.target.means
    reference = Ridge(0.02, tol=1e-12).fit(
        rows.features.numpy(), means[rows.y], rows.weight.numpy()
    )
    assert_allclose(fitted.coef, reference.coef_.T, atol=1e-8)
    assert_allclose(fitted.intercept, reference.intercept_, atol=1e-8)


def test_penalised_warns_before_it_has_converged():
    with pytest.warns(ConvergenceWarning, match=r"max_iter=1 .* Raise max_iter"):
        solve(LBFGS(), problem(), 1e-6, max_iter=1, tol=1e-12)


@every_loss
@pytest.mark.parametrize("solver", [LBFGS(), LBFGSPath()], ids=str)
# Distances are not smooth where a row is on its class vector: L-BFGS slows down.
@pytest.mark.filterwarnings("ignore:L-BFGS stopped at max_iter")
def test_loss_never_rises_along_a_path(loss, solver):
    rows = problem(loss)
    maps, loss_curve = solve(solver, rows, 1e-2, max_iter=200, tol=1e-3)
    assert len(loss_curve) >= len(maps)
    assert (np.diff(loss_curve) <= 1e-12).all()
    # Directions are not penalised: it would shorten features for ever.
    penalised = not solver.is_path and not rows.loss.unit_features
    alpha = 1e-2 if penalised else 0.0
    assert_allclose(loss_at(rows, *maps[-1], alpha), loss_curve[-1])


def test_strong_regularisation_fits_directions_of_large_variance_first():
    rows = problem("logit_adjusted")
    solver = LBFGSPath()
    prepared = solver.prepare(rows, 200, 0.0)
    strengths = sorted(solver.alphas, reverse=True)
    solutions = [solver.solve(prepared, strength) for strength in strengths]
    lengths = [float(solution.maps[0].coef.norm()) for solution in solutions]
    assert lengths == sorted(lengths)


def test_early_stopped_path_goes_to_logistic_regression():
    rows = problem()
    solver = LBFGSPath()
    prepared = solver.prepare(rows, 200, 0.0)
    fitted = solver.solve(prepared, Strength(1e-6), n_maps=200).maps[-1]
    reference = LogisticRegression(C=1e10, tol=1e-12, max_iter=5000)
    reference.fit(rows.features.numpy(), rows.y.numpy())
    scores = fitted(rows.features) @ rows.class_vectors.T
    assert_allclose(
        scores.softmax(dim=1).numpy(),
        reference.predict_proba(rows.features.numpy()),
        atol=1e-3,
    )


@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("target", ["etf", "seli"])
def test_leave_one_out_is_what_fits_without_the_row_say(alpha, target):
    geometry = seli(COUNTS, random_state=0) if target == "seli" else None
    rows = problem(target=geometry)
    X, y = rows.features.numpy(), rows.y.numpy()
    weight = rows.balanced_weight
    prepared = ClosedForm().prepare(rows, 1, 0.0)
    without = ClosedForm().leave_one_out(prepared, rows.features, rows.y, weight)
    projected = without(Strength(alpha))
    weight, means = weight.numpy(), rows.target.means
    penalty = alpha * np.trace(np.cov(X.T, aweights=weight, ddof=0))
    for i in range(0, len(y), 5):
        others = np.arange(len(y)) != i
        model = Ridge(penalty).fit(X[others], means[y[others]], weight[others])
        assert_allclose(projected[i], model.predict(X[[i]])[0], atol=1e-8)


def test_leave_one_out_of_a_row_that_decides_alone_is_finite():
    rows = problem()
    alone = torch.zeros_like(rows.features)
    alone[0, 0] = 1.0
    rows = Problem(alone, rows.y, None, rows.loss, rows.target)
    prepared, weight = ClosedForm().prepare(rows, 1, 0.0), rows.balanced_weight
    without = ClosedForm().leave_one_out(prepared, alone, rows.y, weight)
    projected = without(Strength(1e-12))
    assert torch.isfinite(projected).all()


# --- where it runs -----------------------------------------------------------------


def blas_threads():
    return {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}


@pytest.mark.parametrize("size", [1, 2**40])
def test_threads_are_as_before_afterwards(size):
    before = blas_threads(), torch.get_num_threads()
    with limited_threads(size):
        assert blas_threads() <= {1}
    assert (blas_threads(), torch.get_num_threads()) == before


def test_threads_stay_limited_until_the_last_of_two_fits_ends():
    # BLAS threads belong to the process: fits in two threads that overlap would restore
    # what they found in the wrong order.
    before = blas_threads()
    first, second = limited_threads(1), limited_threads(2**40)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(first.__enter__).result()
        other.submit(second.__enter__).result()
        one.submit(first.__exit__, None, None, None).result()
        while_one_is_left = blas_threads()
        other.submit(second.__exit__, None, None, None).result()
    assert while_one_is_left <= {1}
    assert blas_threads() == before


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda")
    for device in ("abacus", "cpu:x", 3.5):
        with pytest.raises(ValueError, match="Use device='auto' or 'cpu'"):
            resolve_device(device)


def test_cosine_logits_are_possible_too():
    rows = problem(CrossEntropy(scale=4.0))
    [fitted], _ = solve(LBFGS(), rows, 1e-4, max_iter=300, tol=1e-3)
    cosines = torch.nn.functional.normalize(fitted(rows.features))
    scores = cosines @ rows.class_vectors.T
    assert (scores.argmax(dim=1) == rows.y).double().mean() > 0.6
