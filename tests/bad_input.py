"""Calls with one bad argument each, of every public constructor and function.

``python tests/bad_input.py`` makes all of them and lists those that do not end in a
ValueError or TypeError of this package that names the parameter and shows the value.
"""

import contextlib
import inspect
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from skcollapse import (
    ETFClassifier,
    HUGClassifier,
    NeuralCollapseScorer,
    datasets,
    extract,
    losses,
    measures,
    metrics,
    moments,
    targets,
)
from skcollapse.monitor import CollapseMonitor
from skcollapse.projectors import MLP, Kernel
from skcollapse.training import RandomCropFlip, Trainer

# A call may take so many seconds, and warn so often.
LONGEST, MOST_WARNINGS = 20, 3

RNG = np.random.default_rng(0)
Y = np.arange(24) % 3
X = RNG.normal(size=(3, 4))[Y] * 3 + RNG.normal(size=(24, 4))
MEANS, COUNTS = RNG.normal(size=(3, 4)), np.array([9.0, 8.0, 7.0])
PROB = np.full((24, 3), 1 / 3)
MOMENTS = moments.ClassMoments(3, 4, scatter="class").update(X, Y)
ROWS = moments.RowMoments(X, Y, 3)
NET = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
PAIRS = TensorDataset(torch.from_numpy(X).float(), torch.from_numpy(Y))
LOADER = DataLoader(PAIRS, 12)
FEATURES, INDICES, VECTORS = map(torch.from_numpy, (X, Y, MEANS))
SCORER = NeuralCollapseScorer().fit(X, Y)
QUICK = {"projector": "linear", "feature_scaling": "global", "alpha": 1e-2}
MODEL = ETFClassifier(**QUICK, random_state=0).fit(X, Y)

NAN, INF = np.nan, np.inf
ARRAY, NAMES = np.array([0.25, 0.75]), np.array(["auto", "etf"])
THINGS = [object(), int, {}, b"1", 1j, [[]], ("a",), len, np.datetime64("2020-01-01")]
NO_NUMBERS = ["many", True, NAN, INF, -INF, ARRAY, ARRAY[:1], [1], 10**400, *THINGS]
NO_NUMBERS += [torch.ones(2), np.array(3.0), np.bool_(True)]
NO_ARRAYS = [3, 1.5, True, "abc", ["a", "b"], *THINGS[:3], len, [[1, 2], [3]]]
NO_ARRAYS += [[None, 1], [{}, {}], np.array(["2020-01-01"], dtype="M8[D]")]


def spoilt(good: Any, value: Any) -> np.ndarray:
    """Return an array one of whose values is another."""
    values = np.array(good, dtype=float)
    values.flat[0] = value
    return values


def shape_of(value: Any) -> Any:
    return getattr(value, "shape", None)


def other_shapes(good: Any) -> list[Any]:
    """Return arrays like a good one of other shapes."""
    good = np.asarray(good)
    shapes = [good[:-1], np.concatenate([good, good]), good[:0], good[None], good[0]]
    return [*shapes, good[..., None, None]]


def numbers(low: float | None = None, high: float | None = None, *extra: Any) -> list:
    """Return what is not a number in a range."""
    beyond = [v for v in (low, high) if v is not None]
    return [*NO_NUMBERS, *beyond, *map(np.float64, beyond), *extra]


def counts(low: int = 0, *extra: Any) -> list[Any]:
    """Return what is not an integer above a bound."""
    return [*numbers(low), 1.5, np.float32(2.5), 2.0, np.int8(-7), *extra]


def choices(*extra: Any) -> list[Any]:
    return ["nonsense", "", 3, NAMES, ARRAY, NAN, ["etf"], *THINGS, *extra]


def switches() -> list[Any]:
    return ["yes", 1, 0.0, NAN, np.array([True, False]), np.array(True), *THINGS]


def matrices(good: Any = MEANS, *extra: Any) -> list[Any]:
    """Return what is not a matrix of finite numbers like a good one."""
    good = np.asarray(good)
    bad = [*NO_ARRAYS, good[0], good[None], good[:0], good[:, :0], good + 1j]
    return [*bad, spoilt(good, NAN), spoilt(good, -INF), *extra]


