"""The state of a module, to go back to."""

from contextlib import contextmanager
from itertools import chain

import torch


def tensors(module):
    """Return parameters and buffers by name, the non-persistent buffers too."""
    return dict(chain(module.named_parameters(), module.named_buffers()))


class Snapshot:
    """A copy of the parameters, the buffers and the modes of a module.

    Parameters
    ----------
    module : torch.nn.Module
    """

    def __init__(self, module):
        self.values = {name: t.detach().clone() for name, t in tensors(module).items()}
        self.modes = {name: m.training for name, m in module.named_modules()}

    @torch.no_grad()
    def restore_values(self, module):
        """Write the parameters and buffers back in place."""
        for name, tensor in tensors(module).items():
            tensor.copy_(self.values[name])

    def restore(self, module):
        """Write parameters, buffers and modes back in place."""
        self.restore_values(module)
        for name, submodule in module.named_modules():
            submodule.training = self.modes[name]


@contextmanager
def all_or_nothing(module):
    """Leave the module trained and in evaluation mode, or as it was on any exception.

    That includes KeyboardInterrupt. Gradients are dropped either way.

    Parameters
    ----------
    module : torch.nn.Module
    """
    before = Snapshot(module)
    try:
        yield
    except BaseException:
        before.restore(module)
        raise
    else:
        module.eval()
    finally:
        module.zero_grad(set_to_none=True)
