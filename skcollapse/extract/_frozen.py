"""Networks before the projector: what is kept of them, and the features they give."""

from copy import deepcopy
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_memory
from torch import Tensor
from torch.nn import Module
from torch.utils.data import Dataset

from skcollapse._utils.devices import exclusive_device
from skcollapse.extract._collect import check_vectors, gather, run_batches
from skcollapse.extract._modules import floating_dtype, placed, portable
from skcollapse.extract._without_head import without_head
from skcollapse.rows import StreamedRows, as_rows, without_gradients

# Rows of a data set that a FeatureExtractor takes at once.
_BATCH_SIZE = 256
_REMEDY = (
    " End it in torch.nn.Flatten, or give a FeatureExtractor, which finds the features "
    "of a network with a head."
)


class RowFeatures(Module):
    """A network that must return one vector for each row."""

    def __init__(self, network: Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        """Return the (n, d) features of a batch, or raise."""
        return check_vectors(self.network(x), len(x), "extractor", _REMEDY)


def frozen_copy(extractor: Any) -> Any:
    """Return a copy to keep, on the CPU and in evaluation mode."""
    copied = deepcopy(extractor)
    return copied.cpu().eval() if isinstance(copied, Module) else copied


def trainable_copy(extractor: Any, rows: Any) -> Module:
    """Return a copy to train, without the head that a `FeatureExtractor` leaves out.

    The head is found by two of the rows, which are `ArrayRows` or `DatasetRows`.
    """
    if isinstance(extractor, Module):
        return deepcopy(extractor)
    network = extractor.module_or_callable
    if not isinstance(network, Module):
        raise ValueError(
            "extractor must hold a torch.nn.Module to be trained; got a "
            f"FeatureExtractor of {network!r}. Set train_extractor=False."
        )
    few = next(rows.batches([torch.arange(min(2, len(rows)))]))
    return without_head(deepcopy(network), extractor.layer, few)


def extract_rows(
    extractor: Any, X: Any, device: torch.device, n_workers: int = 0
) -> Any:
    """Return the (n, d) features of an array or a data set.

    The extractor is a module, a `FeatureExtractor`, or None for the rows as they are;
    the workers are processes that read a data set.
    """
    if extractor is None:
        return X
    if isinstance(extractor, Module):
        return row_features(extractor, as_rows(X, n_workers), device)
    if not isinstance(X, Dataset):
        return extractor.transform(X)
    rows = as_rows(X, n_workers)
    parts = torch.arange(len(rows)).split(_BATCH_SIZE)
    return gather(map(extractor.transform, rows.batches(parts)), len(parts))


def extract_once(
    memory: Any, extractor: Any, X: Any, device: torch.device, n_workers: int = 0
) -> Any:
    """Return what `extract_rows` does, from a memory if that has met the rows.

    The memory is a path, an object with the interface of joblib.Memory, or None. It is
    not asked about a data set, whose rows may be others each time.
    """
    if memory is None or extractor is None or isinstance(X, Dataset):
        return extract_rows(extractor, X, device, n_workers)
    # Known by the values of its weights: torch pickles equal modules differently.
    known_by = joblib.hash(portable(extractor))
    cached = check_memory(memory).cache(_extract_known, ignore=["extractor", "device"])
    return cached(known_by, extractor, X, device)


def _extract_known(known_by: str, extractor: Any, X: Any, device: torch.device) -> Any:
    return extract_rows(extractor, X, device)


def row_features(network: Module, rows: Any, device: torch.device) -> np.ndarray:
    """Return the (n, d) features that a network in evaluation mode gives for rows.

    Raises ValueError if they are not one vector for each row, or not finite.
    """
    with exclusive_device(device):
        network, device = placed(RowFeatures(network), device)
        dtype = floating_dtype(network) or rows.floating_dtype
        batches = without_gradients(StreamedRows(rows, device, dtype))
        features = gather(x for x, _ in run_batches(network, network, batches, device))
    if features.dtype.kind != "f":
        features = features.astype(np.float64)
    assert_all_finite(features, input_name="The output of extractor")
    return features
