"""
Neural collapse of a network during training
============================================

A small convolutional network learns long-tailed digits by cross-entropy, and
:class:`~skcollapse.monitor.CollapseMonitor` measures its last layer every few epochs.
Do features gather at their class means? And do the class means approach the geometry of
classes of equal size, a simplex equiangular tight frame (ETF), or that of classes of
unequal size, SELI?
"""

# %%
# Data and network
# ----------------
#
# Scikit-learn's digits, with 140 images of the most frequent digit and 7 of the rarest.
# The monitor measures the 64 features that enter the last linear layer, on the training
# images. Collapse on these does not mean that other images are recognised.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from skcollapse.datasets import make_long_tailed
from skcollapse.display import CollapseDisplay, GramDisplay
from skcollapse.measures import minority_cosine, seli_distance
from skcollapse.monitor import CollapseMonitor
from skcollapse.targets import seli

digits = load_digits()
tail = make_long_tailed(digits.target, 20, n_max=140, random_state=0)
X = torch.from_numpy(digits.images[tail, None] / 16).float()
y = torch.from_numpy(digits.target[tail])
counts = np.bincount(y)
print("images of each digit:", *counts)

torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv2d(1, 32, 3, padding=1),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 3, padding=1),
    nn.BatchNorm2d(64),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(256, 128),
    nn.BatchNorm1d(128),
    nn.ReLU(),
    nn.Linear(128, 64),
    nn.BatchNorm1d(64),
    nn.ReLU(),
    nn.Linear(64, 10),
)

# %%
# Training
# --------
#
# This is an ordinary training loop with two more lines: one creates the monitor, the
# other calls it after each epoch. The monitor finds the last layer of the network by
# itself.

n_epochs = 200
optimizer = torch.optim.SGD(
    network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-3
)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs)
loader = DataLoader(TensorDataset(X, y), batch_size=256)
monitor = CollapseMonitor(every=10)
for epoch in range(n_epochs + 1):
    monitor.record_network(network, loader)
    if epoch == n_epochs:
        break
    for rows in torch.randperm(len(y)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(X[rows]), y[rows]).backward()
        optimizer.step()
    schedule.step()

print(monitor.reports[n_epochs])

# %%
# The four properties
# -------------------
#
# At epoch 0 the network is untrained: features spread as widely as their class means,
# and the network hardly ever decides for the nearest class mean.

_ = CollapseDisplay.from_history(monitor.reports)

# %%
# Which geometry?
# ---------------
#
# The optimum of regularised cross-entropy is not exactly at SELI but on a path towards
# it: the weaker the regularisation, the closer. ``ridge`` is the position on that path.
# The left panel shows distances of the Gram matrices from the ETF, from SELI and from
# the nearest point of the path. The right panel shows the mean cosine of the smaller
# half of the classes in excess of the −1/9 of an ETF; the shaded range is that of the
# path between ridge 0 and 1. A rise towards 10/9 would be minority collapse.

path = [0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
geometries = [seli(counts, ridge=ridge, random_state=0) for ridge in path]
excess = {
    "class means": [minority_cosine(g.means, counts) for g in geometries],
    "classifier": [
        minority_cosine(g.classifier, counts, centred=False) for g in geometries
    ],
}


def nearest_on_path(vectors, which):
    """Return the least distance from a SELI geometry of the path."""
    return min(
        seli_distance(vectors, counts, ridge=ridge, vectors=which) for ridge in path
    )


reports = monitor.reports.values()
on_path = {
    "class means": [nearest_on_path(report.means, "means") for report in reports],
    "classifier": [nearest_on_path(report.coef, "classifier") for report in reports],
}
colours = {"class means": "#3f90da", "classifier": "#e76300"}
prefixes = {"class means": ("nc2_", ""), "classifier": ("classifier_",) * 2}
figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4), layout="constrained")
for what, colour in colours.items():
    of_etf, of_seli = prefixes[what]
    epochs, values = monitor.curve(f"{of_etf}etf_distance")
    left.plot(epochs, values, ":", color=colour, label=f"{what}, from the ETF")
    values = monitor.curve(f"{of_seli}seli_distance")[1]
    left.plot(epochs, values, "--", color=colour, label=f"{what}, from SELI")
    left.plot(epochs, on_path[what], color=colour, label=f"{what}, from the path")
    values = monitor.curve(f"{of_seli}minority_cosine")[1]
    right.plot(epochs, values, color=colour, label=what)
    right.axhspan(min(excess[what]), max(excess[what]), color=colour, alpha=0.2)
left.set(xlabel="epoch", ylabel="distance of Gram matrices", ylim=(0, None))
right.set(xlabel="epoch", ylabel="cosine of small classes, excess")
for ax in (left, right):
    ax.legend(frameon=False, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
if "__file__" in globals():  # a script; the gallery shows the figure by itself
    figure.savefig("network_collapse.png", dpi=110)

for what, (of_etf, of_seli) in prefixes.items():
    last = monitor.reports[n_epochs]
    print(
        f"{what}: {last[f'{of_etf}etf_distance']:.3f} from the ETF, "
        f"{last[f'{of_seli}seli_distance']:.3f} from SELI, "
        f"{on_path[what][-1]:.3f} from the path"
    )

# %%
# At the end the classifier is near SELI and far from the ETF, which is how collapse
# looks with classes of unequal size. Class means are nearer to SELI than to the ETF
# too, but less so. On average, rare digits do not collapse onto each other, though the
# class means of the two rarest, 8 and 9, approach each other. The Gram matrices:

_ = GramDisplay.from_report(monitor.reports[n_epochs])
