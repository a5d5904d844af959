"""A grid search of 24 candidates on five folds, beside skorch and logistic regression.

    python benchmarks/search.py [--draws 5] [--quick]

The ResNet-18 embeddings are read from the folder that SKCOLLAPSE_DATA names.
"""

import argparse
import os
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from _data import ROOT, digits, resnet18
from _peers import MAX_ITER, GlobalScaler
from _report import decimals, machine, table, verdict, write
from _skorch import epochs_needed, make_net
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from skcollapse import ETFClassifier

LOSSES = ("logit_adjusted", "cross_entropy", "dot_regression")
ALPHAS = (1e-3, 3e-4, 1e-4)
GRID = {"loss": LOSSES, "target": ("etf", "seli"), "alpha": ("auto", *ALPHAS)}
LOGISTIC_GRID = {
    "logisticregression__C": np.logspace(-5, 0.5, 12),
    "logisticregression__class_weight": (None, "balanced"),
}
# Rows have the mean squared norm 100 after GlobalScaler(), as many as the embeddings
# have features, and 1 in ETFClassifier: for the same scores that multiplies penalties.
DECAYS = (0.0, *(100 * alpha for alpha in ALPHAS))
SKORCH_GRID = [
    {
        "neuralnetclassifier__criterion__loss": LOSSES,
        "neuralnetclassifier__criterion__target": (target,),
        "neuralnetclassifier__module__target": (target,),
        "neuralnetclassifier__optimizer__weight_decay": DECAYS,
    }
    for target in GRID["target"]
]
LINEAR = "ETFClassifier, linear"
SEARCHED = "ETFClassifier, projector and scaling chosen within"
MEMORY = "the same with memory"
SKORCH, LEARNING_RATE = "skorch", 1e-2
LOGISTIC = "LogisticRegression, C × class_weight"
SHARE, N_JOBS = 1 / 4, 2

HOW = """\
`GridSearchCV(..., scoring="balanced_accuracy", n_jobs={jobs})` over 24 candidates on
{folds} stratified folds; the best is fitted to all training rows and scored on the test
rows. {data}, {draws} draws of the tail as in [embeddings](embeddings.md). All see
features that are centred and divided by one number, but for the second and third line
of the table.

- *{linear}* searches `loss` (logit-adjusted, cross-entropy, dot regression) ×
  `target` (ETF, SELI) × `alpha` ("auto", 1e-3, 3e-4, 1e-4), with `projector="linear"`
  and `feature_scaling="global"`.
- *{searched}* is the same grid with both left at
  "auto", which every candidate then chooses for itself. *{memory}* keeps kernel
  features in a folder, which is empty at first.
- *{skorch}* searches the same losses, targets and penalties with the same projector, a
  `NeuralNetClassifier` trained by Adam on batches of 128 at the learning rate {lr}. In
  place of "auto" there is no penalty. It trains {epochs} epochs: after these the
  training loss under the weakest penalty has fallen by less than a hundredth in five,
  which is measured beforehand and untimed.
- *{logistic}*: twelve values of C, `class_weight` None or
  "balanced".

Seconds of one search, means over draws: on the clock, with workers that have started
before; and of the processor, in all processes.
"""


SHARED_WORK = """
## What candidates could share

All 24 candidates fitted to the training rows of the first draw, one after the other on
one thread, 2026-11-22; seconds of the processor.

|  | linear | projector and scaling chosen within |
| --- | ---: | ---: |
| all | 1.24 | 14.45 |
| features and their moments | 0.09 | 1.78 |
| evaluations of the loss | 0.56 | 8.61 |

*Features and their moments* are the same for all candidates on a fold: no way of
keeping them gains more than their share. `memory` keeps the dearest, kernel features,
with what they were fitted to. It gains more where there are more rows: a fit of the
4,958 images of Fashion IR 100 took 5.3 s where all was there already, and 7.0 s
without.

*Candidates as one batch* would share evaluations. Were these free, a search would be
2.5 times as fast, and 1.8 times with linear projectors. A value and gradient on 662
rows of 100 features takes 0.57 ms alone; for 24 candidates at once 0.28 ms each by
`torch.func`, and 0.21 ms if they are one product of matrices. So there is no such
batch.
"""


def make_searches(X, y, n_folds, epochs, folder, seed):
    """Return {name: unfitted GridSearchCV}."""
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)

    def search(estimator, grid):
        return GridSearchCV(
            estimator, grid, scoring="balanced_accuracy", cv=folds, n_jobs=N_JOBS
        )

    fixed = {"projector": "linear", "feature_scaling": "global"}
    net = make_pipeline(GlobalScaler(), make_net(X, y, LEARNING_RATE, epochs))
    logistic = make_pipeline(GlobalScaler(), LogisticRegression(max_iter=MAX_ITER))
    return {
        LINEAR: search(ETFClassifier(random_state=seed, **fixed), GRID),
        SEARCHED: search(ETFClassifier(random_state=seed), GRID),
        MEMORY: search(ETFClassifier(random_state=seed, memory=folder), GRID),
        SKORCH: search(net, SKORCH_GRID),
        LOGISTIC: search(logistic, LOGISTIC_GRID),
    }


