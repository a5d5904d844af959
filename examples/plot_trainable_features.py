"""
Features that are trained
=========================

On frozen features a fixed target hardly matters. Here the features themselves are
trained. A small convolutional network learns long-tailed digits in three ways: by
cross-entropy on a learned linear head, as usual; by dot regression onto a simplex
equiangular tight frame (ETF), which is the method of the ETF paper; and by the default
loss of :class:`~skcollapse.ETFClassifier`, which adjusts for the class sizes.
"""

# %%
# Three fits of one network
# -------------------------
#
# Scikit-learn's digits as 8 × 8 images, with 85 of the most frequent one and 2 of the
# rarest. ``extractor`` is any torch module from a batch of rows to features; a copy is
# trained. A learned linear head onto the unit vectors of ten dimensions is an ordinary
# last layer, so that the same class fits the ordinary network. The released code of the
# paper ends in a batch normalisation, and gives each class the same weight in a batch:
# ``MLP((), batch_norm=True)`` is an affine map without hidden layers, normalised.
#
# The fits share everything else: the network and its initial weights, the learning rate
# and its schedule, and the number of epochs. What concerns mini-batches is in a
# :class:`~skcollapse.training.Trainer`. :class:`~skcollapse.monitor.CollapseMonitor` is
# a callback here. The tail and the weights are drawn three times.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import recall_score
from sklearn.model_selection import train_test_split
from torch import nn

from skcollapse import ETFClassifier
from skcollapse.datasets import make_long_tailed
from skcollapse.losses import DotRegression
from skcollapse.monitor import CollapseMonitor
from skcollapse.projectors import MLP
from skcollapse.training import Trainer


def new_network(seed):
    """Return a network from (n, 1, 8, 8) images to (n, 64) features."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 64),
        nn.ReLU(),
    )


common = ETFClassifier(
    train_extractor=True,
    solver="sgd",
    alpha=5e-4,
    max_iter=60,
    trainer=Trainer(
        batch_size=32, learning_rate_init=0.05, n_iter_no_change=60, warmup_epochs=3
    ),
)
methods = {
    "cross-entropy": {"target": np.eye(10), "loss": "cross_entropy"},
    "ETF + dot regression": {
        "loss": DotRegression(weighting="class"),
        "projector": MLP((), batch_norm=True),
    },
    "ETF + logit adjustment": {},
}
n_draws = 3
X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
recalls = {name: [] for name in methods}
monitors = {name: [] for name in methods}
for draw in range(n_draws):
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=draw
    )
    tail = make_long_tailed(y_train, imbalance_ratio=40, random_state=draw)
    for name, parameters in methods.items():
        model = clone(common).set_params(
            extractor=new_network(draw), random_state=draw, **parameters
        )
        monitor = CollapseMonitor(every=3)
        model.set_callbacks(monitor).fit(X_train[tail], y_train[tail])
        predicted = model.predict(X_test)
        recalls[name].append(recall_score(y_test, predicted, average=None))
        monitors[name].append(monitor)
counts = model.class_counts_
print("images of each digit:", *counts.astype(int))
for name, of_draws in recalls.items():
    means = np.mean(of_draws, axis=1)
    print(f"{name}: balanced accuracy {means.mean():.3f}, of the draws", means.round(3))

# %%
# Recall by class, and collapse along training
# --------------------------------------------
#
# On the left the recall of each digit, averaged over the draws. In the middle, for the
# projected training images, NC1: how widely they spread around their class means, in
# comparison with these. On the right, how far the Gram matrix of the class means is
# from that of an ETF.

panels = {"nc1": "NC1 of training images", "nc2_etf_distance": "distance from an ETF"}
colours = dict(zip(methods, ("#717581", "#e76300", "#3f90da"), strict=True))
figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.7), layout="constrained")
for name, colour in colours.items():
    style = {"color": colour, "label": name}
    axes[0].plot(counts, np.mean(recalls[name], axis=0), "o-", **style)
    for ax, measure in zip(axes[1:], panels, strict=True):
        epochs, curves = zip(*(m.curve(measure) for m in monitors[name]), strict=True)
        ax.plot(epochs[0], np.mean(curves, axis=0), **style)
axes[0].set(xscale="log", xlabel="training images of the digit", ylabel="recall")
axes[0].set_xticks(counts[[0, 3, 6, 9]], counts[[0, 3, 6, 9]].astype(int))
axes[0].minorticks_off()
for ax, label in zip(axes[1:], panels.values(), strict=True):
    ax.set(xlabel="epoch", ylabel=label)
axes[1].set_yscale("log")
axes[2].set_ylim(0, None)
axes[0].legend(frameon=False, fontsize="small")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
if "__file__" in globals():  # a script; the gallery shows the figure by itself
    figure.savefig("trainable_features.png", dpi=110)

# %%
# Dot regression onto the ETF collapses the most by far, and on average over the draws
# it recognises the two rarest digits the least: collapse of training images does not
# say that others are recognised. The same target with a loss that adjusts for the class
# sizes recognises them best. Other data and longer training may well differ:
# :doc:`/benchmarks` compares more methods on larger images.
