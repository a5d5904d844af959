"""Callbacks of scikit-learn, and lines that are printed: what they see, stop, leave."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import skcollapse
from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.fitting import Fitted
from skcollapse.projectors import MLP
from skcollapse.training import Trainer

try:
    from sklearn.callback import ProgressBar, ScoringMonitor
except ImportError:
    ScoringMonitor = None

needs_callbacks = pytest.mark.skipif(
    ScoringMonitor is None, reason="scikit-learn has callbacks from version 1.9 on"
)
# Networks are stopped early here, on purpose.
pytestmark = pytest.mark.filterwarnings(
    "ignore:L-BFGS has not converged:sklearn.exceptions.ConvergenceWarning"
)
COUNTS = np.array([40, 16, 8])
P = 5
TRAINER = Trainer(learning_rate="constant", learning_rate_init=0.05, batch_size=16)
UNTRAINED = {
    "projector": MLP((8,)),
    "feature_scaling": "standard",
    "max_iter": 6,
    "random_state": 0,
}
NETWORK = {**UNTRAINED, "trainer": TRAINER}
STOPPED = clone(TRAINER).set_params(
    learning_rate_init=0.01, early_stopping=True, validation_fraction=0.5
)
PENALISED = {
    "projector": "linear",
    "feature_scaling": "global",
    "alpha": 1e-2,
    "random_state": 0,
}
PROXIES = {**NETWORK, "projector": "linear", "n_components": 3}
NETWORKS = {
    "adamw": ETFClassifier(**NETWORK),
    "regularised": ETFClassifier(
        **{**NETWORK, "projector": MLP((8,), dropout=0.2, batch_norm=True)},
        solver="sgd",
    ),
    "early": ETFClassifier(**{**NETWORK, "trainer": STOPPED}),
    "directions": ETFClassifier(**NETWORK, loss="dot_regression"),
    "module": ETFClassifier(
        **{**NETWORK, "projector": nn.Sequential(nn.Linear(P, 2), nn.BatchNorm1d(2))}
    ),
    "class_mean": HUGClassifier(**PROXIES, proxy="class_mean"),
    "orthogonal": HUGClassifier(**PROXIES, proxy="orthogonal"),
}
DETERMINISTIC = {
    "lbfgs": ETFClassifier(
        **{**UNTRAINED, "max_iter": 12, "projector": MLP((8,), batch_norm=True)},
        solver="lbfgs",
    ),
    "penalised": ETFClassifier(**PENALISED),
    "penalised_directions": ETFClassifier(**PENALISED, loss="dot_regression"),
}
# The iterates of a path compete in the search before one of them is fitted again.
PATHS = {"path": HUGClassifier(projector="linear", random_state=0)}
FOLLOWED = {**NETWORKS, **DETERMINISTIC, **PATHS}


def over(estimators):
    return pytest.mark.parametrize("estimator", estimators.values(), ids=estimators)


def blobs(seed, counts=COUNTS):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(["ash", "elm", "oak"], counts))
    centers = 2.5 * np.random.default_rng(7).normal(size=(len(counts), P))
    return centers[np.unique(y, return_inverse=True)[1]] + rng.normal(
        size=(len(y), P)
    ), y


X, Y = blobs(0)
NEW, NEW_Y = blobs(1, np.full(3, 15))


class Recorder:
    """Remembers the tasks, and what the estimators that it was handed predicted."""

    def __init__(self):
        self.begun, self.ended, self.seen, self.life = [], [], [], []

    def setup(self, estimator, context):
        self.life.append("setup")

    def teardown(self, estimator, context):
        self.life.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.begun.append((context.task_name, context.task_id, context.max_subtasks))

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.ended.append((context.task_name, context.task_id))
        self.data = X, y, metadata
        if fitted_estimator is not None:
            self.seen.append((fitted_estimator, fitted_estimator.predict_proba(NEW)))


class Counter:
    """Counts tasks and asks for nothing; stops after so many, or fails in a hook."""

    def __init__(self, stop_at=None, fail_in=None, name="iteration"):
        self.stop_at, self.fail_in, self.name = stop_at, fail_in, name
        self.hooks = []

    def _note(self, hook):
        self.hooks.append(hook)
        if hook == self.fail_in:
            raise KeyError(hook)

    def setup(self, estimator, context):
        self._note("setup")

    def teardown(self, estimator, context):
        self._note("teardown")

    def on_fit_task_begin(self, estimator, context):
        self._note(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context):
        self._note(f"end {context.task_name}")
        return context.task_name == self.name and context.task_id + 1 == self.stop_at


def n_trials(model):
    """Return how many strengths a search has tried."""
    columns = ("feature_scaling", "projector", "solver", "alpha", "prior_adjustment")
    return len(set(zip(*map(model.selection_results_.get, columns), strict=True)))


def followed(estimator, *callbacks, sample_weight=None):
    return clone(estimator).set_callbacks(*callbacks).fit(X, Y, sample_weight)


# --- what callbacks see ------------------------------------------------------------


@needs_callbacks
@over(FOLLOWED)
def test_iterations_are_tasks(estimator):
    recorder = Recorder()
    model = followed(estimator, recorder)
    assert recorder.life == ["setup", "teardown"]
    iterations = [task for task in recorder.ended if task[0] == "iteration"]
    assert iterations == [("iteration", i) for i in range(model.n_iter_)]
    assert recorder.ended[-1][0] == recorder.begun[0][0] == "fit"
    assert sorted(task[:2] for task in recorder.begun) == sorted(recorder.ended)
    X_seen, y_seen, metadata = recorder.data
    assert X_seen is X
    assert y_seen is Y
    assert metadata is None


@needs_callbacks
@over(FOLLOWED)
def test_estimators_along_the_way_are_detached(estimator):
    recorder = Recorder()
    model = followed(estimator, recorder)
    assert len(recorder.seen) == model.n_iter_ + 1  # the end of the fit too
    for n_iter, (copy, then) in enumerate(recorder.seen[:-1], start=1):
        assert_array_equal(copy.predict_proba(NEW), then)
        assert copy.n_iter_ == n_iter
        assert copy.loss_curve_ == model.loss_curve_[:n_iter]
        assert_array_equal(copy.classes_, model.classes_)
    # They are states of a training that goes on, and the last is where it ends.
    assert abs(recorder.seen[0][1] - recorder.seen[-1][1]).max() > 1e-3
    for _, then in recorder.seen[-2:]:
        assert_allclose(then, model.predict_proba(NEW), atol=1e-12)


@needs_callbacks
@over(FOLLOWED)
def test_looking_changes_nothing(estimator):
    model, alone = followed(estimator, Recorder()), clone(estimator).fit(X, Y)
    assert_array_equal(model.predict_proba(NEW), alone.predict_proba(NEW))
    assert model.loss_curve_ == alone.loss_curve_
    assert vars(model).keys() - vars(alone).keys() == {"_skl_callbacks"}


@needs_callbacks
def test_what_a_copy_learns_stays_there():
    class Student(Counter):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            fitted_estimator.partial_fit(X, Y[::-1])

    estimator = NETWORKS["regularised"]
    alone = clone(estimator).fit(X, Y)
    trained = followed(estimator, Student())
    assert_array_equal(trained.predict_proba(NEW), alone.predict_proba(NEW))


@needs_callbacks
@over(FOLLOWED)
def test_copies_are_made_when_asked_for(estimator, monkeypatch):
    made = []
    finish = Fitted.__post_init__

    def counted(self):
        made.append(self)
        return finish(self)

    monkeypatch.setattr(Fitted, "__post_init__", counted)
    clone(estimator).fit(X, Y)
    alone = len(made)
    followed(estimator, Counter())
    assert len(made) == 2 * alone
    model = followed(estimator, Recorder())
    assert len(made) == 3 * alone + model.n_iter_


@needs_callbacks
def test_modules_are_copied_when_asked_for():
    copies = []

    class Watched(nn.Linear):
        def __deepcopy__(self, memo):
            copies.append(self)
            copied = Watched(self.in_features, self.out_features)
            copied.load_state_dict(self.state_dict())
            return copied.to(self.weight.dtype)

    module = Watched(P, 2)

    def count(*callbacks):
        copies.clear()
        model = ETFClassifier(**{**NETWORK, "projector": module})
        if callbacks:
            model.set_callbacks(*callbacks)
        model.fit(X, Y)
        return len(copies)

    assert count(Counter()) == count()
    assert count(Recorder()) > count()


@needs_callbacks
def test_search_and_refit_are_tasks():
    recorder = Recorder()
    model = followed(ETFClassifier(random_state=0), recorder)
    # Two scalings, two projectors; two paths and three closed forms.
    assert recorder.begun[:2] == [("fit", 0, 2), ("search", 0, 20)]
    trials = [task for task in recorder.ended if task[0] == "trial"]
    assert trials == [("trial", i) for i in range(n_trials(model))]
    # An average has no iterations, and is there in the end.
    assert recorder.begun[-1] == ("refit", 1, 0)
    ((copy, then),) = recorder.seen
    assert_array_equal(then, model.predict_proba(NEW))
    assert_array_equal(copy.predict_proba(NEW), then)


@needs_callbacks
def test_nothing_to_choose_is_no_search():
    recorder = Recorder()
    followed(ETFClassifier(**PENALISED), recorder)
    assert recorder.begun[:2] == [("fit", 0, 2), ("refit", 0, 200)]


@needs_callbacks
def test_callbacks_get_weights_and_names():
    frame = pd.DataFrame(X, columns=list("abcde"))
    weight = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    monitor = ScoringMonitor(scoring="balanced_accuracy")
    model = clone(NETWORKS["adamw"]).set_callbacks(monitor)
    model.fit(frame, pd.Series(Y), weight)
    *_, last = monitor.get_logs().data
    expected = balanced_accuracy_score(Y, model.predict(frame), sample_weight=weight)
    assert last["balanced_accuracy"] == expected
    tensors = clone(NETWORKS["adamw"]).set_callbacks(recorder := Recorder())
    codes = np.unique(Y, return_inverse=True)[1]
    tensors.fit(torch.from_numpy(X), torch.from_numpy(codes))
    assert all(isinstance(data, np.ndarray) for data in recorder.data[:2])


@needs_callbacks
def test_partial_fit_has_no_callbacks():
    counter = Counter()
    model = clone(NETWORKS["adamw"]).set_callbacks(counter)
    model.partial_fit(X, Y, np.unique(Y))
    assert counter.hooks == []


# --- what they stop ----------------------------------------------------------------


@needs_callbacks
@over(FOLLOWED)
def test_stopping_is_ending_there(estimator):
    recorder, counter = Recorder(), Counter(stop_at=3)
    followed(estimator, recorder)
    model = followed(estimator, counter)
    assert model.n_iter_ == len(model.loss_curve_) == 3
    assert counter.hooks.count("end iteration") == 3
    assert_allclose(model.predict_proba(NEW), recorder.seen[2][1], rtol=0, atol=1e-12)


@needs_callbacks
@over({**NETWORKS, **DETERMINISTIC})
def test_stopping_is_as_max_iter(estimator):
    model = followed(estimator, Counter(stop_at=3))
    shorter = clone(estimator).set_params(max_iter=3)
    if estimator in DETERMINISTIC.values():
        with pytest.warns(ConvergenceWarning):
            shorter.fit(X, Y)
    else:
        shorter.fit(X, Y)
    assert_array_equal(model.predict_proba(NEW), shorter.predict_proba(NEW))
    assert model.validation_scores_ == shorter.validation_scores_


@needs_callbacks
def test_a_search_that_is_stopped_chooses_from_what_it_has():
    estimator = ETFClassifier(random_state=0)
    model = followed(estimator, Counter(stop_at=2, name="trial"))
    found, all_found = (
        m.selection_results_ for m in (model, clone(estimator).fit(X, Y))
    )
    n_found = len(found["alpha"])
    assert 2 <= n_found < len(all_found["alpha"])
    assert_array_equal(found["log_loss"], all_found["log_loss"][:n_found])
    assert_allclose(found["weight"].sum(), 1)
    assert set(found["alpha"]) == {1e-2, 1e-3}


# --- what they leave ---------------------------------------------------------------


@needs_callbacks
@pytest.mark.parametrize(
    ("hook", "estimator"),
    [
        ("setup", "adamw"),
        ("begin fit", "adamw"),
        ("begin iteration", "adamw"),
        ("end iteration", "adamw"),
        ("end iteration", "lbfgs"),
        ("end trial", "path"),
        ("end iteration", "path"),
        ("end refit", "path"),
        ("end fit", "path"),
        ("teardown", "penalised"),
    ],
)
def test_a_callback_that_fails_leaves_the_estimator_as_it_was(hook, estimator):
    counter = Counter()
    model = followed(FOLLOWED[estimator], counter)
    before, predicted = dict(vars(model)), model.predict_proba(NEW)
    counter.fail_in, counter.hooks = hook, []
    with pytest.raises(KeyError, match=hook):
        model.fit(NEW[:, :3], NEW_Y)
    assert counter.hooks[-1] == "teardown"
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)
    assert_array_equal(model.predict_proba(NEW), predicted)


@needs_callbacks
def test_data_that_is_refused_sets_nothing_up():
    counter = Counter()
    model = clone(NETWORKS["adamw"]).set_callbacks(counter)
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(X, Y[1:])
    assert counter.hooks == []


@needs_callbacks
def test_clones_and_pickles_of_a_followed_estimator():
    model = followed(NETWORKS["adamw"], Recorder())
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict_proba(NEW), model.predict_proba(NEW))
    again = clone(model).fit(X, Y)
    assert_array_equal(again.predict_proba(NEW), model.predict_proba(NEW))
    assert (
        vars(model.set_callbacks()).keys() == vars(NETWORKS["adamw"].fit(X, Y)).keys()
    )


# --- those of scikit-learn, nested -------------------------------------------------


def nested(n_jobs):
    """Show progress and keep scores inside a grid search; return the scores."""
    monitor = ScoringMonitor(scoring="balanced_accuracy")
    search = GridSearchCV(
        clone(NETWORKS["adamw"]).set_callbacks(monitor),
        {"alpha": [1e-4, 1.0]},
        cv=2,
        scoring="balanced_accuracy",
        n_jobs=n_jobs,
    )
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, Y)
    rows = monitor.get_logs().data
    # Four fits and a refit, with six epochs and an end each.
    assert len(rows) == 5 * 7
    assert sum(row["task_name"] == "iteration" for row in rows) == 5 * 6
    (refit,) = (row for row in rows if row["task_id_path"] == (0, 1))
    best = balanced_accuracy_score(Y, search.predict(X))
    assert refit["balanced_accuracy"] == best


def assert_all_bars_are_full(shown):
    for i in range(4):
        assert f"candidate-split-evaluation | ETFClassifier - fit #{i}" in shown
    assert "refit-with-best-params | ETFClassifier - fit" in shown
    assert "100%" in shown
    assert not re.search(r"\b[0-9]{1,2}%", shown)


@needs_callbacks
def test_progress_and_scores_inside_a_grid_search(capsys):
    pytest.importorskip("rich")
    nested(n_jobs=1)
    assert_all_bars_are_full(capsys.readouterr().out)


@pytest.mark.slow  # two searches, each with workers that import torch
@needs_callbacks
def test_progress_and_scores_of_workers():
    pytest.importorskip("rich")
    # In a process of its own: threads that listened for workers of an earlier search
    # live on, and have been seen to take what was meant for those of a later one.
    root = Path(skcollapse.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, "2"],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert_all_bars_are_full(done.stdout)


@needs_callbacks
def test_progress_of_a_search_in_a_pipeline(capsys):
    pytest.importorskip("rich")
    pipeline = make_pipeline(StandardScaler(), ETFClassifier(random_state=0))
    pipeline.set_callbacks(ProgressBar()).fit(X, Y)
    shown = capsys.readouterr().out
    assert "ETFClassifier - fit #1" in shown
    assert "ETFClassifier - search #0" in shown
    assert not re.search(r"\b[0-9]{1,2}%", shown)


# --- without callbacks -------------------------------------------------------------


# Directions have no minimum where rows can be separated.
@pytest.mark.filterwarnings("ignore:L-BFGS stopped at max_iter")
@over(FOLLOWED)
def test_verbose_prints_a_line_for_each_iteration(estimator, capsys):
    model = clone(estimator).set_params(verbose=True).fit(X, Y)
    name = type(model).__name__
    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if "iteration" in line]
    expected = [
        f"[{name}] iteration {i}, loss {loss:.6f}"
        for i, loss in enumerate(model.loss_curve_, start=1)
    ]
    if model.validation_scores_ is not None:
        expected = [
            f"{line}, held-out accuracy {score:.4f}"
            for line, score in zip(expected, model.validation_scores_, strict=True)
        ]
    assert lines == expected
    clone(estimator).fit(X, Y)
    assert capsys.readouterr().out == ""


def test_verbose_prints_a_line_for_each_trial(capsys):
    model = ETFClassifier(projector="linear", random_state=0, verbose=True).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    lowest = min(model.selection_results_["log_loss"])
    assert len(lines) == n_trials(model)
    assert lines[0].startswith(
        "[ETFClassifier] projector linear, feature scaling global, solver lbfgs_path, "
        "alpha 0.01"
    )
    assert all(", held-out log-loss " in line for line in lines)
    assert min(float(line.split()[-1]) for line in lines) == pytest.approx(
        lowest, abs=1e-6
    )


def test_verbose_prints_a_line_for_an_epoch_of_partial_fit(capsys):
    model = clone(NETWORKS["adamw"]).set_params(verbose=True)
    model.partial_fit(X, Y, np.unique(Y))
    (loss,) = model.loss_curve_
    line = f"[ETFClassifier] iteration 1, loss {loss:.6f}\n"
    assert capsys.readouterr().out == line


@pytest.mark.skipif(ScoringMonitor is not None, reason="scikit-learn has callbacks")
def test_callbacks_need_a_newer_scikit_learn():
    with pytest.raises(ImportError, match=r"scikit-learn 1\.9"):
        ETFClassifier().set_callbacks(Recorder())


if __name__ == "__main__":
    nested(int(sys.argv[1]))
