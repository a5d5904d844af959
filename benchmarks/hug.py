"""HUGClassifier: data sets, proxies and criteria, few dimensions, class imbalance.

    python benchmarks/hug.py [--draws 1] [--quick]

The digits come with scikit-learn. The other sets are read from the folder that the
environment variable SKCOLLAPSE_DATA names, and left out if they are not there.
"""

import argparse
import time
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import torch
from _data import ROOT, SETS, data_folder, fashion, gaussian_classes, load_sets
from _peers import FAIR_PEER, make_peers
from _report import decimals, machine, table, verdict, write
from embeddings import compare, result_table
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.losses import HypersphericalUniformityGap
from skcollapse.measures import nc1_trace_ratio
from skcollapse.moments import ClassMoments
from skcollapse.training import Trainer

CRITERIA = ("mhe", "mhs", "mgd")
PROXIES = ("fixed", "learnable", "orthogonal", "class_mean")
OURS, PEER = "HUGClassifier, defaults", "LR balanced, standardised, C=1"
# Steps enough for proxies that are trained, on the smallest of the sets.
STEPS = {"trainer": Trainer(learning_rate_init=0.01), "max_iter": 100}

HOW = """\
Every estimator is fitted to the same training rows and answers for classes of equal
frequency; the data sets are those of the embeddings. Draws of each tail: {draws}.
Log-loss and calibration error (ECE) weigh all test classes the same. Seconds are of the
processor, on one thread. Peers are those of the embeddings, but for the one with a
kernel and a search over the scaling; "LA" is post-hoc logit adjustment.
"""

PROXY_HOW = """\
On the sets named, one draw, with `projector="linear"`; proxies that are trained have
`trainer=Trainer(learning_rate_init=0.01)` and `max_iter=100`. "Dimensions 3" is
`n_components=3`.
"""

ASSIGNMENT_HOW = """\
Three-fold cross-validation on the training rows, four draws of the code and the folds,
`projector="linear"`, `feature_scaling="standard"`: balanced accuracy where similar
classes sit close together ("auto") and where it is left to chance ("identity"), with
the standard error of the mean difference over the twelve fits.
"""

IMBALANCE_HOW = """\
Three-fold cross-validation on the training rows, two draws of the folds,
`projector="linear"`: how the term within classes weighs them, and what may be done to
the scores afterwards. "Prior" takes the log class frequencies off the scores, at the
temperature of the estimator. "Offsets" adds one number for each class to scores with
one common factor, both fitted to the class-balanced log-loss of inner folds with a
penalty of .01/2 on their squares.
"""

SWEEP_HOW = """\
100 long-tailed Gaussian classes (IR 100, 10,000 rows, 128 features), `projector=
"linear"`, `feature_scaling="global"`, one draw; class means are trained with
`trainer=Trainer(learning_rate_init=0.01)` and `max_iter=30`. NC1 is the trace ratio of
the directions of the training rows; seconds are of the fit, the code included.
"""

FASHION_HOW = """\
Fashion-MNIST, IR 100, 2,000 rows of the largest class, pixels; the defaults apart from
`n_components`.
"""


def beside_peers(split, draw):
    ours = {
        OURS: HUGClassifier(random_state=draw),
        "ETFClassifier, defaults": ETFClassifier(random_state=draw),
        "ETFClassifier, dot regression": ETFClassifier(
            loss="dot_regression", class_weight="balanced", random_state=draw
        ),
    }
    peers = make_peers(len(np.unique(split.y)), draw)
    del peers[FAIR_PEER]
    return ours | peers


def settings(split, draw):
    """Return {name: estimator} of all proxies and criteria."""
    models = {}
    for proxy, criterion, dimensions in product(PROXIES, CRITERIA, (None, 3)):
        if criterion != "mhe" and dimensions is None and proxy == "fixed":
            continue  # a simplex, whatever the criterion
        where = f", dimensions {dimensions}" if dimensions else ""
        models[f"{proxy}, {criterion}{where}"] = HUGClassifier(
            criterion,
            proxy=proxy,
            n_components=dimensions,
            projector="linear",
            random_state=draw,
            **({} if proxy == "fixed" else STEPS),
        )
    return models


def cross_validate(make, split, seeds):
    """Return the balanced accuracies of models on folds of the training rows."""
    found = []
    for seed in seeds:
        folds = StratifiedKFold(3, shuffle=True, random_state=seed)
        for train, held in folds.split(split.X, split.y):
            model = make(seed).fit(split.X[train], split.y[train])
            found.append(
                balanced_accuracy_score(split.y[held], model.predict(split.X[held]))
            )
    return np.array(found)