def sizes(good: Any = COUNTS, *extra: Any) -> list[Any]:
    """Return what are not positive sizes of classes."""
    bad = [spoilt(good, v) for v in (NAN, INF, -INF, -1.0)]
    return [*NO_ARRAYS, *bad, good + 1j, *other_shapes(good)[2:4], *extra]


def labels(good: Any = Y, *extra: Any) -> list[Any]:
    """Return what are not labels of as many rows."""
    bad = [spoilt(good, v) for v in (NAN, INF)]
    return [*bad, None, 3, object(), {}, len, *other_shapes(good)[:4], *extra]


def weights() -> list[Any]:
    good = np.ones(24)
    bad = [spoilt(good, v) for v in (NAN, INF, -1.0)] + [good + 1j]
    return [*NO_ARRAYS, *bad, *other_shapes(good)]


def rows(good: Any = X) -> list[Any]:
    """Return what are not rows of numbers for as many labels."""
    return [None, sparse.csr_matrix(good), *matrices(good), good[:-1], PAIRS, LOADER]


def tensors(good: torch.Tensor, *extra: Any) -> list[Any]:
    """Return what are no such tensors."""
    shapes = [good[:-1], good[None], good[0], torch.cat([good, good])]
    dtypes = [good.to(torch.complex64), good.bool(), good.to(torch.int32)]
    return ["abc", 3, [1, 2], good.numpy(), object(), *shapes, *dtypes, *extra]


SEEDS = ["seed", -1, 1.5, NAN, 2**40, ARRAY, *THINGS]
DEVICES = ["abacus", "", 1.5, ARRAY, object(), "cuda:99", [1]]


@dataclass(frozen=True)
class Subject:
    """Something that is called, with good arguments and bad values for each."""

    name: str
    call: Callable[..., Any]
    good: dict[str, Any]
    bad: dict[str, list[Any]]


def of(function: Callable[..., Any], good: dict[str, Any], /, **bad: Any) -> Subject:
    """Return a subject that is called by keyword."""
    name = getattr(function, "__qualname__", repr(function))
    return Subject(name, function, good, bad)


def fitted(kind: Any, base: dict[str, Any], **bad: Any) -> Subject:
    """Return the fit of an estimator with parameters."""

    def call(**parameters: Any) -> Any:
        return kind(**{**base, **parameters}).fit(X, Y)

    return Subject(f"{kind.__name__}.fit", call, {}, bad)


def method(estimator: Any, name: str, good: dict[str, Any], /, **bad: Any) -> Subject:
    """Return a method of a copy of an estimator."""

    def call(**arguments: Any) -> Any:
        import copy

        return getattr(copy.copy(estimator), name)(**arguments)

    return Subject(f"{type(estimator).__name__}.{name}", call, good, bad)


def drawn(kind: str, maker: str = "", **bad: Any) -> Callable[..., Any]:
    """Return a function that draws, and closes the figure."""

    def call(**arguments: Any) -> Any:
        import matplotlib

        matplotlib.use("agg")
        import matplotlib.pyplot as plt

        from skcollapse import display

        face = getattr(display, kind)
        made = getattr(face, maker)(**arguments) if maker else face(**arguments).plot()
        plt.close("all")
        return made

    return call


