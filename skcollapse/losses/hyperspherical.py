"""The hyperspherical uniformity gap: spread class vectors, collapse features."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from skcollapse._utils.checks import check_choice, check_number
from skcollapse.losses._base import MaybeTensor, WeightedLoss, unit_rows

# Squared distances are not taken for less: the pull between vectors that coincide has
# no direction.
_CLOSEST = 1e-12
# Nor the logarithm of an energy for more: its gradient would overflow in float32.
_LARGEST = 60.0
# On the diagonal of Gram matrices, which are singular where vectors coincide.
_JITTER = 1e-10


def _squares(vectors: Tensor) -> Tensor:
    """Return the squared distances of all pairs of unit vectors."""
    # From cosines: K x K numbers, not K x K x d.
    first, second = torch.triu_indices(
        len(vectors), len(vectors), 1, device=vectors.device
    )
    return (2 - 2 * (vectors @ vectors.T)[first, second]).clamp(min=_CLOSEST)


def _minimum_energy(vectors: Tensor, s: float) -> Tensor:
    """Return the mean Riesz energy of a pair; of exponent 0, the logarithmic one."""
    log_inverse = -0.5 * _squares(vectors).log()
    if s == 0:
        return log_inverse.mean()
    return (s * log_inverse).clamp(max=_LARGEST).exp().mean()


def _gram_determinant(vectors: Tensor, s: float) -> Tensor:
    """Return minus the mean log-eigenvalue of a Gaussian Gram matrix."""
    n_classes, n_components = vectors.shape
    # The rate is about the inverse spacing, as in hyperspherical_code.
    spacing = n_classes ** (-1 / max(n_components - 1, 1))
    rate = 2 * max(1.0, 1 / (4 * spacing)) ** 2
    gram = torch.exp(rate * (vectors @ vectors.T - 1))
    gram = gram + _JITTER * torch.eye(n_classes).to(gram)
    return -2 * torch.linalg.cholesky(gram).diagonal().log().mean()


_CRITERIA: dict[str, Callable[[Tensor, float], Tensor]] = {
    "mhe": _minimum_energy,
    "mhs": lambda vectors, s: -_squares(vectors).min().sqrt(),
    "mgd": _gram_determinant,
}


@dataclass(frozen=True)
class HypersphericalUniformityGap(WeightedLoss):
    r"""Distance of features to their class vectors, and the crowding of the vectors.

    .. math::

        \alpha \, E(w_1, \dots, w_K) + \beta \, \frac1{|\mathcal C|}
        \sum_{k \in \mathcal C} \frac1{n_k} \sum_{i : y_i = k}
        \lVert u_i - \operatorname{sg}(w_k) \rVert

    with unit features u, unit class vectors w, the classes :math:`\mathcal C` present
    in the batch, and the gradient stopped by sg. One term places the classes and the
    other one collapses their features: where the class vectors are learned, they learn
    from the first alone. If they are fixed it is constant.

    Section 3 of Liu, Yu, Weller and Schölkopf, ICLR 2023, arXiv:2303.06484.

    Parameters
    ----------
    criterion : {"mhe", "mhs", "mgd"}, default="mhe"
        What E is: "mhe" the mean over pairs of :math:`\lVert w_k - w_l \rVert^{-s}`,
        or of :math:`-\log \lVert w_k - w_l \rVert` for s = 0; "mhs" minus the smallest
        distance; "mgd" :math:`-\tfrac1K \log\det G` with :math:`G_{kl} =
        \exp(-\varepsilon^2 \lVert w_k - w_l \rVert^2)` and the :math:`\varepsilon` of
        :func:`~skcollapse.targets.hyperspherical_code`.
    s : float, default=1.0
        Exponent of the energy, at least 0. Used by "mhe" alone.
    inter_weight : float, default=1.0
        The weight α of the term between classes, at least 0.
    intra_weight : float, default=1.0
        The weight β of the term within classes, at least 0.
    decoupled : bool, default=True
        False lets class vectors that are learned be pulled by the features too.
    weighting : {"class", "sample"}, default="class"
        "class" is the mean above: sample weights count within a class only, so class
        weights cancel. "sample" is the mean over all samples.

    Notes
    -----
    The term between classes is computed in float64 from the cosines. Class vectors that
    coincide have a finite energy and no pull on each other.

    Examples
    --------
    >>> import torch
    >>> features, y = torch.tensor([[0.0, 2.0], [1.0, 0.0]]), torch.tensor([0, 1])
    >>> opposite = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
    >>> HypersphericalUniformityGap()(features, y, opposite)  # 1/2 + (0 + 2 ** 0.5) / 2
    tensor(1.2071)
    >>> HypersphericalUniformityGap("mhs", intra_weight=0.0)(features, y, opposite)
    tensor(-2.)
    """

    criterion: str = "mhe"
    s: float = 1.0
    inter_weight: float = 1.0
    intra_weight: float = 1.0
    decoupled: bool = True
    weighting: str = field(default="class", kw_only=True)

    vectors = "means"
    unit_features = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_choice("criterion", self.criterion, _CRITERIA)
        check_choice("decoupled", self.decoupled, (False, True))
        for name in ("s", "inter_weight", "intra_weight"):
            check_number(name, getattr(self, name), 0)

    def of_vectors(self, class_vectors: Tensor) -> Tensor:
        """Return the weighted term of the (K, d) class vectors alone."""
        units = unit_rows(class_vectors).double()
        energy = _CRITERIA[self.criterion](units, self.s)
        return (self.inter_weight * energy).to(class_vectors.dtype)

    def per_sample(
        self, features: Tensor, y: Tensor, class_vectors: Tensor, log_prior: MaybeTensor
    ) -> Tensor:
        """Return the (n,) weighted distances to the class vectors."""
        units = unit_rows(class_vectors)
        units = units.detach() if self.decoupled else units
        distances = torch.linalg.vector_norm(unit_rows(features) - units[y], dim=1)
        return self.intra_weight * distances
