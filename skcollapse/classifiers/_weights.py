"""Fitted classifiers as tensors and JSON, which hold no code."""

from copy import deepcopy
from dataclasses import fields
from functools import singledispatch

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skcollapse.classifiers._fitted import fitted_attributes
from skcollapse.extract._headless import Headless
from skcollapse.projectors.fitted import KernelExpansion, LinearProjection
from skcollapse.projectors.fitted_mlp import MLPProjection
from skcollapse.projectors.fitted_module import ModuleProjection
from skcollapse._utils.tensor_files import read_checkpoint, write_checkpoint

_PROJECTIONS = (LinearProjection, KernelExpansion, MLPProjection, ModuleProjection)
_KINDS = {kind.__name__: kind for kind in _PROJECTIONS}
_ATTRIBUTES = (
    "projection_",
    "target_",
    "target_means_",
    "class_counts_",
    "temperature_",
    "n_iter_",
    "loss_curve_",
    "validation_scores_",
    "_unit_features",
)
_OF_ROWS = ("n_features_in_", "feature_names_in_")


class WeightFilesMixin:
    """Lets classifiers write and read what they predict with."""

    def save_weights(self, path):
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
        save(self, path)

    def load_weights(self, path):
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
        state = load(self, path)
        classes, counts = state["classes_"], state["class_counts_"]
        vars(self).update(fitted_attributes(state, classes, counts, None))
        return self


def save(estimator, path):
    """Write what a fitted classifier predicts with.

    Parameters
    ----------
    estimator : estimator
    path : str or path-like
    """
    values = {}
    names = [*_ATTRIBUTES, *(name for name in _OF_ROWS if hasattr(estimator, name))]
    state = {n: _pack(getattr(estimator, n), n, values) for n in names}
    state["classes_"] = _pack(estimator.classes_, "classes_", values)
    extractor = estimator.extractor_
    meta = {
        "class": type(estimator).__name__,
        "state": state,
        "extractor": _pack(_module_of(extractor), "extractor", values),
        "head": getattr(extractor, "name", None),
    }
    write_checkpoint(path, values, meta)


def load(estimator, path):
    """Return the fitted attributes that a file holds.

    Parameters
    ----------
    estimator : estimator
        Whose parameters are networks like those that the weights are of.
    path : str or path-like

    Returns
    -------
    dict

    Raises
    ------
    FileNotFoundError, ValueError
    """
    found = read_checkpoint(path)
    if found is None:
        raise FileNotFoundError(f"path={str(path)!r}: there are no weights to load.")
    values, meta = found
    if meta.get("class") != type(estimator).__name__:
        raise ValueError(
            f"path={str(path)!r} holds no weights of {type(estimator).__name__}; it is "
            f"of {meta.get('class')}."
        )
    attributes = _unpack(meta["state"], values, estimator.projector)
    extractor = deepcopy(estimator.extractor)
    if meta["head"] is not None:
        extractor = Headless(_module_of(extractor), meta["head"])
    weights = meta["extractor"]
    if weights is not None:
        _set_weights("extractor", _module_of(extractor), values, weights["module"])
    return {
        **attributes,
        "extractor_": extractor,
        "selection_results_": None,
        "_network": None,
    }


def _module_of(extractor):
    """Return the module of an extractor, or None."""
    return getattr(extractor, "module_or_callable", extractor)


def _set_weights(name, module, values, prefix):
    """Give a module the weights of a file; leave it on the CPU and not in training."""
    weights = {
        key.removeprefix(f"{prefix}."): value
        for key, value in values.items()
        if key.startswith(f"{prefix}.")
    }
    try:
        module.cpu().load_state_dict(weights)
    except (RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(
            f"{name} is not like the one whose weights these are ({reason}); got "
            f"{module!r}."
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


def _unpack(packed, values, projector):
    """Return what :func:`_pack` was given.

    Parameters
    ----------
    packed : anything of JSON
    values : dict of tensors
    projector : str or torch.nn.Module
        A module takes weights in a copy.
    """

    def inner(part):
        return _unpack(part, values, projector)

    match packed:
        case {"array": name}:
            return values[name].numpy()
        case {"labels": labels, "dtype": dtype}:
            return np.array(labels, dtype=dtype)
        case {"module": name}:
            module = deepcopy(projector)
            _set_weights("projector", module, values, name)
            return module.requires_grad_(False)
        case {"tuple": parts}:
            return tuple(inner(part) for part in parts)
        case {"kind": kind, "parts": parts}:
            return _KINDS[kind](**{name: inner(part) for name, part in parts.items()})
        case dict():
            return {name: inner(part) for name, part in packed.items()}
    return packed
