"""The estimator as users meet it: what it equals, what changes nothing, what fails."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from scipy.special import log_softmax
from scipy.stats import ortho_group
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skcollapse import ETFClassifier
from skcollapse.losses import CrossEntropy
from skcollapse.projectors import MLP, Kernel, Linear
from skcollapse.targets import simplex_etf
from skcollapse.training import Trainer

COUNTS = np.array([40, 16, 8, 5])
K, P = len(COUNTS), 6
EXPLICIT = {"projector": "linear", "feature_scaling": "global", "alpha": 1e-2}
# Converged: what is left is rounding.
EXACT = {**EXPLICIT, "tol": 1e-10}
NETWORK = {
    "projector": MLP((8,)),
    "feature_scaling": "standard",
    "trainer": Trainer(learning_rate_init=0.05, batch_size=32),
    "max_iter": 8,
}


def network(**trainer):
    """Return the parameters of a network whose trainer differs in these."""
    return {**NETWORK, "trainer": clone(NETWORK["trainer"]).set_params(**trainer)}


AUTO = {"auto": {}, "linear": {"projector": "linear"}}
CHEAP = {
    "explicit": EXPLICIT,
    "kernel": {**EXPLICIT, "projector": "kernel"},
    "closed_form": {"solver": "closed_form"},
    "directions": {
        "projector": "linear",
        "feature_scaling": "global",
        "loss": "dot_regression",
    },
    "network": NETWORK,
}
EVERY = {**AUTO, **CHEAP}
cheap = pytest.mark.parametrize("parameters", CHEAP.values(), ids=CHEAP)
every = pytest.mark.parametrize("parameters", EVERY.values(), ids=EVERY)


def blobs(seed=0, counts=COUNTS, p=P):
    """Draw classes that overlap a little."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    centers = 1.5 * np.random.default_rng(7).normal(size=(len(counts), p))
    return centers[y] + rng.normal(size=(len(y), p)), y


X, Y = blobs()
NEW, NEW_Y = blobs(1, np.full(K, 15))


def fit(X=X, y=Y, sample_weight=None, groups=None, **parameters):
    return ETFClassifier(**{"random_state": 0, **parameters}).fit(
        X, y, sample_weight, groups
    )


def proba(model, X=NEW):
    return model.predict_proba(X)


@pytest.fixture(scope="module")
def default():
    return fit()


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600], y[:600], X[600:900], y[600:900]


# --- exact equivalences ------------------------------------------------------------


def plain_logistic(alpha, total, n_classes=K):
    # With B = A Wᵀ and WᵀW = K/(K−1) I, ‖B‖² is K/(K−1) ‖A‖². Two classes have one
    # vector of coefficients, β, and ‖B‖² is ‖β‖²/2.
    C = n_classes / ((n_classes - 1) * alpha * total)
    C = 2 * C if n_classes == 2 else C
    return LogisticRegression(C=C, tol=1e-12, max_iter=10_000)


