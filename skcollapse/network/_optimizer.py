"""Stochastic optimisers, and the penalty. A new optimiser is a function and a line."""

import torch
from torch import Tensor, nn, optim

from skcollapse.network._proxies import Proxies
from skcollapse.network._spec import MiniBatchOptions
from skcollapse.network._state import NetworkModule


def adamw(groups, trainer):
    """Adam, with the weights shrunk apart from the gradient (arXiv:1711.05101)."""
    return optim.AdamW(groups, lr=trainer.learning_rate_init)


def sgd(groups, trainer):
    """Gradient descent with Nesterov momentum; the penalty is part of the gradient."""
    return optim.SGD(
        groups,
        lr=trainer.learning_rate_init,
        momentum=trainer.momentum,
        nesterov=trainer.momentum > 0,
    )


OPTIMIZERS = {"adamw": adamw, "sgd": sgd}


def make_optimizer(module: NetworkModule, options: MiniBatchOptions) -> optim.Optimizer:
    """Return the optimiser of what is trainable; extractors have rates of their own."""
    trainer, of_extractor = options.trainer, set(module.extractor.parameters())
    groups = []
    for within, rate, alpha in (
        (True, trainer.extractor_learning_rate, trainer.extractor_alpha),
        (False, None, None),
    ):
        rate = trainer.learning_rate_init if rate is None else rate
        alpha = options.alpha if alpha is None else alpha
        for parameters, decay in zip(trainable(module), (alpha, 0.0), strict=True):
            chosen = [p for p in parameters if (p in of_extractor) == within]
            groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    groups = [group for group in groups if group["params"]]
    return OPTIMIZERS[options.solver](groups, trainer)


def export_state(optimizer: optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """Return a copy of the state of each parameter, on the CPU so that it unpickles."""
    return {
        position: {
            name: value.detach().to("cpu", copy=True)
            for name, value in values.items()
            if torch.is_tensor(value)  # no momentum yet is None
        }
        for position, values in optimizer.state_dict()["state"].items()
    }


def load_state(optimizer: optim.Optimizer, state: dict[int, dict[str, Tensor]]) -> None:
    """Go on from a state, with the hyperparameters that the optimiser has."""
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def trainable(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters to train, those to penalise before the others.

    Matrices and kernels are penalised; vectors are biases, or the scales and shifts of
    a normalisation, and are not. Nor are proxies: only their directions count.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("No parameter of the projector requires a gradient.")
    proxies = [m for m in module.modules() if isinstance(m, Proxies)]
    of_proxies = {p for m in proxies for p in m.parameters()}
    weights = [p for p in parameters if p.ndim > 1 and p not in of_proxies]
    others = [p for p in parameters if p.ndim <= 1 or p in of_proxies]
    return weights, others


@torch.no_grad()
def penalty_of(optimizer: optim.Optimizer) -> float:
    """Return the penalty of all weights that an optimiser moves."""
    groups = optimizer.param_groups
    return sum(float(penalty(g["params"], g["weight_decay"])) for g in groups)


def penalty(weights: list[nn.Parameter], alpha: float) -> Tensor | float:
    """Return α/2 times the squared norm of the weights."""
    return alpha / 2 * sum(weight.square().sum() for weight in weights)
