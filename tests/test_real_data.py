"""What the defaults are worth on embeddings of real images."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcollapse import ETFClassifier

FILE = "cifar10_resnet18_pca100.npz"


@pytest.fixture(scope="module")
def long_tailed(data_folder):
    """Return long-tailed training rows (500 to 5 of a class) and balanced test rows."""
    path = data_folder / FILE
    if not path.is_file():
        pytest.skip(f"no file {path}")
    with np.load(path) as data:
        rows = data["lt_idx_ir100"]
        return (
            data["X_train"][rows].astype(np.float32),
            data["y_train"][rows],
            data["X_test"].astype(np.float32),
            data["y_test"],
        )


@pytest.fixture(scope="module")
def fitted(long_tailed):
    X, y, _, _ = long_tailed
    return ETFClassifier(random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def baseline(long_tailed):
    X, y, _, _ = long_tailed
    logistic = LogisticRegression(class_weight="balanced", C=1, max_iter=2000)
    return make_pipeline(StandardScaler(), logistic).fit(X, y)


def test_default_beats_class_weights(long_tailed, fitted, baseline):
    _, _, new, new_y = long_tailed
    ours = balanced_accuracy_score(new_y, fitted.predict(new))
    theirs = balanced_accuracy_score(new_y, baseline.predict(new))
    assert ours > theirs + 0.05


def test_probabilities_of_new_rows_are_honest(long_tailed, fitted, baseline):
    _, _, new, new_y = long_tailed
    probabilities = fitted.predict_proba(new)
    assert log_loss(new_y, probabilities) < log_loss(new_y, baseline.predict_proba(new))
    # On average no more confident than right, give or take.
    confidence = probabilities.max(axis=1).mean()
    accuracy = (fitted.predict(new) == new_y).mean()
    assert abs(confidence - accuracy) < 0.1