@pytest.mark.parametrize("alpha", [1e-3, 1e-1])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("n_components", [None, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_logistic_regression(alpha, n_classes, n_components, weighted):
    rows = n_classes > Y
    X_some, y_some = X[rows], Y[rows]
    weight = np.ones(len(y_some))
    if weighted:
        weight = np.random.default_rng(0).uniform(0.2, 3, len(y_some))
    model = fit(
        X_some,
        y_some,
        weight,
        loss="cross_entropy",
        solver="lbfgs",
        projector="linear",
        feature_scaling=None,
        n_components=n_components,
        alpha=alpha,
        tol=1e-10,
    )
    reference = plain_logistic(alpha, weight.sum(), n_classes)
    reference.fit(X_some, y_some, weight)
    assert_allclose(proba(model), reference.predict_proba(NEW), atol=1e-5)
    ours, theirs = (m.decision_function(NEW) for m in (model, reference))
    assert_allclose(ours - ours.mean(), theirs - theirs.mean(), atol=1e-4)


@pytest.mark.parametrize("projector", ["linear", "kernel"])
@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_logit_adjustment_subtracts_the_log_prior(projector, tau):
    # The intercept is free, and the vectors of the target span all scores that sum to
    # zero: whatever the penalty, the adjustment ends up in the intercept.
    parameters = {**EXACT, "projector": projector}
    plain = fit(loss="cross_entropy", **parameters)
    adjusted = fit(loss=CrossEntropy(logit_adjustment=tau), **parameters)
    shifted = plain.predict_log_proba(NEW) - tau * np.log(COUNTS / COUNTS.sum())
    expected = log_softmax(shifted, axis=1)
    assert_allclose(adjusted.predict_log_proba(NEW), expected, atol=1e-5)


@pytest.mark.parametrize("alpha", [1e-5, 1e-2, 1.0])
@pytest.mark.parametrize("target", ["etf", "seli"])
def test_closed_form_decides_as_one_hot_ridge(alpha, target):
    model = fit(
        target=target,
        solver="closed_form",
        projector="linear",
        feature_scaling=None,
        alpha=alpha,
    )
    weight = 1 / np.bincount(Y)[Y] / K
    trace = np.trace(np.cov(X.T, aweights=weight, ddof=0))
    one_hot = Ridge(alpha * trace).fit(X, np.eye(K)[Y], weight).predict(NEW)
    assert_array_equal(model.predict(NEW), one_hot.argmax(axis=1))
    scores, expected = model.decision_function(NEW), one_hot - 1 / K
    factor = (scores * expected).sum() / (expected**2).sum()
    assert factor > 0
    assert_allclose(scores, factor * expected, atol=1e-8 * abs(scores).max())


def test_alpha_of_the_closed_form_has_the_least_leave_one_out_loss():
    model = fit(solver="closed_form", projector="linear", feature_scaling="standard")
    results = model.selection_results_
    alone = [
        fit(
            solver="closed_form",
            projector="linear",
            feature_scaling="standard",
            alpha=alpha,
        ).selection_results_["log_loss"][0]
        for alpha in results["alpha"]
    ]
    assert_allclose(results["log_loss"], alone, rtol=1e-6)


def test_prediction_is_made_of_public_parts(default):
    scores = default.transform(NEW) @ default.target_.T / default.temperature_
    assert_allclose(default.decision_function(NEW), scores, atol=1e-10)
    log_probabilities = log_softmax(scores, axis=1)
    assert_allclose(default.predict_log_proba(NEW), log_probabilities, atol=1e-10)
    assert_array_equal(default.predict(NEW), default.classes_[scores.argmax(axis=1)])
    assert default.score(NEW, NEW_Y) == (default.predict(NEW) == NEW_Y).mean()
    assert_array_equal(default.class_counts_, COUNTS)


# --- what changes nothing ----------------------------------------------------------


@every
def test_names_of_classes_do_not_matter(parameters):
    names = np.array(["ash", "elm", "oak", "yew"])
    model, named = fit(**parameters), fit(y=names[Y], **parameters)
    assert_array_equal(proba(named), proba(model))
    assert_array_equal(named.predict(NEW), names[model.predict(NEW)])


@pytest.mark.parametrize("target", ["etf", "array"])
@pytest.mark.parametrize(
    "parameters", [EXACT, {"projector": "linear"}, {"solver": "closed_form"}]
)
def test_order_of_classes_does_not_matter(target, parameters):
    permutation = np.array([2, 0, 3, 1])
    vectors = np.random.default_rng(0).normal(size=(K, 5))
    vectors -= vectors.mean(axis=0)
    first = second = target
    if target == "array":
        first, second = vectors, vectors[np.argsort(permutation)]
    model = fit(target=first, **{**parameters, "projector": "linear"})
    renamed = fit(
        y=permutation[Y], target=second, **{**parameters, "projector": "linear"}
    )
    assert_allclose(proba(renamed)[:, permutation], proba(model), atol=1e-5)
    assert_array_equal(renamed.predict(NEW), permutation[model.predict(NEW)])


@pytest.mark.parametrize("searched", [False, True])
@pytest.mark.parametrize("projector", ["linear", "kernel"])
def test_order_of_rows_does_not_matter(searched, projector):
    order = np.random.default_rng(0).permutation(len(Y))
    parameters = {**EXACT, "projector": projector}
    cv, permuted = None, None
    if searched:
        parameters = {"projector": projector}
        place = np.argsort(order)
        cv = list(StratifiedKFold(3).split(X, Y))
        permuted = [(place[train], place[held]) for train, held in cv]
    model = fit(cv=cv, **parameters)
    shuffled = fit(X[order], Y[order], cv=permuted, **parameters)
    assert_allclose(proba(shuffled), proba(model), atol=1e-5)


def test_order_and_direction_of_features_do_not_matter():
    model = fit(**EXACT)
    order = np.random.default_rng(0).permutation(P)
    permuted = fit(X[:, order], **EXACT)
    assert_allclose(proba(permuted, NEW[:, order]), proba(model), atol=1e-6)
    rotation = ortho_group.rvs(P, random_state=0)
    rotated = fit(X @ rotation, **EXACT)
    assert_allclose(proba(rotated, NEW @ rotation), proba(model), atol=1e-6)


@pytest.mark.parametrize(
    "parameters",
    [
        {**EXACT, "feature_scaling": "standard"},
        EXACT,
        {"projector": "linear"},
        {"solver": "closed_form", "projector": "linear"},
        {**NETWORK, "feature_scaling": "global", "max_iter": 2},
    ],
    ids=["standard", "global", "auto", "closed_form", "network"],
)
@pytest.mark.parametrize(("factor", "shift"), [(1e8, 0), (1e-8, 0), (1, 1000)])
def test_units_of_features_do_not_matter(parameters, factor, shift):
    model = fit(**parameters)
    changed = fit(X * factor + shift, **parameters)
    probabilities = proba(changed, NEW * factor + shift)
    assert_allclose(probabilities, proba(model), atol=1e-5)
    assert_array_equal(changed.predict(NEW * factor + shift), model.predict(NEW))


def test_units_of_single_features_do_not_matter_when_standardised():
    parameters = {**EXACT, "feature_scaling": "standard"}
    factors = 10.0 ** np.arange(-3, 3)
    probabilities = proba(fit(X * factors, **parameters), NEW * factors)
    assert_allclose(probabilities, proba(fit(**parameters)), atol=1e-6)


@pytest.mark.parametrize("projector", ["linear", "kernel"])
@pytest.mark.parametrize("scaling", ["global", "standard", None])
@pytest.mark.parametrize("solver", ["lbfgs", "closed_form"])
def test_weights_are_repetitions(projector, scaling, solver):
    parameters = {
        "projector": projector,
        "feature_scaling": scaling,
        "solver": solver,
        "alpha": 1e-2,
        "tol": 1e-10,
    }
    weight = np.random.default_rng(0).integers(0, 4, len(Y))
    weighted = fit(sample_weight=weight, **parameters)
    repeated = fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight), **parameters)
    assert_allclose(weighted.class_counts_, repeated.class_counts_)
    if solver == "lbfgs":
        assert_allclose(proba(weighted), proba(repeated), atol=1e-6)
    else:
        # The temperature is chosen by leaving out rows, which repetitions replace.
        assert_array_equal(weighted.predict(NEW), repeated.predict(NEW))


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_size_of_all_weights_does_not_matter(factor):
    weight = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    model = fit(sample_weight=weight, **EXACT)
    scaled = fit(sample_weight=factor * weight, **EXACT)
    assert_allclose(proba(scaled), proba(model), atol=1e-7)


