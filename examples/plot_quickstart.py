"""
Quickstart: ten digits, from common to rare
===========================================

Scikit-learn's handwritten digits are made long-tailed: 85 training images of the most
frequent digit, 2 of the rarest. :class:`~skcollapse.ETFClassifier` fits the projection
of the pixels onto ten fixed class vectors, a simplex equiangular tight frame, and is
compared with logistic regression that weighs all classes equally.
"""

# %%
# Data
# ----
#
# Half of the images are set aside for testing, stratified and so nearly balanced. Of
# the other half :func:`~skcollapse.datasets.make_long_tailed` keeps a long tail of
# imbalance ratio 30. Which images are kept, and which digits are rare, is drawn five
# times, with the seeds 0 to 4, and all five draws are reported: with two images of a
# digit, a single draw says little.

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import train_test_split

from skcollapse import ETFClassifier
from skcollapse.datasets import make_long_tailed

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
tails = [
    make_long_tailed(y, 30, n_max=85, class_order="random", random_state=seed)
    for seed in range(5)
]

# %%
# Fit and compare
# ---------------
#
# Both classifiers get the pixels as they are and keep their defaults, but for the
# weights of the classes and the number of iterations that logistic regression needs.
# Balanced accuracy is the mean of the recalls of the classes.

names = ["ETFClassifier", "LogisticRegression"]
recalls = np.empty((2, len(tails), 10))  # by classifier, draw and rank of the class
print("balanced accuracy   " + "   ".join(names))
for seed, tail in enumerate(tails):
    etf = ETFClassifier(random_state=0).fit(X[tail], y[tail])
    logistic = LogisticRegression(class_weight="balanced", max_iter=1000)
    logistic.fit(X[tail], y[tail])
    counts = np.bincount(y[tail])
    by_count = np.argsort(-counts)
    for k, model in enumerate([etf, logistic]):
        recall = recall_score(y_test, model.predict(X_test), average=None)
        recalls[k, seed] = recall[by_count]
    scores = recalls[:, seed].mean(axis=1)
    print(f"tail {seed}              {scores[0]:13.3f}   {scores[1]:18.3f}")
scores = recalls.mean(axis=(1, 2))
print(f"mean                {scores[0]:13.3f}   {scores[1]:18.3f}")

# %%
# Figure
# ------
#
# *Left*: recall by the number of training images of a class. Lines are means over the
# five draws, dots single draws.
#
# *Middle*: test images of the last draw as the classifier sees them. Only the direction
# of a row of ``transform(X_test)`` decides its class, so rows are scaled to length 1.
# Their nine dimensions are projected to a plane in which the ten class vectors point to
# the corners of a regular polygon. Digits with similar projections are side by side:
# their order is that of the class means around the first two principal components.
#
# *Right*: cosines of the target below the diagonal, all of them −1/9, and above it
# those of the class means of the projected test images. They differ much:
# cross-entropy asks for a higher score of the right class, not for the angles.

import matplotlib.pyplot as plt
from sklearn.decomposition import PCA

# Ten colours that colour-blind readers can tell apart (Petroff, arXiv:2107.02270).
colours = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"]
colours += ["#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"]
figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(13, 4.3), layout="constrained"
)

sizes = counts[by_count]
for k, (colour, marker) in enumerate([("#3f90da", "o"), ("#e76300", "s")]):
    left.plot(sizes, recalls[k].T, ".", color=colour, alpha=0.5, ms=6, mew=0)
    left.plot(
        sizes, recalls[k].mean(axis=0), marker + "-", color=colour, ms=5, label=names[k]
    )
left.set_xscale("log")
left.set_xticks(sizes, sizes)
left.minorticks_off()
left.invert_xaxis()
left.set(
    title="Recall by class size, five draws",
    xlabel="training images of the class",
    ylabel="recall on test images",
    ylim=(None, 1.02),
)
left.spines[["top", "right"]].set_visible(False)
left.legend(loc="lower left", frameon=False)

Z = etf.transform(X_test)
Z /= np.linalg.norm(Z, axis=1, keepdims=True)
means = np.array([Z[y_test == k].mean(axis=0) for k in range(10)])
means -= means.mean(axis=0)
place = np.argsort(np.argsort(np.arctan2(*PCA(2).fit_transform(means).T)))
corners = np.column_stack([np.sin(0.2 * np.pi * place), np.cos(0.2 * np.pi * place)])
points = Z @ etf.target_.T @ corners
corners *= 1.05 * np.linalg.norm(points, axis=1).max()
for k, colour in enumerate(colours):
    middle.plot([0, corners[k, 0]], [0, corners[k, 1]], color=colour, lw=1.5, zorder=1)
    middle.scatter(*points[y_test == k].T, s=11, color=colour, alpha=0.65, linewidths=0)
    middle.annotate(
        str(k),
        corners[k],
        color="white",
        weight="bold",
        ha="center",
        va="center",
        bbox={"boxstyle": "circle", "facecolor": colour, "edgecolor": "none"},
    )
middle.set(title="Projected test images and class vectors", aspect="equal")
middle.margins(0.08)
middle.set_axis_off()

means = means[by_count] / np.linalg.norm(means[by_count], axis=1, keepdims=True)
target = etf.target_[by_count]
cosines = np.where(np.tri(10, dtype=bool), target @ target.T, means @ means.T)
np.fill_diagonal(cosines, np.nan)
image = right.imshow(cosines, cmap="RdBu_r", vmin=-0.6, vmax=0.6)
right.set_xticks(range(10), by_count)
right.set_yticks(range(10), by_count)
right.tick_params(length=0)
right.spines[:].set_visible(False)
right.set(
    title="Cosines: test images above, target below",
    xlabel="digit, from common to rare",
)
figure.colorbar(image, ax=right, shrink=0.8).outline.set_visible(False)

if "__file__" in globals():  # a script; the gallery shows the figure by itself
    figure.savefig("quickstart.png", dpi=110)
