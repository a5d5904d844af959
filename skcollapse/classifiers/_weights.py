"""Fitted classifiers as tensors and JSON, which hold no code."""

from copy import deepcopy
from dataclasses import fields
from functools import singledispatch
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skcollapse._utils.tensor_files import read_checkpoint, write_checkpoint
from skcollapse.classifiers._publish import attributes
from skcollapse.extract import WithoutHead
from skcollapse.fitting import Fitted
from skcollapse.projectors import (
    KernelExpansion,
    LinearProjection,
    MLPProjection,
    ModuleProjection,
)

_PROJECTIONS = (LinearProjection, KernelExpansion, MLPProjection, ModuleProjection)
_KINDS = {kind.__name__: kind for kind in _PROJECTIONS}
# What a fit leads to, apart from what only the fit that follows, or a reader, needs.
_FIELDS = [
    field.name
    for field in fields(Fitted)
    if field.init and field.name not in ("extractor", "network", "selection_results")
]
_OF_DATA = ("classes_", "class_counts_", "n_features_in_", "feature_names_in_")


class WeightFilesMixin:
    """Lets classifiers write and read what they predict with."""

    _fitted: Fitted
    projector: Any
    extractor: Any

    def save_weights(self, path: str | PathLike) -> None:
        """Write what the fitted classifier predicts with, without any code.

        Parameters
        ----------
        path : str or path-like
            Of a .safetensors file; one that is there already keeps its content under
            the name with ``.previous`` added.

        Raises
        ------
        NotFittedError
        ImportError
            If the package safetensors is not installed.
        """
        check_is_fitted(self)
        fitted: Fitted = self._fitted
        values: dict[str, torch.Tensor] = {}
        data = {name: getattr(self, name) for name in _OF_DATA if hasattr(self, name)}
        network = _module_of(fitted.extractor)
        meta = {
            "class": type(self).__name__,
            "fitted": {n: _pack(getattr(fitted, n), n, values) for n in _FIELDS},
            "data": {name: _pack(value, name, values) for name, value in data.items()},
            "extractor": _pack(network, "extractor", values),
            "head": getattr(fitted.extractor, "name", None),
        }
        write_checkpoint(path, values, meta)

    def load_weights(self, path: str | PathLike) -> Self:
        """Become fitted by what :meth:`save_weights` has written.

        Networks are those of the parameters, which must be like those that were saved.
        Training begins anew after that.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        self

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it holds something else, or weights of other networks.
        ImportError
            If the package safetensors is not installed.
        """
        found = read_checkpoint(path)
        if found is None:
            raise FileNotFoundError(
                f"path={str(path)!r}: there are no weights to load."
            )
        values, meta = found
        if meta.get("class") != type(self).__name__:
            raise ValueError(
                f"path={str(path)!r} holds no weights of {type(self).__name__}; it is "
                f"of {meta.get('class')}."
            )
        unpacked = {
            part: {
                name: _unpack(packed, values, self.projector)
                for name, packed in meta[part].items()
            }
            for part in ("fitted", "data")
        }
        extractor = deepcopy(self.extractor)
        if meta["head"] is not None:
            extractor = WithoutHead(_module_of(extractor), meta["head"])
        if meta["extractor"] is not None:
            _set_weights("extractor", _module_of(extractor), values)
        fitted, data = Fitted(**unpacked["fitted"]), unpacked["data"]
        classes, counts = data.pop("classes_"), data.pop("class_counts_")
        vars(self).update({**data, **attributes(fitted, classes, counts, extractor)})
        return self


def _module_of(extractor: Any) -> Any:
    """Return the module of an extractor, or None."""
    return getattr(extractor, "module_or_callable", extractor)


def _set_weights(name: str, module: Any, values: dict[str, torch.Tensor]) -> None:
    """Give a module the weights of a file; leave it on the CPU and not in training."""
    weights = {
        key.removeprefix(f"{name}."): value
        for key, value in values.items()
        if key.startswith(f"{name}.")
    }
    try:
        module.cpu().load_state_dict(weights)
    except (RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(
            f"{name.partition('.')[0]} is not like the one whose weights these are "
            f"({reason}); got {module!r}."
        ) from error
    module.eval()


@singledispatch
def _pack(value, name, values):
    """Return a value as JSON can say it; put tensors among the values, by name."""
    return value


@_pack.register
def _(value: np.ndarray, name, values):
    if value.dtype.kind not in "biuf":
        return {"labels": value.tolist(), "dtype": value.dtype.str}
    values[name] = torch.tensor(value)
    return {"array": name}


@_pack.register
def _(value: torch.nn.Module, name, values):
    values |= {f"{name}.{key}": tensor for key, tensor in value.state_dict().items()}
    return {"module": name}


@_pack.register
def _(value: tuple, name, values):
    return {"tuple": [_pack(v, f"{name}.{i}", values) for i, v in enumerate(value)]}


@_pack.register(LinearProjection)
@_pack.register(KernelExpansion)
@_pack.register(MLPProjection)
@_pack.register(ModuleProjection)
def _(value, name, values):
    parts = {f.name: getattr(value, f.name) for f in fields(value)}
    packed = {key: _pack(part, f"{name}.{key}", values) for key, part in parts.items()}
    return {"kind": type(value).__name__, "parts": packed}


def _unpack(packed: Any, values: dict[str, torch.Tensor], projector: Any) -> Any:
    """Return what :func:`_pack` was given; a module takes weights in a copy."""

    def inner(part):
        return _unpack(part, values, projector)

    match packed:
        case {"array": name}:
            return values[name].numpy()
        case {"labels": labels, "dtype": dtype}:
            return np.array(labels, dtype=dtype)
        case {"module": name}:
            module = deepcopy(projector)
            _set_weights(name, module, values)
            return module.requires_grad_(False)
        case {"tuple": parts}:
            return tuple(inner(part) for part in parts)
        case {"kind": kind, "parts": parts}:
            return _KINDS[kind](**{name: inner(part) for name, part in parts.items()})
    return packed
