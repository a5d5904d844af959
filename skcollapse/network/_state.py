"""A module in training, and what belongs to it."""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch

from skcollapse.classifiers._stored import arrays, restore, store, tensors
from skcollapse.projectors.mlp import MLPProjector
from skcollapse.training.proxies import ProjectorWithProxies, Proxies


@dataclass
class Network:
    """A module in training: all that going on with it needs, on the CPU.

    Parameters
    ----------
    module : torch.nn.Module
    proxies : Proxies or None
        Class vectors that are trained beside it.
    center, scale : ndarrays of shape (p,)
    optimizer : dict or None
    class_counts : ndarray of shape (K,)
    """

    module: torch.nn.Module
    proxies: Proxies | None
    center: np.ndarray
    scale: np.ndarray
    optimizer: dict | None
    class_counts: np.ndarray

    def fits(self, rows):
        """Return whether rows have as many features and classes."""
        shape = rows.X.shape[1], len(rows.class_cost)
        return shape == (len(self.center), len(self.class_counts))

    def assembled(self):
        """Return the module that is trained, and the extractor in it or None."""
        return ProjectorWithProxies(self.module, self.proxies), None

    def features(self, X, device):
        """Return the rows that the module takes."""
        scaled = ((X - self.center) / self.scale).astype(X.dtype)
        return torch.as_tensor(scaled).to(device)

    def taken_from(self, module, optimizer):
        """Return the network of a trained module."""
        return replace(
            self, module=module.projector, proxies=module.proxies, optimizer=optimizer
        )

    def judged_by(self, module, projection):
        """Return what projects rows that are held out, in NumPy."""
        return projection

    def fitted(self):
        """Return the attributes of an estimator that are those of the network."""
        return {"_network": self}

    def __getstate__(self):
        return {
            **vars(self),
            "module": store(self.module),
            "proxies": store(self.proxies),
            "optimizer": self.optimizer and arrays(self.optimizer),
        }

    def __setstate__(self, state):
        vars(self).update(
            state,
            module=restore(state["module"]),
            proxies=restore(state["proxies"]),
            optimizer=state["optimizer"] and tensors(state["optimizer"]),
        )


def new_projector(estimator, n_features, recipe, rng):
    """Return an untrained projector, or a copy of a module of the user's own.

    Parameters
    ----------
    estimator : estimator
    n_features : int
    recipe : Recipe
    rng : numpy.random.RandomState
        Not drawn from for a module.

    Returns
    -------
    torch.nn.Module
    """
    if isinstance(estimator.projector, torch.nn.Module):
        return deepcopy(estimator.projector)
    hidden = estimator.hidden_layer_sizes if estimator.projector == "mlp" else ()
    return MLPProjector(
        n_features,
        np.atleast_1d(np.asarray(hidden, dtype=int)).tolist(),
        recipe.target.classifier.shape[1],
        generator=torch.Generator().manual_seed(int(rng.randint(2**31))),
        dropout=estimator.dropout,
        residual=estimator.residual,
        batch_norm=estimator.batch_norm,
    )
