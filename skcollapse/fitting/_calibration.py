"""One temperature, fitted to the class-balanced log-loss of held-out logits."""

import numpy as np
import torch
from torch import Tensor

from skcollapse.fitting._data import TrainingData
from skcollapse.fitting._splits import class_aware_subsample
from skcollapse.targets import ClassGeometry

# Newton's method is given this many steps, each by no more than this factor.
_STEPS, _LARGEST_FACTOR = 20, 4.0
# How far the scaled spread of the logits may go: beyond, probabilities are 0 or 1.
_SMALLEST_SPREAD, _LARGEST_SPREAD = 1e-3, 1e3
_TOLERANCE = 1e-5
# Logits this far below a row's greatest do not count: their exponentials would be
# subnormal numbers, with which a processor is a hundred times slower.
_FLOOR = -80.0
# The logit of a class that a row cannot be given. Finite: zero times it is zero.
EXCLUDED = -1e30
# Rows that are enough to choose one number.
_SUBSAMPLE = 3000


def class_scores(projected: Tensor, target: ClassGeometry, unit: bool) -> Tensor:
    """Return the (n, K) scores of projected rows, of their directions if ``unit``."""
    if unit:
        projected = torch.nn.functional.normalize(projected)
    return projected @ torch.as_tensor(target.classifier).to(projected).T


def fit_temperature(
    data: TrainingData,
    project,
    target: ClassGeometry,
    unit: bool,
    rng: np.random.RandomState,
) -> float:
    """Return the temperature of the least class-balanced log-loss on given rows.

    Parameters
    ----------
    data : TrainingData
    project : callable
        From rows of X to projected rows, in NumPy.
    target : ClassGeometry
    unit : bool
        Only the directions of projected rows count.
    rng : numpy.random.RandomState
        Draws the rows that are looked at, if they are many.
    """
    data = data.take(class_aware_subsample(data.y, _SUBSAMPLE, rng))
    scores = class_scores(torch.from_numpy(project(data.X)), target, unit)
    y, weight = torch.from_numpy(data.y), torch.from_numpy(data.balanced_weight)
    return 1 / fit_inverse_temperature(scores[None], y, weight).item()


def log_loss(logits: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted log-loss of (..., n, K) logits, of shape (...)."""
    own = logits.gather(-1, y.expand(logits.shape[:-1])[..., None])[..., 0]
    return ((logits.logsumexp(-1) - own).double() * weight).sum(-1)


def fit_inverse_temperature(logits: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return the factors b that minimise the log-loss of b · logits.

    The loss is convex in b: Newton's method, with steps of limited size.

    Parameters
    ----------
    logits : tensor of shape (c, n, K)
        Logits of c candidates; classes that a row cannot be given are ``EXCLUDED``.
    y : tensor of shape (n,), int64
    weight : tensor of shape (n,)
        Weights of sum 1.

    Returns
    -------
    tensor of shape (c,), dtype of the logits
        1 for constant logits.
    """
    weight = weight.to(logits)
    present = logits > EXCLUDED / 2
    spread = (torch.where(present, logits, 0).square().mean(-1) @ weight).sqrt()
    constant = spread == 0
    spread = torch.where(constant, 1, spread)
    shifted = logits - logits.amax(-1, keepdim=True)
    own = shifted.gather(-1, y.expand(logits.shape[:-1])[..., None])[..., 0] @ weight
    b = 1 / spread
    for _ in range(_STEPS):
        factor = b[:, None, None]
        z = torch.maximum(shifted, _FLOOR / factor)
        p = torch.softmax(factor * z, -1)
        moment = p * z
        mean = moment.sum(-1)
        slope = mean @ weight - own
        curvature = ((moment * z).sum(-1) - mean.square()) @ weight
        new = b - slope / curvature.clamp(min=torch.finfo(b.dtype).tiny)
        new = torch.clamp(new, b / _LARGEST_FACTOR, b * _LARGEST_FACTOR)
        new = torch.clamp(new, _SMALLEST_SPREAD / spread, _LARGEST_SPREAD / spread)
        moved = (new / b - 1).abs().max()
        b = new
        if moved < _TOLERANCE:
            break
    return torch.where(constant, 1, b)
