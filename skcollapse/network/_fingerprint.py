"""What tells one fit from another, so that none goes on from the state of another."""

import re

import joblib
import numpy as np
import torch

# Rows that stand for all: the whole set may not fit into memory.
_ROWS = 64
# They change neither the fit nor what comes of it.
_OF_NO_MATTER = {"checkpoint", "device", "extractor", "trainer", "verbose"}
_OF_NO_MATTER |= {"trainer__num_workers", "trainer__checkpoint_every"}


def fingerprint(estimator, rows, module):
    """Return what a fit learns from, and how, as short texts by name.

    Parameters
    ----------
    estimator : estimator
    rows : Rows
    module : torch.nn.Module
        What is trained; the values of its weights do not matter.

    Returns
    -------
    dict of str to str
    """
    chosen = np.unique(np.linspace(0, len(rows) - 1, _ROWS).astype(int))
    return {
        "X": joblib.hash((len(rows), _sample(rows.X, chosen))),
        "y": joblib.hash(rows.y),
        "weights": joblib.hash((rows.cost, rows.given_weight)),
        "network": joblib.hash([(n, p.shape) for n, p in module.named_parameters()]),
        **{
            name: _told(value)
            for name, value in estimator.get_params().items()
            if name not in _OF_NO_MATTER and not name.startswith("extractor__")
        },
    }


def _sample(X, chosen):
    if isinstance(X, np.ndarray):
        return X[chosen]
    if X.is_random:
        return None
    return next(X.batches([torch.from_numpy(chosen)])).numpy()


def _told(value):
    if isinstance(value, np.ndarray):
        return joblib.hash(value)
    # Where something lies in memory is another matter in each process.
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(value))
