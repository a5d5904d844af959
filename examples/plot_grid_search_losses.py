"""
Grid search: which loss, which target?
======================================

A loss draws features towards class vectors, and a target says where these are. Both are
parameters of :class:`~skcollapse.ETFClassifier`, so scikit-learn's grid search can
compare them. The scorers of :func:`~skcollapse.metrics.imbalance_scorers` show what
classes of different sizes gain and lose.
"""

# %%
# Data
# ----
#
# Scikit-learn's handwritten digits, made long-tailed: 85 training images of the zeros,
# 2 of the nines.

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skcollapse.datasets import make_long_tailed

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
tail = make_long_tailed(y, 30, n_max=85, random_state=0)
X, y = X[tail], y[tail]
print("images of each digit:", *np.bincount(y))

# %%
# Search
# ------
#
# Four losses and two targets, with everything else at its default.
# :class:`~skcollapse.datasets.LongTailSplit` makes the folds: every digit is in every
# training part, even a digit with fewer images than folds. ``scoring`` takes a dict of
# scorers. Three of them score groups of classes: those with more than 40 training
# images, with 8 to 40 and with fewer than 8. The search chooses the candidate by one of
# the scores.

from sklearn.model_selection import GridSearchCV

from skcollapse import ETFClassifier
from skcollapse.datasets import LongTailSplit
from skcollapse.metrics import imbalance_scorers

losses = ["logit_adjusted", "cross_entropy", "squared", "dot_regression"]
targets = ["etf", "seli"]
groups = ["many_shot_recall", "medium_shot_recall", "few_shot_recall"]
scorers = imbalance_scorers(thresholds=(8, 40))

search = GridSearchCV(
    ETFClassifier(random_state=0),
    {"loss": losses, "target": targets},
    scoring={name: scorers[name] for name in ["balanced_accuracy", *groups]},
    refit="balanced_accuracy",
    cv=LongTailSplit(5, random_state=0),
)

# %%
# With scikit-learn 1.9 or later, and with rich installed, the search shows a progress
# bar; in a notebook this also needs ipywidgets.

from importlib.util import find_spec

if find_spec("sklearn.callback") and find_spec("rich"):
    from sklearn.callback import ProgressBar

    search.set_callbacks(ProgressBar(max_propagation_depth=0))

search.fit(X, y)
print("best:", search.best_params_)

# %%
# Results
# -------
#
# The table shows means over folds, the best candidate first.

results = search.cv_results_
columns = ["balanced_accuracy", *groups]
print(f"{'loss':16}{'target':8}", *(f"{name:>19}" for name in columns))
for candidate in np.argsort(results["rank_test_balanced_accuracy"], kind="stable"):
    parameters = results["params"][candidate]
    means = [results[f"mean_test_{name}"][candidate] for name in columns]
    print(
        f"{parameters['loss']:16}{parameters['target']:8}",
        *(f"{mean:19.3f}" for mean in means),
    )

# %%
# *Left*: balanced accuracy of all candidates, means over folds, with single folds as
# small dots. *Right*: recall of digits with many, some and few images in training,
# means over folds.

import matplotlib.pyplot as plt

colours = dict(zip(losses, ["#3f90da", "#e76300", "#717581", "#832db6"], strict=True))
styles = {"etf": ("o", "-"), "seli": ("s", "--")}
figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4), layout="constrained")

folds = [results[f"split{k}_test_balanced_accuracy"] for k in range(5)]
for candidate, parameters in enumerate(results["params"]):
    colour = colours[parameters["loss"]]
    marker, line = styles[parameters["target"]]
    row, below = losses.index(parameters["loss"]), targets.index(parameters["target"])
    height = -row - 0.3 * below
    left.plot(
        [fold[candidate] for fold in folds], [height] * 5, ".", color=colour, alpha=0.4
    )
    mean = results["mean_test_balanced_accuracy"][candidate]
    left.plot(mean, height, marker, color=colour, ms=8)
    right.plot(
        np.arange(3) + 0.03 * (row - 1.5),  # side by side where they are equal
        [results[f"mean_test_{name}"][candidate] for name in groups],
        marker + line,
        color=colour,
    )
left.set_yticks([-k - 0.15 for k in range(len(losses))], losses)
left.tick_params("y", length=0)
left.set(title="Balanced accuracy of held-out images", xlabel="balanced accuracy")
right.set_xticks(range(3), ["many: > 40", "medium: 8 to 40", "few: < 8"])
right.set(
    title="Recall by class size",
    xlabel="training images of the digit",
    ylabel="recall of held-out images",
)
for target, (marker, line) in styles.items():
    right.plot([], [], marker + line, color="black", label=f"target {target}")
for loss, colour in colours.items():
    right.plot([], [], color=colour, lw=3, label=loss)
right.legend(frameon=False, loc="lower left")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)

if "__file__" in globals():  # a script; the gallery shows the figure by itself
    figure.savefig("grid_search_losses.png", dpi=110)

# %%
# The best candidate is fitted to all training images already. On new ones, as many of
# each digit:

from sklearn.metrics import balanced_accuracy_score

print(f"{balanced_accuracy_score(y_test, search.predict(X_test)):.3f}")
