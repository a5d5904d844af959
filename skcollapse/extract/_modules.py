"""A module elsewhere: in evaluation mode, on another device, in a pickle."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module, Parameter

from skcollapse._utils.devices import resolve_device


def owner(function: Any) -> Module | None:
    """Return the module that a callable is or is a method of, or None."""
    module = getattr(function, "__self__", function)
    return module if isinstance(module, Module) else None


def parameters_and_buffers(function: Any) -> list[Tensor]:
    """Return the parameters and buffers of a callable, each once."""
    module = owner(function)
    return [] if module is None else [*module.parameters(), *module.buffers()]


def floating_dtype(function: Any) -> torch.dtype | None:
    """Return the dtype that a callable computes in; None if it does not say."""
    dtypes = (t.dtype for t in parameters_and_buffers(function))
    return next((dtype for dtype in dtypes if dtype.is_floating_point), None)


@contextmanager
def eval_mode(function: Any) -> Iterator[None]:
    """Set a module to evaluation mode; give each submodule its own mode back."""
    module = owner(function)
    modules = [] if module is None else list(module.modules())
    modes = [submodule.training for submodule in modules]
    try:
        if module is not None:
            module.eval()
        yield
    finally:
        for submodule, mode in zip(modules, modes, strict=True):
            submodule.training = mode


def device_for(function: Any, device: str | torch.device) -> torch.device:
    """Return the device on which a callable is to compute; see :func:`placed`."""
    if isinstance(device, str) and device == "auto":
        for tensor in parameters_and_buffers(function):
            if tensor.device.type != "cpu":
                return tensor.device
    # "cuda" stands for the current one.
    return torch.empty(0, device=resolve_device(device)).device


def placed(function: Any, device: str | torch.device) -> tuple[Any, torch.device]:
    """Return a callable on a device, and the device.

    The callable itself is never moved: where it is elsewhere, a copy is. "auto" is
    where the module is, or CUDA where there is one if that is the CPU.
    """
    present = parameters_and_buffers(function)
    is_auto = isinstance(device, str) and device == "auto"
    device = device_for(function, device)
    # With "auto" perhaps on several devices, which is left as it is.
    accelerated = is_auto and any(t.device.type != "cpu" for t in present)
    if accelerated or all(t.device == device for t in present):
        return function, device
    return deepcopy(function, {id(t): _moved(t, device) for t in present}), device


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    moved = tensor.detach().to(device)
    if isinstance(tensor, Parameter):
        return Parameter(moved, tensor.requires_grad)
    return moved


def portable(function: Any) -> Any:
    """Return a stand-in that pickles a callable with its weights as NumPy arrays.

    What is unpickled is the callable itself, on the CPU, whatever device it was on.
    Pickles of equal modules are equal, unlike those that torch writes, so that caches
    recognise a module by its value.
    """
    stored: dict[int, Any] = {
        id(t): _StoredTensor(t) for t in parameters_and_buffers(function)
    }
    return deepcopy(function, stored) if stored else function


class _StoredTensor:
    """Takes the place of a tensor until it is unpickled as one."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __reduce__(self) -> tuple[Any, ...]:
        values = self.tensor.detach().cpu().contiguous()
        # As bytes: NumPy has no bfloat16.
        raw = values.reshape(-1).view(torch.uint8).numpy()
        kind = self.tensor.requires_grad, isinstance(self.tensor, Parameter)
        return _load_tensor, (raw, values.dtype, tuple(values.shape), *kind)


def _load_tensor(
    raw: np.ndarray,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    requires_grad: bool,
    parameter: bool,
) -> Tensor:
    # Unpickled arrays need not be writable.
    values = torch.from_numpy(np.array(raw)).view(dtype).reshape(shape)
    if parameter:
        return Parameter(values, requires_grad)
    return values.requires_grad_(requires_grad)
