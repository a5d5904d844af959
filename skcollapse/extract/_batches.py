"""What loaders give: inputs and labels, in pairs, in dicts or alone."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module
from torch.utils.data import Dataset

# Where dicts hold labels; the first one that is there.
LABEL_KEYS = ("labels", "label", "y")


def check_loader(loader: Any) -> None:
    """Raise TypeError unless something may give batches."""
    no_batches = isinstance(loader, Dataset | Tensor | np.ndarray | str | Mapping)
    if no_batches or not (np.iterable(loader) or hasattr(loader, "__getitem__")):
        raise TypeError(
            f"loader must be an iterable of batches; got {loader!r}. Rows become "
            "batches in a torch.utils.data.DataLoader."
        )


def split_batch(batch: Any) -> tuple[Any, Any]:
    """Return the inputs and the labels of a batch; None for labels it has not."""
    if isinstance(batch, Mapping):
        key = next((key for key in LABEL_KEYS if key in batch), None)
        inputs = {name: value for name, value in batch.items() if name != key}
        return inputs, None if key is None else batch[key]
    if not isinstance(batch, list | tuple):
        if batch is None or isinstance(batch, str | bytes | int | float):
            raise TypeError(
                f"loader must give (x, y) pairs, dicts or inputs alone; got the batch "
                f"{batch!r}."
            )
        return batch, None
    if not 1 <= len(batch) <= 2:
        raise ValueError(
            "loader must give (x, y) pairs, dicts or inputs alone; got a "
            f"{type(batch).__name__} of {len(batch)}. For more inputs than one give "
            "((x1, x2), y), or a dict."
        )
    return batch[0], batch[1] if len(batch) == 2 else None


def to_device(
    inputs: Any, device: torch.device | None, dtype: torch.dtype | None
) -> Any:
    """Return inputs as tensors on a device, the floating-point ones in a dtype."""
    if isinstance(inputs, Mapping):
        return {key: to_device(value, device, dtype) for key, value in inputs.items()}
    if isinstance(inputs, list | tuple):
        return tuple(to_device(value, device, dtype) for value in inputs)
    if isinstance(inputs, np.ndarray):
        inputs = torch.from_numpy(inputs)
    if not isinstance(inputs, Tensor):
        return inputs
    dtype = dtype if inputs.is_floating_point() else None
    return inputs.to(device, dtype)


def call_module(module: Module, inputs: Any) -> Any:
    """Call a module on inputs that are on its device."""
    if isinstance(inputs, tuple):
        return module(*inputs)
    if not isinstance(inputs, Mapping):
        return module(inputs)
    # {"image": x} is for any module that takes one tensor, whatever it calls it.
    accepted = inspect.signature(module.forward).parameters
    if len(inputs) == 1 and not accepted.keys() & inputs.keys():
        return module(*inputs.values())
    return module(**inputs)


def as_labels(labels: Any, n_samples: int, device: torch.device) -> Tensor:
    """Return the labels of a batch as an (n,) tensor, or raise."""
    try:
        found = torch.as_tensor(labels, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"labels of loader must be numbers; got {labels!r}. LabelEncoder turns "
            "names into indices."
        ) from error
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.shape != (n_samples,):
        raise ValueError(
            f"labels of loader must have one number for each of the {n_samples} rows "
            f"of a batch; got the shape {tuple(found.shape)}."
        )
    return found
