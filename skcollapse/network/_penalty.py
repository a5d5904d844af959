"""Which parameters are pulled to zero, and how strongly."""

import torch

from skcollapse.training.proxies import Proxies


def trainable(module):
    """Return the parameters to train, those to penalise before the others.

    Matrices and kernels are penalised; vectors are biases, or the scales and shifts of
    a normalisation, and are not. Nor are proxies: only their directions count.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    weights, others : lists of Parameter

    Raises
    ------
    ValueError
        If no parameter of the module requires a gradient.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("No parameter of the projector requires a gradient")
    proxies = [m for m in module.modules() if isinstance(m, Proxies)]
    of_proxies = {id(p) for m in proxies for p in m.parameters()}
    weights = [p for p in parameters if p.ndim > 1 and id(p) not in of_proxies]
    others = [p for p in parameters if p.ndim <= 1 or id(p) in of_proxies]
    return weights, others


@torch.no_grad()
def penalty_of(optimizer):
    """Return the penalty of all weights that an optimiser moves, as a float."""
    groups = optimizer.param_groups
    return sum(float(penalty(g["params"], g["weight_decay"])) for g in groups)


def penalty(weights, alpha):
    """Return α/2 times the squared norm of the weights.

    Parameters
    ----------
    weights : list of Parameter
    alpha : float

    Returns
    -------
    scalar tensor, or 0.0 without weights
    """
    return alpha / 2 * sum(weight.square().sum() for weight in weights)
