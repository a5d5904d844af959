"""Training of any module: on mini-batches, and on the full batch."""

import copy
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from skcollapse.fitting import FitContext, NullProgress, Objective, Problem
from skcollapse.losses import LOSSES, CrossEntropy, SquaredError
from skcollapse.network import (
    MiniBatchOptions,
    Mixup,
    NetworkModule,
    Problems,
    Trainer,
    batch_sizes,
    train_full_batch,
    train_minibatch,
)
from skcollapse.projectors import MLPProjector
from skcollapse.targets import ClassGeometry

N, Q, K = 60, 4, 3
ONE_HOT = ClassGeometry(np.eye(K), np.eye(K))
FAST = {
    "solver": "adamw",
    "alpha": 1e-4,
    "max_iter": 3,
    "tol": 1e-4,
    "batch_size": 16,
    "learning_rate_init": 0.01,
    "learning_rate": "constant",
}
every_loss = pytest.mark.parametrize("loss", LOSSES)
schedules = pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
solvers = pytest.mark.parametrize("solver", ["adamw", "sgd"])


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Keep threads from waiting for each other over batches as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(loss=None, seed=0, n=N, weighted=False, dtype=torch.float64):
    """Draw overlapping classes, so that the optimum is finite."""
    rng = np.random.default_rng(seed)
    y = np.r_[np.arange(K), rng.integers(K, size=n - K)]
    centers = np.random.default_rng(99).normal(size=(K, Q))
    X = torch.tensor(centers[y] + rng.normal(size=(n, Q)), dtype=dtype)
    weight = torch.tensor(rng.integers(1, 4, size=n), dtype=dtype) if weighted else None
    return Problem(X, torch.tensor(y), weight, loss or CrossEntropy(), ONE_HOT)


def mlp(sizes=(8,), dtype=torch.float64, seed=0, **parameters):
    projector = MLPProjector(Q, sizes, K, generator=generator(seed), **parameters)
    return projector.to(dtype)


def state(module):
    """Return everything that training could change."""
    values = {name: t.clone() for name, t in module.state_dict().items()}
    modes = [m.training for m in module.modules()]
    return values, modes, [p.grad for p in module.parameters()]


def assert_same_state(first, second):
    assert first[0].keys() == second[0].keys()
    assert all(torch.equal(first[0][name], second[0][name]) for name in first[0])
    assert first[1:] == second[1:]


def train(module, problem, options=FAST, seed=0, *, validation=None, **arguments):
    """Train any module by options of the loop and of the trainer."""
    trainer = Trainer(**{k: v for k, v in options.items() if hasattr(Trainer(), k)})
    trainer.check(options["max_iter"])
    loop = {k: v for k, v in options.items() if not hasattr(trainer, k)}
    progress = arguments.pop("progress", NullProgress())
    return train_minibatch(
        NetworkModule(module),
        Problems(problem, validation),
        MiniBatchOptions(**loop, trainer=trainer),
        FitContext(torch.device("cpu"), np.random.RandomState(seed), progress),
        **arguments,
    )


def project(module, problem):
    with torch.no_grad():
        return module(problem.features).numpy()


# --- the optimum -------------------------------------------------------------------


def logistic(rows, alpha):
    X, y = rows.features.numpy(), rows.y.numpy()
    weight = None if rows.sample_weight is None else rows.sample_weight.numpy()
    total = len(y) if weight is None else weight.sum()
    model = LogisticRegression(C=1 / (alpha * total), tol=1e-10, max_iter=1000)
    return model.fit(X, y, weight).predict_proba(X)


def softmax(module, rows):
    return torch.from_numpy(project(module, rows)).softmax(dim=1).numpy()


@pytest.mark.parametrize("weighted", [False, True])
def test_full_batch_is_softmax_regression(weighted):
    rows, module = problem(weighted=weighted), mlp(())
    history = train_full_batch(module, rows, alpha=0.05, max_iter=500, tol=1e-9)
    np.testing.assert_allclose(softmax(module, rows), logistic(rows, 0.05), atol=1e-5)
    assert len(history.loss_curve) > 1
    assert np.all(np.diff(history.loss_curve) <= 0)
    assert not module.training


