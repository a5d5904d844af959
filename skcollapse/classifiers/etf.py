"""The classifier onto a fixed target."""

import numpy as np

from skcollapse.classifiers._base import ProjectionClassifier
from skcollapse.classifiers._linear import fit_linear
from skcollapse.classifiers._target import resolve_target
from skcollapse.classifiers._validation import unchanged_on_error
from skcollapse.losses import get_loss
from skcollapse.training.device import resolve_device


class ETFClassifier(ProjectionClassifier):
    """Tmp."""

    def __init__(
        self,
        target="etf",
        *,
        loss="logit_adjusted",
        projector="auto",
        hidden_layer_sizes=(512,),
        n_components=None,
        solver="auto",
        alpha="auto",
        feature_scaling="auto",
        cv=None,
        class_weight=None,
        mixup_alpha=0.0,
        max_iter=200,
        tol=1e-4,
        device="auto",
        random_state=None,
    ):
        self.target = target
        self.loss = loss
        self.projector = projector
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_components = n_components
        self.solver = solver
        self.alpha = alpha
        self.feature_scaling = feature_scaling
        self.cv = cv
        self.class_weight = class_weight
        self.mixup_alpha = mixup_alpha
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None, groups=None):
        """Fit."""
        with unchanged_on_error(self):
            rows, classes, counts = self._prepare(X, y, sample_weight)
            loss = get_loss(self.loss)
            device = resolve_device(self.device)
            target = resolve_target(
                self.target, counts, self.n_components, self.random_state
            )
            state = fit_linear(self, rows, loss, target, device, groups)
            vars(self).update(
                state,
                classes_=classes,
                class_counts_=counts,
                target_=target.classifier,
                temperature_=1.0,
                _unit_features=loss.unit_features,
                _scorer=state["projection_"].followed_by(target.classifier.T),
            )
        return self
