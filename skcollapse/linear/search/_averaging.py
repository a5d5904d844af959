"""Averages of candidates, weighted by how well they predict held-out rows together."""

import torch
from torch import Tensor

from skcollapse.fitting import log_loss

# Every step adds one candidate to the average, so no more than this many share it.
STEPS = 10
# Losses closer than this are the same: which is lower is a matter of rounding.
_TIE = 1e-6


def first_lowest(values: Tensor) -> int:
    """Return the first index of a value that is the lowest, or as good as.

    Candidates go from strong to weak regularisation: the first is the simplest.
    """
    return int((values <= values.min() + _TIE).nonzero()[0][0])


def greedy_average(
    logits: Tensor, y: Tensor, weight: Tensor, steps: int = STEPS
) -> Tensor:
    """Return the weights of a convex combination of logits with a low log-loss.

    It begins with the best candidate. Every further step adds the one that lowers the
    loss fastest, as in [1]_ but chosen by the gradient: these are Frank–Wolfe steps of
    length 1/t on the simplex. Candidates close to the best would be chosen by chance;
    their average depends less on it, and few of them get a weight.

    Parameters
    ----------
    logits : tensor of shape (c, n, K)
        Held-out logits of c candidates, each at its own temperature.
    y : tensor of shape (n,), int64
    weight : tensor of shape (n,)
        Of sum 1.
    steps : int
        1 chooses the best candidate.

    References
    ----------
    .. [1] Caruana et al., "Ensemble selection from libraries of models", ICML 2004.
    """
    weight = weight.to(logits)
    rows = torch.arange(len(y), device=y.device)
    chosen = first_lowest(log_loss(logits, y, weight))
    share = torch.zeros(len(logits), dtype=torch.float64)
    share[chosen] = 1
    mixture = logits[chosen].clone()
    for step in range(2, steps + 1):
        gradient = torch.softmax(mixture, -1)
        gradient[rows, y] -= 1
        gradient *= weight[:, None]
        chosen = first_lowest(logits.flatten(1) @ gradient.flatten())
        share *= 1 - 1 / step
        share[chosen] += 1 / step
        mixture += (logits[chosen] - mixture) / step
    return share
