"""Searches in parallel: equal results, no more threads than cores, turns on a GPU."""

import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import joblib
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse._utils import devices
from skcollapse.extract import FeatureExtractor
from skcollapse.projectors import MLP

X, Y = load_iris(return_X_y=True)
X, Y = X[:110], Y[:110]
GRIDS = {
    "etf": (
        ETFClassifier(projector="linear", alpha=1e-2, random_state=0),
        {"loss": ["cross_entropy", "squared"], "target": ["etf", "seli"]},
    ),
    "hug": (
        HUGClassifier(solver="closed_form", random_state=0),
        {"feature_scaling": ["global", "standard"], "class_weight": [None, {2: 3.0}]},
    ),
    "mlp": (
        ETFClassifier(projector=MLP(), max_iter=3, random_state=0),
        {"projector__hidden_layer_sizes": [(4,), (8,)]},
    ),
}


@pytest.mark.parametrize(("classifier", "grid"), GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_find_what_one_finds(classifier, grid, backend):
    search = GridSearchCV(classifier, grid, cv=3, scoring="neg_log_loss")
    alone = clone(search).fit(X, Y)
    with joblib.parallel_backend(backend):
        side_by_side = clone(search).set_params(n_jobs=2).fit(X, Y)
    name = "mean_test_score"
    assert_array_equal(side_by_side.cv_results_[name], alone.cv_results_[name])
    assert_array_equal(side_by_side.predict_proba(X), alone.predict_proba(X))


# --- threads -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [{"solver": "closed_form"}, {"projector": "mlp", "max_iter": 3}],
    ids=["closed_form", "mlp"],
)
def test_workers_share_the_cores(parameters, monkeypatch):
    for variable in ("OMP", "MKL", "OPENBLAS"):
        monkeypatch.delenv(f"{variable}_NUM_THREADS", raising=False)

    def most_threads(estimator, X, y):
        pools = [pool["num_threads"] for pool in threadpool_info()]
        return max(torch.get_num_threads(), *pools)

    model = ETFClassifier(feature_scaling="global", random_state=0, **parameters)
    search = GridSearchCV(
        model, {"alpha": [1e-3, 1e-2]}, cv=2, scoring=most_threads, refit=False
    )
    with joblib.parallel_backend("loky", n_jobs=2):
        results = search.fit(X, Y).cv_results_
    for fold in range(2):
        threads = results[f"split{fold}_test_score"]
        assert (2 * threads <= max(joblib.cpu_count(), 2)).all()


# --- one GPU -----------------------------------------------------------------------


@contextmanager
def pretended_gpu():
    properties = SimpleNamespace(uuid="GPU-of-a-test")
    with (
        mock.patch.object(torch.cuda, "get_device_properties", return_value=properties),
        mock.patch.object(torch.cuda, "empty_cache"),
    ):
        yield


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_workers_take_turns_on_a_gpu(backend, device, tmp_path):
    patience = 60 if device == "cpu" else 0.5

    def meets_another(name):
        with pretended_gpu(), devices.exclusive_device(torch.device(device)):
            (tmp_path / name).touch()
            deadline = time.monotonic() + patience
            while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            met = len(list(tmp_path.iterdir())) == 2
            if device == "cuda":
                (tmp_path / name).unlink()
        return met

    # For threads, which undo what they pretend in any order.
    with pretended_gpu(), joblib.parallel_backend(backend, n_jobs=2):
        met = joblib.Parallel()(joblib.delayed(meets_another)(n) for n in "ab")
    assert met == [device == "cpu"] * 2


def test_only_workers_of_the_same_process_wait_for_each_other():
    def lock_file():
        lock = mock.patch.object(devices, "FileLock", mock.MagicMock())
        with pretended_gpu(), lock as made:
            with devices.exclusive_device(torch.device("cuda")):
                pass
            return Path(made.call_args.args[0])

    here = lock_file()
    assert str(os.getpid()) in here.name
    assert "GPU-of-a-test" in here.name
    there = joblib.Parallel(2, backend="loky")(
        joblib.delayed(lock_file)() for _ in "ab"
    )
    assert there == [here, here]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs owners of files")
def test_no_other_user_can_reach_the_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cuda = torch.device("cuda")
    with pretended_gpu(), devices.exclusive_device(cuda):
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_uid == os.getuid()
        (lock,) = folder.iterdir()
        assert str(os.getpid()) in lock.name

    def assert_refused():
        refused = pytest.raises(PermissionError, match="for you alone")
        with pretended_gpu(), refused, devices.exclusive_device(cuda):
            pass

    folder.chmod(0o777)
    assert_refused()
    folder.chmod(0o700)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert_refused()
    folder.unlink()
    folder.touch()
    assert_refused()
    folder.unlink()
    with mock.patch.object(os, "getuid", return_value=os.getuid() + 1):
        elsewhere = tmp_path / f"skcollapse-{os.getuid()}"
        elsewhere.mkdir(mode=0o700)
        assert_refused()


def test_a_thread_does_not_wait_for_itself():
    cuda = torch.device("cuda")
    turn = devices.exclusive_device
    with pretended_gpu(), turn(cuda), turn(cuda):
        pass


def test_whatever_computes_on_a_device_takes_its_turn(monkeypatch):
    used = []

    @contextmanager
    def turn(device):
        used.append(device)
        yield

    for name, module in list(sys.modules.items()):
        if name.startswith("skcollapse.") and "exclusive_device" in vars(module):
            monkeypatch.setattr(module, "exclusive_device", turn)
    model = ETFClassifier(projector="linear", solver="adamw", max_iter=2, device="cpu")
    model.fit(X, Y)
    model.partial_fit(X, Y)
    FeatureExtractor(torch.tanh, device="cpu").transform(X)
    assert used == [torch.device("cpu")] * 3
    # NumPy predicts.
    model.predict_proba(X)
    assert len(used) == 3
