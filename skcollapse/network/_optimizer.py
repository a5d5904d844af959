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


def make_optimizer(module, options, state=None, extractor=None):
    """Return the optimiser of the trainable parameters of a module.

    Parameters
    ----------
    module : torch.nn.Module
    options : MiniBatchOptions
    extractor : torch.nn.Module or None, default=None
        The part of the module that has a learning rate and a penalty of its own.
    state : dict or None, default=None
        What `export_state` returned for an optimiser of the same module. The
        hyperparameters are those of the options all the same.

    Returns
    -------
    torch.optim.Optimizer
    """
    within = set() if extractor is None else {id(p) for p in extractor.parameters()}
    trainer = options.trainer
    groups = []
    for is_extractor, rate, alpha in (
        (True, trainer.extractor_learning_rate, trainer.extractor_alpha),
        (False, None, None),
    ):
        weights, others = (
            [p for p in kind if (id(p) in within) == is_extractor]
            for kind in trainable(module)
        )
        rate = options.learning_rate_init if rate is None else rate
        alpha = options.alpha if alpha is None else alpha
        groups += [
            {"params": weights, "lr": rate, "weight_decay": alpha},
            {"params": others, "lr": rate, "weight_decay": 0.0},
        ]
    groups = [group for group in groups if group["params"]]
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
