"""How what is auto is chosen: splits, held-out logits, temperature and averages."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import Memory
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize, minimize_scalar
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.model_selection import GroupKFold, StratifiedKFold

from skcollapse.fitting import (
    EXCLUDED,
    FitContext,
    NullProgress,
    TrainingData,
    class_aware_subsample,
    fit_inverse_temperature,
    hold_out,
    log_loss,
    make_splits,
)
from skcollapse.linear import (
    LBFGS,
    ClosedForm,
    FeatureSpec,
    FoldLogits,
    HoldOutLogits,
    LBFGSPath,
    LeaveOneOutLogits,
    LinearSpec,
    Strength,
    greedy_average,
    prepare,
    select,
)
from skcollapse.losses import CrossEntropy, SquaredError
from skcollapse.projectors import Kernel, Linear
from skcollapse.targets import ClassGeometry, simplex_etf

K, P = 3, 4
LINEAR = FeatureSpec("standard", Linear())
KERNEL = FeatureSpec("global", Kernel())
PATH, PENALISED, CLOSED_FORM = LBFGSPath(), LBFGS(), ClosedForm()
STEPS = 10


def logits_of(seed, c=6, n=40, signal=2.0, dtype=torch.float64):
    """Draw candidates' logits, labels and weights of sum 1."""
    rng = np.random.default_rng(seed)
    y = np.r_[np.arange(K), rng.integers(K, size=n - K)]
    logits = rng.normal(size=(c, n, K)) * rng.uniform(1, 2, size=(c, 1, 1))
    logits[:, np.arange(n), y] += signal * rng.uniform(0.5, 1, size=(c, 1))
    weight = rng.dirichlet(np.ones(n))
    return (
        torch.tensor(logits, dtype=dtype),
        torch.tensor(y),
        torch.tensor(weight),
    )


def rows_of(counts=(20, 12, 7), seed=0, weight=None):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    X = rng.normal(size=(len(counts), P))[y] * 2 + rng.normal(size=(len(y), P))
    weight = np.ones(len(y)) if weight is None else weight
    return TrainingData(X, y, weight, np.ones(len(counts)))


def spec_of(loss=None, n_classes=K):
    etf = simplex_etf(n_classes, random_state=0)
    return LinearSpec(
        loss=loss or CrossEntropy(logit_adjustment=1.0),
        target=ClassGeometry(etf, etf),
        features=(LINEAR, KERNEL),
        solvers=(PATH,),
        alpha=None,
        cv=None,
        max_iter=200,
        tol=1e-3,
        seed=0,
        memory=Memory(None),
    )


def context():
    return FitContext(torch.device("cpu"), np.random.RandomState(0))


def projection_of(rows, spec, features, solver, strength):
    """Return the projection of the last candidate that a solver leads to."""
    problem = prepare(rows, features, spec, context())
    return problem.projection([(1.0, problem.solve(solver, strength).maps[-1])])


def selected(held_out, families, strengths, average):
    return select(
        held_out, families, strengths, average=average, progress=NullProgress()
    )


# --- temperature -------------------------------------------------------------------


def test_log_loss_is_that_of_scikit_learn():
    logits, y, weight = logits_of(0)
    expected = [
        sklearn_log_loss(y, of_candidate.softmax(1), sample_weight=weight)
        for of_candidate in logits
    ]
    assert_allclose(log_loss(logits, y, weight), expected)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_inverse_temperature_minimises_the_log_loss(seed, size):
    logits, y, weight = logits_of(seed, n=150)
    logits *= size
    fitted = fit_inverse_temperature(logits, y, weight)
    for factor, of_candidate in zip(fitted, logits, strict=True):
        found = minimize_scalar(
            lambda log_b, z=of_candidate: log_loss(z * np.exp(log_b), y, weight).item(),
            bounds=(np.log(1e-2 / size), np.log(1e2 / size)),
            method="bounded",
            options={"xatol": 1e-8},
        )
        assert_allclose(factor, np.exp(found.x), rtol=1e-3)


