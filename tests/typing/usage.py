"""What a type checker makes of a program that uses the package; nothing here is run.

mypy warns of comments that ignore no error, so that the wrong lines must be errors.
"""

from typing import assert_type

import numpy as np
from torch import Tensor

import skcollapse
from skcollapse import ETFClassifier, HUGClassifier, NeuralCollapseScorer
from skcollapse.datasets import long_tail_counts, make_long_tailed
from skcollapse.losses import NTCE, get_loss
from skcollapse.metrics import head_tail_gap, shot_accuracy
from skcollapse.projectors import MLP
from skcollapse.targets import TARGETS, ClassGeometry, hyperspherical_code, seli
from skcollapse.training import Trainer


def classifiers(X: np.ndarray, y: np.ndarray) -> None:
    model = ETFClassifier("seli", loss=NTCE(temperature=0.2), projector=MLP((64,)))
    assert_type(model.fit(X, y), ETFClassifier)
    assert_type(model.predict(X), np.ndarray)
    assert_type(model.predict_proba(X), np.ndarray)
    assert_type(
        HUGClassifier("mhs", trainer=Trainer(batch_size=32)).fit(X, y), HUGClassifier
    )
    ETFClassifier(loss="ntce", solver="lbfgs", alpha=0.1)
    ETFClassifier(loss=3)  # type: ignore[arg-type]
    ETFClassifier(max_iter="many")  # type: ignore[arg-type]
    ETFClassifier(batch_size=32)  # type: ignore[call-arg]


def scorer(X: np.ndarray, y: np.ndarray) -> None:
    assert_type(NeuralCollapseScorer().fit(X, y), NeuralCollapseScorer)


def metrics(y: np.ndarray) -> None:
    recalls = shot_accuracy(y, y, class_counts={"cat": 900, "dog": 9})
    assert_type(recalls, dict[str, float])
    assert_type(head_tail_gap(y, y, class_counts=[900, 9]), float)
    skcollapse.metrics.worst_class_recall(y, y)
    shot_accuracy(y, y)  # type: ignore[call-arg]
    shot_accuracy(y, y, class_counts=[5], thresholds=20)  # type: ignore[arg-type]


def targets(features: np.ndarray) -> None:
    geometry = seli([100, 10], ridge=0.1, random_state=np.random.RandomState(0))
    assert_type(geometry, ClassGeometry)
    assert_type(geometry.scores(features), np.ndarray)
    assert_type(TARGETS["etf"].build([5, 3]).means, np.ndarray)
    hyperspherical_code(7, 3, n_init=4)
    hyperspherical_code(7, "3")  # type: ignore[arg-type]


def losses(features: Tensor, y: Tensor, class_vectors: Tensor) -> None:
    loss = get_loss("dot_regression")
    assert_type(loss(features, y, class_vectors), Tensor)
    NTCE(temperature="low")  # type: ignore[arg-type]


def datasets(y: np.ndarray) -> None:
    assert_type(long_tail_counts(5, 1000, 100), np.ndarray)
    make_long_tailed(y, profile=2)  # type: ignore[arg-type]