def test_full_batch_is_ridge_regression():
    rows, module = problem(SquaredError(), weighted=True), mlp(())
    train_full_batch(module, rows, alpha=0.1, max_iter=500, tol=1e-10)
    X, weight = rows.features.numpy(), rows.sample_weight.numpy()
    ridge = Ridge(alpha=0.1 * weight.sum()).fit(X, np.eye(K)[rows.y], weight)
    np.testing.assert_allclose(module.output.weight.detach(), ridge.coef_, atol=1e-6)
    np.testing.assert_allclose(module.output.bias.detach(), ridge.intercept_, atol=1e-6)


def test_full_batch_in_single_precision():
    rows, module = problem(dtype=torch.float32), mlp((), torch.float32)
    train_full_batch(module, rows, alpha=0.05, max_iter=500, tol=1e-6)
    np.testing.assert_allclose(softmax(module, rows), logistic(rows, 0.05), atol=2e-3)


def test_one_batch_of_all_rows_reaches_ridge_regression():
    rows, module = problem(SquaredError(), weighted=True), nn.Linear(Q, K).double()
    options = {
        **FAST,
        "solver": "sgd",
        "alpha": 0.1,
        "batch_size": 1000,
        "learning_rate_init": 0.1,
        "max_iter": 400,
        "n_iter_no_change": 400,
    }
    train(module, rows, options)
    X, weight = rows.features.numpy(), rows.sample_weight.numpy()
    ridge = Ridge(alpha=0.1 * weight.sum()).fit(X, np.eye(K)[rows.y], weight)
    np.testing.assert_allclose(module.weight.detach(), ridge.coef_, atol=1e-6)
    np.testing.assert_allclose(module.bias.detach(), ridge.intercept_, atol=1e-6)


def test_mini_batches_come_close_to_softmax_regression():
    rows, module = problem(n=300), mlp(())
    options = {
        **FAST,
        "solver": "sgd",
        "alpha": 0.05,
        "batch_size": 32,
        "learning_rate": "cosine",
        "learning_rate_init": 0.02,
        "max_iter": 100,
        "n_iter_no_change": 100,
    }
    train(module, rows, options)
    np.testing.assert_allclose(softmax(module, rows), logistic(rows, 0.05), atol=0.005)


def test_mini_batches_weigh_the_classes_as_the_full_batch_does():
    # One class is rare and heavy: most batches have no row of it.
    rows = problem(n=600)
    some = (rows.y > 0) | (torch.arange(600) % 15 == 0)
    rows = replace(rows, features=rows.features[some], y=rows.y[some])
    balanced = 1 / rows.class_frequency[rows.y]
    rows, module = replace(rows, sample_weight=balanced), mlp(())
    options = {
        **FAST,
        "solver": "sgd",
        "alpha": 0.05,
        "batch_size": 16,
        "learning_rate": "cosine",
        "learning_rate_init": 0.01,
        "max_iter": 60,
        "n_iter_no_change": 60,
    }
    history = train(module, rows, options)
    np.testing.assert_allclose(softmax(module, rows), logistic(rows, 0.05), atol=0.01)
    final = rows.loss(module(rows.features), rows.y, rows.class_vectors, balanced)
    final = final.item() + 0.025 * module.output.weight.square().sum().item()
    assert history.loss_curve[-1] == pytest.approx(final, abs=1e-3)


def test_adamw_shrinks_weights_and_not_biases():
    # Rows of zeros have no gradient in the first layer: only the decay moves it.
    rows = problem()
    rows = replace(rows, features=torch.zeros_like(rows.features))
    module = mlp((5,), batch_norm=True)
    with torch.no_grad():
        module.hidden[0].bias.fill_(1.0)
    before = state(module)[0]
    train(module, rows, {**FAST, "alpha": 0.5, "batch_size": N, "max_iter": 1})
    torch.testing.assert_close(
        module.hidden[0].weight, before["hidden.0.weight"] * (1 - 0.01 * 0.5)
    )
    torch.testing.assert_close(module.norm.weight, before["norm.weight"])


# --- weights -----------------------------------------------------------------------


def repeated(rows):
    times = rows.sample_weight.long()
    return replace(
        rows,
        features=rows.features.repeat_interleave(times, dim=0),
        y=rows.y.repeat_interleave(times),
        sample_weight=None,
    )


