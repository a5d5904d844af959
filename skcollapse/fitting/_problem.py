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
    loss : Loss
    target : ClassGeometry
        Arrays of shape (K, d).
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
        """Return what is learnt from features of rows, which are on the device.

        Of the data itself only classes and weights are looked at.
        """
        y, weight, counts = map(
            context.to_device, (data.y, data.row_cost, data.class_counts)
        )
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
        weight = torch.ones_like(self.y) if weight is None else weight
        weight = weight.to(torch.float64)
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