@every
def test_rows_without_weight_are_not_there(parameters):
    kept = np.random.default_rng(0).random(len(Y)) < 0.7
    extra = np.where(kept, Y, 99)  # a class that only rows of weight zero have
    fold = np.arange(len(Y)) % 3
    cv = [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(3)]
    place = np.cumsum(kept) - 1
    cv_kept = [
        (place[train[kept[train]]], place[held[kept[held]]]) for train, held in cv
    ]
    weighted = fit(y=extra, sample_weight=kept.astype(float), cv=cv, **parameters)
    without = fit(X[kept], Y[kept], cv=cv_kept, **parameters)
    assert_array_equal(weighted.classes_, without.classes_)
    assert_allclose(proba(weighted), proba(without), atol=1e-8)


# --- class weights -----------------------------------------------------------------


def test_class_weights_multiply_losses():
    alpha = 1e-2
    costs = {0: 1.0, 1: 1.0, 2: 5.0, 3: 1.0}
    weight = np.array([costs[k] for k in Y])
    model = fit(
        class_weight=costs,
        loss="cross_entropy",
        **{**EXACT, "feature_scaling": None, "alpha": alpha},
    )
    reference = plain_logistic(alpha, weight.sum()).fit(X, Y, weight)
    assert_allclose(proba(model), reference.predict_proba(NEW), atol=1e-5)


@pytest.mark.parametrize("loss", ["logit_adjusted", "cross_entropy"])
@pytest.mark.parametrize("parameters", [EXPLICIT, {"projector": "linear"}])
def test_costs_shift_decisions(loss, parameters):
    X, y = blobs(counts=np.full(K, 20))
    X = X / 2  # more overlap
    plain = fit(X, y, loss=loss, **parameters)
    dear = fit(X, y, loss=loss, class_weight={2: 20.0}, **parameters)
    assert (dear.predict(X) == 2).sum() > (plain.predict(X) == 2).sum()
    assert proba(dear, X)[:, 2].mean() > proba(plain, X)[:, 2].mean() + 0.02
    # The prior is that of the rows, not of their costs.
    assert_array_equal(dear.class_counts_, plain.class_counts_)


def test_balanced_classes_leave_nothing_to_adjust():
    balanced = {"class_weight": "balanced", **EXACT}
    adjusted = fit(loss="logit_adjusted", **balanced)
    plain = fit(loss="cross_entropy", **balanced)
    assert_allclose(proba(adjusted), proba(plain), atol=1e-6)
    assert_array_equal(adjusted.class_counts_, COUNTS)
    weight = len(Y) / (K * np.bincount(Y))[Y]
    by_hand = fit(loss="cross_entropy", sample_weight=weight, **EXACT)
    assert_allclose(proba(plain), proba(by_hand), atol=1e-6)


# --- how rows are held out ---------------------------------------------------------


def test_groups_and_splitters_decide_what_is_held_out():
    groups = np.random.default_rng(0).integers(9, size=len(Y))
    parameters = {"projector": "linear", "feature_scaling": "standard"}

    def losses(cv, groups=None):
        results = fit(cv=cv, groups=groups, **parameters).selection_results_
        return results["log_loss"][:10]

    splits = list(GroupKFold(3).split(X, Y, groups))
    assert_allclose(losses(GroupKFold(3), groups), losses(splits))
    assert not np.allclose(losses(None, groups), losses(None))
    assert_allclose(losses(4), losses(StratifiedKFold(4)))
    assert_allclose(losses(3), losses(None))
    assert np.isfinite(losses(ShuffleSplit(2, random_state=0))).all()


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_rows_of_one_group_are_no_help_to_each_other():
    # Copies of a row that are held out apart would make any kernel look perfect.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).repeat(4, axis=0)
    y = rng.integers(2, size=60).repeat(4)
    groups = np.arange(60).repeat(4)
    shuffled = KFold(3, shuffle=True, random_state=0)
    leaky = fit(X, y, cv=shuffled, projector="kernel").selection_results_
    honest = fit(X, y, groups=groups, projector="kernel").selection_results_
    assert leaky["log_loss"].min() < honest["log_loss"].min() - 0.05
    assert honest["log_loss"].min() > 0.6  # log 2, less luck


def test_nothing_is_searched_where_nothing_is_auto():
    assert fit(**EXPLICIT).selection_results_ is None
    assert fit().selection_results_ is not None


def test_selected_candidates_are_those_with_weight(default):
    results = default.selection_results_
    assert set(results["projector"]) <= {"linear", "kernel"}
    assert set(results["solver"]) <= {"lbfgs_path", "closed_form"}
    adjusted = results["prior_adjustment"]
    on_path = results["solver"] == "lbfgs_path"
    assert set(adjusted[on_path]) == {"training", "afterwards"}
    assert set(adjusted[~on_path]) == {"none"}
    assert_allclose(results["weight"].sum(), 1)
    kernels = results["weight"][results["projector"] == "kernel"] > 0
    assert bool(default.projection_.kernels) == kernels.any()