@every_loss
def test_weights_are_repetitions(loss):
    rows = problem(LOSSES[loss](), weighted=True)
    for fit in (
        lambda m, p: train_full_batch(m, p, alpha=0.1, max_iter=3, tol=1e-12),
        lambda m, p: train(m, p, {**FAST, "batch_size": 1000}),
    ):
        weighted, copied = mlp(), mlp()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fit(weighted, rows)
            fit(copied, repeated(rows))
        np.testing.assert_allclose(
            project(weighted, rows), project(copied, rows), atol=1e-7
        )


# --- every loss, solver and schedule ------------------------------------------------


@every_loss
@pytest.mark.parametrize("mixup_alpha", [0.0, 0.4])
def test_every_loss_trains(loss, mixup_alpha):
    rows = problem(LOSSES[loss](), weighted=True, dtype=torch.float32)
    module = mlp(dtype=torch.float32, batch_norm=True)
    options = {**FAST, "mixup_alpha": mixup_alpha, "max_iter": 5, "batch_size": 7}
    history = train(module, rows, options)
    assert np.isfinite(history.loss_curve).all()
    assert np.isfinite(project(module, rows)).all()
    if mixup_alpha == 0:
        assert history.loss_curve[-1] < history.loss_curve[0]


@solvers
@schedules
def test_every_solver_and_schedule_trains(solver, schedule):
    module, rows = mlp(), problem()
    options = {**FAST, "solver": solver, "learning_rate": schedule, "max_iter": 8}
    history = train(module, rows, options)
    assert len(history.loss_curve) == 8
    assert history.validation_scores is None
    assert history.loss_curve[-1] < history.loss_curve[0]
    assert not module.training
    assert all(p.grad is None for p in module.parameters())


@schedules
def test_a_single_step_is_a_step(schedule):
    module, before = mlp(()), mlp(())
    train(
        module,
        problem(),
        {**FAST, "learning_rate": schedule, "batch_size": N, "max_iter": 1},
    )
    assert (module.output.bias - before.output.bias).abs().min() > 1e-4


def test_mixup_of_whole_rows_is_none():
    # Beta(α, α) with α next to 0 draws 0 or 1: rows in another order.
    rows, plain, mixed = problem(weighted=True), mlp(), mlp()
    train(plain, rows)
    train(mixed, rows, {**FAST, "mixup_alpha": 1e-6})
    np.testing.assert_allclose(project(mixed, rows), project(plain, rows), atol=1e-6)
    train(mixed, rows, {**FAST, "mixup_alpha": 1.0})
    assert abs(project(mixed, rows) - project(plain, rows)).max() > 1e-3


def test_mixup_counts_a_row_in_both_classes():
    rows = problem(weighted=True, n=2 * K)
    x, y, weight = rows.features, rows.y, rows.sample_weight
    rng = np.random.default_rng(5)
    share, partner = rng.beta(2.0, 2.0), rng.permutation(len(y))
    mixed = x[:, :K] * share + x[partner, :K] * (1 - share)
    log_p = mixed.log_softmax(dim=1)
    terms = share * weight * log_p[range(2 * K), y]
    terms += (1 - share) * weight[partner] * log_p[range(2 * K), y[partner]]
    loss = Mixup(2.0, seed=5).loss(
        lambda rows: rows[:, :K], Objective(rows), x, y, weight
    )
    torch.testing.assert_close(loss, -terms.sum() / weight.sum())


def test_the_prior_is_that_of_the_whole_problem():
    rows = problem(CrossEntropy(logit_adjustment=1.0), n=200)
    rare = (rows.y > 0) | (torch.arange(200) < 20)
    rows = replace(rows, features=rows.features[rare], y=rows.y[rare])
    module = mlp(())
    # A learning rate too small to move: the loss is that of the start.
    options = {**FAST, "alpha": 0.0, "learning_rate_init": 1e-12, "max_iter": 1}
    history = train(module, rows, options)
    whole = rows.loss(
        module(rows.features), rows.y, rows.class_vectors, None, rows.log_prior
    )
    assert history.loss_curve[0] == pytest.approx(whole.item(), abs=1e-9)