def classifiers() -> Iterator[Subject]:
    shared = {
        "projector": choices(nn.Linear, Kernel, None),
        "n_components": counts(0),
        "assignment": choices(None),
        "solver": choices(None),
        "alpha": numbers(-1.0, None, None),
        "feature_scaling": choices(True),
        "class_weight": [
            "even",
            {0: -1.0},
            {0: NAN},
            {0: INF},
            3,
            ARRAY,
            object(),
            len,
        ],
        "cv": [1, 0, -2, "three", 1.5, NAN, True, object(), {}],
        "max_iter": counts(0, None),
        "tol": numbers(-1.0, None, None),
        "extractor": ["resnet", 3, ARRAY, object(), {}, NAN],
        "train_extractor": [*switches(), None],
        "trainer": ["fast", 3, {"momentum": 0.5}, Trainer, ARRAY, object(), 1.5, len],
        "warm_start": [*switches(), None],
        "memory": [3, ARRAY, object(), {}],
        "verbose": ["loud", ARRAY, object(), -1, NAN],
        "device": DEVICES,
        "random_state": SEEDS,
    }
    target = {**shared, "target": choices(None, *matrices())}
    yield fitted(ETFClassifier, QUICK, **target, loss=choices(None, nn.MSELoss()))
    hug = {"criterion": choices(None), "proxy": choices(None)}
    hug |= {name: numbers(-1.0, None, None) for name in ("s", "inter_weight")}
    hug["intra_weight"] = numbers(-1.0, None, None)
    yield fitted(HUGClassifier, QUICK, **shared, **hug)

    def with_trainer(**bad: Any) -> Any:
        model = ETFClassifier("etf", solver="sgd", projector="linear", max_iter=1)
        return model.set_params(trainer=Trainer(**bad)).fit(X, Y)

    shares = numbers(-0.1, 1.0, None)
    yield Subject(
        "Trainer",
        with_trainer,
        {},
        {
            "batch_size": counts(0, None),
            "learning_rate_init": numbers(0.0, None, None, -1),
            "learning_rate": choices(None),
            "momentum": shares,
            "early_stopping": [*switches(), None],
            "validation_fraction": [*shares, 0.0],
            "n_iter_no_change": counts(0, None),
            "mixup_alpha": numbers(-1.0, None, None),
            "augment": ["flip", 3, ARRAY, {}, [1]],
            "checkpoint": [3, True, ARRAY, object(), 1.5],
            "extractor_learning_rate": numbers(0.0, None, -1),
            "extractor_alpha": numbers(-1.0),
            "freeze_epochs": counts(-1, None),
            "warmup_epochs": counts(-1, None),
            "milestones": [(0,), (3, 2), (1.5,), "early", 3, None, (True,), (NAN,)],
            "gamma": numbers(0.0, None, None, -1),
            "sampler": choices(),
            "cutmix_alpha": numbers(-1.0, None, None),
            "clip_norm": numbers(0.0, None, -1),
            "ema_decay": numbers(-0.1, 1.0),
            "autocast": choices(),
            "channels_last": [*switches(), None],
            "compile": [*switches(), None],
            "accumulate": counts(0, None),
            "deferred": counts(-1, None),
            "refit": choices(),
            "deterministic": [*switches(), None],
            "num_workers": counts(-1, None),
            "checkpoint_every": counts(0, None),
        },
    )

    def with_projector(kind: Any, **bad: Any) -> Any:
        projector = {"projector": kind(**bad), "max_iter": 1}
        return ETFClassifier(**{**QUICK, **projector}).fit(X, Y)

    layers = [*counts(0, None), *((v,) for v in counts(0, None)), (3, "4"), ((2,),)]
    valid = ("[1]", "{}")
    of_mlp = {"hidden_layer_sizes": [v for v in layers if repr(v) not in valid]}
    of_mlp["dropout"] = shares
    of_mlp |= {name: [*switches(), None] for name in ("residual", "batch_norm")}
    yield Subject("MLP", partial(with_projector, MLP), {}, of_mlp)
    of_kernel = {"n_landmarks": counts(0, None), "gamma": numbers(0.0, None, None, -1)}
    yield Subject("Kernel", partial(with_projector, Kernel), {}, of_kernel)
    yield of(RandomCropFlip, {}, padding=counts(-1, None), flip=[*switches(), None])

    data = {"X": X, "y": Y}
    one = [np.zeros(24), np.linspace(0, 1, 24)]
    bad = {"X": rows(), "y": labels(Y, *one), "sample_weight": weights()}
    groups = ["abc", 3, Y[:-1], np.zeros((24, 2)), [], object(), NAN]
    groups += [spoilt(Y, NAN), [{}] * 24]
    for kind in (ETFClassifier, HUGClassifier):
        for solver in ("closed_form", "sgd"):
            base = {**QUICK, "solver": solver, "max_iter": 1}
            base |= {"feature_scaling": None, "trainer": None}
            model = kind(**base)
            yield method(model, "fit", data, **bad, groups=groups)
    stream = ETFClassifier(projector="linear", solver="sgd", random_state=0)
    first = {**data, "classes": [0, 1, 2]}
    named = labels([0.0, 1.0, 2.0], [], [0, 1], [0, 0, 1, 2], ["a", "b", "c"], [1])
    named = [v for v in named if shape_of(v) != (6,)]
    bad = {"X": rows(), "y": labels(), "sample_weight": weights(), "classes": named}
    yield method(stream, "partial_fit", first, **bad)
    new = [v for v in rows() if shape_of(v) != (23, 4)] + [X[:, :3]]
    names = ("predict", "predict_proba", "predict_log_proba", "decision_function")
    for name in (*names, "transform"):
        yield method(MODEL, name, {"X": X}, X=new)
    paths = [3, None, ARRAY, object(), 1.5, {}]
    yield method(MODEL, "save_weights", {}, path=paths)
    yield method(MODEL, "load_weights", {}, path=paths)


