"""The network of an extractor and a projector that are trained together."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from skcollapse.classifiers._extraction import Checked, features_of, to_train
from skcollapse.classifiers._linear import LINEAR_PARTS, fit_linear
from skcollapse.classifiers._network import Network, new_projector
from skcollapse.extract._placing import evaluating, floating_dtype
from skcollapse.training.early_stopping import project_rows
from skcollapse.training.proxies import ProjectorWithProxies
from skcollapse.training.row_source import StreamedRows

# What a second stage does anew.
_OF_SECOND_STAGE = (
    "projection_",
    "temperature_",
    "selection_results_",
    "_unit_features",
)


@dataclass
class EndToEnd(Network):
    """A network with an extractor; see :class:`Network`.

    The rows of the projector, and so ``center`` and ``scale``, are features.

    Parameters
    ----------
    extractor : torch.nn.Module
    """

    extractor: torch.nn.Module

    @property
    def dtype(self):
        """The dtype in which it computes."""
        return floating_dtype(self.extractor) or floating_dtype(self.module)

    def fits(self, rows):
        """Return whether there are as many classes."""
        return len(rows.class_cost) == len(self.class_counts)

    def assembled(self):
        """Return the module that is trained, and the extractor in it."""
        whole = torch.nn.Sequential(Checked(self.extractor), self.module)
        return ProjectorWithProxies(whole, self.proxies), self.extractor

    def features(self, X, device):
        """Return the rows that the module takes."""
        return X.on(device, self.dtype)

    def taken_from(self, module, optimizer):
        """Return the network of a trained module."""
        checked, projector = module.projector
        return replace(
            self,
            module=projector,
            proxies=module.proxies,
            extractor=checked.network,
            optimizer=optimizer,
        )

    def judged_by(self, module, projection):
        """Return what projects rows that are held out, in NumPy."""
        device = next(module.parameters()).device
        return partial(_project, module, device, self.dtype)

    def fitted(self):
        """Return the attributes of an estimator that are those of the network."""
        return {"_network": self, "extractor_": self.extractor}


@torch.no_grad()
def _project(module, device, dtype, X):
    projected = project_rows(module, StreamedRows(X, device, dtype))
    return projected.float().cpu().numpy()


def new_end_to_end(estimator, rows, recipe, rng):
    """Return an untrained network around a copy of the extractor.

    Parameters
    ----------
    estimator : estimator
    rows : Rows
        Of a source.
    recipe : Recipe
    rng : numpy.random.RandomState

    Returns
    -------
    EndToEnd
    """
    extractor = to_train(estimator.extractor, rows.X).cpu()
    dtype = floating_dtype(extractor) or rows.X.floating_dtype
    few = StreamedRows(rows.X, torch.device("cpu"), dtype)
    few = next(few.batches(torch.arange(min(2, len(rows))), 2))
    with evaluating(extractor), torch.no_grad():
        features = Checked(extractor)(few)
    n_features = features.shape[1]
    module = new_projector(estimator, n_features, recipe, rng)
    neutral = np.zeros(n_features), np.ones(n_features)
    counts = np.zeros(len(recipe.target.classifier))
    return EndToEnd(module.to(features.dtype), None, *neutral, None, counts, extractor)


def refitted(stage, state, rows, recipe, groups, rng, task):
    """Fit the projector anew to the features that the trained extractor gives.

    Parameters
    ----------
    stage : estimator
        With the parameters of this stage.
    state : dict
        Fitted attributes after training.
    rows : Rows
        Of a source.
    recipe : Recipe
        Its target is as it was before training.
    groups : array-like or None
    rng : numpy.random.RandomState
    task : Task

    Returns
    -------
    dict
        Fitted attributes, in which the course is that of the training.
    """
    features = features_of(state["extractor_"], rows.X, recipe.device)
    rows = replace(rows, X=features)
    target = type(recipe.target)(state["target_"], state["target_means_"])

    def joined(again):
        """Return the attributes of both stages."""
        return {**state, **{name: again[name] for name in _OF_SECOND_STAGE}}

    second = task.part(
        "second stage", len(LINEAR_PARTS), lambda again: task.attributes(joined(again))
    )
    again = fit_linear(
        stage, rows, recipe.loss, target, recipe.device, groups, rng, second
    )
    second.end()
    return joined(again)