# --- unusual data ------------------------------------------------------------------


@every
def test_two_classes(parameters):
    rows = Y < 2
    model = fit(X[rows], Y[rows], **parameters)
    scores = model.decision_function(X)
    assert scores.shape == (len(X),)
    assert_allclose(proba(model, X)[:, 1], 1 / (1 + np.exp(-scores)), rtol=1e-5)
    assert_array_equal(model.predict(X), (scores > 0).astype(int))
    assert model.score(X[rows], Y[rows]) > 0.85


@every
def test_bool_labels(parameters):
    rows = Y < 2
    model = fit(X[rows], Y[rows] == 1, **parameters)
    assert model.predict(X).dtype == bool
    assert model.score(X[rows], Y[rows] == 1) > 0.85


@every
def test_classes_of_one_row(parameters):
    X_one, y_one = np.vstack([X, X[:1] + 9]), np.r_[Y, 77]
    model = fit(X_one, y_one, **parameters)
    assert_array_equal(model.classes_, [0, 1, 2, 3, 77])
    assert np.isfinite(proba(model)).all()
    assert model.score(NEW, NEW_Y) > 0.5


@every
def test_a_row_for_each_class(parameters):
    rows = [np.flatnonzero(k == Y)[0] for k in range(K)]
    model = fit(X[rows], Y[rows], **parameters)
    assert np.isfinite(proba(model)).all()
    if parameters is not NETWORK:
        assert_array_equal(model.predict(X[rows]), Y[rows])


@every
def test_more_features_than_rows(parameters):
    wide, y = blobs(p=200)
    model = fit(wide, y, **parameters)
    new, new_y = blobs(1, np.full(K, 10), p=200)
    assert balanced_accuracy_score(new_y, model.predict(new)) > 0.7


@every
def test_constant_and_duplicated_features(parameters):
    def more(X):
        ones = np.ones((len(X), 1))
        return np.hstack([X, 5 * ones, X, 0 * ones, 1e6 / 3 * ones])

    model = fit(more(X), Y, **parameters)
    assert np.isfinite(proba(model, more(NEW))).all()
    assert balanced_accuracy_score(NEW_Y, model.predict(more(NEW))) > 0.7


@every
def test_rows_that_are_all_zero(parameters):
    model = fit(np.zeros_like(X), Y, **parameters)
    assert np.isfinite(proba(model, np.zeros((3, P)))).all()
    some = X * (np.arange(len(Y)) % 4 > 0)[:, None]
    assert np.isfinite(proba(fit(some, Y, **parameters))).all()


@cheap
def test_a_single_feature(parameters):
    model = fit(X[:, :1], Y, **parameters)
    assert proba(model, NEW[:, :1]).shape == (len(NEW), K)


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [EXPLICIT, {"solver": "closed_form"}])
def test_a_thousand_classes(parameters):
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(1000, 12))
    y = np.arange(2000) % 1000
    X = centers[y] + 0.05 * rng.normal(size=(2000, 12))
    model = fit(X, y, **{**parameters, "projector": "linear", "alpha": 1e-5})
    assert model.target_.shape == (1000, 999)
    assert model.score(X, y) > 0.5  # chance is a thousandth
    assert_allclose(proba(model, X[:5]).sum(axis=1), 1)


@pytest.mark.parametrize("offset", [0, 1e4])
def test_float32_is_nearly_float64(offset):
    parameters = {"projector": "linear", "feature_scaling": "standard"}
    shifted, new = (X + offset).astype(np.float32), (NEW + offset).astype(np.float32)
    single = fit(shifted, **parameters)
    double = fit(shifted.astype(np.float64), **parameters)
    assert proba(single, new).dtype == np.float32
    assert single.transform(new).dtype == np.float32
    assert proba(double, new.astype(np.float64)).dtype == np.float64
    assert_allclose(
        proba(single, new), proba(double, new.astype(np.float64)), atol=0.02
    )


# --- containers --------------------------------------------------------------------


@cheap
@pytest.mark.parametrize("make", ["fortran", "strided", "readonly", "memmap", "list"])
def test_layout_in_memory_does_not_matter(parameters, make, tmp_path):
    def convert(X, name):
        if make == "fortran":
            return np.asfortranarray(X)
        if make == "strided":
            return np.repeat(X, 2, axis=1)[:, ::2]
        if make == "list":
            return X.tolist()
        path = tmp_path / name
        np.save(path, X)
        loaded = np.load(path, mmap_mode="r" if make == "memmap" else None)
        loaded.setflags(write=False)
        return loaded

    model, other = fit(**parameters), fit(convert(X, "X.npy"), Y, **parameters)
    assert_allclose(proba(other, convert(NEW, "new.npy")), proba(model), atol=1e-6)


@cheap
def test_input_is_not_written_to(parameters):
    X_before, y_before, weight = X.copy(), Y.copy(), np.ones(len(Y))
    model = fit(X, Y, weight, **parameters)
    proba(model, X)
    assert_array_equal(X, X_before)
    assert_array_equal(Y, y_before)
    assert_array_equal(weight, 1)


