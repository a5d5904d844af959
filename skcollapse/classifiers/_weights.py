"""Fitted classifiers as tensors and a few words, which hold no code.

A file is not trusted: the fields of a fit are read by name and looked at one by one,
and nothing else of an estimator is set.
"""

from copy import deepcopy
from dataclasses import fields
from functools import singledispatch
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skcollapse._utils.checks import check_choice, check_integer, check_path
from skcollapse._utils.tensor_files import read_file, write_checkpoint
from skcollapse.classifiers._publish import attributes
from skcollapse.classifiers._weight_file import COUNTS, READERS, WeightFile
from skcollapse.extract import WithoutHead
from skcollapse.fitting import Fitted
from skcollapse.projectors import (
    KernelExpansion,
    LinearProjection,
    MLPProjection,
    ModuleProjection,
)

# What a fit leads to, apart from what only the fit that follows, or a reader, needs.
_FIELDS = [
    field.name
    for field in fields(Fitted)
    if field.init and field.name not in ("extractor", "network", "selection_results")
]


class WeightFilesMixin:
    """Lets classifiers write and read what they predict with."""

    _fitted: Fitted
    classes_: np.ndarray
    class_counts_: np.ndarray
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
        TypeError
            If labels are neither numbers nor strings, or the extractor is no module.
        ImportError
            If the package safetensors is not installed.
        """
        check_path("path", path)
        check_is_fitted(self)
        fitted: Fitted = self._fitted
        network = _module_of(fitted.extractor)
        values: dict[str, torch.Tensor] = {}
        if not isinstance(network, torch.nn.Module | None):
            raise TypeError(f"extractor must be a torch module; got {network!r}.")
        for name in _FIELDS:
            values |= _tensors(getattr(fitted, name), name)
        names = getattr(self, "feature_names_in_", None)
        labels = {"classes_": self.classes_, "feature_names_in_": names}
        for name, array in labels.items():
            values |= _label_tensors(array, name)
        values |= _tensors(self.class_counts_, "class_counts_")
        values |= _tensors(network, "extractor")
        head = fitted.extractor.name if isinstance(network, WithoutHead) else None
        meta = {
            "class": type(self).__name__,
            "projection": type(fitted.projection).__name__,
            "objects": self.classes_.dtype == object,
            "n_features_in_": getattr(self, "n_features_in_", None),
            "extractor": network is not None,
            "head": head,
        }
        write_checkpoint(path, values, meta)

    def load_weights(self, path: str | PathLike) -> Self:
        """Become fitted by what :meth:`save_weights` has written.

        Networks are those of the parameters, which must be like those that were saved.
        Training begins anew after that. The file may come from anywhere: parameters
        stay as they are, and all that is read is checked.

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
            If it is damaged or holds something else, or weights of other networks; the
            classifier is then as it was.
        ImportError
            If the package safetensors is not installed.
        """
        check_path("path", path)
        try:
            state = _state(self, WeightFile(*read_file(path)))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"path={str(path)!r}: there are no weights to load."
            ) from error
        except ValueError as error:
            raise ValueError(
                f"path={str(path)!r} holds no weights of {type(self).__name__}: {error}"
            ) from error
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        vars(self).update(state)
        return self


def _module_of(extractor: Any) -> Any:
    """Return the module of an extractor, or None."""
    return getattr(extractor, "module_or_callable", extractor)


# --- to tensors --------------------------------------------------------------------


@singledispatch
def _tensors(value: Any, name: str) -> dict[str, torch.Tensor]:
    """Return a number, an array or what consists of them as tensors by name."""
    if value is None:
        return {}
    array = np.asarray(value)
    native = array.dtype.newbyteorder("=")
    return {name: torch.from_numpy(array.astype(native, order="C"))}


@_tensors.register
def _(value: torch.nn.Module, name):
    return {f"{name}.{key}": tensor for key, tensor in value.state_dict().items()}


@_tensors.register
def _(value: tuple, name):
    parts = (_tensors(part, f"{name}.{i}") for i, part in enumerate(value))
    return {key: tensor for part in parts for key, tensor in part.items()}


@_tensors.register(LinearProjection)
@_tensors.register(KernelExpansion)
@_tensors.register(MLPProjection)
@_tensors.register(ModuleProjection)
def _(value, name):
    parts = (
        _tensors(getattr(value, f.name), f"{name}.{f.name}") for f in fields(value)
    )
    return {key: tensor for part in parts for key, tensor in part.items()}


def _label_tensors(array: np.ndarray | None, name: str) -> dict[str, torch.Tensor]:
    """Return labels as a tensor: numbers as they are, strings as code points."""
    if array is None:
        return {}
    plain = np.array(array.tolist()) if array.dtype == object else array
    # Numbers among strings would turn into strings, and strings lose zeros at the end.
    if plain.dtype.kind not in "biufU" or plain.tolist() != array.tolist():
        raise TypeError(f"{name} must be numbers or strings; got {array[:10]!r}.")
    if plain.dtype.kind == "U":
        plain = np.array(plain, dtype=plain.dtype.newbyteorder("="))
        plain = plain.view(np.int32).reshape(len(plain), -1)
    return _tensors(plain, name)


# --- and back ----------------------------------------------------------------------


def _state(estimator: Any, file: WeightFile) -> dict[str, Any]:
    """Return what becomes of an estimator by a file, which it alone decides about."""
    meta = file.meta
    if meta.get("class") != type(estimator).__name__:
        raise ValueError(f"it is of {meta.get('class')!r}")
    for name in ("objects", "extractor"):
        check_choice(name, meta.get(name), (False, True))
    target = file.array("target", "classes components")
    check_choice("projection", meta.get("projection"), READERS)
    read: dict[str, Any] = {
        "projection": READERS[meta["projection"]](file, estimator.projector),
        "target": target,
        "target_means": file.array("target_means", "classes components"),
        "temperature": float(file.array("temperature", be="positive and finite")),
        "loss_curve": file.array("loss_curve", "iterations").tolist(),
        "n_iter": int(file.array("n_iter", "", (torch.int64,))),
        "validation_scores": _listed(file.optional("validation_scores", "epochs")),
        "unit_features": bool(file.array("unit_features", "", (torch.bool,))),
    }
    with np.errstate(over="ignore", invalid="ignore"):
        fitted = Fitted(**read)
    # Finite numbers can have products that are not; only scales may be infinite.
    products = _tensors(fitted.scorer, "scorer").items()
    if not all(t.isfinite().all() for name, t in products if name[-6:] != ".scale"):
        raise ValueError("its numbers are so large that scores overflow")
    classes = file.labels("classes_", "classes", objects=meta["objects"])
    try:
        distinct = len(classes) > 1 and np.array_equal(np.unique(classes), classes)
    except TypeError:
        distinct = False
    if not distinct:
        raise ValueError("classes_ are not two or more different labels in order")
    counts = file.array("class_counts_", "classes", COUNTS)
    data: dict[str, Any] = {}
    if meta.get("n_features_in_") is not None or not meta["extractor"]:
        number = check_integer("n_features_in_", meta.get("n_features_in_"), 1)
        data["n_features_in_"] = file.lengths["columns"] = number
        if not meta["extractor"] and file.lengths["features"] != number:
            raise ValueError(f"n_features_in_ is {number}, unlike the projection")
    if "feature_names_in_" in file.tensors:
        names = file.labels("feature_names_in_", "columns", objects=True)
        data["feature_names_in_"] = names
    extractor = _extractor(estimator, file)
    if file.tensors:
        raise ValueError(f"it holds what is no part of a fit: {min(file.tensors)!r}")
    return {**data, **attributes(fitted, classes, counts, extractor)}


def _listed(array):
    return None if array is None else array.tolist()


def _extractor(estimator, file):
    """Return a copy of the extractor of an estimator, with the weights of a file."""
    extractor, head = deepcopy(estimator.extractor), file.meta.get("head")
    if not file.meta["extractor"]:
        if extractor is not None:
            raise ValueError(
                f"extractor must be None, as in the fit; got {extractor!r}"
            )
        return None
    if head is not None:
        network = _module_of(extractor)
        layers = dict(network.named_modules()) if network is not None else {}
        check_choice("head", head, [name for name in layers if name])
        extractor = WithoutHead(network, head)
    file.weights("extractor", _module_of(extractor))
    return extractor
