"""What is added from outside: a class and a line in a registry are enough."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV
from torch import nn

from skcollapse import ETFClassifier, HUGClassifier
from skcollapse.classifiers import ProjectionClassifier
from skcollapse.linear import SOLVERS, AffineMap, LinearSolver, Solution, Strength
from skcollapse.losses import HypersphericalUniformityGap
from skcollapse.network import PROXIES, Proxies
from skcollapse.projectors import MLP
from skcollapse.targets import TARGETS, ClassGeometry, Target
from skcollapse.training import Trainer

COUNTS = np.array([50, 30, 20, 15, 10])
K, P = len(COUNTS), 6


def blobs(seed, counts):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(K), counts))
    centers = 2.5 * np.random.default_rng(7).normal(size=(K, P))
    return centers[y] + rng.normal(size=(len(y), P)), y


X, Y = blobs(0, COUNTS)
NEW, NEW_Y = blobs(1, np.full(K, 20))
TRAINER = Trainer(learning_rate_init=0.02, batch_size=16)
TRAINED = {"feature_scaling": "standard", "max_iter": 40, "random_state": 0}


def balanced_accuracy(model):
    return balanced_accuracy_score(NEW_Y, model.predict(NEW))


# --- proxies -----------------------------------------------------------------------


class Shrunk(Proxies):
    """Free directions that stay near where they started."""

    hyperparameters = ("share",)

    def __init__(self, start, share=0.5):
        super().__init__()
        self.directions = nn.Parameter(start.clone())
        self.register_buffer("start", start.clone())
        self.share = share

    def forward(self):
        mixed = self.share * self.directions + (1 - self.share) * self.start
        return nn.functional.normalize(mixed)


class Remembering(Shrunk):
    """The same, with class vectors of batches and a word at the end."""

    starts_at_code = True
    n_batches = 0
    finals = ()

    def of_batch(self, features, y, weight):
        type(self).n_batches += 1
        return self()

    def finalize(self, project, y, weight):
        type(self).finals = project().shape, y.shape, weight.shape


@pytest.fixture
def proxies(monkeypatch):
    monkeypatch.setitem(PROXIES, "shrunk", Shrunk)
    monkeypatch.setitem(PROXIES, "remembering", Remembering)


@pytest.mark.usefixtures("proxies")
@pytest.mark.parametrize("proxy", ["shrunk", "remembering"])
@pytest.mark.parametrize("projector", ["linear", MLP((8,))], ids=str)
def test_proxies_of_ones_own_are_trained(proxy, projector):
    model = HUGClassifier(
        proxy=proxy, projector=projector, trainer=TRAINER, n_components=4, **TRAINED
    ).fit(X, Y)
    assert balanced_accuracy(model) > 0.8
    assert_allclose(np.linalg.norm(model.target_, axis=1), 1)
    start = clone(model).set_params(max_iter=1).fit(X, Y).target_
    # A code is where the term between classes wants it.
    assert abs(model.target_ - start).max() > (1e-4 if proxy == "remembering" else 0.01)
    copied = pickle.loads(pickle.dumps(model))
    assert_array_equal(copied.predict_proba(NEW), model.predict_proba(NEW))
    again = pickle.loads(pickle.dumps(model)).partial_fit(X, Y)
    assert_array_equal(copied.partial_fit(X, Y).target_, again.target_)


@pytest.mark.usefixtures("proxies")
def test_proxies_see_batches_and_all_rows_at_the_end():
    Remembering.n_batches = 0
    parameters = {**TRAINED, "max_iter": 2}
    HUGClassifier(proxy="remembering", trainer=TRAINER, **parameters).fit(X, Y)
    assert Remembering.n_batches == 2 * -(-len(Y) // 16)
    assert Remembering.finals == ((len(Y), K - 1), (len(Y),), (len(Y),))


@pytest.mark.usefixtures("proxies")
def test_proxies_of_ones_own_are_mentioned():
    with pytest.raises(ValueError, match=r"proxy must be one of .*'shrunk'.*got 'odd'"):
        HUGClassifier(proxy="odd").fit(X, Y)
    with pytest.raises(ValueError, match=r"projector='kernel'.*mini-batches"):
        HUGClassifier(proxy="shrunk", projector="kernel").fit(X, Y)


# --- classifiers -------------------------------------------------------------------


class Minimal(ProjectionClassifier):
    """A classifier with the parameters that all have, and none of its own."""

    _proxies = PROXIES["class_mean"]

    def __init__(
        self,
        *,
        projector="linear",
        n_components=None,
        solver="auto",
        alpha="auto",
        feature_scaling="standard",
        class_weight=None,
        cv=None,
        max_iter=20,
        tol=1e-3,
        extractor=None,
        train_extractor=False,
        trainer=None,
        warm_start=False,
        memory=None,
        verbose=False,
        device="auto",
        random_state=0,
    ):
        self.projector = projector
        self.n_components = n_components
        self.solver = solver
        self.alpha = alpha
        self.feature_scaling = feature_scaling
        self.class_weight = class_weight
        self.cv = cv
        self.max_iter = max_iter
        self.tol = tol
        self.extractor = extractor
        self.train_extractor = train_extractor
        self.trainer = trainer
        self.warm_start = warm_start
        self.memory = memory
        self.verbose = verbose
        self.device = device
        self.random_state = random_state

    def _make_loss(self):
        return HypersphericalUniformityGap(decoupled=False, inter_weight=0.5)

    def _make_target(self, class_counts, data, random_state):
        start = random_state.standard_normal((len(class_counts), 3))
        start /= np.linalg.norm(start, axis=1, keepdims=True)
        return ClassGeometry(start, start)


class Fixed(Minimal):
    """The same with class vectors that stay."""

    _proxies = None


def test_classifiers_of_ones_own():
    trained = Minimal(trainer=TRAINER).fit(X, Y)
    assert balanced_accuracy(trained) > 0.7
    assert trained.loss_curve_
    fixed = Fixed().fit(X, Y)
    assert balanced_accuracy(fixed) > 0.6
    assert fixed.selection_results_ is not None
    copied = pickle.loads(pickle.dumps(trained))
    assert_array_equal(copied.predict_proba(NEW), trained.predict_proba(NEW))


COLLAPSING = Trainer(learning_rate_init=0.1)
ERRORS = {
    "kernel": ({"projector": "kernel"}, X, "projector='kernel'.*mini-batches"),
    "solver": ({"solver": "lbfgs"}, X, "solver='lbfgs' cannot train .*proxies"),
    "alpha": ({"alpha": -1.0}, X, "alpha must be.*got -1.0"),
    "trainer": ({"trainer": Trainer(batch_size=0)}, X, "batch_size must be.*got 0"),
    "diverging": (
        {"trainer": Trainer(learning_rate_init=1e30)},
        X.astype(np.float32),
        "lower learning_rate_init",
    ),
    "collapsing": (
        {"trainer": COLLAPSING, "feature_scaling": None, "max_iter": 200, "tol": 0.0},
        1e-6 * X,
        "[Pp]roxies .* coincide.*Lower learning_rate_init",
    ),
    "refit": ({"trainer": Trainer(refit="lbfgs")}, X, "refit='lbfgs' needs an extract"),
    "components": (
        {"projector": nn.Linear(P, 2)},
        X,
        r"projector must map .* it returned",
    ),
    "rows": ({}, X[:, 0], "Expected 2D array"),
}


@pytest.mark.parametrize(("parameters", "X", "message"), ERRORS.values(), ids=ERRORS)
def test_classifiers_of_ones_own_raise_errors_of_their_own(parameters, X, message):
    model = Minimal(**parameters)
    if "coincide" in message:
        model._make_loss = lambda: HypersphericalUniformityGap(inter_weight=0.0)
    state = set(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
    assert set(vars(model)) == state


def test_partial_fits_and_checkpoints_of_classifiers_of_ones_own(tmp_path):
    model = Minimal(trainer=TRAINER)
    with pytest.raises(ValueError, match="classes must be given in the first"):
        model.partial_fit(X, Y)
    model.partial_fit(X, Y, classes=np.arange(K)).partial_fit(X, Y)
    assert len(model.loss_curve_) == 2
    pytest.importorskip("safetensors")
    run = clone(model).set_params(trainer__checkpoint=tmp_path / "run.safetensors")
    first, again = (run.fit(X, Y).loss_curve_ for _ in range(2))
    assert first == again
    with pytest.raises(ValueError, match=r"left by a fit with other .*alpha"):
        run.set_params(alpha=0.1).fit(X, Y)
    model.fit(X, Y).save_weights(tmp_path / "model.safetensors")
    loaded = clone(model).load_weights(tmp_path / "model.safetensors")
    assert_allclose(loaded.predict_proba(NEW), model.predict_proba(NEW), atol=1e-6)


# --- solvers -----------------------------------------------------------------------


class Gradient(LinearSolver):
    """Ridge regression by accelerated gradient steps on class moments."""

    name = "gradient"
    alphas = tuple(Strength(alpha, "none") for alpha in (1.0, 1e-1, 1e-2))
    few_alphas = alphas[1:]
    from_moments = True

    def __init__(self, n_steps=500):
        self.n_steps = n_steps

    def prepare(self, problem, max_iter, tol):
        return super().prepare(problem, max_iter, tol), problem.target.means, problem

    def solve(self, prepared, strength, n_maps=None, progress=None):
        moments, vectors, problem = prepared
        present = moments.counts > 0
        share = moments.counts[present] / moments.weight_sum
        means, vectors = moments.means[present], vectors[present]
        mean, target = share @ means, share @ vectors
        centred = means - mean
        total = moments.scatter / moments.weight_sum + (centred.T * share) @ centred
        cross = (centred.T * share) @ (vectors - target)
        total = total + strength.alpha * np.trace(total) * np.eye(len(total))
        step = 1 / np.linalg.norm(total, 2)
        coef = ahead = np.zeros_like(cross)
        for t in range(self.n_steps):
            new = ahead - step * (total @ ahead - cross)
            ahead = new + t / (t + 3) * (new - coef)
            coef = new
        intercept = target - mean @ coef
        found = AffineMap(*(problem.tensor(a) for a in (coef, intercept)))
        return Solution([found], [])


@pytest.fixture
def gradient(monkeypatch):
    monkeypatch.setitem(SOLVERS, "gradient", Gradient)


@pytest.mark.usefixtures("gradient")
@pytest.mark.parametrize("projector", ["linear", "kernel"])
@pytest.mark.parametrize("solver", ["gradient", Gradient(600)], ids=str)
def test_solvers_of_ones_own_find_what_ours_find(projector, solver):
    parameters = {"projector": projector, "feature_scaling": "standard", "alpha": 0.1}
    ours = ETFClassifier(solver="closed_form", random_state=0, **parameters).fit(X, Y)
    theirs = ETFClassifier(solver=solver, random_state=0, **parameters).fit(X, Y)
    # Held-out rows scale ours; theirs has a temperature.
    expected, found = ours.transform(NEW), theirs.transform(NEW)
    factor = (found * expected).sum() / (found**2).sum()
    assert_allclose(factor * found, expected, atol=1e-3)
    assert_array_equal(theirs.predict(NEW), ours.predict(NEW))
    assert theirs.loss_curve_ == []


@pytest.mark.usefixtures("gradient")
def test_solvers_of_ones_own_are_searched():
    model = ETFClassifier(solver="gradient", random_state=0).fit(X, Y)
    results = model.selection_results_
    assert set(results["solver"]) == {"gradient"}
    assert set(results["projector"]) == {"linear", "kernel"}
    assert set(results["alpha"]) == {1.0, 0.1, 0.01}
    assert balanced_accuracy(model) > 0.9
    scaled = {"projector": "linear", "feature_scaling": "standard"}
    search = GridSearchCV(
        ETFClassifier(solver=Gradient(), alpha=1e-2, **scaled),
        {"solver__n_steps": [1, 300]},
        scoring="neg_log_loss",
        cv=2,
    )
    assert search.fit(X, Y).best_params_ == {"solver__n_steps": 300}


@pytest.mark.usefixtures("gradient")
def test_solvers_of_ones_own_are_mentioned_and_refused():
    with pytest.raises(ValueError, match=r"solver must be one of .*'gradient'"):
        ETFClassifier(solver="newton").fit(X, Y)
    with pytest.raises(ValueError, match=r"solver='gradient' cannot train .*mlp"):
        ETFClassifier(solver="gradient", projector="mlp").fit(X, Y)
    with pytest.raises(ValueError, match=r"solver=Gradient.* cannot train "):
        HUGClassifier(solver=Gradient(), proxy="learnable").fit(X, Y)


# --- targets -----------------------------------------------------------------------


class OneHot(Target):
    """A basis vector for each class."""

    centred = False

    def min_components(self, n_classes):
        return n_classes

    def build(self, class_counts, n_components=None, random_state=None):
        n_classes = len(class_counts)
        vectors = np.eye(n_classes, n_components or n_classes)
        return ClassGeometry(vectors, vectors)


class Circle(Target):
    """Vectors at equal angles in the plane."""

    assignable = True

    def min_components(self, n_classes):
        return 2

    def build(self, class_counts, n_components=None, random_state=None):
        angles = 2 * np.pi * np.arange(len(class_counts)) / len(class_counts)
        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return ClassGeometry(vectors, vectors)


@pytest.fixture
def targets(monkeypatch):
    monkeypatch.setitem(TARGETS, "one_hot", OneHot())
    monkeypatch.setitem(TARGETS, "circle", Circle())


@pytest.mark.usefixtures("targets")
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"solver": "closed_form"},
        {"solver": "lbfgs", "alpha": 1e-3},
        {"solver": "adamw", "projector": "linear", "trainer": TRAINER, **TRAINED},
        {"projector": MLP((16,)), "trainer": TRAINER, **TRAINED},
    ],
    ids=["auto", "closed_form", "lbfgs", "adamw", "mlp"],
)
def test_targets_of_ones_own_are_fitted(parameters):
    model = ETFClassifier("one_hot", **{"random_state": 0, **parameters}).fit(X, Y)
    assert_array_equal(model.target_, np.eye(K))
    assert balanced_accuracy(model) > 0.85
    given = ETFClassifier(np.eye(K), **{"random_state": 0, **parameters}).fit(X, Y)
    assert_allclose(model.predict_proba(NEW), given.predict_proba(NEW), atol=1e-8)


@pytest.mark.usefixtures("targets")
def test_vectors_of_assignable_targets_go_to_similar_classes():
    parameters = {"projector": "linear", "alpha": 1e-2, "random_state": 0}
    placed, given = (
        ETFClassifier("circle", assignment=assignment, **parameters).fit(X, Y)
        for assignment in ("auto", "identity")
    )
    vectors = Circle().build(COUNTS).classifier
    assert_array_equal(given.target_, vectors)
    assert sorted(placed.target_.tolist()) == sorted(vectors.tolist())
    assert not np.array_equal(placed.target_, vectors)
    with pytest.raises(ValueError, match=r"target must be one of .*'circle'"):
        ETFClassifier("square").fit(X, Y)
