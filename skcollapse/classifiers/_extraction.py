"""Networks before the projector: what is given, what is kept, and what goes in."""

from copy import deepcopy

import numpy as np
import torch
from sklearn.utils import assert_all_finite, check_array, check_X_y
from sklearn.utils.validation import validate_data

from skcollapse._arrays import float_dtypes
from skcollapse.extract import FeatureExtractor


def check_extractor(extractor):
    """Raise unless an ``extractor`` parameter is one."""
    if not isinstance(extractor, torch.nn.Module | FeatureExtractor):
        raise TypeError(
            "extractor must be None, a torch.nn.Module from a batch to (n, d) "
            f"features, or a FeatureExtractor; got {extractor!r}."
        )


def frozen(extractor):
    """Return a copy to keep, on the CPU and in evaluation mode."""
    copied = deepcopy(extractor)
    return copied.cpu().eval() if isinstance(copied, torch.nn.Module) else copied


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


def extract(extractor, X, device):
    """Return the features of rows.

    Parameters
    ----------
    extractor : torch.nn.Module, FeatureExtractor or None
        None returns the rows as they are.
    X : ndarray of shape (n, ...)
    device : str or torch.device

    Returns
    -------
    ndarray of shape (n, d)
    """
    if extractor is None:
        return X
    if isinstance(extractor, torch.nn.Module):
        extractor = FeatureExtractor(Checked(extractor).forward, device=device)
    features = extractor.transform(X)
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
    ndarray, or a tuple of two
        Rows have any number of axes if there is an extractor: it is for that to say
        what goes in. Features are counted where there are two.
    """
    options = {"ensure_all_finite": ensure_all_finite}
    if estimator.extractor is None:
        dtype = float_dtypes(data[0])
        return validate_data(estimator, *data, dtype=dtype, reset=reset, **options)
    if np.ndim(data[0]) <= 2:
        return validate_data(estimator, *data, dtype="numeric", reset=reset, **options)
    if reset:
        # Of an earlier fit, to rows that had them.
        for name in ("n_features_in_", "feature_names_in_"):
            vars(estimator).pop(name, None)
    check = check_array if len(data) == 1 else check_X_y
    return check(*data, dtype="numeric", allow_nd=True, estimator=estimator, **options)
