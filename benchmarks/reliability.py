"""Faults, bad input, load: how often each is tried, and how often it does harm.

``python benchmarks/reliability.py`` runs all campaigns and writes
``docs/benchmarks/reliability.md``; names of campaigns as arguments run those alone.
"""

import importlib.util
import sys
import threading
import time
import warnings
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from _faults import (
    OTHER,
    QUICK,
    X,
    Y,
    checkpoints,
    disk_full,
    forked,
    interrupts,
    kills,
    out_of_memory,
    two_processes,
    unwritable,
    views,
    weight_files,
)
from _report import machine, table
from joblib import Parallel, delayed, parallel_backend
from sklearn.linear_model import LogisticRegression
from torch import nn

from skcollapse import ETFClassifier, HUGClassifier, NeuralCollapseScorer
from skcollapse.extract import FeatureExtractor

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks" / "reliability.md"
BOTH = ETFClassifier, HUGClassifier


def bad_input_module():
    path = ROOT / "tests" / "bad_input.py"
    spec = importlib.util.spec_from_file_location("bad_input", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bad_input"] = module
    spec.loader.exec_module(module)
    return module


# --- campaigns: each returns attempts and failures ----------------------------------


def bad_input():
    module = bad_input_module()
    cases = module.cases()
    return len(cases), [c for c in cases if module.verdict(*c) is not None]


def threads(seconds=10):
    """Predict in threads while another fits: the old state or the new one."""
    seen, failures = [], []
    for kind in BOTH:
        model = kind(**QUICK, solver="closed_form")
        data = [(X, Y), OTHER]
        known = [views(kind(**model.get_params()).fit(*some)) for some in data]
        model.fit(*data[0])
        stop = time.monotonic() + seconds / 2

        def fit(model=model, data=data, stop=stop):
            while time.monotonic() < stop:
                for some in data:
                    model.fit(*some)

        def predict(model=model, known=known, stop=stop):
            try:
                while time.monotonic() < stop:
                    for now, *fitted in zip(views(model), *known, strict=True):
                        seen.append(1)
                        if not any(np.array_equal(now, one) for one in fitted):
                            failures.append("mixture")
            except Exception as error:
                failures.append(repr(error)[:100])

        running = [threading.Thread(target=work) for work in (fit, predict, predict)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    return len(seen), failures


def forks(n=20):
    """Fork after torch has used threads; the child fits."""
    torch.set_num_threads(2)
    torch.ones(4_000_000).exp().sum()
    layers = nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 4)
    extractor = FeatureExtractor(nn.Sequential(*layers), device="cpu")
    rows = np.tile(X, (50, 1)).astype(np.float32)

    def work():
        extractor.transform(rows)
        ETFClassifier(**QUICK).fit(rows, np.tile(Y, 50))
        NeuralCollapseScorer().fit(rows, np.tile(Y, 50))

    work()
    failures = [trial for trial in range(n) if forked(work, seconds=30)]
    torch.set_num_threads(1)
    return n, failures


def _fit_and_look(kind, seed):
    return views(kind(**{**QUICK, "random_state": seed}).fit(X, Y))


def workers():
    """Fit in spawned processes, loky's and dask's: the same as here."""
    tasks = [(kind, seed) for kind in BOTH for seed in range(5)]
    expected, failures, n = [_fit_and_look(*task) for task in tasks], [], 0
    found = {}
    with get_context("spawn").Pool(2) as pool:
        found["spawn"] = pool.starmap(_fit_and_look, tasks)
    found["loky"] = Parallel(2)(delayed(_fit_and_look)(*task) for task in tasks)
    try:
        from distributed import Client
    except ImportError:
        pass
    else:
        options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
        with Client(**options), parallel_backend("dask"):
            found["dask"] = Parallel()(delayed(_fit_and_look)(*task) for task in tasks)
    for name, results in found.items():
        for task, one, other in zip(tasks, expected, results, strict=True):
            n += 1
            close = all(
                np.array_equal(a, b) if a.dtype.kind in "iU" else np.allclose(a, b)
                for a, b in zip(one, other, strict=True)
            )
            if not close:
                failures.append((name, task))
    return n, failures


def numerical(n=170):
    """Units, repetitions, order, signs and offsets: to the bit, or to rounding."""
    failures, tried = [], 0
    for seed in range(n):
        rng = np.random.default_rng(seed)
        y = np.arange(40) % 3
        rows = rng.normal(size=(3, 4))[y] * 2 + rng.normal(size=(40, 4))
        projector, kind = ("kernel", "linear")[seed % 2], BOTH[seed // 2 % 2]
        solver = "closed_form" if seed % 3 else "lbfgs"
        parameters = {**QUICK, "projector": projector, "solver": solver, "tol": 1e-9}
        if kind is HUGClassifier:
            parameters["solver"] = "closed_form"

        def fit(X, y, weight=None, kind=kind, parameters=parameters):
            return kind(**parameters, alpha=1e-2).fit(X, y, weight)

        again = np.repeat(np.arange(40), weight := rng.integers(1, 4, 40))
        order, turn = rng.permutation(40), np.linalg.qr(rng.normal(size=(4, 4)))[0]
        base = fit(rows, y).predict_proba(rows)
        repeated = fit(rows[again], y[again]).predict_proba(rows)
        pairs = {
            "power of two": (fit(8 * rows, y).predict_proba(8 * rows), base, 0),
            "repetition": (repeated, fit(rows, y, weight).predict_proba(rows), 0),
            "unit": (fit(3 * rows, y).predict_proba(3 * rows), base, 1e-5),
            "offset": (fit(rows + 3, y).predict_proba(rows + 3), base, 1e-5),
            "order": (fit(rows[order], y[order]).predict_proba(rows), base, 1e-5),
            "labels": (fit(rows, y * 7 - 3).predict_proba(rows), base, 0),
        }
        if projector == "linear":
            turned = fit(rows @ turn, y).predict_proba(rows @ turn)
            pairs["rotation"] = turned, base, 1e-5
        for name, (one, other, tolerance) in pairs.items():
            tried += 1
            if not np.abs(one - other).max() <= tolerance:
                failures.append((seed, name, np.abs(one - other).max()))
    return tried, failures


# --- load ---------------------------------------------------------------------------


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def soak(n_fits=200, n_predictions=100_000):
    """Fit and predict in a loop; return what the resident memory grew by, in MiB."""
    model = ETFClassifier(**QUICK)
    # Pools and caches fill up first.
    for _ in range(50):
        model.fit(X, Y).predict(X[:1])
    start = resident()
    for _ in range(n_fits):
        model.fit(X, Y)
    for k in range(n_predictions):
        model.predict(X[k % 200 : k % 200 + 1])
    return resident() - start


def latency(n=3000):
    """Return rows of p50 and p99 of the prediction of one row, in microseconds."""
    models = {
        "LogisticRegression": LogisticRegression(max_iter=1000),
        "ETFClassifier": ETFClassifier(**QUICK),
        "ETFClassifier, kernel": ETFClassifier(**{**QUICK, "projector": "kernel"}),
        "HUGClassifier": HUGClassifier(**QUICK),
    }
    rows = []
    for name, model in models.items():
        model.fit(X, Y)
        times = []
        for k in range(n):
            row = X[k % 200 : k % 200 + 1]
            start = time.perf_counter()
            model.predict_proba(row)
            times.append(1e6 * (time.perf_counter() - start))
        rows.append([name, *(f"{t:.0f}" for t in np.percentile(times, [50, 99]))])
    return rows


CAMPAIGNS = {
    "bad_input": (bad_input, "Calls with a bad argument"),
    "weight_files": (weight_files, "Mutations of weight files"),
    "checkpoints": (checkpoints, "Mutations of checkpoints"),
    "kills": (kills, "Fits killed, a third while writing"),
    "interrupts": (interrupts, "Fits interrupted"),
    "disk_full": (disk_full, "Writes to a full disk"),
    "unwritable": (unwritable, "Writes where nothing can be written"),
    "out_of_memory": (out_of_memory, "Fits without memory"),
    "two_processes": (two_processes, "Two processes, one file"),
    "threads": (threads, "Predictions beside fits in threads"),
    "forks": (forks, "Fits in forked processes"),
    "workers": (workers, "Fits in spawned, loky and dask workers"),
    "numerical": (numerical, "Numerical invariances"),
}
LOAD = "soak", "latency"


def main(names):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows, failed = [], 0
    for name, (campaign, title) in CAMPAIGNS.items():
        if names and name not in names:
            continue
        start = time.perf_counter()
        attempts, failures = campaign()
        seconds = f"{time.perf_counter() - start:.0f}"
        rows.append([title, f"{attempts:,}", len(failures), seconds])
        failed += len(failures)
        print(name, attempts, len(failures), seconds, failures[:5], flush=True)
    page = ["# Reliability\n", table(["Campaign", "Attempts", "Failures", "s"], rows)]
    if not names or "soak" in names:
        grown = soak()
        text = f"200 fits and 100,000 predictions: resident memory {grown:+.1f} MiB.\n"
        failed += grown > 5
        page.append(text)
        print(text)
    if not names or "latency" in names:
        page.append("Prediction of one row, in microseconds:\n")
        page.append(table(["", "p50", "p99"], latency()))
        print(page[-1])
    if not names:
        PAGE.write_text("\n".join([*page, machine()]), encoding="utf-8")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