def scorers() -> Iterator[Subject]:
    bad = {
        "classifier": ["best", 3, object(), {}, nn.ReLU(), *matrices()[1:8], NAN],
        "target": choices(None, *matrices()),
        "metric": choices(None),
        "scatter": [*switches(), "yes", None],
        "ridge": numbers(-1.0, None, None),
        "split": [3, None, ARRAY, object(), NAN],
    }
    base = (
        {"metric": "target_distance"} if "target_distance" in measures.MEASURES else {}
    )
    yield fitted(NeuralCollapseScorer, base, **bad)
    data, plain = {"X": X, "y": Y}, NeuralCollapseScorer()
    one = [np.zeros(24), np.linspace(0, 1, 24)]
    bad = {"X": rows(), "y": labels(Y, *one), "sample_weight": weights()}
    yield method(plain, "fit", data, **bad)
    yield method(SCORER, "score", data, **bad)
    named = labels([0.0, 1.0, 2.0], [], [0, 1], ["a", "b", "c"], [[0, 1, 2]])
    named = [v for v in named if shape_of(v) != (6,)]
    del bad["y"][-2:]
    yield method(plain, "partial_fit", {**data, "classes": [0, 1, 2]}, classes=named)
    yield method(plain, "partial_fit", {**data, "classes": [0, 1, 2]}, **bad)
    new = [v for v in rows() if shape_of(v) != (23, 4)] + [X[:, :3]]
    yield method(SCORER, "predict", {"X": X}, X=new)
    net = {"module": NET, "loader": LOADER}
    read = {
        "module": [None, 3, "net", ARRAY, object(), nn.Linear, nn.ReLU()],
        "loader": [None, 3, "abc", object(), PAIRS, FEATURES, X, [], [1], {}, [(X,)]],
        "layer": ["nowhere", 3, ARRAY, object(), nn.Linear(3, 2), NAN],
        "device": DEVICES,
        "autocast": ["half", 3, torch.int64, ARRAY, object(), True],
    }
    of_network = {
        **read,
        "classes": [3, "abc", [0, 1], [0, 1, 2, 3], [NAN, 1, 2], [[0, 1, 2]], object()],
    }
    yield method(plain, "fit_network", net, **of_network)
    plain_read = {**read, "loader": read["loader"][:-1]}
    yield of(extract.extract_features, net, **plain_read)

    def first(**arguments: Any) -> Any:
        return next(extract.iter_features(**arguments))

    some = [v for v in plain_read["loader"] if repr(v) != "[]"]
    yield Subject("iter_features", first, net, {**read, "loader": some})
    batch = {"module": NET, "batch": FEATURES[:2].float()}
    yield of(
        extract.last_linear,
        batch,
        module=read["module"],
        layer=read["layer"],
        batch=["abc", 3, b"1"],
    )

    single = FEATURES.float()

    def extracted(X: Any = single, **parameters: Any) -> Any:
        parameters = {"module_or_callable": NET, **parameters}
        return extract.FeatureExtractor(**parameters).fit(X).transform(X)

    bad = {
        "module_or_callable": [None, 3, "net", ARRAY, object()],
        "layer": ["nowhere", 3, ARRAY, object(), NAN],
        "batch_size": counts(0, None),
        "device": DEVICES,
        "X": [None, 3, "abc", X[0], spoilt(X, NAN), PAIRS, LOADER, X[:0], {}, object()],
    }
    yield Subject("FeatureExtractor", extracted, {}, bad)
    monitored: dict[str, Any] = {
        "scorer": [3, "nc1", object(), NeuralCollapseScorer, ARRAY, MODEL]
    }
    yield of(CollapseMonitor, {}, **monitored, every=counts(0, None))
    bad = {"X": rows(), "y": labels(), "sample_weight": weights()}
    bad |= {"epoch": counts(-1), "classifier": ["best", 3, object(), {}]}
    yield method(CollapseMonitor(), "record", data, **bad)
    yield method(CollapseMonitor(), "record_network", net, **of_network)