# --- batches ------------------------------------------------------------------------


def test_batch_sizes():
    assert batch_sizes(1, 4) == [1]
    assert batch_sizes(3, 1) == [1, 1, 1]
    for n_rows in range(2, 30):
        for batch_size in range(2, 12):
            sizes = batch_sizes(n_rows, batch_size)
            assert sum(sizes) == n_rows
            assert max(sizes) <= batch_size + (batch_size < 4)
            assert 2 <= min(sizes) >= max(sizes) - 1


def test_a_row_left_over_does_not_break_batch_normalisation():
    module, rows = mlp(batch_norm=True), problem(n=33)
    history = train(module, rows, {**FAST, "batch_size": 2})
    assert np.isfinite(history.loss_curve).all()


@every_loss
def test_batches_without_some_of_the_classes(loss):
    rows = problem(LOSSES[loss]())
    history = train(mlp(), rows, {**FAST, "batch_size": 2})
    assert np.isfinite(history.loss_curve).all()


# --- reproducibility ----------------------------------------------------------------


def test_the_same_generator_gives_the_same_bits_and_leaves_others_alone():
    options = {**FAST, "mixup_alpha": 0.5}
    rows, held_out = problem(), problem(seed=1)
    torch.manual_seed(0)
    numpy_state, python_state = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    runs = []
    for seed in (0, 0, 1):
        module = mlp(dropout=0.3, batch_norm=True)
        history = train(module, rows, options, seed, validation=held_out)
        runs.append((state(module), history))
        assert torch.equal(torch.get_rng_state(), python_state)
        assert np.array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002
        torch.rand(3)  # what the user draws between makes no difference
        torch.set_rng_state(python_state)
    assert_same_state(runs[0][0], runs[1][0])
    assert runs[0][1].loss_curve == runs[1][1].loss_curve
    assert runs[0][1].loss_curve != runs[2][1].loss_curve


def test_the_state_of_the_user_s_stream_makes_no_difference():
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        module = mlp(dropout=0.3)
        train(module, problem())
        states.append(state(module))
    assert_same_state(*states)


def test_full_batch_draws_nothing():
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        module = mlp(dropout=0.5)
        with pytest.warns(ConvergenceWarning):
            train_full_batch(module, problem(), alpha=0.1, max_iter=5, tol=1e-12)
        assert torch.equal(torch.get_rng_state(), before)
        states.append(state(module))
    assert_same_state(*states)


def test_training_inside_no_grad():
    module, other = mlp(), mlp()
    train(other, problem())
    with torch.no_grad():
        train(module, problem())
    assert_same_state(state(module), state(other))


# --- early stopping -----------------------------------------------------------------


class Watching(NullProgress):
    """Calls a function at the end of each iteration."""

    def __init__(self, function):
        super().__init__()
        self.end = function


def score(module, rows):
    predicted = project(module, rows).argmax(axis=1)
    return balanced_accuracy_score(rows.y, predicted)


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_balanced_accuracies(weighted):
    module, held_out = mlp(), problem(seed=1, weighted=weighted)
    seen = []

    def on_epoch(epoch):
        predicted = project(copy.deepcopy(module).eval(), held_out).argmax(axis=1)
        weight = held_out.sample_weight
        expected = balanced_accuracy_score(held_out.y, predicted, sample_weight=weight)
        assert epoch.score == pytest.approx(expected)
        seen.append(epoch)

    progress = Watching(on_epoch)
    history = train(module, problem(), validation=held_out, progress=progress)
    assert [epoch.n_iter for epoch in seen] == [1, 2, 3]
    assert history.loss_curve == [epoch.loss for epoch in seen]
    assert history.validation_scores == [epoch.score for epoch in seen]