@cheap
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16]
)
def test_tensors(parameters, dtype):
    tensor = torch.tensor(X).to(dtype).requires_grad_()
    weight = torch.ones(len(Y))
    model = fit(tensor, torch.tensor(Y), weight, **parameters)
    plain = tensor.detach().to(torch.promote_types(dtype, torch.float32)).numpy()
    same = fit(plain, Y, **parameters)
    new = torch.tensor(NEW).to(dtype).requires_grad_()
    probabilities = model.predict_proba(new)
    assert isinstance(probabilities, np.ndarray)
    assert probabilities.dtype == plain.dtype
    plain_new = new.detach().to(torch.promote_types(dtype, torch.float32)).numpy()
    assert_array_equal(probabilities, proba(same, plain_new))
    assert tensor.grad is None


@cheap
def test_half_precision_is_computed_in_single(parameters):
    half, new = X.astype(np.float16), NEW.astype(np.float16)
    model, same = fit(half, **parameters), fit(half.astype(np.float32), **parameters)
    assert proba(model, new).dtype == np.float32
    assert_array_equal(proba(model, new), proba(same, new.astype(np.float32)))


def test_data_frames():
    names = [f"pixel {i}" for i in range(P)]
    frame = pd.DataFrame(X, columns=names, index=np.arange(len(X)) + 100)
    labels = pd.Series(Y, index=frame.index)
    model = ETFClassifier(random_state=0, **EXPLICIT).set_output(transform="pandas")
    model.fit(frame, labels, sample_weight=pd.Series(np.ones(len(Y)), frame.index))
    assert_array_equal(model.feature_names_in_, names)
    out = model.transform(frame)
    assert_array_equal(out.columns, [f"etfclassifier{i}" for i in range(K - 1)])
    assert_array_equal(model.get_feature_names_out(), out.columns)
    assert_array_equal(out.index, frame.index)
    assert_allclose(proba(model, frame), proba(fit(**EXPLICIT), X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[names[::-1]])
    # The scores do not come from the frame that transform returns.
    directions = ETFClassifier(random_state=0, **CHEAP["directions"])
    directions.set_output(transform="pandas").fit(frame, labels)
    expected = proba(fit(**CHEAP["directions"]), X)
    assert isinstance(proba(directions, frame), np.ndarray)
    assert_allclose(proba(directions, frame), expected)


@every
def test_copies_predict_the_same(parameters, tmp_path):
    model = fit(**parameters)
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    for copied in (
        pickle.loads(pickle.dumps(model)),
        joblib.load(path),
        copy.deepcopy(model),
        clone(model).fit(X, Y),
    ):
        assert_array_equal(proba(copied), proba(model))
        assert_array_equal(copied.transform(NEW), model.transform(NEW))
    with pytest.raises(NotFittedError):
        clone(model).predict(X)


@every
def test_same_seed_same_bits(parameters):
    torch.manual_seed(1)
    first = fit(**parameters)
    state = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    second = fit(**parameters)
    assert_array_equal(first.decision_function(NEW), second.decision_function(NEW))
    assert first.loss_curve_ == second.loss_curve_
    # The global generators are left alone.
    assert torch.equal(torch.get_rng_state(), state[0])
    assert_array_equal(np.random.get_state()[1], state[1])  # noqa: NPY002
    other = fit(**{**parameters, "random_state": 1})
    assert not np.allclose(other.target_, first.target_)


@cheap
def test_many_threads_may_predict(parameters):
    model = fit(**parameters)
    expected = proba(model)
    with ThreadPoolExecutor(4) as pool:
        for probabilities in pool.map(lambda _: proba(model), range(20)):
            assert_array_equal(probabilities, expected)


@every
def test_prediction_needs_no_torch(parameters, monkeypatch):
    model = fit(**parameters)
    expected = proba(model)

    def forbidden(*args, **kwargs):
        raise AssertionError("torch was called")

    for name in ("tensor", "as_tensor", "from_numpy", "addmm", "matmul", "softmax"):
        monkeypatch.setattr(torch, name, forbidden)
    assert_array_equal(proba(model), expected)
    assert_allclose(proba(model, NEW[:1]), expected[:1], atol=1e-12)

    def arrays(value):
        if isinstance(value, (tuple, list)):
            return all(arrays(item) for item in value)
        if hasattr(value, "__dataclass_fields__"):
            return all(arrays(getattr(value, f)) for f in value.__dataclass_fields__)
        return value is None or isinstance(value, (np.ndarray, float, np.floating))

    assert arrays(model.projection_)


def test_one_row_at_a_time(default):
    rows = np.vstack([default.decision_function(row[None]) for row in NEW])
    assert_allclose(rows, default.decision_function(NEW), atol=1e-10)


def test_works_in_pipelines_and_searches():
    pipeline = make_pipeline(StandardScaler(), ETFClassifier(**EXPLICIT))
    assert cross_val_score(pipeline, X, Y, cv=3).mean() > 0.7
    search = GridSearchCV(
        ETFClassifier(random_state=0, **EXPLICIT), {"alpha": [1e-3, 1e3]}, cv=3
    ).fit(X, Y)
    assert search.best_params_ == {"alpha": 1e-3}
    features = make_pipeline(ETFClassifier(**EXPLICIT), LogisticRegression())
    assert features.fit(X, Y).score(NEW, NEW_Y) > 0.7


# --- errors ------------------------------------------------------------------------


class Identity(nn.Module):
    def forward(self, x):
        return x


BAD_PARAMETERS = {
    "target": ({"target": "simplex"}, "target must be one of 'etf'.*got 'simplex'"),
    "target_rows": ({"target": np.eye(3)}, "row for each of the 4 classes"),
    "target_shape": ({"target": np.ones(4)}, "must have the shape"),
    "target_nan": ({"target": np.full((4, 3), np.nan)}, "target must hold finite"),
    "target_zero": (
        {"target": np.diag([0.0, 1, 1, 1])},
        "target must have no zero row",
    ),
    "target_n": (
        {"target": np.eye(4), "n_components": 3},
        "n_components=3 does not fit .* Leave it None",
    ),
    "n_components": ({"n_components": 2}, "n_components.* 3"),
    "n_components_0": ({"n_components": 0}, "n_components must be an integer"),
    "loss": ({"loss": "hinge"}, "loss.*'hinge'"),
    "solver": ({"solver": "newton"}, "solver must be one of 'auto'.*got 'newton'"),
    "projector": (
        {"projector": "cubic"},
        "projector must be one of 'auto'.*got 'cubic'",
    ),
    "scaling": (
        {"feature_scaling": "robust"},
        "feature_scaling must be one of 'auto'.*got 'robust'",
    ),
    "alpha": ({"alpha": -1.0}, "alpha must be .* at least 0.*'auto'.*got -1.0"),
    "alpha_name": ({"alpha": "best"}, "alpha must be .*got 'best'"),
    "alpha_nan": ({"alpha": np.nan}, "alpha must be a finite number.*got nan"),
    "max_iter": ({"max_iter": 0}, "max_iter must be an integer, at least 1.*got 0"),
    "tol": ({"tol": -1e-3}, "tol must be.*got -0.001"),
    "batch_size": (
        {"solver": "adamw", "trainer": Trainer(batch_size=0)},
        "batch_size must be.*got 0",
    ),
    "mixup": (
        {"solver": "adamw", "trainer": Trainer(mixup_alpha=-0.1)},
        "mixup_alpha must be.*got -0.1",
    ),
    "validation": (
        {"solver": "adamw", "trainer": Trainer(validation_fraction=0.0)},
        "validation_fraction must be.*got 0.0",
    ),
    "device": ({"device": "abacus"}, "device='abacus' .* Use device='auto' or 'cpu'"),
    "kernel_adamw": (
        {"projector": "kernel", "solver": "adamw"},
        "solver='adamw' cannot train .*kernel.* 'lbfgs'",
    ),
    "mlp_closed": (
        {"projector": "mlp", "solver": "closed_form"},
        "solver='closed_form' cannot train .*mlp.* 'adamw'",
    ),
    "mlp_path": (
        {"projector": MLP(), "solver": "lbfgs_path"},
        "solver='lbfgs_path' cannot train .*'adamw'",
    ),
    "class_weight": ({"class_weight": {0: -1.0}}, "class_weight must be positive"),
    "class_weight_name": ({"class_weight": "even"}, "class_weight"),
    "momentum": (
        {"solver": "sgd", "trainer": Trainer(momentum=1.5)},
        "momentum must be.*got 1.5",
    ),
    "schedule": (
        {"solver": "sgd", "trainer": Trainer(learning_rate="up")},
        "learning_rate must be.*got 'up'",
    ),
    "rate": (
        {"solver": "sgd", "trainer": Trainer(learning_rate_init=0.0)},
        "learning_rate_init must be.*got 0.0",
    ),
    "dropout": ({"projector": MLP(dropout=1.0)}, "dropout must be.*got 1.0"),
    "layers": ({"projector": MLP((0,))}, "hidden_layer_sizes must be.*got 0"),
    "landmarks": (
        {"projector": Kernel(n_landmarks=0)},
        "n_landmarks must be.*'auto'.*got 0",
    ),
    "gamma": ({"projector": Kernel(gamma=0.0)}, "gamma must be.*'auto'.*got 0.0"),
    "trainer_unused": (
        {"trainer": Trainer(batch_size=8)},
        "trainer=.* is for mini-batches",
    ),
    "module": (
        {"projector": Identity(), "solver": "adamw"},
        "train|parameter|components",
    ),
}


@pytest.mark.parametrize(
    ("parameters", "message"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS
)
def test_bad_parameters_are_named(parameters, message):
    model = ETFClassifier(**{"feature_scaling": "global", **parameters})
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
    assert not hasattr(model, "classes_")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none():
    with pytest.raises(ValueError, match="device='cuda' cannot be used here"):
        fit(device="cuda")


def test_an_etf_of_ten_classes_does_not_fit_in_three_dimensions():
    X, y = blobs(counts=np.full(10, 4))
    with pytest.raises(ValueError, match=r"n_components.* 9"):
        fit(X, y, n_components=3)


def replaced(array, index, value):
    array = np.array(array, dtype=float)
    array[index] = value
    return array


ONES = np.ones(len(Y))
BAD_DATA = {
    "nan": (replaced(X, (0, 0), np.nan), Y, None, "X contains NaN"),
    "infinity": (replaced(X, (0, 0), np.inf), Y, None, "X contains infinity"),
    "one_class": (X, 0 * Y, None, "at least 2 classes; y has 1 class"),
    "one_class_counts": (X, Y, (Y == 1) * 1.0, "at least 2 classes; y has 1 class"),
    "continuous": (X, X[:, 0], None, "Unknown label type"),
    "negative": (X, Y, replaced(ONES, 0, -1), "sample_weight must not be negative"),
    "zero": (X, Y, 0 * ONES, "sample_weight must not be zero for every row"),
    "nan_weight": (X, Y, replaced(ONES, 0, np.nan), "sample_weight contains NaN"),
    "short_weight": (X, Y, ONES[1:], "sample_weight must have the shape"),
    "short_y": (X, Y[1:], None, "inconsistent numbers of samples"),
    "one_d": (X[:, 0], Y, None, "Expected 2D array"),
    "complex": (X + 1j, Y, None, "Complex data"),
}


@pytest.mark.parametrize(
    ("X", "y", "weight", "message"), BAD_DATA.values(), ids=BAD_DATA
)
def test_bad_data_is_named(X, y, weight, message):
    model = ETFClassifier(**EXPLICIT)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, weight)
    assert not hasattr(model, "n_features_in_")


def test_sparse_rows_are_refused():
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        fit(csr_array(X))
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        fit(**EXPLICIT).predict(csr_array(X))


@cheap
def test_bad_rows_to_predict(parameters):
    model = fit(**parameters)
    for method in (model.predict, model.predict_proba, model.transform):
        with pytest.raises(ValueError, match=r"X has 5 features, but .* expecting 6"):
            method(NEW[:, :5])
        for value, name in (
            (np.nan, "NaN"),
            (np.inf, "infinity"),
            (-np.inf, "infinity"),
        ):
            with pytest.raises(ValueError, match=f"X contains {name}"):
                method(replaced(NEW, (3, 2), value))
    with pytest.raises(NotFittedError):
        ETFClassifier().predict(NEW)


def test_large_rows_are_not_mistaken_for_infinity():
    model = fit(**EXPLICIT)
    assert model.predict(NEW * 1e300).shape == (len(NEW),)
    assert np.isfinite(proba(model, NEW * 1e150)).all()


# --- all or nothing ----------------------------------------------------------------


DIVERGING = {
    "projector": "linear",
    "feature_scaling": None,
    "solver": "sgd",
    "loss": "squared",
    "trainer": Trainer(learning_rate_init=1e6, momentum=0.9),
}


def test_divergence_changes_nothing():
    # Single precision overflows soon.
    single = X.astype(np.float32)
    model = ETFClassifier(**DIVERGING)
    with pytest.raises(ValueError, match="learning_rate_init"):
        model.fit(single, Y)
    assert set(vars(model)) == set(model.get_params(deep=False))
    model = fit(**EXPLICIT)
    expected, state = proba(model), set(vars(model))
    model.set_params(**DIVERGING)
    with pytest.raises(ValueError, match="learning_rate_init"):
        model.fit(single[:, :4], Y)
    assert set(vars(model)) == state
    assert_array_equal(proba(model), expected)


def test_divergence_is_not_taken_for_a_fit():
    # Double precision holds a loss of 1e+100: no fit either.
    with pytest.raises(ValueError, match="learning_rate_init"):
        fit(**DIVERGING)


@pytest.mark.parametrize("parameters", [{"projector": "linear"}, EXPLICIT, NETWORK])
@pytest.mark.parametrize("calls", [1, 2])
def test_interrupts_change_nothing(parameters, calls, monkeypatch):
    model = fit(**parameters)
    expected, state = proba(model), dict(vars(model))
    count = 0
    per_sample = CrossEntropy.per_sample

    def interrupted(self, *args):
        nonlocal count
        count += 1
        if count > calls:
            raise KeyboardInterrupt
        return per_sample(self, *args)

    monkeypatch.setattr(CrossEntropy, "per_sample", interrupted)
    fresh = ETFClassifier(**parameters)
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(X, Y)
    assert set(vars(fresh)) == set(fresh.get_params(deep=False))
    count = 0
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:, :3], Y)
    if parameters is NETWORK:
        with pytest.raises(KeyboardInterrupt):
            model.partial_fit(X, Y)
    assert vars(model).keys() == state.keys()
    assert all(vars(model)[name] is state[name] for name in state)
    assert_array_equal(proba(model), expected)