def functions() -> Iterator[Subject]:
    of_size = {"n_classes": counts(1, None), "n_components": counts(0)}
    size = {"n_classes": 3}
    yield of(targets.simplex_etf, size, **of_size, random_state=SEEDS)
    two = {**size, "n_components": 2, "random_state": 0}
    bad = {"criterion": choices(None), "s": numbers(-1.0, None, None)}
    bad |= {"n_init": counts(0, None), "random_state": SEEDS}
    of_code = {**of_size, "n_components": counts(1, None)}
    yield of(targets.hyperspherical_code, two, **of_code, **bad)
    bad = {"class_counts": sizes(), "n_components": counts(0), "random_state": SEEDS}
    yield of(
        targets.seli, {"class_counts": COUNTS}, **bad, ridge=numbers(-1.0, None, None)
    )
    yield of(targets.nearest_etf, {"means": MEANS}, means=matrices())
    yield of(targets.class_similarity, {"means": MEANS}, means=matrices())
    code = {"code": MEANS, "similarity": MEANS @ MEANS.T}
    square = matrices(code["similarity"], MEANS)
    yield of(targets.assign_code, code, code=matrices(), similarity=square)

    yield of(losses.get_loss, {}, loss=choices(None, losses.NTCE, nn.MSELoss()))
    batch = {"features": FEATURES, "y": INDICES, "class_vectors": VECTORS}
    batch |= {"log_prior": torch.zeros(3).double()}
    for name in losses.LOSSES:
        loss = losses.get_loss(name)
        wrong = [INDICES - 1, INDICES + 1, INDICES.double()]
        heavy = torch.ones(24).double()
        yield Subject(
            f"{name} loss",
            loss,
            batch,
            {
                "features": [None, *tensors(FEATURES)],
                "y": [None, *tensors(INDICES, *wrong)],
                "class_vectors": [None, *tensors(VECTORS, VECTORS[:, :3])[:-1]],
                "sample_weight": tensors(heavy)[:-2],
                "log_prior": tensors(batch["log_prior"])[:-2],
            },
        )
    number = numbers(-1.0, None, None)
    positive = numbers(0.0, None, None, -1)
    yield of(
        losses.CrossEntropy,
        {},
        scale=numbers(0.0, None, -1),
        logit_adjustment=numbers(),
    )
    yield of(losses.LDAM, {}, scale=numbers(0.0, None, -1), max_margin=positive)
    for kind in (losses.NTCE, losses.NONL):
        yield of(kind, {}, temperature=positive)
    yield of(losses.SquaredError, {}, weighting=choices(None))
    energies = {"feature_energy": positive, "vector_energy": positive}
    energies |= {"weighting": choices(None), "denominator": choices(None)}
    yield of(losses.DotRegression, {}, **energies)
    gap = dict.fromkeys(("s", "inter_weight", "intra_weight"), number)
    gap |= {"criterion": choices(None), "weighting": choices(None)}
    yield of(
        losses.HypersphericalUniformityGap, {}, **gap, decoupled=[*switches(), None]
    )

    gathered = [None, 3, "abc", X, object(), {}, [MOMENTS]]
    given: dict[str, tuple[Any, list[Any]]] = {
        "moments": (MOMENTS, gathered),
        "means": (MEANS, [None, *matrices(), MEANS[:1]]),
        "vectors": (MEANS, [None, *matrices(), MEANS[:1]]),
        "classifier": (MEANS, [None, *matrices(), MEANS[:2], MEANS[:, :2]]),
        "target_means": (MEANS, [None, *matrices(), MEANS[:2]]),
        "coef": (MEANS, [None, *matrices(), MEANS[:2], MEANS[:, :2]]),
        "intercept": (np.zeros(3), [*NO_ARRAYS[2:], np.zeros(2), np.zeros((3, 3))]),
        "ood_mean": (np.zeros(4), [None, *NO_ARRAYS, np.zeros(3), spoilt(X[0], NAN)]),
        "class_counts": (COUNTS, sizes(COUNTS, COUNTS[:2])),
        "ridge": (0.0, number),
        "s": (0.0, number),
    }
    optional = {"balanced": switches(), "by_class": switches(), "centred": switches()}
    own = {"classifier or means": choices(None)}
    for name in measures.__all__:
        function = getattr(measures, name)
        if not inspect.isfunction(function):
            continue
        parameters = inspect.signature(function).parameters
        good = {p: given[p][0] for p in parameters if p in given}
        if "moments" in good and {"coef"} & set(parameters):
            good["moments"] = ROWS
        bad = {p: given[p][1] for p in good}
        bad |= {p: optional[p] for p in parameters if p in optional}
        if name in ("minority_classes", "seli_grams"):
            bad["class_counts"] = sizes()
        if name in ("seli_distance",):
            bad["vectors"], good["vectors"] = own["classifier or means"], "means"
        if name != "batch_agreement":
            yield of(function, good, **bad)

    shape = {"n_classes": 3, "n_features": 4}
    bad = {"n_classes": counts(0, None), "n_features": counts(0, None)}
    scatter = [*switches(), "classes", None]
    yield of(moments.ClassMoments, shape, **bad, scatter=scatter)
    classes = [v for v in labels(Y, Y + 1, Y - 1) if v is not None]
    bad = {"X": matrices(), "y": classes, "sample_weight": weights()}
    bad["X"] = [None, *[v for v in bad["X"] if shape_of(v) != (0, 4)], X[:-1], PAIRS]
    yield method(moments.ClassMoments(3, 4), "update", {"X": X, "y": Y}, **bad)
    other = [None, 3, X, object(), ROWS, moments.ClassMoments(2, 4)]
    yield method(moments.ClassMoments(3, 4), "merge", {}, other=other)
    everything = {"X": X, "y": Y, "n_classes": 3}
    yield of(moments.RowMoments, everything, **bad, n_classes=counts(0, None, 2))

    truth = {"y_true": Y, "y_pred": Y}
    unknown = [NAN, 3, object(), [0, 0, 1, 2], [[0, 1, 2]], [NAN, 0, 1], []]
    bad = {"y_true": labels(), "y_pred": labels(), "sample_weight": weights()}
    bad["labels"] = [*unknown, {}]
    yield of(metrics.worst_class_recall, truth, **bad)
    yield of(metrics.geometric_mean_recall, truth, **bad, correction=numbers(-1.0, 1.1))
    counted = {**truth, "class_counts": COUNTS}
    bad["class_counts"] = [*sizes(COUNTS, COUNTS[:2], None), {0: 1, 1: 2}, {0: "a"}]
    thresholds = [3, None, "abc", (1,), (3, 2), (NAN, 3), (1, 2, 3), ("a", "b"), {}]
    yield of(metrics.shot_accuracy, counted, **bad, thresholds=thresholds)
    yield of(metrics.head_tail_gap, counted, **bad)
    few = [v for v in sizes()[3:] if shape_of(v) not in ((0,), (1, 3))]
    yield of(metrics.shot_of, {"counts": COUNTS}, counts=few, thresholds=thresholds)
    cells = [PROB[:, :2], PROB[:-1], PROB[0], PROB * 2, -PROB, spoilt(PROB, NAN)]
    del bad["y_pred"], bad["class_counts"]
    bad["y_prob"] = [*NO_ARRAYS, None, *cells, PROB + 1j]
    truth = {"y_true": Y, "y_prob": PROB}
    yield of(metrics.balanced_log_loss, truth, **bad)
    bad |= {"n_bins": counts(0, None), "class_balanced": [*switches(), None]}
    yield of(metrics.expected_calibration_error, truth, **bad)
    scorers = {
        "class_counts": ["abc", 3, object(), {0: "a"}, {0: -1}, spoilt(COUNTS, NAN)]
    }
    yield of(metrics.imbalance_scorers, {}, **scorers, thresholds=thresholds)

    tail = {"n_classes": 3, "n_max": 50, "imbalance_ratio": 10.0}
    bad = {"n_classes": counts(0, None), "n_max": counts(0, None)}
    bad |= {"imbalance_ratio": numbers(0.9, None, None), "profile": choices(None)}
    yield of(datasets.long_tail_counts, tail, **bad)
    long = {"y": np.repeat([0, 1, 2], 20), "imbalance_ratio": 4.0}
    order = [3, "abc", [0, 1], [0, 0, 1], [0, 1, 9], [NAN, 0, 1], [[0, 1, 2]], {}]
    bad = {"n_max": counts(0), "min_per_class": counts(-1, None), "random_state": SEEDS}
    bad |= {"profile": choices(None), "imbalance_ratio": numbers(0.9, None, None)}
    bad["y"] = [None, 3, "abc", object(), np.linspace(0, 1, 60), spoilt(Y, NAN), []]
    bad["y"] += [np.zeros((60, 2)), {}, np.linspace(0, 1, 60) + 1j]
    yield of(datasets.make_long_tailed, long, **bad, class_order=order)

    def split(X: Any = X, y: Any = Y, **parameters: Any) -> Any:
        return list(datasets.LongTailSplit(**{"n_splits": 3, **parameters}).split(X, y))

    bad = {"n_splits": counts(1, None), "shuffle": [*switches(), None]}
    bad |= {"random_state": SEEDS, "y": labels(Y, np.linspace(0, 1, 24))}
    yield Subject("LongTailSplit", split, {}, bad)


