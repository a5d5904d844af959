"""Networks before the projector: what is given, what is kept, and what goes in."""

from copy import deepcopy
from functools import partial

import joblib
import numpy as np
import torch
from sklearn.utils import assert_all_finite, check_array, check_X_y
from sklearn.utils.validation import (
    check_consistent_length,
    check_memory,
    validate_data,
)
from torch.utils.data import Dataset

from skcollapse._utils.arrays import float_dtypes
from skcollapse._utils.devices import exclusive_device
from skcollapse.extract._collect import to_numpy
from skcollapse.extract._headless import headless
from skcollapse.extract._placing import (
    evaluating,
    floating_dtype,
    placed,
    portable,
)
from skcollapse.rows import (
    ArrayRows,
    DatasetRows,
    StreamedRows,
    without_gradients,
)

# Labels of a data set are read in batches of so many rows.
_BATCH_SIZE = 256


class Checked(torch.nn.Module):
    """A network that must return one vector for each row.

    Parameters
    ----------
    network : torch.nn.Module
    """

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        """Return the (n, d) features of a batch, or raise."""
        features = self.network(x)
        shape = tuple(getattr(features, "shape", ()))
        if len(shape) == 2 and shape[0] == len(x):
            return features
        got = f"the shape {shape}" if shape else f"a {type(features).__name__}"
        raise ValueError(
            f"extractor must return a vector for each of {len(x)} rows; got {got}. End "
            "it in torch.nn.Flatten, or give a FeatureExtractor, which finds the "
            "features of a network with a head."
        )


def frozen(extractor):
    """Return a copy to keep, on the CPU and in evaluation mode."""
    copied = deepcopy(extractor)
    return copied.cpu().eval() if isinstance(copied, torch.nn.Module) else copied


def to_train(extractor, rows):
    """Return a copy to train, without the head that a `FeatureExtractor` leaves out.

    Parameters
    ----------
    extractor : torch.nn.Module or FeatureExtractor
    rows : ArrayRows or DatasetRows
    """
    if isinstance(extractor, torch.nn.Module):
        return deepcopy(extractor)
    network = extractor.module_or_callable
    if not isinstance(network, torch.nn.Module):
        raise ValueError(
            "extractor must hold a torch.nn.Module to be trained; got a "
            f"FeatureExtractor of {network!r}. Set train_extractor=False."
        )
    few = next(rows.batches([torch.arange(min(2, len(rows)))]))
    return headless(deepcopy(network), extractor.layer, few)


def as_rows(X, n_workers=0):
    """Return rows that can be read by index."""
    return DatasetRows(X, n_workers) if isinstance(X, Dataset) else ArrayRows(X)


def extract(extractor, X, device, n_workers=0):
    """Return the features of rows.

    Parameters
    ----------
    extractor : torch.nn.Module, FeatureExtractor or None
        None returns the rows as they are.
    X : ndarray of shape (n, ...) or Dataset
    device : torch.device
    n_workers : int
        Of a data set.

    Returns
    -------
    ndarray of shape (n, d)
    """
    if extractor is None:
        return X
    if isinstance(extractor, torch.nn.Module):
        return features_of(extractor, as_rows(X, n_workers), device)
    if isinstance(X, Dataset):
        rows = DatasetRows(X, n_workers)
        parts = torch.arange(len(rows)).split(_BATCH_SIZE)
        batches = [extractor.transform(batch) for batch in rows.batches(parts)]
        return np.concatenate(batches)
    return extractor.transform(X)


def extract_once(memory, extractor, X, device, n_workers=0):
    """Return the features of rows, those that a memory holds if it has met the rows.

    Parameters
    ----------
    memory : str, object with the joblib.Memory interface, or None
        It is not asked about a data set, whose rows may be others each time.
    extractor, X, device, n_workers
        See :func:`extract`.

    Returns
    -------
    ndarray of shape (n, d)
    """
    if memory is None or extractor is None or isinstance(X, Dataset):
        return extract(extractor, X, device, n_workers)
    # Known by the values of its weights: torch pickles equal modules differently.
    known_by = joblib.hash(portable(extractor))
    cached = check_memory(memory).cache(_extract_known, ignore=["extractor", "device"])
    return cached(known_by, extractor, X, device)


def _extract_known(known_by, extractor, X, device):
    return extract(extractor, X, device)


def features_of(network, rows, device):
    """Return the features that a network in evaluation mode gives for rows.

    Parameters
    ----------
    network : torch.nn.Module
    rows : ArrayRows or DatasetRows
    device : torch.device

    Returns
    -------
    ndarray of shape (n, d)

    Raises
    ------
    ValueError
        If they are not one vector for each row, or not finite.
    """
    with exclusive_device(device):
        network, device = placed(Checked(network), device)
        dtype = floating_dtype(network) or rows.floating_dtype
        streamed = StreamedRows(rows, device, dtype)
        with evaluating(network), torch.no_grad():
            batches = [to_numpy(network(x)) for x in without_gradients(streamed)]
    features = np.concatenate(batches)
    if features.dtype.kind != "f":
        features = features.astype(np.float64)
    assert_all_finite(features, input_name="The output of extractor")
    return features


def check_inputs(estimator, *data, reset, ensure_all_finite=True):
    """Return what an estimator was given as arrays, or raise.

    Parameters
    ----------
    estimator : estimator
    *data : X, or X and y
    reset : bool
        Whether to learn the number of features, and their names.
    ensure_all_finite : bool

    Returns
    -------
    ndarray or Dataset, or a tuple of that and labels
        Rows have any number of axes if there is an extractor: it is for that to say
        what goes in. Features are counted where there are two.
    """
    options = {"ensure_all_finite": ensure_all_finite}
    if estimator.extractor is None:
        dtype = float_dtypes(data[0])
        return validate_data(estimator, *data, dtype=dtype, reset=reset, **options)
    if isinstance(data[0], Dataset):
        return _check_dataset(*data)
    ndim = data[0].ndim if hasattr(data[0], "ndim") else np.asarray(data[0]).ndim
    if ndim <= 2:
        return validate_data(estimator, *data, dtype="numeric", reset=reset, **options)
    if reset:
        # Of an earlier fit, to rows that had them.
        for name in ("n_features_in_", "feature_names_in_"):
            vars(estimator).pop(name, None)
    # The other one names X itself.
    check = partial(check_array, input_name="X") if len(data) == 1 else check_X_y
    return check(*data, dtype="numeric", allow_nd=True, estimator=estimator, **options)


def _check_dataset(dataset, *labels):
    _checked_dataset(dataset)
    if not labels:
        return dataset
    y = check_array(*labels, ensure_2d=False, dtype=None, input_name="y")
    check_consistent_length(range(len(dataset)), y)
    return dataset, y.ravel()


def _checked_dataset(dataset):
    """Return a data set that has rows and a length, or raise."""
    if hasattr(dataset, "__len__") and len(dataset):
        return dataset
    raise ValueError(
        "X must be an array, or a map-style Dataset that has a length and rows; got "
        f"{dataset!r}."
    )


def labels_of(X, y, n_workers):
    """Return labels that were given; or those of a data set, read once for that."""
    if y is not None or not isinstance(X, Dataset):
        return y
    rows = DatasetRows(_checked_dataset(X), n_workers)
    parts = torch.arange(len(rows)).split(_BATCH_SIZE)
    return np.concatenate([np.asarray(y) for _, y in rows.pairs(parts)])


def n_workers(estimator):
    """Return how many processes read a data set."""
    return 0 if estimator.trainer is None else estimator.trainer.num_workers