# --- networks ----------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adamw", "sgd", "lbfgs"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_module_of_the_users_own_is_copied(solver):
    module = nn.Sequential(nn.Linear(P, 7), nn.Tanh(), nn.Dropout(0.1), nn.Linear(7, 3))
    module.train()
    before = copy.deepcopy(module.state_dict())
    model = fit(
        projector=module,
        solver=solver,
        trainer=None if solver == "lbfgs" else Trainer(learning_rate_init=0.02),
        max_iter=30,
        feature_scaling="standard",
    )
    assert model.projector is module
    assert module.training
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.dtype == torch.float32
    assert all(parameter.grad is None for parameter in module.parameters())
    assert balanced_accuracy_score(NEW_Y, model.predict(NEW)) > 0.6
    copied = pickle.loads(pickle.dumps(model))
    assert_array_equal(proba(copied), proba(model))


def test_a_module_with_the_wrong_number_of_components_is_named():
    with pytest.raises(ValueError, match=r"must map .* it returned"):
        fit(projector=nn.Linear(P, 5), feature_scaling="standard")


def test_networks_learn_digits(digits):
    X, y, new, new_y = digits
    model = fit(
        X,
        y,
        projector=MLP((64,), dropout=0.1, residual=True),
        feature_scaling="global",
        trainer=Trainer(learning_rate_init=0.01, mixup_alpha=0.5),
        max_iter=15,
    )
    assert model.score(new, new_y) > 0.88
    assert model.n_iter_ == len(model.loss_curve_) <= 15
    assert_allclose(proba(model, new).sum(axis=1), 1, rtol=1e-6)


