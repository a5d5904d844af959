"""Whether samples or classes carry equal weight in a batch."""

from dataclasses import dataclass

from torch import Tensor

from skcollapse.losses._base import Loss


def equal_class_weight(y: Tensor, n_classes: int, weight: Tensor) -> Tensor:
    """Share one unit of weight among the rows of every class present.

    Parameters
    ----------
    y : tensor of shape (n,), int64
    n_classes : int
    weight : tensor of shape (n,), floating point
        Multiplicities of the rows.

    Returns
    -------
    tensor of shape (n,)
        w_i / n_y, with n_y the weight of the class of row i in the batch.

    Examples
    --------
    >>> import torch
    >>> equal_class_weight(torch.tensor([0, 0, 2]), 3, torch.tensor([3.0, 1.0, 2.0]))
    tensor([0.7500, 0.2500, 1.0000])
    """
    counts = weight.new_zeros(n_classes).index_add(0, y, weight)[y]
    return weight / counts.masked_fill(counts == 0, 1)


@dataclass(frozen=True)
class WeightedLoss(Loss):
    """A loss that averages over samples or over the classes present in the batch."""

    weighting: str = "sample"

    def __post_init__(self):
        """Check the parameters."""
        if self.weighting not in ("sample", "class"):
            raise ValueError(
                f"weighting must be 'sample' or 'class'; got {self.weighting!r}"
            )

    def weigh(self, y, n_classes, sample_weight):
        """Return the weights themselves, or so that classes present are equal."""
        if self.weighting == "sample":
            return sample_weight
        return equal_class_weight(y, n_classes, sample_weight)
