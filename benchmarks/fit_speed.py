"""Time, memory and accuracy of fits to many rows, beside logistic regression.

    python benchmarks/fit_speed.py [--quick] [--threads N]

Synthetic: long-tailed Gaussian classes that overlap, 50,000 x 768 in float32.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _data import ROOT, gaussian_classes
from _peers import MAX_ITER, GlobalScaler, LogitAdjusted
from _report import decimals, machine, table, verdict, write
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from threadpoolctl import threadpool_limits

from skcollapse import ETFClassifier
from skcollapse.targets import simplex_etf

# How far the class means are apart: logistic regression gets about .5 and about .85.
SEPARATIONS = (0.13, 0.195)
ALPHAS = np.logspace(-8, -3, 6)
REPETITIONS = 3
DEFAULT, EXPLICIT, CLOSED = "default", "explicit alpha", "closed form"
LR = "LogisticRegression, balanced"
LR_LA = "LogisticRegression + LA"
# From the time of one balanced LogisticRegression.
SHARES = {DEFAULT: 1 / 2, EXPLICIT: 1 / 6, CLOSED: 1 / 15}
CV_SHARE, PREDICT_RATIO, MEMORY_RATIO = 1 / 20, 1.3, 3
GROWTH = {
    "n": (5_000, 10_000, 20_000, 50_000),
    "p": (96, 192, 384, 768, 1536),
    "K": (10, 30, 100, 300, 1000),
}
BASE = {"n": 20_000, "p": 384, "K": 100}

HOW = """\
{n:,} x {p} float32, {K} Gaussian classes of one covariance that overlap, imbalance
ratio 100; {tests} test rows, all classes alike. {clock} of `fit`, search included:
medians of {repetitions} for ETFClassifier and for balanced
LogisticRegression, which take turns in one process; other peers once. "Explicit alpha"
has `alpha` chosen beforehand, untimed, on a tenth of the training rows by balanced
accuracy; it and the closed form have `projector="linear"` and
`feature_scaling="global"`. "LA" is post-hoc logit adjustment. The skorch net has the
same linear projector, target and loss, and trains 10 epochs with AdamW.
"""


def our_models(alpha):
    linear = {"projector": "linear", "feature_scaling": "global", "random_state": 0}
    return {
        DEFAULT: ETFClassifier(random_state=0),
        EXPLICIT: ETFClassifier(alpha=alpha, **linear),
        CLOSED: ETFClassifier(solver="closed_form", **linear),
    }


class _Scores(torch.nn.Module):
    """The same as a linear ETFClassifier: an affine map onto a fixed simplex."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.projector = torch.nn.Linear(n_features, n_classes - 1)
        target = torch.as_tensor(simplex_etf(n_classes), dtype=torch.float32)
        self.register_buffer("target", target)

    def forward(self, X):
        return self.projector(X) @ self.target.T


class _AdjustedCrossEntropy(torch.nn.Module):
    def __init__(self, log_prior):
        super().__init__()
        self.log_prior = torch.as_tensor(log_prior, dtype=torch.float32)

    def forward(self, scores, y):
        return torch.nn.functional.cross_entropy(scores + self.log_prior, y)


class SkorchNet:
    """A skorch net on globally scaled features, which predicts by its raw scores."""

    def fit(self, X, y):
        from skorch import NeuralNet

        torch.manual_seed(0)
        counts = np.bincount(y)
        self.scaler = GlobalScaler().fit(X)
        self.net = NeuralNet(
            _Scores(X.shape[1], len(counts)),
            _AdjustedCrossEntropy(np.log(counts / counts.sum())),
            optimizer=torch.optim.AdamW,
            lr=1e-3,
            max_epochs=10,
            batch_size=256,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
        ).fit(self.scaler.transform(X), y)
        return self

    def predict(self, X):
        return self.net.predict(self.scaler.transform(X)).argmax(axis=1)


def slow_peers(X, y):
    n_classes = len(np.unique(y))
    return {
        LR_LA: LogitAdjusted(LogisticRegression(max_iter=MAX_ITER)),
        "LDA, uniform priors, shrinkage auto": LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage="auto", priors=np.full(n_classes, 1 / n_classes)
        ),
        "skorch net": SkorchNet(),
    }


def clock():
    """Return seconds; with one thread the processor's, which other work leaves be."""
    alone = torch.get_num_threads() == 1
    return time.process_time() if alone else time.perf_counter()


def seconds(call, *arguments):
    start = clock()
    call(*arguments)
    return clock() - start


def choose_alpha(X, y):
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.1, stratify=y, random_state=0
    )

    def score(alpha):
        model = our_models(alpha)[EXPLICIT].fit(X, y)
        return balanced_accuracy_score(y_test, model.predict(X_test))

    return max(ALPHAS, key=score)


