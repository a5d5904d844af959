"""Results of small fits of every kind, frozen: moving code changes none of them.

``python tests/golden.py write`` fits every case and writes ``golden.npz``;
``python tests/golden.py check`` fits them again and names results whose bits differ.
Bits depend on the processor and on the versions of libraries, so that the test suite
compares within a tolerance.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.datasets import make_long_tailed
from skcollapse.projectors import MLP
from skcollapse.training import Trainer

FILE = Path(__file__).with_name("golden.npz")
CLASSES = {"etf": ETFClassifier, "hug": HUGClassifier}
LOADERS = {"digits": load_digits, "wine": load_wine, "cancer": load_breast_cancer}
N_TEST = 40

# Parameters of the classifier; those of the perceptron and of the trainer stand apart.
SMALL = {"projector": "mlp", "mlp": {"hidden_layer_sizes": (16,)}, "max_iter": 6}
NET = {**SMALL, "trainer": {"learning_rate_init": 0.01, "batch_size": 32}}
LINEAR = {**NET, "projector": "linear", "solver": "adamw", "mlp": None}
END_TO_END = {**LINEAR, "extractor": "network", "train_extractor": True}
PATH = {"projector": "linear", "solver": "lbfgs_path"}


def trained(base, **trainer):
    return {**base, "trainer": {**base["trainer"], **trainer}}


CASES = {
    "default": {},
    "default-float32": {"dtype": "float32"},
    "default-two-classes": {"data": "cancer"},
    "default-wine": {"data": "wine"},
    "default-weights": {"weighted": True},
    "default-groups": {"grouped": True},
    "default-class-weight": {"class_weight": "balanced"},
    "default-cost": {"class_weight": {c: 1.0 + c for c in range(10)}},
    "default-cv": {"cv": 2, "data": "wine"},
    "kernel": {"projector": "kernel", "feature_scaling": "standard"},
    "seli": {"target": "seli", **PATH},
    "hyperspherical": {"target": "hyperspherical", "n_components": 3, **PATH},
    "array-target": {"target": "array", "data": "wine", **PATH},
    "cross-entropy": {"loss": "cross_entropy", **PATH},
    "ldam": {"loss": "ldam", **PATH},
    "dot-regression": {"loss": "dot_regression", **PATH},
    "squared": {"loss": "squared", "data": "wine", **PATH},
    "ntce": {"loss": "ntce", "data": "wine", **PATH},
    "nonl": {"loss": "nonl", "data": "wine", **PATH},
    "closed-form": {"solver": "closed_form"},
    "closed-form-alpha": {
        "solver": "closed_form",
        "alpha": 1e-2,
        "projector": "linear",
        "feature_scaling": "global",
    },
    "closed-form-seli": {"solver": "closed_form", "target": "seli", "data": "wine"},
    "penalised": {"solver": "lbfgs", "alpha": 1e-3, "projector": "linear"},
    "penalised-auto": {"alpha": 1e-2, "data": "wine"},
    "penalised-dot-regression": {
        "solver": "lbfgs",
        "alpha": 1e-2,
        "loss": "dot_regression",
        "projector": "linear",
        "data": "wine",
        "feature_scaling": None,
    },
    "mlp": NET,
    "mlp-lbfgs": {**SMALL, "solver": "lbfgs", "feature_scaling": "standard"},
    "mlp-residual": {
        **NET,
        "mlp": {
            "hidden_layer_sizes": (16, 8),
            "residual": True,
            "dropout": 0.2,
            "batch_norm": True,
        },
    },
    "mlp-mixup": trained(NET, mixup_alpha=0.5),
    "mlp-early-stopping": trained(NET, early_stopping=True, n_iter_no_change=2),
    "mlp-groups": {**trained(NET, early_stopping=True), "grouped": True},
    "mlp-sgd": {
        **trained(NET, learning_rate="one_cycle", learning_rate_init=0.1, clip_norm=1),
        "solver": "sgd",
        "alpha": 1e-3,
    },
    "linear-adamw": trained(LINEAR, ema_decay=0.9),
    "linear-sampler": {
        **trained(
            LINEAR,
            sampler="balanced",
            learning_rate="multi_step",
            milestones=(4,),
            warmup_epochs=1,
            deferred=2,
        ),
        "solver": "sgd",
        "class_weight": "balanced",
    },
    "module": {**NET, "projector": "module", "mlp": None},
    "warm-start": {**NET, "warm_start": True, "fits": 2},
    "partial-fit": {**LINEAR, "partial": True},
    "extractor": {"extractor": "network", "projector": "linear"},
    "end-to-end": END_TO_END,
    "end-to-end-refit": {
        **trained(END_TO_END, refit="closed_form", freeze_epochs=1),
    },
    "end-to-end-mlp": {**END_TO_END, "projector": "mlp", "mlp": NET["mlp"]},
    "resumed": {**END_TO_END, "interrupted": True},
    "hug": {"class": "hug", "data": "wine"},
    "hug-code": {"class": "hug", "n_components": 3, "projector": "linear"},
    "hug-mhs": {"class": "hug", "criterion": "mhs", "n_components": 2, "data": "wine"},
    "hug-closed-form": {"class": "hug", "solver": "closed_form", "data": "wine"},
    **{
        f"hug-{proxy}": {
            **LINEAR,
            "class": "hug",
            "proxy": proxy,
            "criterion": criterion,
            "n_components": 4,
        }
        for proxy, criterion in (
            ("learnable", "mgd"),
            ("orthogonal", "mhe"),
            ("class_mean", "mhe"),
        )
    },
}


def network():
    """Return a small extractor with the same weights each time."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(64, 12), nn.ReLU())


