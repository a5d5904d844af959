"""Stochastic optimisers. A new one is a function and a line."""

import torch
from torch import optim

from skcollapse.training.penalty import trainable


def adamw(groups, options):
    """Adam, with the weights shrunk apart from the gradient (arXiv:1711.05101)."""
    return optim.AdamW(groups, lr=options.learning_rate_init)


def sgd(groups, options):
    """Gradient descent with momentum; the penalty is part of the gradient."""
    return optim.SGD(
        groups,
        lr=options.learning_rate_init,
        momentum=options.momentum,
        nesterov=options.nesterov and options.momentum > 0,
    )


OPTIMIZERS = {"adamw": adamw, "sgd": sgd}


def make_optimizer(module, options, state=None):
    """Return the optimiser of the trainable parameters of a module.

    Parameters
    ----------
    module : torch.nn.Module
    options : MiniBatchOptions
    state : dict or None, default=None
        What `export_state` returned for an optimiser of the same module. The
        hyperparameters are those of the options all the same.

    Returns
    -------
    torch.optim.Optimizer
    """
    weights, others = trainable(module)
    groups = [
        {"params": weights, "weight_decay": options.alpha},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = OPTIMIZERS[options.solver](groups, options)
    if state is not None:
        own = optimizer.state_dict()
        optimizer.load_state_dict({**own, "state": state})
    return optimizer


def export_state(optimizer):
    """Return a copy of the state of an optimiser, on the CPU so that it unpickles.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer

    Returns
    -------
    dict
        The values of each parameter, by its position.
    """
    return {
        position: {
            name: value.detach().to("cpu", copy=True)
            for name, value in values.items()
            if torch.is_tensor(value)  # no momentum yet is None
        }
        for position, values in optimizer.state_dict()["state"].items()
    }