def processor_seconds():
    """Return what this process and its workers have used so far."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def measure(search, split):
    """Return seconds by the clock and of the processor, and both best scores."""
    start, used = time.perf_counter(), processor_seconds()
    search.fit(split.X, split.y)
    taken, used = time.perf_counter() - start, processor_seconds() - used
    accuracy = balanced_accuracy_score(split.y_test, search.predict(split.X_test))
    return taken, used, search.best_score_, accuracy


def compare(splits, n_folds, epochs):
    """Return {name: array (draw, measure)} and {name: what was chosen in each draw}."""
    found, chosen = {}, {}
    for seed, split in enumerate(splits):
        with TemporaryDirectory() as folder:
            searches = make_searches(split.X, split.y, n_folds, epochs, folder, seed)
            for name, search in searches.items():
                measured = measure(search, split)
                found.setdefault(name, []).append(measured)
                chosen.setdefault(name, []).append(search.best_params_)
                print(
                    seed, name, np.round(measured, 3), search.best_params_, flush=True
                )
    return {name: np.array(measured) for name, measured in found.items()}, chosen


def _brief(parameters):
    """Return the values of a candidate, each once."""
    values = dict.fromkeys(
        f"{value:.0e}" if isinstance(value, float) else str(value)
        for value in parameters.values()
    )
    return ", ".join(values)


def report(found, chosen):
    means = {name: measured.mean(axis=0) for name, measured in found.items()}
    rows = [
        [name, f"{clock:.1f}", f"{used:.1f}", *map(decimals, (folds, test))]
        for name, (clock, used, folds, test) in means.items()
    ]
    header = ["", "seconds", "of the processor", "folds", "test"]
    text = table(header, rows) + "\n"
    for column, clock in enumerate(("seconds", "seconds of the processor")):
        ratio = means[LINEAR][column] / means[SKORCH][column]
        text += verdict(
            f"{LINEAR}, takes {ratio:.3f} of the {clock} of {SKORCH}, goal {SHARE}.",
            ratio <= SHARE,
        )
    best = max((SKORCH, LOGISTIC), key=lambda name: means[name][3])
    for name in (LINEAR, SEARCHED):
        ours, theirs = means[name][3], means[best][3]
        text += verdict(
            f"{name}: balanced accuracy {decimals(ours)}; the best peer, {best}, "
            f"{decimals(theirs)}.",
            ours >= theirs,
        )
    text += (
        "\nBalanced accuracy on the test rows of each draw, and what was chosen.\n\n"
    )
    draws = range(len(found[LINEAR]))
    rows = [
        [
            name,
            *(f"{decimals(measured[d, 3])} ({_brief(chosen[name][d])})" for d in draws),
        ]
        for name, measured in found.items()
    ]
    return text + table(["", *(f"draw {d}" for d in draws)], rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="digits, one draw, 2 folds"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs" / "benchmarks" / "search.md"
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    # In the workers too.
    os.environ["PYTHONWARNINGS"] = "ignore"
    warnings.simplefilter("ignore")
    if arguments.quick:
        n_folds, arguments.draws, data = 2, 1, "Digits, imbalance ratio 30"
        splits = [digits(0)]
    else:
        n_folds, data = 5, "ResNet-18 embeddings, imbalance ratio 100"
        splits = [resnet18(draw, 100) for draw in range(arguments.draws)]
    X, y = GlobalScaler().fit_transform(splits[0].X), splits[0].y
    epochs = epochs_needed(X, y, LEARNING_RATE, DECAYS[-1])
    print(f"{epochs} epochs", flush=True)
    # What the first call of a process pays for is nobody's time.
    Parallel(N_JOBS)(delayed(ETFClassifier().fit)(X, y) for _ in range(4))

    found, chosen = compare(splits, n_folds, epochs)
    text = "# A grid search\n\n" + HOW.format(
        jobs=N_JOBS,
        folds=n_folds,
        data=data,
        draws=arguments.draws,
        linear=LINEAR,
        searched=SEARCHED,
        memory=MEMORY,
        logistic=LOGISTIC,
        skorch=SKORCH,
        lr=LEARNING_RATE,
        epochs=epochs,
    )
    text += "\n" + report(found, chosen) + SHARED_WORK
    write(arguments.output, text + "\n" + machine())


if __name__ == "__main__":
    main()
