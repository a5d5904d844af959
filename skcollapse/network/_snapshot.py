"""The state of a module to go back to, and the course of its training."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Course(NamedTuple):
    """The course of a training so far.

    That is the objective, which is the loss plus the penalty, and the balanced accuracy
    on held-out rows after each iteration; and the state of a mini-batch optimiser after
    its last step, on the CPU.
    """

    loss_curve: list[float]
    validation_scores: list[float] | None = None
    optimizer: dict[int, dict[str, Tensor]] | None = None


def tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name, the non-persistent buffers too."""
    return dict(chain(module.named_parameters(), module.named_buffers()))


def copies(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of all parameters and buffers by name."""
    return {name: t.detach().clone() for name, t in tensors(module).items()}


@torch.no_grad()
def write(module: nn.Module, values: dict[str, Tensor]) -> None:
    """Write values into all parameters and buffers, in place."""
    for name, tensor in tensors(module).items():
        tensor.copy_(values[name])


@contextmanager
def all_or_nothing(module: nn.Module) -> Iterator[None]:
    """Leave the module trained and in evaluation mode, or as it was on any exception.

    That includes KeyboardInterrupt. Gradients are dropped either way.
    """
    values, modes = copies(module), [(m, m.training) for m in module.modules()]
    try:
        yield
    except BaseException:
        write(module, values)
        for submodule, training in modes:
            submodule.training = training
        raise
    else:
        module.eval()
    finally:
        module.zero_grad(set_to_none=True)
