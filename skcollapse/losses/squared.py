"""The squared distance to one's own class vector."""

from dataclasses import dataclass

from torch import Tensor

from skcollapse.losses._base import MaybeTensor
from skcollapse.losses._weighting import WeightedLoss


@dataclass(frozen=True)
class SquaredError(WeightedLoss):
    r"""Half the squared distance of a feature to its class vector.

    .. math:: \frac{1}{2} \|h - m_y\|^2

    Convex in the features; for a linear projector this is least squares onto the class
    vectors of the target, which has a closed form.

    Parameters
    ----------
    weighting : {"sample", "class"}, default="sample"
        Mean over the samples, or over the class means of the classes present in the
        batch: sample weights then count within a class only, so class weights cancel.

    References
    ----------
    .. [1] Han, Papyan and Donoho, "Neural collapse under MSE loss: proximity to and
       dynamics on the central path", ICLR 2022, arXiv:2106.02073.

    Examples
    --------
    >>> import torch
    >>> features, y = torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([0, 1])
    >>> SquaredError()(features, y, torch.eye(2))
    tensor(1.)
    """

    vectors = "means"
    convex = True

    def per_sample(
        self, features: Tensor, y: Tensor, class_vectors: Tensor, log_prior: MaybeTensor
    ) -> Tensor:
        """Return the (n,) halved squared distances."""
        return (features - class_vectors[y]).square().sum(dim=1) / 2