@pytest.mark.parametrize("stopped", [False, True])
def test_the_best_weights_are_restored(stopped):
    module, rows = mlp(batch_norm=True), problem()
    held_out = problem(seed=1)
    best = 2
    kept = {}

    def on_epoch(epoch):
        if epoch.n_iter == best:
            kept.update(state(module)[0])
        if epoch.n_iter >= best:  # everything after is spoilt
            with torch.no_grad():
                module.output.weight.neg_()
                module.norm.running_mean.fill_(100.0)
        return stopped and epoch.n_iter == best + 2

    # Held-out rows are labelled by the module after its second epoch.
    scout = copy.deepcopy(module)
    train(scout, rows, {**FAST, "max_iter": best})
    labels = torch.from_numpy(project(scout, held_out).argmax(axis=1))
    held_out = replace(held_out, y=labels)
    options = {**FAST, "max_iter": 6, "learning_rate": "constant"}
    progress = Watching(on_epoch)
    history = train(module, rows, options, validation=held_out, progress=progress)
    assert len(history.loss_curve) == (best + 2 if stopped else 6)
    assert history.validation_scores[best - 1] == 1.0
    assert history.validation_scores[-1] < 1.0
    assert all(torch.equal(kept[name], t) for name, t in module.state_dict().items())
    assert score(module, held_out) == 1.0


def test_a_start_that_is_best_is_kept():
    rows, module = problem(), mlp(())
    # Held-out rows are labelled by the start; training unlearns that.
    labels = torch.from_numpy(project(module, rows).argmax(axis=1))
    held_out = replace(rows, y=labels)
    before = state(module)[0]
    options = {**FAST, "learning_rate_init": 0.5, "max_iter": 20, "n_iter_no_change": 4}
    rows = replace(rows, y=(labels + 1) % K)
    history = train(module, rows, options, validation=held_out)
    assert len(history.loss_curve) == 4
    assert max(history.validation_scores) < 1.0
    assert all(torch.equal(before[name], t) for name, t in module.state_dict().items())


def test_equal_scores_are_told_apart_by_the_balanced_loss():
    # Well separated: every epoch is perfect, the loss still falls.
    rows = problem()
    rows = replace(rows, features=torch.eye(Q)[rows.y].double() * 10)
    module = mlp(())
    options = {**FAST, "max_iter": 10, "tol": 1e-6}
    last = {}
    progress = Watching(lambda epoch: last.update(state(module)[0]))
    history = train(module, rows, options, validation=rows, progress=progress)
    assert history.validation_scores[-2:] == [1.0, 1.0]
    assert len(history.loss_curve) == 10
    assert all(torch.equal(last[name], t) for name, t in module.state_dict().items())


def test_held_out_rows_without_some_class_and_with_another_prior():
    loss = CrossEntropy(logit_adjustment=1.0)
    held_out = problem(loss, seed=1)
    some = held_out.y != 1
    held_out = replace(held_out, features=held_out.features[some], y=held_out.y[some])
    history = train(mlp(), problem(loss), validation=held_out)
    assert np.isfinite(history.validation_scores).all()


def test_stops_when_nothing_improves():
    history = train(
        mlp(), problem(), {**FAST, "tol": 10.0, "n_iter_no_change": 3, "max_iter": 50}
    )
    # The first epoch is progress over nothing.
    assert len(history.loss_curve) == 4
    history = train(
        mlp(),
        problem(),
        {**FAST, "tol": 10.0, "n_iter_no_change": 3, "max_iter": 50},
        validation=problem(seed=1),
    )
    assert len(history.loss_curve) == 3


def test_progress_stops_it():
    module = mlp()
    history = train(module, problem(), progress=Watching(lambda e: e.n_iter == 2))
    assert len(history.loss_curve) == 2
    module, losses = mlp(), []
    history = train_full_batch(
        module,
        problem(),
        alpha=0.1,
        max_iter=100,
        tol=1e-9,
        progress=Watching(lambda i: losses.append(i.loss) or i.n_iter == 3),
    )
    assert len(history.loss_curve) == 3
    assert history.loss_curve == losses
    again = mlp()
    with pytest.warns(ConvergenceWarning):
        train_full_batch(again, problem(), alpha=0.1, max_iter=3, tol=1e-9)
    np.testing.assert_array_equal(project(module, problem()), project(again, problem()))


# --- going on -----------------------------------------------------------------------


@solvers
def test_going_on_epoch_by_epoch(solver):
    # In one batch of all rows the order of the rows does not matter.
    rows = problem()
    options = {**FAST, "solver": solver, "batch_size": N, "max_iter": 4}
    whole, stepwise = mlp(), mlp()
    train(whole, rows, options)
    optimizer = None
    for _ in range(4):
        history = train(stepwise, rows, {**options, "max_iter": 1}, optimizer=optimizer)
        optimizer = pickle.loads(pickle.dumps(history.optimizer))
    np.testing.assert_allclose(project(stepwise, rows), project(whole, rows), atol=1e-9)