def module(n_components):
    """Return a projector of a user's own with the same weights each time."""
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, n_components))


class Interruption:
    """An augmentation that changes nothing and interrupts the fit at one call."""

    def __init__(self, at):
        self.at = at

    def __call__(self, batch):
        self.at -= 1
        if self.at == 0:
            raise KeyboardInterrupt
        return batch

    def __repr__(self):
        return "Interruption()"


def load(name, dtype):
    """Return training and test rows of a long-tailed data set."""
    X, y = LOADERS[name](return_X_y=True)
    X = X.astype(dtype)
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order], y[order]
    test, train = slice(0, N_TEST), slice(N_TEST, None)
    tail = make_long_tailed(y[train], imbalance_ratio=8, n_max=40, random_state=0)
    return X[train][tail], y[train][tail], X[test]


def parameters_of(case):
    """Return the class and the parameters of a case, objects in the place of words."""
    own = {"data", "dtype", "weighted", "grouped", "class", "fits", "partial"}
    own |= {"interrupted"}
    params = {k: v for k, v in case.items() if k not in own and v is not None}
    if "feature_scaling" in case:
        params["feature_scaling"] = case["feature_scaling"]
    if params.get("extractor") == "network":
        params["extractor"] = network()
    if params.get("projector") == "module":
        params["projector"] = module(9)
    if params.get("target") == "array":
        params["target"] = np.array([[1.0, 0.0], [-0.5, 1.0], [-0.5, -1.0]])
    return CLASSES[case.get("class", "etf")], {"random_state": 0, **params}


def make(case, **trainer):
    """Return the estimator of a case."""
    kind, params = parameters_of(case)
    mlp = params.pop("mlp", None)
    if mlp is not None:
        params["projector"] = MLP(**mlp)
    trainer = {**params.pop("trainer", {}), **trainer}
    if trainer:
        params["trainer"] = Trainer(**trainer)
    return kind(**params)


def fit(case):
    """Return the fitted estimator of a case, and test rows."""
    X, y, X_test = load(case.get("data", "digits"), case.get("dtype", "float64"))
    options = {}
    if case.get("weighted"):
        rng = np.random.default_rng(1)
        options["sample_weight"] = rng.integers(0, 3, len(y)).astype(float)
    if case.get("grouped"):
        options["groups"] = np.arange(len(y)) // 3
    if case.get("partial"):
        model = make(case)
        for part in np.array_split(np.arange(len(y)), 3):
            model.partial_fit(X[part], y[part], classes=np.unique(y))
        return model, X_test
    if case.get("interrupted"):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/run.safetensors"
            try:
                make(case, augment=Interruption(17), checkpoint=path).fit(X, y)
            except KeyboardInterrupt:
                model = make(case, augment=Interruption(-1), checkpoint=path)
                return model.fit(X, y), X_test
        raise AssertionError("The fit was not interrupted.")
    model = make(case)
    for _ in range(case.get("fits", 1)):
        model.fit(X, y, **options)
    return model, X_test


def results(name):
    """Return what is compared of a case, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model, X = fit(CASES[name])
    found = {
        "labels": model.predict(X),
        "probabilities": model.predict_proba(X),
        "transform": model.transform(X)[:4],
        "temperature": np.array(model.temperature_),
        "loss_curve": np.array(model.loss_curve_),
        "target": model.target_[:4],
    }
    selection = model.selection_results_
    if selection is not None:
        found |= {name: selection[name] for name in ("alpha", "log_loss", "weight")}
    if model.validation_scores_ is not None:
        found["validation_scores"] = np.array(model.validation_scores_)
    return {f"{name}/{key}": value for key, value in found.items()}


def main(command):
    """Write the file, or compare with it."""
    torch.set_num_threads(1)
    found = {}
    for name in CASES:
        found |= results(name)
    if command == "write":
        np.savez_compressed(FILE, **found)
        print(f"{len(CASES)} cases, {len(found)} arrays")
        return 0
    with np.load(FILE) as frozen:
        frozen = dict(frozen)
    differing = 0
    for key in sorted(frozen.keys() | found.keys()):
        old, new = frozen.get(key), found.get(key)
        if old is None or new is None or not np.array_equal(old, new, equal_nan=True):
            gap = None
            if old is not None and new is not None and old.shape == new.shape:
                gap = np.abs(old - new).max()
            print(f"{key}: largest difference {gap}")
            differing += 1
    print(f"{len(frozen)} arrays, {differing} with other bits")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