def test_mixup_is_not_ignored():
    plain = fit(**network(learning_rate="constant"))
    mixed = fit(**network(learning_rate="constant", mixup_alpha=1.0))
    assert not np.allclose(proba(plain), proba(mixed))


def test_early_stopping_holds_rows_out():
    stopped = network(n_iter_no_change=3, early_stopping=True)
    model = fit(**{**stopped, "max_iter": 40})
    assert len(model.validation_scores_) == len(model.loss_curve_)
    assert all(0 <= score <= 1 for score in model.validation_scores_)
    assert fit(**NETWORK).validation_scores_ is None
    rows = [np.flatnonzero(k == Y)[0] for k in range(K)]
    with pytest.raises(ValueError, match=r"early_stopping=True needs .* set it False"):
        fit(X[rows], Y[rows], **stopped)


def test_partial_fit_learns_digits_in_parts(digits):
    X, y, new, new_y = digits
    model = ETFClassifier(
        projector=MLP((64,)),
        feature_scaling="global",
        trainer=Trainer(learning_rate_init=0.005, batch_size=50),
        random_state=0,
    )
    scores = []
    for epoch in range(6):
        for rows in np.split(np.arange(600), 3):
            classes = np.arange(10) if epoch == 0 else None
            model.partial_fit(X[rows], y[rows], classes=classes)
        scores.append(model.score(new, new_y))
    assert scores[-1] > max(scores[0], 0.85)
    assert model.n_iter_ == len(model.loss_curve_) == 18
    assert model.loss_curve_[-1] < model.loss_curve_[0] / 2
    assert_array_equal(model.class_counts_, 6 * np.bincount(y))


