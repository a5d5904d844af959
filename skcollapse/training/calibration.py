"""One temperature, fitted to the class-balanced log-loss of held-out logits."""

import torch
from torch import Tensor

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
