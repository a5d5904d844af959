"""Whether samples or classes carry equal weight in a batch."""

from dataclasses import dataclass

from torch import Tensor

from skcollapse._utils.checks import check_choice
from skcollapse.losses._base import Loss


def equal_class_weight(y: Tensor, n_classes: int, weight: Tensor) -> Tensor:
    """Share one unit of weight among the rows of every class present."""
    counts = weight.new_zeros(n_classes).index_add(0, y, weight)[y]
    return weight / counts.masked_fill(counts == 0, 1)


@dataclass(frozen=True)
class WeightedLoss(Loss):
    """A loss that averages over samples or over the classes present in the batch."""

    weighting: str = "sample"

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_choice("weighting", self.weighting, ("sample", "class"))

    def weigh(self, y: Tensor, n_classes: int, sample_weight: Tensor) -> Tensor:
        """Return the weights themselves, or so that classes present are equal."""
        if self.weighting == "sample":
            return sample_weight
        return equal_class_weight(y, n_classes, sample_weight)
