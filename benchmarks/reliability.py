"""Faults, bad input, load: how often each is tried, and how often it does harm.

``python benchmarks/reliability.py`` runs all campaigns and writes
``docs/benchmarks/reliability.md``; names of campaigns as arguments run those alone.
"""

import importlib.util
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from _report import machine, table
from joblib import Parallel, delayed, parallel_backend
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from torch import nn

from skcollapse import ETFClassifier, HUGClassifier, NeuralCollapseScorer
from skcollapse.extract import FeatureExtractor
from skcollapse.training import Trainer

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks" / "reliability.md"
BOTH = ETFClassifier, HUGClassifier
QUICK = {"projector": "linear", "feature_scaling": "global", "random_state": 0}
X, Y = make_classification(
    240, 8, n_informative=6, n_classes=4, class_sep=1.5, random_state=0
)
OTHER = X[::-1] ** 2, np.array(["a", "b", "c", "d"])[Y]


def bad_input_module():
    path = ROOT / "tests" / "bad_input.py"
    spec = importlib.util.spec_from_file_location("bad_input", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bad_input"] = module
    spec.loader.exec_module(module)
    return module


def views(model, rows=X):
    names = "predict", "predict_proba", "transform"
    return [getattr(model, name)(rows) for name in names if hasattr(model, name)]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def network(path=None, **parameters):
    """Return a fit in mini-batches, with a checkpoint after each epoch."""
    trainer = Trainer(batch_size=64, checkpoint=path)
    return ETFClassifier(
        projector="mlp",
        solver="adamw",
        feature_scaling="global",
        max_iter=12,
        trainer=trainer,
        random_state=0,
    ).set_params(**parameters)


def forked(work, seconds=60, kill_after=None):
    """Run something in a forked process; return its exit code, 0 if it went well."""
    child = os.fork()
    if not child:
        try:
            signal.alarm(seconds)
            os._exit(0 if work() in (None, True) else 1)
        except BaseException:
            traceback.print_exc()
            os._exit(2)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# --- campaigns: each returns attempts and failures ----------------------------------


def bad_input():
    module = bad_input_module()
    cases = module.cases()
    return len(cases), [c for c in cases if module.verdict(*c) is not None]


def mutated(content, rng):
    """Return the bytes of a file with some of them changed, cut off, or repeated."""
    content, where = bytearray(content), rng.randrange(len(content))
    # Half of the time in the header, where names and shapes are.
    where = rng.randrange(min(len(content), 2000)) if rng.random() < 0.5 else where
    kind = rng.randrange(5)
    if kind == 0:
        content[where] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del content[where:]
    elif kind == 2:
        content[where : where + 8] = rng.randbytes(8)
    elif kind == 3:
        content[where:where] = content[where : where + 50]
    else:
        del content[where : where + rng.randrange(1, 50)]
    return bytes(content)


def weight_files(n=1500):
    rng, failures = random.Random(0), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        model = ETFClassifier(projector="kernel", alpha=1e-2, random_state=0).fit(X, Y)
        model.save_weights(path)
        content, expected = path.read_bytes(), views(model)
        for trial in range(n):
            changed = mutated(content, rng)
            path.write_bytes(changed)
            loaded, start = ETFClassifier(), time.perf_counter()
            try:
                if not same(expected, views(loaded.load_weights(path))):
                    failures.append((trial, "loads wrong"))
            except ValueError:
                if hasattr(loaded, "classes_"):
                    failures.append((trial, "half loaded"))
            except Exception as error:
                failures.append((trial, repr(error)[:100]))
            if time.perf_counter() - start > 1:
                failures.append((trial, "takes over a second"))
    return n, failures


def checkpoints(n=500):
    rng, failures = random.Random(1), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.safetensors"
        expected = views(network().fit(X, Y))
        network(str(path)).set_params(max_iter=12).fit(X, Y)
        content = path.read_bytes() if path.exists() else None
        if content is None:  # it is removed at the end of a fit
            forked(lambda: network(str(path)).fit(X, Y), kill_after=0.4)
            content = path.read_bytes()
        for trial in range(n):
            for file in Path(folder).iterdir():
                file.unlink()
            path.write_bytes(mutated(content, rng))
            try:
                if not same(expected, views(network(str(path)).fit(X, Y))):
                    failures.append((trial, "goes on wrong"))
            except ValueError:
                pass
            except Exception as error:
                failures.append((trial, repr(error)[:100]))
    return n, failures


def kills(n=60):
    """Kill fits, every third while a checkpoint is written; they go on to the same."""
    rng, failures = random.Random(0), []
    expected = views(network().fit(X, Y))
    start = time.perf_counter()
    network().fit(X, Y)
    longest = 3 * (time.perf_counter() - start)
    for trial in range(n):
        with tempfile.TemporaryDirectory() as folder:
            path, replace = f"{folder}/run.safetensors", os.replace

            at, seen = rng.randrange(1, 12), []

            def writing(*args, at=at, seen=seen, replace=replace):
                seen.append(args)
                if len(seen) == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return replace(*args)

            def fit(path=path, patch=trial % 3 == 0, writing=writing):
                if patch:
                    os.replace = writing
                network(path).fit(X, Y)

            forked(fit, kill_after=None if trial % 3 == 0 else rng.random() * longest)
            if not same(expected, views(network(path).fit(X, Y))):
                failures.append(trial)
    return n, failures


def interrupts(n=120):
    """Interrupt fits anywhere; the estimator is what it was before."""
    rng, failures = random.Random(0), []
    kinds = [
        (ETFClassifier(**QUICK), "fit"),
        (HUGClassifier(**QUICK, alpha=1e-2), "fit"),
        (network(), "fit"),
        (NeuralCollapseScorer(), "fit"),
    ]

    def stop(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, stop)
    done = 0
    for trial in range(20 * n):
        model, method = kinds[trial % len(kinds)]
        if not hasattr(model, "_before"):
            start = time.perf_counter()
            model.fit(X, Y)
            model._before = time.perf_counter() - start
        before, state = views(model), dict(vars(model))
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.random() * model._before + 1e-4)
            getattr(model, method)(X, Y)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            done += 1
            if vars(model) != state or not same(before, views(model)):
                failures.append(trial)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if done == n:
            break
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return done, failures


