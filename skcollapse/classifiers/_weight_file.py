"""Weights in a file that anybody may have written: what is read is checked."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from skcollapse.projectors import (
    KernelExpansion,
    LinearProjection,
    MLPProjection,
    ModuleProjection,
)

_FLOATS = (torch.float32, torch.float64)
COUNTS = (*_FLOATS, torch.int64, torch.int32)
_LABELS = (
    *(*COUNTS, torch.bool, torch.float16, torch.int8, torch.int16),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
)
_LAST_CODE_POINT = 0x10FFFF
_CHECKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "finite": np.isfinite,
    "positive and finite": lambda array: (array > 0) & np.isfinite(array),
    # Constant features have an infinite scale.
    "positive": lambda array: array > 0,
}


class WeightFile:
    """What a file says, looked at before it is used: what is wrong is a ValueError."""

    def __init__(self, tensors: dict[str, torch.Tensor], meta: Any):
        self.tensors = tensors
        self.lengths: dict[str, int] = {}
        self.meta = meta if isinstance(meta, dict) else {}

    def array(self, name: str, axes: str = "", dtypes=_FLOATS, be="finite"):
        """Return an array; axes of one name have the same length in the whole file."""
        tensor, names = self.tensors.pop(name, None), axes.split()
        if tensor is None:
            raise ValueError(f"{name} is missing")
        if tensor.dtype not in dtypes or tensor.ndim != len(names):
            seen = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            raise ValueError(f"{name} must have the axes ({axes}); got {seen}")
        for axis, length in zip(names, tensor.shape, strict=True):
            if self.lengths.setdefault(axis, length) != length:
                expected = f"{self.lengths[axis]} along {axis}"
                raise ValueError(f"{name} has the length {length}, and not {expected}")
        array = tensor.numpy()
        if not _CHECKS[be](array).all():
            raise ValueError(f"{name} holds numbers that are not {be}")
        return array

    def optional(self, name: str, axes: str) -> np.ndarray | None:
        """Return an array, or None if there is none."""
        return self.array(name, axes) if name in self.tensors else None

    def labels(self, name: str, axis: str, *, objects: bool) -> np.ndarray:
        """Return numbers or strings; strings are code points."""
        of_strings = name in self.tensors and self.tensors[name].ndim == 2
        if not of_strings:
            array = self.array(name, axis, _LABELS)
        else:
            codes = self.array(name, f"{axis} {name}", (torch.int32,))
            if not codes.size or codes.min() < 0 or codes.max() > _LAST_CODE_POINT:
                raise ValueError(f"{name} holds what are no strings")
            array = codes.view(f"U{codes.shape[1]}")[:, 0]
        return array.astype(object) if objects else array

    def weights(self, name: str, module: Any) -> Any:
        """Give a module its weights; leave it on the CPU and not in training."""
        keys = [key for key in self.tensors if key.startswith(f"{name}.")]
        weights = {k.removeprefix(f"{name}."): self.tensors.pop(k) for k in keys}
        try:
            module.cpu().load_state_dict(weights)
        except (RuntimeError, AttributeError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[-1].strip()
            parameter = name.replace("projection.module", "projector")
            raise ValueError(
                f"{parameter} is not like the one whose weights these are ({reason}); "
                f"got {module!r}."
            ) from error
        if not all(p.isfinite().all() for p in module.parameters()):
            raise ValueError(f"{name} has weights that are not finite")
        return module.eval()


def _linear(file: WeightFile, projector: Any) -> LinearProjection:
    keys = [k for k in file.tensors if k.startswith("projection.kernels.")]
    coef = file.array("projection.coef", "features components")
    intercept = file.array("projection.intercept", "components")
    numbers = range(len({key.split(".")[2] for key in keys}))
    return LinearProjection(coef, intercept, tuple(_kernel(file, i) for i in numbers))


def _kernel(file: WeightFile, number: int) -> KernelExpansion:
    name, bumps = f"projection.kernels.{number}", f"landmarks{number}"
    return KernelExpansion(
        center=file.array(f"{name}.center", "features"),
        scale=file.array(f"{name}.scale", "features", be="positive"),
        landmarks=file.array(f"{name}.landmarks", f"{bumps} features"),
        gamma=float(file.array(f"{name}.gamma", be="positive and finite")),
        dual_coef=file.array(f"{name}.dual_coef", f"{bumps} components"),
    )


def _perceptron(file: WeightFile, projector: Any) -> MLPProjection:
    n_layers = sum(key.startswith("projection.coefs.") for key in file.tensors)
    axes = ["features", *(f"hidden{i}" for i in range(1, n_layers)), "components"]
    numbers = range(len(axes) - 1)
    return MLPProjection(
        tuple(
            file.array(f"projection.coefs.{i}", f"{axes[i]} {axes[i + 1]}")
            for i in numbers
        ),
        tuple(file.array(f"projection.intercepts.{i}", axes[i + 1]) for i in numbers),
        file.optional("projection.shortcut", "features components"),
    )


def _network(file: WeightFile, projector: Any) -> ModuleProjection:
    center = file.array("projection.center", "features")
    scale = file.array("projection.scale", "features", be="positive")
    matrix = file.optional("projection.matrix", "outputs components")
    module = deepcopy(projector)
    if isinstance(module, torch.nn.Module):
        # As it was exported: in the precision of the rows.
        module = module.to(torch.from_numpy(center).dtype).requires_grad_(False)
    return ModuleProjection(
        file.weights("projection.module", module), center, scale, matrix
    )


# How projections are read: none is but these.
READERS = {
    "LinearProjection": _linear,
    "MLPProjection": _perceptron,
    "ModuleProjection": _network,
}