def test_excluded_classes_have_no_say_in_the_temperature():
    logits, y, weight = logits_of(0)
    padded = torch.nn.functional.pad(logits, (0, 2), value=EXCLUDED)
    factor = fit_inverse_temperature(logits, y, weight)
    assert_allclose(fit_inverse_temperature(padded, y, weight), factor, rtol=1e-4)
    assert_allclose(log_loss(padded, y, weight), log_loss(logits, y, weight))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_temperature_of_hopeless_and_perfect_logits_is_finite_and_positive(dtype):
    _, y, weight = logits_of(0, c=1, dtype=dtype)
    own = torch.nn.functional.one_hot(y, K).to(dtype)[None]
    for extreme in (own, -own, 1e6 * own, 1e-20 * own):
        factor = fit_inverse_temperature(extreme, y, weight)
        assert torch.isfinite(factor).all()
        assert (factor > 0).all()
        assert torch.isfinite(log_loss(factor * extreme, y, weight)).all()
    assert fit_inverse_temperature(0 * own, y, weight) == 1


# --- averages ----------------------------------------------------------------------


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_average_is_a_convex_combination(seed, steps):
    logits, y, weight = logits_of(seed)
    share = greedy_average(logits, y, weight, steps)
    assert_allclose(share.sum(), 1)
    assert (share >= 0).all()
    assert (share > 0).sum() <= steps
    # A step t is a multiple of 1/t.
    assert_allclose(share * steps, (share * steps).round(), atol=1e-9)
    # The loss is convex in the logits.
    mixture = torch.tensordot(share, logits, dims=1)
    assert log_loss(mixture, y, weight) <= share @ log_loss(logits, y, weight) + 1e-12


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_average_does_not_depend_on_the_order_of_the_candidates(seed):
    logits, y, weight = logits_of(seed)
    order = np.random.default_rng(seed).permutation(len(logits))
    share = greedy_average(logits, y, weight)
    assert_allclose(greedy_average(logits[order], y, weight), share[order])


def test_one_step_chooses_the_best():
    logits, y, weight = logits_of(0)
    share = greedy_average(logits, y, weight, 1)
    assert share.argmax() == log_loss(logits, y, weight).argmin()
    assert share.max() == 1


def test_many_steps_come_to_the_best_average():
    logits, y, weight = logits_of(3)
    share = greedy_average(logits, y, weight, 2000)

    def loss(free):
        point = np.exp(free - free.max())
        mixture = torch.tensordot(torch.tensor(point / point.sum()), logits, dims=1)
        return log_loss(mixture, y, weight).item()

    best = minimize(loss, np.zeros(len(logits)), options={"maxiter": 500}).fun
    found = log_loss(torch.tensordot(share, logits, dims=1), y, weight).item()
    assert best - 1e-6 <= found <= best + 2e-3


def test_a_candidate_that_dominates_has_all_the_weight():
    logits, y, weight = logits_of(0)
    perfect = 3.0 * torch.nn.functional.one_hot(y, K).double()
    share = greedy_average(torch.stack([*logits, perfect, -perfect]), y, weight)
    assert share[-2] == 1


# --- splits ------------------------------------------------------------------------


def test_default_is_three_stratified_folds():
    y = rows_of().y
    splits = make_splits(y, None, None)
    expected = list(StratifiedKFold(3).split(y, y))
    assert len(splits) == 3
    for split, reference in zip(splits, expected, strict=True):
        assert_array_equal(split[1], reference[1])


def test_many_rows_are_held_out_once():
    y = np.arange(10_001) % 5
    [(train, held)] = make_splits(y, None, None)
    assert abs(len(held) - 1000) <= 5
    assert len(np.intersect1d(train, held)) == 0


def test_small_classes_are_no_error_and_no_warning():
    assert len(make_splits(np.array([0, 0, 1]), None, None)) == 2
    assert make_splits(np.array([0, 1, 2]), None, None) == []


@pytest.mark.parametrize("cv", [None, 2, GroupKFold(3)])
def test_groups_stay_together(cv):
    y = rows_of(counts=(30, 30, 30)).y
    groups = np.random.default_rng(0).integers(12, size=len(y))
    splits = make_splits(y, cv, groups)
    assert len(splits) == (2 if cv == 2 else 3)
    for train, held in splits:
        assert not set(groups[train]) & set(groups[held])
        assert len(train) + len(held) == len(y)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("size", [1, 3, 10, 20])
def test_as_many_groups_as_there_are_serve_early_stopping(size, fraction):
    y = np.arange(60) % 3
    groups = np.arange(60) // size
    train, held = hold_out(y, fraction, groups, np.random.RandomState(0))
    assert not set(groups[train]) & set(groups[held])
    assert_array_equal(np.sort(np.r_[train, held]), np.arange(60))
    assert 0 < len(held) <= max(60 * fraction, size) + size