@pytest.mark.parametrize("parameters", [{"projector": "linear"}, NETWORK])
def test_partial_fit_checks_labels(parameters):
    model = ETFClassifier(random_state=0, **parameters)
    with pytest.raises(ValueError, match="classes must be given in the first"):
        model.partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"y holds .*3.*, which is not one of classes"):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    assert not hasattr(model, "classes_")
    model.partial_fit(X, Y, classes=[0, 1, 2, 3, 4])
    expected = proba(model)
    assert expected.shape == (len(NEW), 5)
    with pytest.raises(ValueError, match=r"y holds .*9.*, which is not one of classes"):
        model.partial_fit(X, np.where(Y == 3, 9, Y))
    with pytest.raises(ValueError, match="is not what it was before"):
        model.partial_fit(X, Y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"X has 3 features, but .* expecting 6"):
        model.partial_fit(X[:, :3], Y)
    assert_array_equal(proba(model), expected)


def test_partial_fit_is_there_where_it_can_be():
    assert hasattr(ETFClassifier(), "partial_fit")
    for projector in ("mlp", MLP((3,)), Linear(), nn.Linear(P, K - 1)):
        assert hasattr(ETFClassifier(projector=projector), "partial_fit")
    for parameters in (
        {"solver": "closed_form"},
        {"solver": "lbfgs"},
        {"solver": "lbfgs_path"},
        {"projector": "kernel"},
        {"projector": Kernel(n_landmarks=5)},
    ):
        assert not hasattr(ETFClassifier(**parameters), "partial_fit")
        with pytest.raises(AttributeError, match="partial_fit"):
            ETFClassifier(**parameters).partial_fit(X, Y)


def test_warm_start_goes_on():
    # One that starts anew would repeat the first fit's losses.
    parameters = {**network(learning_rate="constant"), "max_iter": 10}
    model = ETFClassifier(random_state=0, warm_start=True, **parameters).fit(X, Y)
    first = model.loss_curve_
    again = model.fit(X, Y).loss_curve_
    assert again[0] < first[0]
    assert again[-1] < first[-1]
    cold = ETFClassifier(random_state=0, **parameters).fit(X, Y)
    assert cold.loss_curve_ == first
    assert cold.fit(X, Y).loss_curve_ == first


def test_verbose_prints_a_line_for_each_epoch(capsys):
    model = fit(verbose=True, **NETWORK)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_
    assert lines[0].startswith("[ETFClassifier] iteration 1, loss ")
    fit(**NETWORK)
    assert not capsys.readouterr().out


# --- the target --------------------------------------------------------------------


def test_targets_are_those_of_the_counts(default):
    cosines = default.target_ @ default.target_.T
    assert_allclose(cosines, (np.eye(K) * K - 1) / (K - 1), atol=1e-12)
    assert_array_equal(default.target_means_, default.target_)
    model = fit(target="seli", **EXPLICIT)
    assert_allclose(
        model.target_ @ model.target_means_.T, np.eye(K) - 1 / K, atol=1e-12
    )
    lengths = np.linalg.norm(model.target_, axis=1)
    assert (np.diff(lengths) < 0).all()  # as the counts fall
    given = simplex_etf(K, 5, random_state=3)
    assert_array_equal(fit(target=given, **EXPLICIT).target_, given)


def test_loss_instances_are_taken():
    named = fit(loss="cross_entropy", **EXPLICIT)
    assert_array_equal(proba(fit(loss=CrossEntropy(), **EXPLICIT)), proba(named))
    with pytest.raises(ValueError, match="loss must be one of"):
        fit(loss=nn.CrossEntropyLoss(), **EXPLICIT)


@pytest.mark.parametrize("switch", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("solver", ["auto", "adamw"])
def test_fits_where_gradients_are_switched_off(switch, solver):
    X, y = load_iris(return_X_y=True)
    model = ETFClassifier(projector="linear", solver=solver, max_iter=3, random_state=0)
    expected = model.fit(X, y).predict_proba(X)
    with switch():
        assert_array_equal(model.fit(X, y).predict_proba(X), expected)
