"""What long training has beside the plain loop, each against its definition."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from skcollapse import ETFClassifier
from skcollapse.fitting import FitContext, Problem
from skcollapse.losses import CrossEntropy
from skcollapse.network import (
    EpochSampler,
    MiniBatchOptions,
    NetworkModule,
    Problems,
    make_optimizer,
    make_schedule,
    train_minibatch,
)
from skcollapse.projectors import MLPProjector
from skcollapse.targets import ClassGeometry
from skcollapse.training import Trainer

N, Q, K = 48, 4, 3
LOOP = {"solver": "sgd", "alpha": 1e-4, "max_iter": 3, "tol": 1e-4}
PLAIN = {
    "batch_size": 16,
    "learning_rate_init": 0.1,
    "learning_rate": "constant",
    "n_iter_no_change": 100,
}


def problem(loss=None, dtype=torch.float64, weighted=False):
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(N // 2, int), np.arange(N // 2) % K]
    X = np.random.default_rng(9).normal(size=(K, Q))[y] + rng.normal(size=(N, Q))
    weight = torch.tensor(rng.integers(1, 4, size=N), dtype=dtype) if weighted else None
    return Problem(
        torch.tensor(X, dtype=dtype),
        torch.tensor(y),
        weight,
        loss or CrossEntropy(),
        ClassGeometry(np.eye(K), np.eye(K)),
    )


def network(dtype=torch.float64, **parameters):
    generator = torch.Generator().manual_seed(1)
    return MLPProjector(Q, (8,), K, generator=generator, **parameters).to(dtype)


def train(module, rows, *, trainer=None, problems=None, **options):
    """Train any module by options of the loop, of the trainer, or a trainer itself."""
    loop = {name: options.pop(name, value) for name, value in LOOP.items()}
    trainer = clone(trainer or Trainer(), safe=False)
    given = {**PLAIN, **options}
    trainer.set_params(**given).check(loop["max_iter"])
    return train_minibatch(
        NetworkModule(module),
        Problems(rows, **problems or {}),
        MiniBatchOptions(**loop, trainer=trainer),
        FitContext(torch.device("cpu"), np.random.RandomState(0)),
    )


def trained(trainer=None, rows=None, module=None, **options):
    module = network() if module is None else module
    train(module, problem() if rows is None else rows, trainer=trainer, **options)
    return nn.utils.parameters_to_vector(module.parameters()).detach()


# --- batches and gradients ------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("accumulate", [2, 3, 5])
def test_parts_of_a_batch_add_up(accumulate, weighted):
    rows = problem(CrossEntropy(logit_adjustment=1.0), weighted=weighted)
    whole = trained(rows=rows)
    parts = trained(Trainer(accumulate=accumulate), rows)
    torch.testing.assert_close(parts, whole, atol=1e-12, rtol=0)


def test_a_clipped_step_has_the_length_that_was_asked_for():
    start = nn.utils.parameters_to_vector(network().parameters()).detach()
    step = {"batch_size": N, "max_iter": 1, "momentum": 0.0, "alpha": 0.0}
    moved = trained(Trainer(clip_norm=0.01), **step) - start
    free = trained(**step) - start
    assert moved.norm() == pytest.approx(0.1 * 0.01, rel=1e-4)
    torch.testing.assert_close(moved / moved.norm(), free / free.norm())
    torch.testing.assert_close(trained(Trainer(clip_norm=1e6), **step) - start, free)


class Small(nn.Module):
    """A network with memory for so many rows."""

    def __init__(self, rows):
        super().__init__()
        self.rows, self.inner, self.seen = rows, network(), []

    def forward(self, x):
        if self.training and len(x) > self.rows:
            raise torch.OutOfMemoryError("of rows")
        self.seen.append(len(x))
        return self.inner(x)


def test_batches_that_do_not_fit_are_computed_in_parts():
    module = Small(5)
    with pytest.warns(RuntimeWarning, match="out of memory") as caught:
        weights = trained(module=module)
    assert [str(w.message).count("in 2 parts") for w in caught] == [1, 0]
    assert "Trainer(accumulate=4)" in str(caught[1].message)
    assert set(module.seen) == {4}
    torch.testing.assert_close(weights, trained(), atol=1e-12, rtol=0)


def test_rows_that_do_not_fit_alone_are_given_up():
    module = Small(0)
    with (
        pytest.warns(RuntimeWarning, match="out of memory"),
        pytest.raises(torch.OutOfMemoryError),
    ):
        trained(module=module)
    assert torch.equal(
        nn.utils.parameters_to_vector(module.inner.parameters()),
        nn.utils.parameters_to_vector(network().parameters()),
    )


# --- averages and precision ---------------------------------------------------------


def test_the_average_of_weights_is_that_of_their_course():
    one = {"batch_size": N, "learning_rate": "constant"}
    course = [trained(max_iter=n, **one) for n in (1, 2, 3)]
    average = course[0]
    for weights in course[1:]:
        average = 0.7 * average + 0.3 * weights
    got = trained(Trainer(ema_decay=0.7), max_iter=3, **one)
    torch.testing.assert_close(got, average)
    torch.testing.assert_close(trained(Trainer(ema_decay=0.0)), trained())


def test_held_out_rows_judge_the_average():
    module, rows = network(batch_norm=True), problem()
    history = train(
        module,
        rows,
        trainer=Trainer(ema_decay=0.5),
        max_iter=6,
        problems={"validation": rows},
    )
    with torch.no_grad():
        hits = module(rows.features).argmax(dim=1) == rows.y
    weight = 1 / rows.class_frequency[rows.y]
    balanced = float(weight[hits].sum() / weight.sum())
    assert balanced == pytest.approx(max(history.validation_scores))


@pytest.mark.parametrize("autocast", ["bfloat16", torch.bfloat16, "float16"])
def test_mixed_precision_is_near_single(autocast):
    seen = set()

    class Watched(nn.Linear):
        def forward(self, x):
            projected = super().forward(x)
            seen.add(projected.dtype)
            return projected

    torch.manual_seed(0)
    module, rows = Watched(Q, K), problem(dtype=torch.float32)
    start = nn.utils.parameters_to_vector(module.parameters()).detach().clone()
    single = nn.Linear(Q, K)
    single.load_state_dict(module.state_dict())
    reference = trained(rows=rows, module=single) - start
    moved = trained(Trainer(autocast=autocast), rows, module) - start
    trainer = Trainer(autocast=autocast)
    assert seen == {trainer.autocast_dtype}
    assert module.weight.dtype == torch.float32
    assert (moved - reference).norm() < 0.05 * reference.norm()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_training_is_the_same():
    torch.testing.assert_close(trained(Trainer(compile=True)), trained())


def test_channels_last_is_the_same():
    rows = problem(dtype=torch.float32)
    images = replace(rows, features=rows.features.reshape(N, 1, 2, 2))

    def convolutional():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 8, 2), nn.Flatten(), nn.Linear(8, K))

    module = convolutional()
    got = trained(Trainer(channels_last=True), images, module)
    torch.testing.assert_close(got, trained(rows=images, module=convolutional()))


def test_deterministic_algorithms_are_asked_for_and_given_back():
    class Asked(nn.Linear):
        def forward(self, x):
            asked.append(torch.are_deterministic_algorithms_enabled())
            return super().forward(x)

    for enabled in (True, False):
        asked = []
        trained(Trainer(deterministic=enabled), module=Asked(Q, K).double())
        assert set(asked) == {enabled}
        assert not torch.are_deterministic_algorithms_enabled()


# --- schedules and groups -----------------------------------------------------------


def rates(learning_rate, n_epochs, steps, **trainer):
    trainer = Trainer(learning_rate=learning_rate, learning_rate_init=0.5, **trainer)
    loop = {**LOOP, "max_iter": n_epochs}
    options = MiniBatchOptions(**loop, trainer=trainer)
    optimizer = make_optimizer(NetworkModule(nn.Linear(2, 2)), options)
    schedule = make_schedule(optimizer, options, steps)
    optimizer.step()
    rates = []
    for _ in range(n_epochs * steps):
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    return np.array(rates)


def test_steps_after_a_warm_up():
    got = rates("multi_step", 6, 4, warmup_epochs=1, milestones=(3, 5), gamma=0.1)
    rise = 0.5 * np.arange(1, 5) / 5
    expected = np.r_[rise, np.full(8, 0.5), np.full(8, 0.05), np.full(4, 0.005)]
    np.testing.assert_allclose(got, expected)


def test_a_cosine_after_a_warm_up():
    got = rates("cosine", 5, 3, warmup_epochs=2)
    fall = 0.25 * (1 + np.cos(math.pi * np.arange(9) / 9))
    np.testing.assert_allclose(got, np.r_[0.5 * np.arange(1, 7) / 7, fall])


def test_the_extractor_has_a_rate_and_a_penalty_of_its_own():
    extractor, head = nn.Linear(3, 2), nn.Linear(2, 2)
    trainer = Trainer(
        learning_rate_init=0.5, extractor_learning_rate=0.01, extractor_alpha=0.3
    )
    options = MiniBatchOptions(**{**LOOP, "alpha": 0.1}, trainer=trainer)
    optimizer = make_optimizer(NetworkModule(head, extractor=extractor), options)
    got = {
        id(p): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert got == {
        id(extractor.weight): (0.01, 0.3),
        id(extractor.bias): (0.01, 0.0),
        id(head.weight): (0.5, 0.1),
        id(head.bias): (0.5, 0.0),
    }


# --- samplers and deferral ----------------------------------------------------------


def test_the_prior_is_that_of_the_rows_drawn():
    rows = problem(CrossEntropy(logit_adjustment=1.0))
    counts = np.bincount(rows.y)
    for sampler, share in (
        (None, counts),
        ("balanced", np.ones(K)),
        ("square_root", np.sqrt(counts)),
    ):
        prior = EpochSampler(rows, sampler).objective.log_prior.exp()
        np.testing.assert_allclose(prior, share / share.sum(), rtol=1e-6)


@pytest.mark.parametrize("sampler", ["balanced", "square_root"])
def test_the_loss_of_drawn_rows_is_that_of_their_classes(sampler):
    # Rows of a class are all alike: whatever is drawn, the classes make the loss.
    rows = problem(weighted=True)
    centres = np.random.default_rng(3).normal(size=(K, Q))
    same = torch.tensor(centres)[rows.y]
    rows = replace(rows, features=same)
    module = network()
    still = {"learning_rate_init": 1e-12, "max_iter": 400, "alpha": 0.0}
    still |= {"tol": 0.0, "n_iter_no_change": 400}
    history = train(module, rows, trainer=Trainer(sampler=sampler), **still)
    draw = EpochSampler(rows, sampler)
    heavy = torch.zeros(K, dtype=torch.float64).index_add_(0, rows.y, draw.weight)
    share = draw.order.probabilities * heavy / rows.y.bincount()
    with torch.no_grad():
        losses = torch.nn.functional.cross_entropy(
            module(same), rows.y, reduction="none"
        )
    by_class = torch.stack([losses[rows.y == k][0] for k in range(K)])
    expected = float(share @ by_class / share.sum())
    curve = np.array(history.loss_curve)
    error = curve.std() / math.sqrt(len(curve))
    assert abs(curve.mean() - expected) < 4 * error


def test_what_is_deferred_comes_later():
    plain = problem(CrossEntropy(logit_adjustment=1.0))
    weighted = replace(plain, sample_weight=1 / plain.class_frequency[plain.y])
    even = replace(plain, class_counts=torch.ones(K))
    problems = {"before_deferral": even}
    expected = trained(rows=problem(), learning_rate="constant")
    for sampler in (None, "balanced"):
        trainer = Trainer(deferred=3, sampler=sampler)
        got = trained(trainer, weighted, problems=problems, learning_rate="constant")
        torch.testing.assert_close(got, expected)
        later = trained(
            trainer, weighted, problems=problems, learning_rate="constant", max_iter=4
        )
        never = trained(learning_rate="constant", max_iter=4)
        assert (later - never).abs().max() > 1e-3


# --- the parameter object -------------------------------------------------------------


def test_a_trainer_is_an_object_of_parameters():
    trainer = Trainer(ema_decay=0.9)
    copied = clone(trainer).set_params(clip_norm=2.0)
    assert copied.get_params() == {**trainer.get_params(), "clip_norm": 2.0}
    assert repr(trainer) == "Trainer(ema_decay=0.9)"
    trainer.check(3)


@pytest.mark.parametrize(
    "parameters",
    [
        {"batch_size": 0},
        {"batch_size": "all"},
        {"learning_rate_init": 0.0},
        {"learning_rate": "adaptive"},
        {"momentum": 1.0},
        {"early_stopping": "yes"},
        {"validation_fraction": 0.0},
        {"validation_fraction": 1.0},
        {"n_iter_no_change": 0},
        {"mixup_alpha": float("inf")},
        {"extractor_learning_rate": 0.0},
        {"extractor_alpha": -1.0},
        {"freeze_epochs": -1},
        {"warmup_epochs": 0.5},
        {"milestones": (3, 2)},
        {"milestones": (0,)},
        {"gamma": 0.0},
        {"sampler": "even"},
        {"cutmix_alpha": math.nan},
        {"clip_norm": 0},
        {"ema_decay": 1.0},
        {"autocast": "float64"},
        {"channels_last": "yes"},
        {"accumulate": 0},
        {"accumulate": True},
        {"deferred": -2},
        {"num_workers": -1},
        {"checkpoint_every": 0},
        {"milestones": 3},
        {"milestones": "12"},
    ],
    ids=str,
)
def test_bad_parameters_are_named(parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=rf"^trainer: {name} must be .*; got .*\.$"):
        Trainer(**parameters).check(9)


@pytest.mark.parametrize("parameters", [{"augment": 3}, {"checkpoint": 3}], ids=str)
def test_bad_types_are_named(parameters):
    (name,) = parameters
    with pytest.raises(TypeError, match=f"^trainer: {name} must be None or a .* got 3"):
        Trainer(**parameters).check(9)


def test_valid_parameters_pass():
    Trainer(
        batch_size=np.int64(8),
        learning_rate_init=np.float32(0.1),
        learning_rate="multi_step",
        milestones=np.array([2, 3]),
        autocast=torch.bfloat16,
        checkpoint=Path("run"),
        augment=np.tanh,
        extractor_alpha=0,
        ema_decay=0,
        clip_norm=1,
    ).check(9)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"warmup_epochs": 3}, "warmup_epochs must be less than max_iter=3"),
        (
            {"warmup_epochs": 1, "learning_rate": "one_cycle"},
            "warmup_epochs must be .* 0 for learning_rate='one_cycle'",
        ),
        ({"milestones": (2,)}, "milestones must be .* for learning_rate='multi_step'"),
        ({"learning_rate": "multi_step"}, r"milestones must be .*; got \(\)"),
        (
            {"learning_rate": "multi_step", "milestones": (1,), "warmup_epochs": 1},
            "milestones must be epochs after warmup_epochs=1",
        ),
        (
            {"mixup_alpha": 1.0, "cutmix_alpha": 0.5},
            "mixup_alpha must be 0 together with cutmix_alpha=0.5; got 1.0",
        ),
    ],
)
def test_what_does_not_fit_together_is_named(parameters, message):
    with pytest.raises(ValueError, match=f"^trainer: {message}"):
        Trainer(**parameters).check(3)


def test_what_would_be_ignored_is_named():
    for name, value in {
        "freeze_epochs": 1,
        "warmup_epochs": 1,
        "milestones": (2,),
        "ema_decay": 0.9,
        "deferred": 1,
        "refit": "closed_form",
        "checkpoint": "run",
    }.items():
        with pytest.raises(ValueError, match=rf"{name}=.* is for fit; partial_fit"):
            Trainer(**{name: value}).check(3, one_epoch=True)
    # One epoch has a constant rate, whatever the schedule of a fit.
    Trainer(learning_rate="multi_step").check(3, one_epoch=True)
    for name, value in {
        "extractor_learning_rate": 0.1,
        "extractor_alpha": 0.1,
        "freeze_epochs": 1,
        "refit": "lbfgs",
        "augment": abs,
    }.items():
        with pytest.raises(ValueError, match=rf"{name}=.* needs an extractor and"):
            Trainer(**{name: value}).check(3, trains_extractor=False)


def test_solvers_of_a_second_stage_are_those_of_affine_maps():
    model = ETFClassifier(
        extractor=nn.Flatten(), train_extractor=True, trainer=Trainer(refit="ridge")
    )
    with pytest.raises(ValueError, match=r"refit must be one of None, .* got 'ridge'"):
        model.fit(np.zeros((4, 2)), [0, 1, 0, 1])
