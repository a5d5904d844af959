"""
Generalized collapse: codes on the circle and the sphere
========================================================

With fewer dimensions than classes there is no simplex equiangular tight frame. Class
vectors are then spread over the sphere as uniformly as possible, and features gather
around them. In this example the features are free parameters, one for every sample, and
no network constrains them. They are trained by the hyperspherical uniformity gap alone.
"""

# %%
# The codes
# ---------
#
# :func:`~skcollapse.targets.hyperspherical_code` computes the most uniform vectors:
# seven on the circle are the corners of a regular polygon, six on the sphere those of
# an octahedron. The training below does not use them; they are for comparison.

import numpy as np
import torch

from skcollapse.losses import HypersphericalUniformityGap
from skcollapse.measures import uniformity
from skcollapse.targets import hyperspherical_code

circle = hyperspherical_code(7, 2, random_state=0)
sphere = hyperspherical_code(6, 3, random_state=0)

# %%
# Free features
# -------------
#
# There is one feature for each sample and one class vector for each class, all of them
# drawn at random. :class:`~skcollapse.losses.HypersphericalUniformityGap` is the sum of
# two terms: one makes the class vectors repel each other, the other draws features to
# the vector of their class, with its gradient stopped at the class vectors. The classes
# have unequal sizes, from 24 samples down to 3, which makes no difference to this loss.


def train(n_classes, n_components, steps=400):
    """Return class vectors and features before, during and after training."""
    sizes = np.geomspace(24, 3, n_classes).astype(int)
    y = torch.repeat_interleave(torch.arange(n_classes), torch.tensor(sizes))
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(len(y), n_components, generator=generator).requires_grad_()
    vectors = torch.randn(n_classes, n_components, generator=generator).requires_grad_()
    loss = HypersphericalUniformityGap()
    optimizer = torch.optim.Adam([features, vectors], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    stages = {}
    for step in range(steps + 1):
        if step in (0, 15, steps):
            stages[step] = [
                torch.nn.functional.normalize(points.detach()).numpy()
                for points in (vectors, features)
            ]
        optimizer.zero_grad()
        loss(features, y, vectors).backward()
        optimizer.step()
        schedule.step()
    return y.numpy(), stages


# %%
# The energy of the class vectors and the distance of the features to them, beside the
# energy of the code:

runs = {"circle": (circle, *train(7, 2)), "sphere": (sphere, *train(6, 3))}
for name, (code, y, stages) in runs.items():
    print(f"{name}: energy of the code {uniformity(code, s=1.0):.6f}")
    for step, (vectors, features) in stages.items():
        energy = uniformity(vectors, s=1.0)
        distance = np.linalg.norm(features - vectors[y], axis=1).mean()
        print(f"  step {step:3d}: energy {energy:.6f}, distance {distance:.6f}")

# %%
# Figure
# ------
#
# Arrows (lines on the sphere) are class vectors, dots are features. Rings are the
# vectors of the code, rotated towards the trained class vectors, since the loss does
# not depend on a rotation. On the circle, dots are scattered a little along the radius;
# on the sphere, the far side is pale.

import matplotlib.pyplot as plt
from scipy.linalg import orthogonal_procrustes

from skcollapse.targets import assign_code

# Colours that colour-blind readers can tell apart (Petroff, arXiv:2107.02270).
colours = np.array(
    ["#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#a96b59", "#717581", "#92dadd"]
)


def turned(code, vectors):
    """Return the code in the order of class vectors and turned onto them."""
    ordered = assign_code(code, vectors @ vectors.T, random_state=0)
    return ordered @ orthogonal_procrustes(ordered, vectors)[0]


def draw_circle(axes, vectors, features, places, y):
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), color="#cccccc", lw=1, zorder=0)
    spread = 1 + 0.05 * np.random.default_rng(0).uniform(-1, 1, len(y))
    axes.scatter(*(features.T * spread), c=colours[y], s=14, alpha=0.7, lw=0)
    axes.scatter(*(1.17 * places.T), s=70, facecolors="none", edgecolors="#555555")
    for k, vector in enumerate(vectors):
        axes.annotate(
            "",
            0.93 * vector,
            (0, 0),
            arrowprops={"arrowstyle": "-|>", "color": colours[k], "lw": 1.8},
        )
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")


def draw_sphere(axes, vectors, features, places, y):
    u, v = np.mgrid[0 : 2 * np.pi : 25j, 0 : np.pi : 13j]
    axes.plot_wireframe(
        np.cos(u) * np.sin(v),
        np.sin(u) * np.sin(v),
        np.cos(v),
        color="#dddddd",
        lw=0.4,
    )
    axes.scatter(*features.T, c=colours[y], s=12, lw=0)
    axes.scatter(*(1.12 * places.T), s=60, facecolors="none", edgecolors="#555555")
    for k, vector in enumerate(vectors):
        axes.plot(*np.stack([0 * vector, vector]).T, color=colours[k], lw=2)
    axes.set_box_aspect((1, 1, 1), zoom=1.45)
    axes.view_init(25, 30)


figure = plt.figure(figsize=(11, 7.4), layout="constrained")
for row, (name, (code, y, stages)) in enumerate(runs.items()):
    places = turned(code, stages[max(stages)][0])
    for column, (step, (vectors, features)) in enumerate(stages.items()):
        flat = name == "circle"
        axes = figure.add_subplot(
            2, 3, 3 * row + column + 1, projection=None if flat else "3d"
        )
        draw = draw_circle if flat else draw_sphere
        draw(axes, vectors, features, places, y)
        axes.set_title(f"{len(vectors)} classes on the {name}, step {step}")
        axes.set_axis_off()

if "__file__" in globals():  # a script; the gallery shows the figure by itself
    figure.savefig("generalized_collapse.png", dpi=110)
