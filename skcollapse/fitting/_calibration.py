"""One temperature, fitted to the class-balanced log-loss of held-out logits."""

from collections.abc import Callable
from typing import Any

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
    project: Callable[[Any], np.ndarray],
    target: ClassGeometry,
    unit: bool,
    rng: np.random.RandomState,
) -> float:
    """Return the temperature of the least class-balanced log-loss on given rows.

    The generator draws the rows that are looked at, if they are many.
    """
    data = data.take(class_aware_subsample(data.y, _SUBSAMPLE, rng))
    scores = class_scores(torch.from_numpy(project(data.X)), target, unit)
    y, weight = torch.from_numpy(data.y), torch.from_numpy(data.balanced_weight)
    return 1 / fit_inverse_temperature(scores[None], y, weight).item()


def log_loss(logits: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted log-loss of (..., n, K) logits, of shape (...)."""
    return ((logits.logsumexp(-1) - _own(logits, y)).double() * weight).sum(-1)


def _own(logits: Tensor, y: Tensor) -> Tensor:
    """Return the (..., n) logits that rows have for their own class."""
    return logits.gather(-1, y.expand(logits.shape[:-1])[..., None])[..., 0]


def fit_inverse_temperature(logits: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return the (c,) factors b that minimise the log-loss of b · (c, n, K) logits.

    The loss is convex in b: Newton's method, with steps of limited size. Weights have
    the sum 1, and classes that a row cannot be given the logit ``EXCLUDED``. Constant
    logits have the factor 1.
    """
    weight = weight.to(logits)
    present = logits > EXCLUDED / 2
    spread = (torch.where(present, logits, 0).square().mean(-1) @ weight).sqrt()
    constant = spread == 0
    spread = torch.where(constant, 1, spread)
    shifted = logits - logits.amax(-1, keepdim=True)
    own = _own(shifted, y) @ weight
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
