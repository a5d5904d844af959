"""Faults of files, disks, memory and processes, each tried many times.

Each function returns how often it was tried and what went wrong.
"""

import os
import random
import resource
import signal
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification

from skcollapse import ETFClassifier, HUGClassifier, NeuralCollapseScorer
from skcollapse.training import Trainer

QUICK = {"projector": "linear", "feature_scaling": "global", "random_state": 0}
X, Y = make_classification(
    240, 8, n_informative=6, n_classes=4, class_sep=1.5, random_state=0
)
OTHER = X[::-1] ** 2, np.array(["a", "b", "c", "d"])[Y]


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


def fuzz(path, content, read, expected, n):
    """Read mutations of a file: right, or a ValueError within a second."""
    rng, failures = random.Random(0), []
    for trial in range(n):
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(mutated(content, rng))
        start = time.perf_counter()
        try:
            if not same(expected, views(read())):
                failures.append((trial, "reads wrong"))
        except ValueError:
            if time.perf_counter() - start > 1:
                failures.append((trial, "takes over a second"))
        except Exception as error:
            failures.append((trial, repr(error)[:100]))
    return n, failures


def weight_files(n=1500):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        model = ETFClassifier(projector="kernel", alpha=1e-2, random_state=0).fit(X, Y)
        model.save_weights(path)

        def read():
            return ETFClassifier().load_weights(path)

        return fuzz(path, path.read_bytes(), read, views(model), n)


def checkpoints(n=500):
    with tempfile.TemporaryDirectory() as folder:
        path, expected = Path(folder) / "run.safetensors", views(network().fit(X, Y))

        def read():
            return network(str(path)).fit(X, Y)

        while not path.exists():  # it is removed at the end of a fit
            forked(read, kill_after=0.5 * random.random())
        return fuzz(path, path.read_bytes(), read, expected, n)


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
                    try:
                        for _ in range(10):
                            model.save_weights(path)
                        os._exit(0)
                    finally:
                        os._exit(1)
                writers.append(child)
            for _ in range(10):
                try:
                    found = views(ETFClassifier().load_weights(path))
                except Exception as error:
                    failures.append((trial, repr(error)[:100]))
                    continue
                if not any(same(found, one) for one in expected):
                    failures.append((trial, "reads a mixture"))
            codes = [os.waitpid(child, 0)[1] for child in writers]
            if any(codes):
                failures.append((trial, codes))
    return n, failures