def disk_full(n=40):
    """Write with less and less room; what was there before stays whole."""
    failures = []
    model = ETFClassifier(**QUICK, alpha=1e-2).fit(X, Y)
    other = ETFClassifier(**QUICK, alpha=1e-1).fit(X, Y)
    expected = views(model)

    def limited(limit, work):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            work()
        except OSError:
            return True
        return True

    for trial in range(n):
        limit = int(1.3**trial)
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/weights.safetensors"
            model.save_weights(path)
            work = [
                lambda path=path: other.save_weights(path),
                lambda folder=folder: network(f"{folder}/run.safetensors").fit(X, Y),
            ][trial % 2]
            code = forked(lambda limit=limit, work=work: limited(limit, work))
            found = views(ETFClassifier().load_weights(path))
            whole = same(expected, found) or same(views(other), found)
            left = [f for f in os.listdir(folder) if ".tmp" in f]
            if code or not whole or left:
                failures.append((trial, code, whole, left))
    return n, failures


def unwritable(n=12):
    """Write where nothing can be: an error that says so, and no other."""
    failures = []
    model = ETFClassifier(**QUICK, alpha=1e-2).fit(X, Y)
    with tempfile.TemporaryDirectory() as folder:
        paths = ["/proc/w.safetensors", f"{folder}/missing/w.safetensors", folder]
        for trial in range(n):
            path = paths[trial % 3]
            try:
                if trial % 2:
                    model.save_weights(path)
                else:
                    network(path).fit(X, Y)
                failures.append((path, "is written"))
            except (OSError, ValueError):
                pass
            except Exception as error:
                failures.append((path, repr(error)[:100]))
    return n, failures


def out_of_memory(n=24):
    """Fit with too little memory: MemoryError or torch's, and nothing changed."""
    failures = []
    many, labels = np.tile(X, (500, 10)), np.tile(Y, 500)

    def work(model, megabytes):
        model.fit(X, Y)
        before, state = views(model), dict(vars(model))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
        limit = used + megabytes * 2**20
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        try:
            model.fit(many, labels)
            return True  # it was enough
        except MemoryError:
            pass
        except RuntimeError as error:
            if "memory" not in str(error) and "thread" not in str(error):
                raise
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        return vars(model) == state and same(before, views(model))

    closed = {**QUICK, "solver": "closed_form", "alpha": 1e-2}
    models = [ETFClassifier(**closed), HUGClassifier(**closed), NeuralCollapseScorer()]
    models.append(network(max_iter=1))
    for trial in range(n):
        model = models[trial % len(models)]
        if forked(lambda m=model, t=trial: work(m, 8 * (t // 4 + 1) ** 2)):
            failures.append((type(model).__name__, trial))
    return n, failures


def two_processes(n=12):
    """Write one file from two processes while it is read."""
    failures = []
    models = [ETFClassifier(**QUICK, alpha=a).fit(X, Y) for a in (1e-2, 1e-1)]
    expected = [views(model) for model in models]
    for trial in range(n):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/weights.safetensors"
            models[0].save_weights(path)
            writers = []
            for model in models:
                child = os.fork()
                if not child:
                    for _ in range(10):
                        model.save_weights(path)
                    os._exit(0)
                writers.append(child)
            for _ in range(10):
                found = views(ETFClassifier().load_weights(path))
                if not any(same(found, one) for one in expected):
                    failures.append((trial, "reads a mixture"))
            codes = [os.waitpid(child, 0)[1] for child in writers]
            if any(codes):
                failures.append((trial, codes))
    return n, failures


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
        parameters = {**QUICK, "projector": projector, "solver": solver}
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