def test_rare_classes_in_groups_are_no_error_and_no_warning():
    y = np.repeat([0, 1, 2], [20, 4, 1])
    train, held = hold_out(y, 0.1, np.arange(25) // 2, np.random.RandomState(0))
    assert len(train) + len(held) == 25
    alone = hold_out(np.arange(4), 0.1, np.arange(4), np.random.RandomState(0))
    assert list(map(len, alone)) == [4, 0]


def test_given_splits_are_taken_as_they_are():
    y = rows_of().y
    given_splits = [(np.arange(5, 39), np.arange(5))]
    [(train, held)] = make_splits(y, given_splits, None)
    assert_array_equal(train, np.arange(5, 39))
    assert_array_equal(held, np.arange(5))


@settings(max_examples=50)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=6),
    st.integers(1, 100),
    st.integers(0, 1000),
)
def test_subsample_keeps_rare_classes_whole(sizes, n_rows, seed):
    rng = np.random.RandomState(seed)
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    drawn = class_aware_subsample(y, n_rows, rng)
    assert len(drawn) == min(len(y), n_rows)
    assert (np.diff(drawn) > 0).all()
    counts = np.bincount(y[drawn], minlength=len(sizes))
    # A class from which rows are missing has as many as any other, give or take one.
    for count, size in zip(counts, sizes, strict=True):
        assert count == size or count >= counts.max() - 1


# --- rows --------------------------------------------------------------------------


def test_weights_of_rows():
    weight = np.random.default_rng(0).uniform(0.5, 2, 39)
    rows = rows_of(weight=weight)
    assert_allclose(np.bincount(rows.y, rows.balanced_weight), 1 / K)
    assert_allclose(rows.class_counts, np.bincount(rows.y, weight))
    assert_allclose(rows.row_cost, weight)
    dear = replace(rows, class_weight=np.array([1.0, 1.0, 2.0]))
    assert_allclose(np.bincount(rows.y, dear.balanced_weight), [0.25, 0.25, 0.5])
    assert_allclose(dear.class_counts, rows.class_counts)


def test_rows_of_weight_zero_do_not_count():
    weight = np.ones(39)
    weight[::3] = 0
    rows = rows_of(weight=weight)
    assert len(rows.drop_zero_weight()) == 26
    kept = rows_of()
    assert kept.drop_zero_weight() is kept


# --- held-out logits ---------------------------------------------------------------