def test_going_on_with_another_learning_rate():
    rows, module = problem(), mlp()
    history = train(module, rows)
    before = state(module)[0]
    options = {**FAST, "learning_rate_init": 1e-9, "max_iter": 1}
    train(module, rows, options, optimizer=history.optimizer)
    after = state(module)[0]
    assert all((after[n] - before[n]).abs().max() < 1e-6 for n in before)


# --- nothing by halves --------------------------------------------------------------


def harmed(module, rows, options=FAST, **arguments):
    module.train()
    module.output.eval()  # modes are state too
    before = state(module)
    generator_state = torch.get_rng_state()
    with pytest.raises((ValueError, KeyboardInterrupt)) as error:
        train(module, rows, options, **arguments)
    assert_same_state(state(module), before)
    assert torch.equal(torch.get_rng_state(), generator_state)
    return str(error.value)


@pytest.mark.parametrize("validated", [False, True])
def test_a_loss_that_is_not_finite_restores_the_module(validated):
    rows = problem(SquaredError())
    options = {
        **FAST,
        "solver": "sgd",
        "learning_rate_init": 1e6,
        "max_iter": 50,
        "n_iter_no_change": 50,
    }
    message = harmed(
        mlp(batch_norm=False), rows, options, validation=rows if validated else None
    )
    assert "learning_rate_init" in message
    assert "epoch" in message


def interrupt(iteration):
    if iteration.n_iter == 2:
        raise KeyboardInterrupt


def test_an_interrupt_restores_the_module():
    progress = Watching(interrupt)
    harmed(mlp(batch_norm=True, dropout=0.2), problem(), progress=progress)
    harmed(
        mlp(batch_norm=True), problem(), progress=progress, validation=problem(seed=1)
    )


@pytest.mark.parametrize("broken", ["nan", "interrupt"])
def test_full_batch_restores_the_module(broken):
    module, rows = mlp(batch_norm=True, dropout=0.2).train(), problem()

    before = state(module)
    if broken == "nan":
        rows.features[3, 1] = torch.nan
    progress = Watching(interrupt)
    with pytest.raises(ValueError if broken == "nan" else KeyboardInterrupt) as error:
        train_full_batch(
            module, rows, alpha=0.1, max_iter=9, tol=1e-9, progress=progress
        )
    assert_same_state(state(module), before)
    assert module.norm.momentum == 0.1
    if broken == "nan":
        assert "iteration 1" in str(error.value)


def test_wrong_shapes_and_nothing_to_train_are_explained():
    assert "(15, 3)" in harmed(
        MLPProjector(Q, (), K + 1, generator=generator()).double(), problem()
    )
    module = mlp()
    module.requires_grad_(False)
    assert "gradient" in harmed(module, problem())


def test_frozen_parameters_stay():
    for fit in (
        train,
        lambda m, p: train_full_batch(m, p, alpha=0.1, max_iter=500, tol=1e-3),
    ):
        module = mlp()
        module.hidden.requires_grad_(False)
        before = state(module)[0]
        fit(module, problem())
        assert torch.equal(module.hidden[0].weight, before["hidden.0.weight"])
        assert not torch.equal(module.output.weight, before["output.weight"])


def test_full_batch_keeps_the_statistics_of_all_rows():
    module, rows = mlp(batch_norm=True), problem()
    # Batch normalisation undoes the length of weights: a penalty has no minimum.
    train_full_batch(module, rows, alpha=0.0, max_iter=500, tol=1e-2)
    norm, module.norm = module.norm, None
    inputs = project(module, rows)
    np.testing.assert_allclose(norm.running_mean, inputs.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(norm.running_var, inputs.var(axis=0, ddof=1))
    assert norm.momentum == 0.1
    assert not norm.training


def test_full_batch_warns_when_iterations_run_out():
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        train_full_batch(mlp(), problem(), alpha=0.0, max_iter=2, tol=1e-12)
