"""Parameters: which there are, where they went, and what is said of bad ones."""

import inspect

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils import estimator_checks
from torch import nn

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.projectors import MLP, Kernel, Linear
from skcollapse.training import RandomCropFlip, Trainer

_RNG = np.random.default_rng(0)
Y = np.arange(45) % 3
X = _RNG.normal(size=(3, 4))[Y] * 3 + _RNG.normal(size=(45, 4))
QUICK = {"projector": "linear", "feature_scaling": "global", "random_state": 0}
TRAINED = {**QUICK, "solver": "adamw", "max_iter": 2}
OBJECTS = [Linear(), Kernel(), MLP(), Trainer()]
SHARED = [
    "projector",
    "n_components",
    "assignment",
    "solver",
    "alpha",
    "feature_scaling",
    "class_weight",
    "cv",
    "max_iter",
    "tol",
    "extractor",
    "train_extractor",
    "trainer",
    "warm_start",
    "memory",
    "verbose",
    "device",
    "random_state",
]
OF_MLP = ["hidden_layer_sizes", "dropout", "residual", "batch_norm"]
OF_TRAINER = [
    "batch_size",
    "learning_rate",
    "learning_rate_init",
    "momentum",
    "early_stopping",
    "validation_fraction",
    "n_iter_no_change",
    "mixup_alpha",
    "augment",
    "checkpoint",
]
both = pytest.mark.parametrize("classifier", [ETFClassifier, HUGClassifier])


# --- which there are ---------------------------------------------------------------


def test_signatures():
    etf, hug, trainer = map(inspect.signature, (ETFClassifier, HUGClassifier, Trainer))
    assert list(etf.parameters) == ["target", "loss", *SHARED]
    own = ["criterion", "s", "proxy", "inter_weight", "intra_weight"]
    assert list(hug.parameters) == [*own, *SHARED]
    assert set(OF_TRAINER) < set(trainer.parameters)
    assert list(inspect.signature(MLP).parameters) == OF_MLP
    for signature, positional in ((etf, 1), (hug, 1), (trainer, 0)):
        kinds = [p.kind for p in signature.parameters.values()]
        assert set(kinds[positional:]) == {inspect.Parameter.KEYWORD_ONLY}