@pytest.mark.parametrize("cv", [None, 3])
def test_classes_in_few_groups_are_divided_by_rows(cv):
    y = np.repeat([0, 1, 2, 3], [40, 40, 30, 12])
    groups = np.r_[np.arange(40) // 10, 10 + np.arange(40) // 14, [20] * 15, [21] * 15]
    groups = np.r_[groups, [30] * 12]  # classes 2 and 3 are in two groups and in one
    splits = make_splits(y, cv, groups)
    for train, held in splits:
        assert set(y[train]) == {0, 1, 2, 3}
        shared = set(groups[train]) & set(groups[held])
        assert shared <= {20, 21, 30}
    judged = np.concatenate([held for _, held in splits])
    assert_array_equal(np.sort(judged), np.arange(len(y)))


@pytest.mark.parametrize("family", [LINEAR, KERNEL])
@pytest.mark.parametrize("solver", [PATH, PENALISED, CLOSED_FORM])
def test_logits_of_folds_are_those_of_fits_to_the_other_rows(solver, family):
    spec, rows, strength = spec_of(solver.loss), rows_of(), Strength(1e-2)
    splits = make_splits(rows.y, None, None)
    held_out = FoldLogits(rows, spec, context(), splits)
    logits = held_out.logits_of(family)(solver, strength)
    assert_array_equal(held_out.y, rows.y[np.concatenate([s[1] for s in splits])])
    assert_allclose(held_out.weight.sum(), 1)
    first = 0
    for train, held in splits:
        projection = projection_of(rows.take(train), spec, family, solver, strength)
        scores = projection(rows.X[held]) @ spec.target.classifier.T
        assert_allclose(logits[-1, first : first + len(held)], scores, atol=1e-8)
        first += len(held)


def test_held_out_rows_of_classes_that_training_lacks_are_left_out():
    rows = rows_of()
    held = np.r_[np.flatnonzero(rows.y == 2), np.flatnonzero(rows.y == 0)[:5]]
    train = np.setdiff1d(np.arange(len(rows)), held)
    held_out = FoldLogits(rows, spec_of(), context(), [(train, held)])
    assert set(held_out.y.tolist()) == {0}
    logits = held_out.logits_of(LINEAR)(PENALISED, Strength(1e-2))
    assert logits.shape == (1, 5, K)
    assert (logits[..., 2] == EXCLUDED).all()
    assert (logits[..., :2].abs() < 100).all()


def test_folds_and_rows_without_weight_are_left_out():
    weight = np.ones(39)
    weight[:4] = 0
    rows = rows_of(weight=weight)
    one_class = np.flatnonzero(rows.y == 0)
    others = np.setdiff1d(np.arange(39), one_class)
    splits = [(np.arange(8, 39), np.arange(8)), (one_class, others)]
    held_out = FoldLogits(rows, spec_of(), context(), splits)
    assert len(held_out) == len(held_out.y) == 4
    assert len(FoldLogits(rows, spec_of(), context(), [])) == 0


@pytest.mark.parametrize("value", [1e7, -1e10, 1e30])
def test_held_out_rows_far_outside_of_training_are_left_out(value):
    rows = rows_of()
    rows.X[[3, 20], [1, 2]] = value
    folds = make_splits(rows.y, None, None)
    for held_out in (
        FoldLogits(rows, spec_of(), context(), folds),
        HoldOutLogits(rows, spec_of(), context(), (np.arange(10, 39), np.arange(10))),
    ):
        logits = held_out.logits_of(LINEAR)(PATH, Strength(1e-2))
        assert torch.isfinite(logits).all()
    assert len(FoldLogits(rows, spec_of(), context(), folds)) == 39 - 2


@pytest.mark.parametrize("family", [LINEAR, KERNEL])
@pytest.mark.parametrize("solver", [PATH, CLOSED_FORM])
def test_rows_held_out_once_are_as_in_a_fold_and_their_features_serve_again(
    solver, family
):
    spec, rows = spec_of(solver.loss, n_classes=4), rows_of(counts=(20, 12, 7, 1))
    strength = Strength(1e-2)
    known = np.setdiff1d(np.arange(3, 40, 5), np.flatnonzero(rows.y == 3))
    held = np.r_[np.flatnonzero(rows.y == 3), known]
    train = np.setdiff1d(np.arange(len(rows)), held)
    order = np.r_[train, np.roll(held, -1)]  # the class that training lacks comes last
    once = HoldOutLogits(rows, spec, context(), (train, held))
    fold = FoldLogits(rows, spec, context(), [(train, held)])
    assert_array_equal(once.y, fold.y)
    assert_allclose(once.weight, fold.weight)
    assert_allclose(
        once.logits_of(family)(solver, strength),
        fold.logits_of(family)(solver, strength),
        atol=1e-9,
    )
    # The fit that follows is to all rows, scaled as the training rows were.
    ready = once.prepared[family]
    assert_allclose(ready.problem.features, ready.features(rows.X[order]))
    assert_array_equal(ready.problem.y, rows.y[order])
    assert_allclose(ready.problem.class_frequency, rows.class_counts / len(rows))
    last = ready.solve(solver, strength).maps[-1]
    projection = ready.projection([(1.0, last)])
    expected = last(ready.problem.features)
    assert_allclose(projection(rows.X[order]), expected, atol=1e-9)


@pytest.mark.parametrize("family", [LINEAR, KERNEL])
def test_logits_of_leaving_one_out_are_those_of_refits(family):
    spec, rows = spec_of(loss=SquaredError(weighting="class")), rows_of()
    held_out = LeaveOneOutLogits(rows, spec, context(), np.arange(len(rows)))
    [logits] = held_out.logits_of(family)(CLOSED_FORM, Strength(1e-3))
    features = held_out.prepared[family].features(rows.X)
    weight, means = rows.balanced_weight, spec.target.means
    penalty = 1e-3 * np.trace(np.cov(features.T, aweights=weight, ddof=0))
    for i in range(0, len(rows), 4):
        others = np.arange(len(rows)) != i
        model = Ridge(penalty).fit(
            features[others], means[rows.y[others]], weight[others]
        )
        scores = model.predict(features[[i]]) @ spec.target.classifier.T
        assert_allclose(logits[i], scores[0], atol=1e-7)


def test_the_only_row_of_a_class_is_not_left_out():
    rows = rows_of(counts=(10, 8, 1))
    held_out = LeaveOneOutLogits(rows, spec_of(), context(), np.arange(len(rows)))
    assert len(held_out) == 18
    assert 2 not in held_out.y


# --- selection ---------------------------------------------------------------------


@pytest.mark.parametrize("average", [True, False])
def test_selection_reports_what_it_found(average):
    rows = rows_of()
    splits = make_splits(rows.y, None, None)
    held_out = FoldLogits(rows, spec_of(), context(), splits)
    families = (LINEAR, KERNEL)
    solvers = {PATH: PATH.alphas, CLOSED_FORM: CLOSED_FORM.alphas}
    selection = selected(held_out, families, solvers, average)
    results = selection.results
    assert len({len(column) for column in results.values()}) == 1
    assert_allclose(results["weight"].sum(), 1)
    best = results["log_loss"].argmin()
    assert results["weight"][best] > 0
    if average:
        assert (results["weight"] > 0).sum() <= STEPS
    else:
        assert results["weight"][best] == 1
        [(candidate, factor)] = selection.factors.items()
        assert candidate.strength.alpha == results["alpha"][best]
        adjusted = results["prior_adjustment"][best]
        assert candidate.strength.prior_adjustment == adjusted
        assert candidate.n_iter == results["n_iter"][best]
        assert candidate.solver.name == results["solver"][best]
        assert candidate.features.projector.name == results["projector"][best]
        assert candidate.features.scaling == results["feature_scaling"][best]
        assert_allclose(factor, results["inverse_temperature"][best], rtol=1e-3)
    # What is reported is what the logits say.
    for family in families:
        for strength in PATH.alphas:
            logits = held_out.logits_of(family)(PATH, strength)
            factor = fit_inverse_temperature(logits, held_out.y, held_out.weight)
            losses = log_loss(
                logits * factor[:, None, None], held_out.y, held_out.weight
            )
            reported = results["log_loss"][
                (results["projector"] == family.projector.name)
                & (results["solver"] == "lbfgs_path")
                & (results["alpha"] == strength.alpha)
            ]
            assert_allclose(reported, losses)


def test_selected_probabilities_need_no_further_temperature():
    rows = rows_of()
    splits = make_splits(rows.y, None, None)
    held_out = FoldLogits(rows, spec_of(), context(), splits)
    strong, weak = Strength(1e-1), Strength(1e-2, "afterwards")
    strengths = {PATH: (strong, weak), CLOSED_FORM: (Strength(1e-2),)}
    selection = selected(held_out, (LINEAR,), strengths, average=True)
    mixture = 0.0
    for candidate, factor in selection.factors.items():
        logits_at = held_out.logits_of(candidate.features)
        logits = logits_at(candidate.solver, candidate.strength)
        mixture = mixture + factor * logits[candidate.n_iter - 1]
    again = fit_inverse_temperature(mixture[None], held_out.y, held_out.weight)
    assert_allclose(again, 1, rtol=1e-3)


def test_selection_counts_classes_alike():
    # Of two candidates, one is right about the common class and one about the rare.
    class Fixed:
        n_classes = 2
        y = torch.tensor([0] * 90 + [1] * 10)
        weight = 0.5 / torch.tensor([90.0] * 90 + [10.0] * 10).double()

        def logits_of(self, features):
            def logits(solver, strength):
                scores = torch.zeros(1, 100, 2).double()
                common, rare = (0.9, 0.4) if strength.alpha == 1 else (0.6, 0.9)
                right = torch.arange(100) % 10 < 10 * torch.where(
                    self.y == 0, common, rare
                )
                scores[0, torch.arange(100), torch.where(right, self.y, 1 - self.y)] = 1
                return scores

            return logits

    strengths = {CLOSED_FORM: (Strength(1.0), Strength(0.5))}
    chosen = selected(Fixed(), (LINEAR,), strengths, average=False)
    [candidate] = chosen.factors
    assert candidate.strength.alpha == 0.5


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, 0.0])
def test_candidates_without_a_say_are_not_chosen(average, wrong):
    class Fixed:
        n_classes = 2
        y = torch.arange(20) % 2
        weight = torch.full((20,), 0.05).double()

        def logits_of(self, features):
            def logits(solver, strength):
                scores = torch.nn.functional.one_hot(self.y, 2).double()[None]
                return scores if strength.alpha == 0.5 else wrong * torch.ones(1, 20, 2)

            return logits

    strengths = {CLOSED_FORM: tuple(map(Strength, (1.0, 0.5)))}
    chosen = selected(Fixed(), (LINEAR,), strengths, average)
    assert max(chosen.factors, key=chosen.factors.get).strength.alpha == 0.5
    if wrong != 0:
        assert len(chosen.factors) == 1
        with pytest.raises(ValueError, match=r"finite.* X .*scale"):
            selected(Fixed(), (LINEAR,), {CLOSED_FORM: (Strength(1.0),)}, average)