def assignments(sets):
    rows = []
    makers = {
        "HUGClassifier": lambda **given: HUGClassifier(**given),
        "ETFClassifier": lambda **given: ETFClassifier("hyperspherical", **given),
    }
    for (name, splits), d, (label, make) in product(
        sets.items(), (2, 3, 5), makers.items()
    ):
        auto, identity = (
            cross_validate(
                lambda seed, a=assignment, d=d, make=make: make(
                    n_components=d,
                    assignment=a,
                    projector="linear",
                    feature_scaling="standard",
                    random_state=seed,
                ),
                splits[0],
                range(4),
            )
            for assignment in ("auto", "identity")
        )
        gain = auto - identity
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        rows.append(
            [
                name,
                d,
                label,
                decimals(auto.mean()),
                decimals(identity.mean()),
                f"{gain.mean():+.3f} ± {error:.3f}",
            ]
        )
        print(*rows[-1], flush=True)
    header = ["", "dimensions", "", '"auto"', '"identity"', "difference"]
    return table(header, rows)


def balanced_weight(y):
    weight = 1 / np.bincount(y)[y]
    return weight / weight.sum()


def fit_offsets(scores, y, penalty=0.01):
    """Return a factor and (K,) offsets of least class-balanced log-loss."""
    weight, rows = balanced_weight(y), np.arange(len(y))

    def objective(parameters):
        factor, offsets = parameters[0], parameters[1:]
        log_proba = log_softmax(factor * scores + offsets, axis=1)
        slope = np.exp(log_proba)
        slope[rows, y] -= 1
        slope *= weight[:, None]
        value = penalty / 2 * offsets @ offsets - weight @ log_proba[rows, y]
        by_offset = slope.sum(0) + penalty * offsets
        return value, np.r_[(slope * scores).sum(), by_offset]

    start = np.r_[1.0, np.zeros(scores.shape[1])]
    found = minimize(objective, start, jac=True, method="L-BFGS-B").x
    return found[0], found[1:]


def scores_of_all(model, X, n_classes):
    """Return (n, K) scores; classes that the model has not seen have its lowest."""
    scores = model.decision_function(X)
    every = np.full((len(X), n_classes), scores.min())
    every[:, model.classes_] = scores
    return every


def imbalance_variants(make, X, y, X_held):
    """Yield (name, scores of the held-out rows) of what may be done afterwards."""
    n_classes = len(np.unique(y))
    scores = scores_of_all(make().fit(X, y), X_held, n_classes)
    yield "", scores
    counts = np.bincount(y)
    yield " - prior", scores - np.log(counts / counts.sum())
    inner = np.empty((len(y), n_classes))
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    for train, held in folds.split(X, y):
        model = make().fit(X[train], y[train])
        inner[held] = scores_of_all(model, X[held], n_classes)
    factor, offsets = fit_offsets(inner, y)
    yield " + offsets", factor * scores + offsets


def by_sample(n_components):
    """Return the classifier with a term within classes that averages over samples."""
    return ETFClassifier(
        "hyperspherical",
        loss=HypersphericalUniformityGap(weighting="sample"),
        n_components=n_components,
        projector="linear",
        random_state=0,
    )


def by_class(n_components):
    return HUGClassifier(n_components=n_components, projector="linear", random_state=0)


def imbalance(sets):
    found, columns = {}, []
    for (name, splits), d in product(sets.items(), (None, 3)):
        split = splits[0]
        columns += [f"{name}, d = {d or 'K - 1'}"]
        for seed in range(2):
            folds = StratifiedKFold(3, shuffle=True, random_state=seed)
            for train, held in folds.split(split.X, split.y):
                for label, make in (("classes", by_class), ("samples", by_sample)):
                    for suffix, scores in imbalance_variants(
                        lambda make=make, d=d: make(d),
                        split.X[train],
                        split.y[train],
                        split.X[held],
                    ):
                        y = split.y[held]
                        log_proba = log_softmax(scores, axis=1)
                        loss = -balanced_weight(y) @ log_proba[np.arange(len(y)), y]
                        accuracy = balanced_accuracy_score(y, scores.argmax(axis=1))
                        by_column = found.setdefault(label + suffix, {})
                        by_column.setdefault(columns[-1], []).append((accuracy, loss))
        print(columns[-1], flush=True)
    rows = [
        [name]
        + [
            " / ".join(map(decimals, np.mean(by_column[column], axis=0)))
            for column in columns
        ]
        for name, by_column in found.items()
    ]
    return table(["balanced accuracy / log-loss", *columns], rows)