def measure(data):
    """Return {model: (seconds, balanced accuracy)}, the fitted models and alpha."""
    X, y, X_test, y_test = data
    alpha = choose_alpha(X, y)
    paired = our_models(alpha)
    paired[LR] = LogisticRegression(class_weight="balanced", max_iter=MAX_ITER)
    times = {name: [] for name in paired}
    for _ in range(REPETITIONS):
        for name, model in paired.items():
            times[name].append(seconds(model.fit, X, y))
            print(f"{name}: {times[name][-1]:.2f} s", flush=True)
    models = paired | slow_peers(X, y)
    found = {}
    for name, model in models.items():
        taken = times.get(name) or [seconds(model.fit, X, y)]
        accuracy = balanced_accuracy_score(y_test, model.predict(X_test))
        found[name] = (np.median(taken), accuracy)
        print(f"{name}: {found[name][0]:.2f} s, {accuracy:.4f}", flush=True)
    return found, models, alpha


def predict_ratio(model, X):
    """Return the time of predict over that of one product X W, medians of 7 pairs."""
    W = np.ones((X.shape[1], len(model.classes_)), dtype=X.dtype)
    pairs = [(seconds(model.predict, X), seconds(np.matmul, X, W)) for _ in range(7)]
    return np.divide(*np.median(pairs, axis=0))


def speed_report(found, predict, alpha):
    rows = [
        [name, f"{taken:.2f}", f"{taken / found[LR][0]:.3f}", decimals(accuracy)]
        for name, (taken, accuracy) in found.items()
    ]
    text = f"The explicit alpha is {alpha:.0e}.\n\n"
    header = ["", "seconds", "of LogisticRegression", "balanced accuracy"]
    text += table(header, rows) + "\n"
    best = max(found[LR][1], found[LR_LA][1])
    for name, share in SHARES.items():
        taken, accuracy = found[name]
        ratio = taken / found[LR][0]
        text += verdict(
            f"{name} takes {ratio:.3f} of one LogisticRegression, goal {share:.3f}.",
            ratio <= share,
        )
        text += verdict(
            f"{name} has balanced accuracy {decimals(accuracy)}, LogisticRegression "
            f"{decimals(best)}, balanced or adjusted.",
            accuracy >= best,
        )
    for name, ratio in predict.items():
        text += verdict(
            f"predict of {name} takes {ratio:.2f} times one product, goal "
            f"{PREDICT_RATIO}.",
            ratio <= PREDICT_RATIO,
        )
    return text


def search_report(X, y, default_seconds):
    """Compare with one fold of LogisticRegressionCV; five take too long."""
    fold = next(iter(StratifiedKFold(5).split(X, y)))
    search = LogisticRegressionCV(
        cv=[fold],
        class_weight="balanced",
        max_iter=MAX_ITER,
        scoring="balanced_accuracy",
        l1_ratios=(0.0,),
        use_legacy_attributes=False,
    )
    taken = seconds(search.fit, X, y)
    ratio = default_seconds / taken
    print(f"LogisticRegressionCV, one fold: {taken:.2f} s", flush=True)
    text = (
        "On the data of the first table: LogisticRegressionCV, balanced, with its ten "
        f"values of C but one fold of its five, then a fit of all rows: {taken:.1f} s. "
        "All five folds take up to five times as long, which is not measured.\n\n"
    )
    return text + verdict(
        f"default takes {ratio:.3f} of that, about {ratio / 5:.3f} of all five folds, "
        f"goal {CV_SHARE:.3f}.",
        ratio / 5 <= CV_SHARE,
    )


