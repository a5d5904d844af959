"""Regression of features, or their inner products, on their own class vectors."""

import math
from dataclasses import dataclass

from torch import Tensor

from skcollapse._utils.checks import check_choice, check_number
from skcollapse.losses._base import MaybeTensor, WeightedLoss, safe_norms, unit_rows


@dataclass(frozen=True)
class SquaredError(WeightedLoss):
    r"""Half the squared distance of a feature to its class vector.

    .. math:: \frac{1}{2} \|h - m_y\|^2

    Convex in the features; for a linear projector this is least squares onto the class
    vectors of the target, which has a closed form.

    See Han, Papyan and Donoho, "Neural collapse under MSE loss", ICLR 2022,
    arXiv:2106.02073.

    Parameters
    ----------
    weighting : {"sample", "class"}, default="sample"
        Mean over the samples, or over the class means of the classes present in the
        batch: sample weights then count within a class only, so class weights cancel.

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


@dataclass(frozen=True)
class DotRegression(WeightedLoss):
    r"""Squared error of the inner product of a feature with its class vector.

    .. math::

        \frac{1}{2 D} \left(w_y^\top h - \sqrt{E_W E_H}\right)^2, \qquad
        \|h\|^2 = E_H, \quad \|w_k\|^2 = E_W

    Features and class vectors are scaled to these lengths first, so class vectors of
    unequal norms, such as those of SELI, lend their directions only. There is no push
    away from the other classes: the geometry of the target already separates them.

    The loss L_DR of Yang et al., NeurIPS 2022, arXiv:2203.09081, "the paper" below.

    Parameters
    ----------
    weighting : {"sample", "class"}, default="sample"
        "sample" is the mean over samples, as in the paper. "class" gives every class
        present in the batch the same total weight, as the released code does: sample
        weights then count within a class only, so class weights cancel.
    denominator : {"paper", "code"}, default="paper"
        D is √(E_W E_H) in the paper and √E_H in the released code.
    feature_energy : float, default=1.0
        E_H, the squared norm of the features; positive.
    vector_energy : float, default=1.0
        E_W, the squared norm of the class vectors; positive.

    Notes
    -----
    The loss is ½ √(E_W E_H) (cos(w_y, h) − 1)², and √E_W times that with
    ``denominator="code"``: the energies set the size of the gradient, not the optimum.

    Examples
    --------
    >>> import torch
    >>> features, y = torch.tensor([[2.0, 0.0], [3.0, 4.0]]), torch.tensor([0, 0])
    >>> DotRegression()(features, y, torch.eye(2))
    tensor(0.0400)
    """

    denominator: str = "paper"
    feature_energy: float = 1.0
    vector_energy: float = 1.0

    vectors = "means"
    unit_features = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_choice("denominator", self.denominator, ("paper", "code"))
        check_number("feature_energy", self.feature_energy, 0, open_ends="low")
        check_number("vector_energy", self.vector_energy, 0, open_ends="low")

    def per_sample(
        self, features: Tensor, y: Tensor, class_vectors: Tensor, log_prior: MaybeTensor
    ) -> Tensor:
        """Return the (n,) squared errors of the inner products."""
        length = math.sqrt(self.feature_energy)
        optimum = math.sqrt(self.vector_energy) * length
        dot = (features * unit_rows(class_vectors)[y]).sum(dim=1)
        cosine = dot / safe_norms(features)  # n quotients, not n × d
        denominator = optimum if self.denominator == "paper" else length
        return (optimum * cosine - optimum).square() / (2 * denominator)