@both
@pytest.mark.parametrize("name", [*OF_MLP, *OF_TRAINER])
def test_names_that_moved_are_type_errors(classifier, name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        classifier(**{name: None})
    with pytest.raises(ValueError, match=f"Invalid parameter '{name}'"):
        classifier().set_params(**{name: None})


@pytest.mark.parametrize("estimator", OBJECTS, ids=repr)
@pytest.mark.parametrize(
    "check",
    [
        "check_parameters_default_constructible",
        "check_no_attributes_set_in_init",
        "check_get_params_invariance",
        "check_set_params",
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_do_not_raise_errors_in_init_or_set_params",
    ],
)
def test_scikit_learn_checks_of_parameter_objects(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, clone(estimator))


@both
def test_objects_are_nested_parameters(classifier):
    model = classifier(projector=MLP((9,), dropout=0.1), trainer=Trainer(momentum=0.5))
    parameters = model.get_params()
    assert parameters["projector__hidden_layer_sizes"] == (9,)
    assert parameters["trainer__momentum"] == 0.5
    copied = clone(model).set_params(projector__dropout=0.2, trainer__momentum=0.7)
    assert (copied.projector.dropout, copied.trainer.momentum) == (0.2, 0.7)
    assert (model.projector.dropout, model.trainer.momentum) == (0.1, 0.5)
    assert (
        classifier().get_params(deep=False).keys() == classifier().get_params().keys()
    )


@both
def test_searches_reach_into_objects(classifier):
    model = classifier(
        projector=MLP(),
        solver="adamw",
        feature_scaling="standard",
        max_iter=4,
        trainer=Trainer(learning_rate_init=0.01),
        random_state=0,
    )
    grid = {
        "projector__hidden_layer_sizes": [(4,), (6,)],
        "trainer__mixup_alpha": [0.0, 1.0],
    }
    search = GridSearchCV(model, grid, cv=2, scoring="neg_log_loss").fit(X, Y)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 4
    best = clone(model).set_params(**search.best_params_).fit(X, Y)
    assert_array_equal(best.predict_proba(X), search.predict_proba(X))
    assert model.projector.hidden_layer_sizes == (512,)


def test_objects_are_as_good_as_names():
    for name, projector in (("linear", Linear()), ("kernel", Kernel())):
        parameters = {**QUICK, "alpha": 1e-2}
        named, given = (
            ETFClassifier(**{**parameters, "projector": value}).fit(X, Y)
            for value in (name, projector)
        )
        assert_array_equal(named.predict_proba(X), given.predict_proba(X))
    named, given = (
        ETFClassifier(**{**TRAINED, "projector": value}).fit(X, Y)
        for value in ("mlp", MLP())
    )
    assert_array_equal(named.predict_proba(X), given.predict_proba(X))


def test_parameters_of_the_kernel_are_used():
    model = ETFClassifier(**{**QUICK, "projector": Kernel(7, 0.5), "alpha": 1e-2})
    (kernel,) = model.fit(X, Y).projection_.kernels
    assert len(kernel.landmarks) == 7
    assert kernel.gamma == 0.5


def test_fits_change_no_object():
    model = ETFClassifier(projector=MLP((4,)), trainer=Trainer(), max_iter=2)
    projector, trainer = model.projector, model.trainer
    before = {**vars(projector)}, {**vars(trainer)}
    model.fit(X, Y)
    assert (model.projector, model.trainer) == (projector, trainer)
    assert (vars(projector), vars(trainer)) == before


def test_numbers_of_numpy_are_numbers():
    model = ETFClassifier(
        **{**TRAINED, "projector": MLP((np.int64(4),), dropout=np.float32(0.1))},
        alpha=np.float32(1e-3),
        tol=np.float64(1e-3),
        n_components=np.int32(2),
        trainer=Trainer(batch_size=np.int64(9), momentum=np.float32(0.5)),
    )
    model.set_params(max_iter=np.int16(2)).fit(X, Y)
    assert model.n_iter_ == 2


# --- bad ones ----------------------------------------------------------------------

ARRAY = np.array([0.25, 0.75])
NAMES = np.array(["auto", "etf"])
NOT_A_COUNT = [0, -1, 1.5, "many", None, True, np.nan, np.inf, ARRAY, np.int64(-7)]
NOT_POSITIVE = [0.0, -1.0, "much", None, True, np.nan, np.inf, ARRAY, np.float64(-7)]
NOT_LESS_THAN_0 = NOT_POSITIVE[1:]
NOT_A_SHARE = [-0.1, 1.0, "half", None, True, np.nan, np.inf, ARRAY]
NOT_A_NAME = ["nonsense", 3, None, NAMES]
NOT_A_SWITCH = ["yes", 1, None, np.array([True, False])]


def without(values, *left_out):
    return [v for v in values if not any(v is other for other in left_out)]


BAD_SHARED = {
    "projector": [*NOT_A_NAME, Linear, nn.Linear, Trainer()],
    "n_components": without(NOT_A_COUNT, None),
    "assignment": NOT_A_NAME,
    "solver": [*NOT_A_NAME, object()],
    "alpha": NOT_LESS_THAN_0,
    "feature_scaling": without([*NOT_A_NAME, True, np.nan], None),
    "class_weight": ["even", {0: -1.0}, {0: np.nan}, {0: np.inf}, 3, ARRAY],
    "cv": [1, 0, -2, "three", 1.5, np.nan, True],
    "max_iter": NOT_A_COUNT,
    "tol": NOT_LESS_THAN_0,
    "extractor": ["resnet", 3, ARRAY],
    "train_extractor": NOT_A_SWITCH,
    "trainer": ["fast", 3, {"momentum": 0.5}, Trainer, ARRAY, Linear()],
    "warm_start": NOT_A_SWITCH,
    "memory": [3, ARRAY],
    "verbose": ["loud", ARRAY],
    "device": ["abacus", None, ARRAY, 1.5],
    "random_state": ["seed", -1, 1.5, np.nan],
}
BAD = {
    ETFClassifier: {
        "target": [*NOT_A_NAME, np.full((3, 2), np.nan), np.ones(3), object()],
        "loss": [*NOT_A_NAME, nn.CrossEntropyLoss()],
        **BAD_SHARED,
    },
    HUGClassifier: {
        "criterion": NOT_A_NAME,
        "s": NOT_LESS_THAN_0,
        "proxy": NOT_A_NAME,
        "inter_weight": NOT_LESS_THAN_0,
        "intra_weight": NOT_LESS_THAN_0,
        **BAD_SHARED,
    },
    Trainer: {
        "batch_size": NOT_A_COUNT,
        "learning_rate_init": NOT_POSITIVE,
        "learning_rate": NOT_A_NAME,
        "momentum": NOT_A_SHARE,
        "early_stopping": NOT_A_SWITCH,
        "validation_fraction": [0.0, *NOT_A_SHARE],
        "n_iter_no_change": NOT_A_COUNT,
        "mixup_alpha": NOT_LESS_THAN_0,
        "augment": ["flip", 3, ARRAY],
        "checkpoint": [3, True, ARRAY],
        "extractor_learning_rate": without(NOT_POSITIVE, None),
        "extractor_alpha": without(NOT_LESS_THAN_0, None),
        "freeze_epochs": without(NOT_A_COUNT, 0),
        "warmup_epochs": without(NOT_A_COUNT, 0),
        "milestones": [(0,), (3, 2), (1.5,), "early", 3, None, (True,)],
        "gamma": NOT_POSITIVE,
        "sampler": without(NOT_A_NAME, None),
        "cutmix_alpha": NOT_LESS_THAN_0,
        "clip_norm": without(NOT_POSITIVE, None),
        "ema_decay": without(NOT_A_SHARE, None),
        "autocast": without(NOT_A_NAME, None),
        "channels_last": NOT_A_SWITCH,
        "compile": NOT_A_SWITCH,
        "accumulate": NOT_A_COUNT,
        "deferred": without(NOT_A_COUNT, 0),
        "refit": without(NOT_A_NAME, None),
        "deterministic": NOT_A_SWITCH,
        "num_workers": without(NOT_A_COUNT, 0),
        "checkpoint_every": NOT_A_COUNT,
    },
    Kernel: {
        "n_landmarks": NOT_A_COUNT,
        "gamma": NOT_POSITIVE,
    },
    MLP: {
        "hidden_layer_sizes": [
            *NOT_A_COUNT,
            *[(value,) for value in (0, -1, 1.5, "wide", None, True, np.nan)],
        ],
        "dropout": NOT_A_SHARE,
        "residual": NOT_A_SWITCH,
        "batch_norm": NOT_A_SWITCH,
    },
}
CASES = [
    pytest.param(kind, name, value, id=f"{kind.__name__}-{name}-{value!r:.15}")
    for kind, table in BAD.items()
    for name, values in table.items()
    for value in values
]


def test_every_parameter_has_bad_values():
    for kind, table in BAD.items():
        assert table.keys() == kind().get_params(deep=False).keys()


def with_bad(kind, name, value):
    """Return a classifier one of whose parameters, or their objects', has a value."""
    bad = {name: value}
    if kind in (ETFClassifier, HUGClassifier):
        return kind(**{**QUICK, **bad})
    if kind is Trainer:
        return ETFClassifier(**TRAINED, trainer=Trainer(**bad))
    return ETFClassifier(**{**QUICK, "projector": kind(**bad)})


def shown(value):
    """Return what a message should show a part of, of a value."""
    if isinstance(value, np.generic):
        return [repr(value.item())]
    if isinstance(value, tuple | dict):
        values = value.values() if isinstance(value, dict) else value
        return [repr(value), *map(repr, values)]
    if isinstance(value, np.ndarray):
        return ["array", *map(repr, value.tolist()), str(value)]
    return [repr(value)[:20], str(value)[:20]]


@pytest.mark.parametrize(("kind", "name", "value"), CASES)
def test_bad_values_are_named_and_shown(kind, name, value):
    model = with_bad(kind, name, value)
    with pytest.raises((ValueError, TypeError)) as caught:
        model.fit(X, Y)
    message = str(caught.value)
    assert name in message
    if name != "target" or not isinstance(value, np.ndarray):
        assert any(part in message for part in shown(value))
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize(
    "groups",
    [np.arange(44), np.arange(46), [], np.zeros((45, 2)), 3, "abc"],
    ids=["short", "long", "empty", "two_axes", "number", "text"],
)
@pytest.mark.parametrize("solver", ["auto", "closed_form", "adamw"])
def test_groups_that_do_not_fit_are_named(groups, solver):
    model = ETFClassifier(projector="linear", solver=solver)
    if solver == "adamw":
        model.set_params(trainer=Trainer(early_stopping=True))
    with pytest.raises(ValueError, match="groups"):
        model.fit(X, Y, groups=groups)
    assert not hasattr(model, "classes_")


def test_auto_is_mentioned_where_it_is_allowed():
    for parameters in (
        {"alpha": -1},
        {"projector": Kernel(gamma=-1)},
        {"projector": Kernel(n_landmarks=-1)},
        {"solver": "adamw", "trainer": Trainer(batch_size=-1)},
        {"feature_scaling": -1},
        {"solver": -1},
        {"assignment": -1},
    ):
        with pytest.raises(ValueError, match=r"'auto'.*got -1\b"):
            ETFClassifier(**{**QUICK, **parameters}).fit(X, Y)


def test_a_trainer_that_nothing_uses_is_an_error():
    for parameters in ({}, {"solver": "closed_form"}, {"solver": "lbfgs"}):
        model = ETFClassifier(**QUICK, **parameters, trainer=Trainer())
        with pytest.raises(ValueError, match=r"trainer=.*mini-batches"):
            model.fit(X, Y)
    model = ETFClassifier(projector="mlp", solver="lbfgs", trainer=Trainer())
    with pytest.raises(ValueError, match=r"trainer=.*mini-batches"):
        model.fit(X, Y)


def test_augmentation_has_a_representation_and_is_a_parameter():
    trainer = Trainer(augment=RandomCropFlip(padding=2))
    assert "RandomCropFlip" in repr(trainer)
    assert clone(trainer).augment.padding == 2