def peak_memory():
    """Return the peak of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage says is the parent's peak, if that was greater.
        (line,) = (x for x in status.read_text().splitlines() if "VmHWM" in x)
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_of_child(name, alpha, folder):
    """Print the peak memory of a fit over the size of X; runs in its own process."""
    small = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)
    model = our_models(alpha).get(name) or LogisticRegression(class_weight="balanced")
    # What the libraries load at their first use is not the fit's.
    model.fit(small, np.arange(100) % 4)
    before = peak_memory()
    X, y = np.load(folder / "X.npy"), np.load(folder / "y.npy")
    model.fit(X, y)
    print((peak_memory() - before) / X.nbytes)


def memory_report(X, y, alpha):
    text = "Peak memory of a process over the size of X, X itself included.\n\n"
    rows, verdicts = [], ""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "X.npy", X)
        np.save(Path(folder) / "y.npy", y)
        for name in (*SHARES, LR):
            command = [sys.executable, __file__, "--peak", name, repr(float(alpha))]
            answer = subprocess.run(
                [*command, folder], check=True, capture_output=True, text=True
            )
            ratio = float(answer.stdout.split()[-1])
            print(f"{name}: {ratio:.2f} x X", flush=True)
            rows.append([name, f"{ratio:.2f}"])
            if name in SHARES:
                verdicts += verdict(
                    f"{name} needs {ratio:.2f} times X, goal {MEMORY_RATIO}.",
                    ratio <= MEMORY_RATIO,
                )
    return text + table(["", "times X"], rows) + "\n" + verdicts


def evaluations(model):
    """Return how often a fit looked at all rows: along held-out paths and its own."""
    searched = model.selection_results_
    paths = 0 if searched is None else (searched["solver"] == "lbfgs_path").sum()
    return model.n_iter_ + paths


def products(X, n_classes):
    """Return the seconds of the two products of one evaluation, X W and X^T R."""
    X = torch.from_numpy(X)
    W = torch.ones(X.shape[1], n_classes - 1)
    R = torch.ones(len(X), n_classes - 1)
    return np.median([seconds(lambda: (X @ W, X.T @ R)) for _ in range(5)])


def measure_growth(alpha, growth):
    """Return {axis: list of (value, {name: seconds})}; the last names are products."""
    found = {}
    for axis, values in growth.items():
        for value in values:
            size = BASE | {axis: value}
            X, y, *_ = gaussian_classes(
                SEPARATIONS[0], n=size["n"], p=size["p"], n_classes=size["K"]
            )
            one, times = products(X, size["K"]), {}
            for name, model in our_models(alpha).items():
                times[name] = np.median([seconds(model.fit, X, y) for _ in range(2)])
                if name != CLOSED:
                    times[f"{name}, products alone"] = one * evaluations(model)
            found.setdefault(axis, []).append((value, times))
            print(axis, value, {k: round(v, 3) for k, v in times.items()}, flush=True)
    return found


def draw_growth(found, path):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True)
    colours = dict(zip(SHARES, ("C0", "C1", "C2"), strict=True))
    for ax, (axis, measured) in zip(axes, found.items(), strict=True):
        values = [value for value, _ in measured]
        for name in measured[0][1]:
            ax.loglog(
                values,
                [times[name] for _, times in measured],
                "--" if "products" in name else "o-",
                color=colours[name.partition(",")[0]],
                label=name,
            )
        ax.set_xlabel(axis)
        ax.set_xticks(
            values, [f"{v // 1000}k" if v % 1000 == 0 else str(v) for v in values]
        )
        ax.minorticks_off()
    axes[0].set_ylabel("seconds of fit")
    axes[-1].legend(fontsize="x-small")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def growth_report(found):
    text = "How time grows: everything else at "
    text += ", ".join(f"{axis} = {value:,}" for axis, value in BASE.items())
    text += (
        ". The dashed lines are two products for each time that the solver looked at "
    )
    text += "its rows, and nothing else; in seconds. They are products of X: kernel "
    text += "features, which the default tries on up to 10,000 rows, come on top.\n\n"
    text += "![Seconds of a fit against n, p and K](fit_speed_growth.png)\n\n"
    names = list(found["n"][0][1])
    rows = [
        [f"{axis} = {value:,}", *(f"{times[name]:.3f}" for name in names)]
        for axis, measured in found.items()
        for value, times in measured
    ]
    return text + table(["", *names], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs" / "benchmarks" / "fit_speed.md"
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if arguments.peak:
        name, alpha, folder = arguments.peak
        return peak_of_child(name, float(alpha), Path(folder))

    torch.set_num_threads(arguments.threads)
    threadpool_limits(arguments.threads)
    shape = {"n": 50_000, "p": 768, "n_classes": 100}
    growth = GROWTH
    if arguments.quick:
        shape = {"n": 5_000, "p": 96, "n_classes": 20}
        growth = {axis: values[:2] for axis, values in GROWTH.items()}
    text = "# Speed of a fit\n\n" + HOW.format(
        n=shape["n"],
        p=shape["p"],
        K=shape["n_classes"],
        clock="Seconds of the processor, on one thread,"
        if arguments.threads == 1
        else f"Seconds, on {arguments.threads} threads,",
        tests=100 * shape["n_classes"],
        repetitions=REPETITIONS,
    )
    default_seconds = []
    for separation in SEPARATIONS:
        data = gaussian_classes(separation, **shape)
        ETFClassifier(random_state=0).fit(data[0][:2000], data[1][:2000])
        found, models, alpha = measure(data)
        default_seconds.append(found[DEFAULT][0])
        predict = {name: predict_ratio(models[name], data[0]) for name in SHARES}
        accuracy = decimals(found[LR][1], 2)
        text += (
            f"\n## Where balanced LogisticRegression is right {accuracy} of the time"
        )
        text += "\n\n" + speed_report(found, predict, alpha)
        write(arguments.output, text + "\n" + machine())
    text += "\n## Memory\n\n" + memory_report(*data[:2], alpha)
    write(arguments.output, text + "\n" + machine())
    found = measure_growth(alpha, growth)
    draw_growth(found, arguments.output.parent / "fit_speed_growth.png")
    text += "\n## Growth\n\n" + growth_report(found)
    write(arguments.output, text + "\n" + machine())
    X, y, *_ = gaussian_classes(SEPARATIONS[0], **shape)
    text += "\n## LogisticRegressionCV\n\n" + search_report(X, y, default_seconds[0])
    write(arguments.output, text + "\n" + machine())
    return None


if __name__ == "__main__":
    main()
