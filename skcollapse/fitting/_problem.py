"""What is minimised: rows, their classes, and where the classes should sit."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skcollapse.fitting._context import FitContext
from skcollapse.fitting._data import TrainingData
from skcollapse.losses import Loss
from skcollapse.targets import ClassGeometry


@dataclass(frozen=True)
class Problem:
    """Rows with their classes and weights, a target, and the loss between them.

    Parameters
    ----------
    features : tensor of shape (n, q), floating point, or rows of a source
        Rows of any shape on their way to a device, see :mod:`skcollapse.rows`.
    y : tensor of shape (n,), int64
        Class indices in [0, K).
    sample_weight : tensor of shape (n,) or None
        Weights of the rows, all positive; None stands for ones.
    class_counts : tensor of shape (K,) or None, default=None
        How frequent the classes are, where the weights do not say it: because they hold
        costs of the classes, or because these rows are only a part.
    """

    features: Any
    y: Tensor
    sample_weight: Tensor | None
    loss: Loss
    target: ClassGeometry
    class_counts: Tensor | None = None

    @classmethod
    def of(
        cls,
        features: Any,
        data: TrainingData,
        loss: Loss,
        target: ClassGeometry,
        context: FitContext,
    ) -> "Problem":
        """Return what is learnt from features of the rows, which are on the device."""
        given = data.y, data.row_cost, data.class_counts
        y, weight, counts = map(context.to_device, given)
        return cls(features, y, weight, loss, target, counts)

    def tensor(self, array) -> Tensor:
        """Return an array in the dtype and on the device of the features."""
        return torch.as_tensor(array).to(self.features.device, self.features.dtype)

    @property
    def class_vectors(self) -> Tensor:
        """The (K, d) class vectors that the loss looks at."""
        return self.tensor(getattr(self.target, self.loss.vectors))

    @property
    def weight(self) -> Tensor:
        """The (n,) weights of the rows, scaled to the sum 1."""
        weight = self.sample_weight
        weight = (torch.ones_like(self.y) if weight is None else weight).double()
        return self.tensor(weight / weight.sum())

    @property
    def class_frequency(self) -> Tensor:
        """The (K,) frequencies of the classes, in float64."""
        if self.class_counts is not None:
            return self.class_counts.double() / self.class_counts.sum()
        n_classes = len(self.target.classifier)
        frequency = torch.zeros(n_classes, dtype=torch.float64, device=self.y.device)
        return frequency.index_add_(0, self.y, self.weight.double())

    @property
    def balanced_weight(self) -> Tensor:
        """The (n,) float64 weights of sum 1 with which classes are equally frequent."""
        weight = self.weight.double() / self.class_frequency[self.y]
        return weight / weight.sum()

    @property
    def log_prior(self) -> Tensor:
        """The (K,) logarithms of the class frequencies."""
        return self.tensor(self.class_frequency.log())


class Objective:
    """The loss of projected rows of a problem.

    The class vectors and the prior are those of the whole problem, computed once, for
    every batch of it.
    """

    def __init__(self, problem: Problem):
        self.loss = problem.loss
        self.class_vectors = problem.class_vectors
        self.log_prior = problem.log_prior if problem.loss.needs_prior else None

    def __call__(
        self,
        projected: Tensor,
        y: Tensor,
        weight: Tensor | None,
        class_vectors: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of (n, d) projected rows of the classes y.

        Class vectors that are trained take the place of those of the target.
        """
        self.check(projected, y)
        if class_vectors is None:
            class_vectors = self.class_vectors
        return self.loss(projected, y, class_vectors, weight, self.log_prior)

    def check(self, projected: Tensor, y: Tensor) -> None:
        """Raise ValueError unless rows have as many components as class vectors."""
        shape = len(y), self.class_vectors.shape[1]
        if projected.shape != shape:
            raise ValueError(
                f"projector must map {len(y)} rows to shape {shape}; it returned "
                f"{tuple(projected.shape)}."
            )

    def share(self, projected: Tensor, y: Tensor, share: Tensor) -> Tensor:
        """Return what some rows add to the loss of all, given their shares in it.

        For losses that do not contrast samples.
        """
        losses = self.loss.per_sample(projected, y, self.class_vectors, self.log_prior)
        return share @ losses