def directions_nc1(model, X, y):
    Z = model.transform(X).astype(np.float64)
    moments = ClassMoments(len(model.classes_), Z.shape[1], scatter=False)
    return nc1_trace_ratio(moments.update(Z, y))


def sweep(models, X, y, X_test, y_test):
    """Return a table of models, of which each is fitted and scored."""
    rows = []
    for name, model in models.items():
        start = time.process_time()
        model.fit(X, y)
        seconds = time.process_time() - start
        accuracy = balanced_accuracy_score(y_test, model.predict(X_test))
        collapse = ""
        if isinstance(model, HUGClassifier):
            collapse = decimals(directions_nc1(model, X, y))
        rows.append([name, decimals(accuracy), collapse, f"{seconds:.1f}"])
        print(*rows[-1], flush=True)
    return table(["", "balanced accuracy", "NC1", "seconds"], rows)


def dimensions_sweep():
    data = gaussian_classes(0.5, n=10_000, p=128, n_classes=100)
    models = {}
    for d, proxy in product((2, 3, 8, 16, 32, 64, 99), ("fixed", "class_mean")):
        models[f"HUG, {proxy}, d = {d}"] = HUGClassifier(
            proxy=proxy,
            n_components=d,
            projector="linear",
            feature_scaling="global",
            random_state=0,
            **({} if proxy == "fixed" else STEPS | {"max_iter": 30}),
        )
        if proxy == "fixed":
            models[f'ETF("hyperspherical"), d = {d}'] = ETFClassifier(
                "hyperspherical",
                n_components=d,
                projector="linear",
                feature_scaling="global",
                random_state=0,
            )
    models[PEER] = make_peers(100, 0)[PEER]
    return sweep(models, *data)


def fashion_sweep():
    split = fashion(0)
    models = {
        f"{label}, d = {d}": make(n_components=d, random_state=0)
        for d, (label, make) in product(
            (2, 3, 9),
            {
                "HUG": HUGClassifier,
                'ETF("hyperspherical")': lambda **given: ETFClassifier(
                    "hyperspherical", **given
                ),
            }.items(),
        )
    }
    models[PEER] = make_peers(10, 0)[PEER]
    return sweep(models, split.X, split.y, split.X_test, split.y_test)


def claims(results):
    ours = results[OURS][:, 0].mean()
    text = ""
    for name in (n for n in results if n.startswith("LR balanced")):
        theirs = results[name][:, 0].mean()
        text += verdict(
            f"HUGClassifier's mean {decimals(ours)}, at least that of {name}, "
            f"{decimals(theirs)}: {ours - theirs:+.4f}.",
            ours >= theirs,
        )
    return text


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="digits only")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs" / "benchmarks" / "hug.md"
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    warnings.simplefilter("ignore", ConvergenceWarning)
    # A class with fewer rows than folds: the other folds are without it.
    warnings.filterwarnings("ignore", "The least populated class")
    # A fold without a class that others have.
    warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
    names = ["digits IR 30"] if arguments.quick else list(SETS)
    sets = load_sets(names, arguments.draws)
    few = {name: sets[name] for name in sets if name in ("digits IR 30", "r18 IR 100")}
    small = few | {name: sets[name] for name in sets if name == "bean IR 50"}
    torch.set_num_threads(1)
    threadpool_limits(1)
    first = next(iter(sets.values()))[0]
    HUGClassifier(random_state=0).fit(first.X, first.y)

    results = compare(beside_peers, sets)
    text = "# The hyperspherical uniformity gap\n\n" + HOW.format(draws=arguments.draws)
    text += "\n" + result_table(results, sets) + "\n" + claims(results)
    text += "\n## Proxies and criteria\n\n" + PROXY_HOW + "\n"
    one = {name: splits[:1] for name, splits in small.items()}
    text += result_table(compare(settings, one), one, "proxy, criterion")
    text += "\n## Which class gets which vector\n\n" + ASSIGNMENT_HOW + "\n"
    text += assignments(few)
    text += "\n## Class imbalance\n\n" + IMBALANCE_HOW + "\n" + imbalance(small)
    text += "\n## Fewer dimensions than classes\n\n" + SWEEP_HOW + "\n"
    text += dimensions_sweep()
    if (data_folder() / "fashion_mnist.npz").exists():
        text += "\n" + FASHION_HOW + "\n" + fashion_sweep()
    write(arguments.output, text + "\n" + machine())


if __name__ == "__main__":
    main()