def displays() -> Iterator[Subject]:
    report = [None, 3, "abc", object(), {}, SCORER, [SCORER.report_]]
    axes = [3, "abc", object(), [1, 2], np.zeros(2)]
    reports = [[], None, 3, "abc", object(), SCORER.report_, [3], [None]]
    two = [SCORER.report_] * 2
    epochs = [3, "abc", [1], [1, 2, 3], [NAN, 1], ["a", "b"], object(), {}, [[1, 2]]]
    curves = {"reports": two, "epochs": [1, 2]}
    call = drawn("CollapseDisplay")
    yield Subject(
        "CollapseDisplay", call, curves, {"reports": reports, "epochs": epochs}
    )
    for kind in ("CollapseDisplay", "GramDisplay"):
        call = drawn(kind, "from_report")
        bad = {"report": report, "ax": axes}
        if kind == "GramDisplay":
            bad["class_counts"] = sizes(COUNTS, COUNTS[:2])
        yield Subject(f"{kind}.from_report", call, {"report": SCORER.report_}, bad)
        bad = {"X": rows(), "y": labels(), "scorer": [3, "abc", object(), MODEL]}
        bad["estimator"] = [None, 3, "abc", object()]
        good = {"estimator": MODEL, "X": X, "y": Y}
        yield Subject(
            f"{kind}.from_estimator", drawn(kind, "from_estimator"), good, bad
        )
    history = [None, 3, "abc", {}, [], object(), {1: 3}, {"a": SCORER.report_}, ARRAY]
    call = drawn("CollapseDisplay", "from_history")
    good = {"history": {1: SCORER.report_}}
    yield Subject("CollapseDisplay.from_history", call, good, {"history": history})
    gram = {"means": MEANS, "class_counts": COUNTS}
    named = [3, [0, 1], [[0, 1, 2]], object()]
    bad = {
        "means": [None, *matrices(), MEANS[:2]],
        "class_counts": [None, *sizes(COUNTS, COUNTS[:2])],
        "classifier": [*matrices(), MEANS[:2]],
        "classes": named,
        "ridge": numbers(-1.0, None, None),
    }
    yield Subject("GramDisplay", drawn("GramDisplay"), gram, bad)
    shots = {"recalls": np.full(3, 0.5), "class_counts": COUNTS}
    recalls = [None, *NO_ARRAYS, np.full(2, 0.5), np.full((3, 2), 0.5), [2, 0, 0]]
    bad = {
        "recalls": [*recalls, [-1, 0, 0], np.full(3, 1j)],
        "class_counts": [None, *sizes(COUNTS, COUNTS[:2])],
        "classes": named,
        "name": [3, ARRAY, object()],
    }
    yield Subject("ShotAccuracyDisplay", drawn("ShotAccuracyDisplay"), shots, bad)
    bad = {"y_true": labels(), "y_pred": labels()}
    bad["class_counts"] = sizes(COUNTS, COUNTS[:2])
    good = {"y_true": Y, "y_pred": Y, "class_counts": COUNTS}
    call = drawn("ShotAccuracyDisplay", "from_predictions")
    yield Subject("ShotAccuracyDisplay.from_predictions", call, good, bad)


