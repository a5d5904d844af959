"""Mixup of rows, exact for every loss that takes weights as multiplicities."""

import numpy as np
import torch


class Mixup:
    """Replaces the rows of a batch by mixtures of two, each counted in both classes.

    One share λ is drawn for a batch. The mixture λ x + (1 − λ) x' enters the loss
    twice: with the class of x and λ times its weight, and with the class of x' and
    1 − λ times the weight of that.

    Parameters
    ----------
    alpha : float
        λ is drawn from Beta(α, α); 0 does not mix.
    seed : int

    References
    ----------
    .. [1] Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018,
       arXiv:1710.09412.
    """

    def __init__(self, alpha, seed):
        self.alpha = alpha
        # torch has no public way to draw from Beta with a generator of one's own.
        self.rng = np.random.default_rng(seed)

    def loss(self, module, objective, x, y, weight):
        """Return the loss of a batch, mixed if there is anything to draw from.

        Parameters
        ----------
        module : torch.nn.Module
        objective : Objective
        x : tensor of shape (b, ...), floating point
        y : tensor of shape (b,), int64
        weight : tensor of shape (b,), floating point

        Returns
        -------
        scalar tensor
        """
        if self.alpha == 0:
            return objective(module(x), y, weight)
        share = self.rng.beta(self.alpha, self.alpha)
        partner = torch.from_numpy(self.rng.permutation(len(y))).to(y.device)
        mixed, share = self.mix(x, partner, share)
        projected = module(mixed)
        return objective(
            torch.cat([projected, projected]),
            torch.cat([y, y[partner]]),
            torch.cat([share * weight, (1 - share) * weight[partner]]),
        )

    def mix(self, x, partner, share):
        """Return the mixtures, and the share in them of the rows themselves.

        Parameters
        ----------
        x : tensor of shape (b, ...), floating point
        partner : tensor of shape (b,), int64
            The other row of each mixture.
        share : float

        Returns
        -------
        mixed : tensor of shape (b, ...)
        share : float
        """
        return share * x + (1 - share) * x[partner], share
