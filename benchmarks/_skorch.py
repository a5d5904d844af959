"""A linear ETFClassifier as it is written with skorch: a module and a criterion."""

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping

from skcollapse.losses import get_loss
from skcollapse.targets import ClassGeometry, seli, simplex_etf


def geometry_of(target, class_counts):
    """Return the class vectors and class means of "etf" or "seli"."""
    if target == "seli":
        return seli(class_counts, random_state=0)
    etf = simplex_etf(len(class_counts), random_state=0)
    return ClassGeometry(etf, etf)


class Projector(torch.nn.Module):
    """An affine map onto fixed class vectors; returns scores and projected rows."""

    def __init__(self, class_counts, n_features, target="etf"):
        super().__init__()
        torch.manual_seed(0)  # skorch has no seed of its own
        vectors = geometry_of(target, np.asarray(class_counts)).classifier
        self.linear = torch.nn.Linear(n_features, vectors.shape[1])
        self.register_buffer("vectors", torch.as_tensor(vectors, dtype=torch.float32))

    def forward(self, X):
        projected = self.linear(X)
        return projected @ self.vectors.T, projected


class Criterion(torch.nn.Module):
    """One of our losses, between projected rows and the vectors of a target."""

    def __init__(self, class_counts, loss="logit_adjusted", target="etf"):
        super().__init__()
        counts = np.asarray(class_counts)
        self.loss = get_loss(loss)
        vectors = getattr(geometry_of(target, counts), self.loss.vectors)
        self.register_buffer("vectors", torch.as_tensor(vectors, dtype=torch.float32))
        log_prior = np.log(counts / counts.sum())
        self.register_buffer("prior", torch.as_tensor(log_prior, dtype=torch.float32))

    def forward(self, scores_and_projected, y):
        return self.loss(scores_and_projected[1], y, self.vectors, None, self.prior)


def make_net(X, y, lr, max_epochs, **others):
    """Return an unfitted net for these rows; class counts are those of all of them."""
    counts = tuple(np.bincount(y).tolist())
    parameters = {
        "module": Projector,
        "module__class_counts": counts,
        "module__n_features": X.shape[1],
        "criterion": Criterion,
        "criterion__class_counts": counts,
        "optimizer": torch.optim.Adam,
        "optimizer__weight_decay": 0.0,
        "lr": lr,
        "max_epochs": max_epochs,
        "batch_size": 128,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
    }
    return NeuralNetClassifier(**parameters | others)


def epochs_needed(X, y, lr, weight_decay):
    """Return when the training loss has levelled off, as skorch stops early."""
    levelled = EarlyStopping(monitor="train_loss", threshold=0.01, patience=5)
    net = make_net(
        X,
        y,
        lr,
        max_epochs=1000,
        optimizer__weight_decay=weight_decay,
        callbacks=[levelled],
    )
    return len(net.fit(X, y).history)