def subjects() -> Iterator[Subject]:
    for make in (classifiers, scorers, functions, displays):
        yield from make()


def cases() -> list[tuple[Subject, str, Any]]:
    """Return all calls: a subject, the parameter that is bad, and its value."""
    return [
        (subject, name, value)
        for subject in subjects()
        for name, values in subject.bad.items()
        for value in values
    ]


def shown(value: Any) -> list[str]:
    """Return what a message can show of a value: itself, its shape, type or a part."""
    if isinstance(value, np.generic):
        value = value.item()
    parts = [repr(value)[:20], str(value)[:20], type(value).__name__]
    # A scalar has this shape.
    parts += ["shape ()", "got ()"]
    if isinstance(value, np.ndarray | torch.Tensor):
        value = np.asarray(value)
        known = {np.nan: ["NaN", "nan", "finite"], "c": ["omplex"], "M": ["datetime"]}
        parts += [str(value.shape), str(len(value)) if value.ndim else "0-d"]
        parts += [str(value.dtype), *known.get(value.dtype.kind, [])]
        parts += [f"{n}D" for n in [value.ndim]] + [f"dim {value.ndim}", "0 sample"]
        parts += [
            "0 feature",
            "got 0.",
            "1 class",
            "one class",
            "values from",
            "axes",
            "zero",
            "continuous",
            "1d array",
        ]
        if value.dtype.kind == "f":
            parts += known[np.nan] + [repr(v) for v in value.ravel()[:3].tolist()]
            parts += ["inf", "sum", "negative"]
        parts += [repr(v)[:6] for v in value.ravel()[:30].tolist()] + ["tensor("]
    elif isinstance(value, list | tuple | dict):
        held = [*value, *(value.values() if isinstance(value, dict) else ())]
        parts += [str(len(value)), "empty", "shape", "no labels", "nan"]
        parts += [repr(v)[:20] for v in held] + [str(v)[:20] for v in held]
    elif isinstance(value, moments.ClassMoments):
        parts += [f"in other, {value.n_classes}"]
    elif isinstance(value, nn.Module):
        parts += ["no layers with weights"]
    elif value is None:
        parts += ["nan", "missing", "must be given", "Only arrays"]
    elif sparse.issparse(value):
        parts += ["parse"]
    return parts


