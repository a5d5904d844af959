"""The second and third station of a fit: specifications, and who solves them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from skcollapse import linear, network
from skcollapse.extract import row_features
from skcollapse.fitting import FitContext, Fitted, TrainingData
from skcollapse.linear import LinearSpec
from skcollapse.network import NetworkSpec
from skcollapse.targets import ClassGeometry

# What a second stage does anew.
_OF_SECOND_STAGE = "projection", "temperature", "selection_results", "unit_features"


@dataclass(frozen=True)
class Plan:
    """What is fitted, one after the other.

    Parameters
    ----------
    linear : callable
        Makes the `LinearSpec`, given the target, of what is fitted if there is no
        network; otherwise of what chooses the scaling of its features, or of the second
        stage.
    network : callable or None
        Makes the `NetworkSpec`, given the target.
    n_parts : int
        How many parts the fit has at most, for its progress: a search and a fit of what
        it chose, or iterations and a second stage.
    chooses_scaling : bool
        That of the features of the network is chosen.
    refits : bool
        An affine map is fitted anew to the features that the network has learnt.
    """

    linear: Callable[..., LinearSpec]
    network: Callable[..., NetworkSpec] | None = None
    n_parts: int = 2
    chooses_scaling: bool = False
    refits: bool = False

    # Gradients are needed also where the caller has switched them off.
    @torch.inference_mode(False)
    @torch.enable_grad()
    def fit(
        self, data: TrainingData, target: ClassGeometry, context: FitContext
    ) -> Fitted:
        """Return what the fit leads to."""
        affine = self.linear(target=target)
        if self.network is None:
            return linear.fit(data, affine, context)
        trained = self.network(target=target)
        if self.chooses_scaling:
            scaling = linear.choose_scaling(data, affine, context)
            trained = replace(trained, feature_scaling=scaling)
        fitted = network.fit(data, trained, context)
        return _refit(fitted, data, affine, context) if self.refits else fitted


def _refit(first, data, spec, context):
    """Fit an affine map anew to the features that the trained extractor gives."""

    def joined(second):
        anew = {name: getattr(second, name) for name in _OF_SECOND_STAGE}
        return replace(first, **anew)

    features = row_features(first.extractor, data.X, context.device)
    target = ClassGeometry(first.target, first.target_means)
    with context.progress.part("second stage", max_parts=2) as progress:
        context = replace(context, progress=progress.map(joined))
        spec = replace(spec, target=target)
        return joined(linear.fit(replace(data, X=features), spec, context))