FOREIGN = ("torch", "numpy", "scipy", "matplotlib", "joblib", "pandas")


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError after a while, where signals are there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def verdict(subject: Subject, name: str, value: Any) -> str | None:
    """Return what is wrong about how a call ends, or None."""
    arguments = {**subject.good, name: value}
    with warnings.catch_warnings(record=True) as seen, time_limit(LONGEST):
        warnings.simplefilter("always")
        try:
            subject.call(**arguments)
        except (ValueError, TypeError) as error:
            wrong = _wrong_about(error, name, value)
        except TimeoutError:
            wrong = "takes too long"
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        else:
            wrong = "is accepted"
    if wrong is None and len(seen) > MOST_WARNINGS:
        wrong = f"{len(seen)} warnings, such as {seen[0].message}"
    return wrong


def _wrong_about(error: Exception, name: str, value: Any) -> str | None:
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    innermost = next((f for f in reversed(frames) if "<" not in f), "")
    message = str(error)
    room = innermost.partition("site-packages/")[2].split("/")[0]
    if room in FOREIGN:
        return f"from inside {room}: {message}"
    # scikit-learn says of data what its users know.
    if room == "sklearn" and name in DATA:
        return None
    # Of two that do not fit together, a message may name the other.
    fits = name in RELATED and RELATED[name] in message
    if name not in message and not fits:
        return f"does not name it: {message}"
    if not any(part and part in message for part in shown(value)):
        return f"does not show it: {message}"
    return None


RELATED = {
    "features": "y ",
    "class_vectors": "log_prior",
    "means": "class_counts",
    "recalls": "class_counts",
    "classes": "classifier",
    "history": "epochs",
    "X": "n_features",
}
DATA = {"X", "y", "sample_weight", "y_true", "y_pred", "y_prob", "labels"}


def main() -> int:
    torch.set_num_threads(1)
    every = cases()
    failures = 0
    for subject, name, value in every:
        wrong = verdict(subject, name, value)
        if wrong is not None:
            failures += 1
            shape = getattr(value, "shape", "")
            print(f"{subject.name}({name}={repr(value)[:50]!s} {shape}) {wrong[:180]}")
    print(f"{len(every)} calls, {failures} failures")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
