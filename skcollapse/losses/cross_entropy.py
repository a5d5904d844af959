"""Cross-entropy, on raw or cosine logits, with logit adjustment."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from skcollapse._utils.checks import check_number
from skcollapse.losses._base import Loss, MaybeTensor
from skcollapse.losses._numerics import unit_rows


@dataclass(frozen=True)
class CrossEntropy(Loss):
    r"""Softmax cross-entropy with the class vectors as the classifier.

    .. math::

        -\log \frac{\exp(z_y + \tau \log \pi_y)}{\sum_k \exp(z_k + \tau \log \pi_k)}

    with logits :math:`z_k = w_k^\top h`, or :math:`s \cos(w_k, h)` if a scale s is
    given, and class frequencies :math:`\pi`.

    Parameters
    ----------
    scale : float or None, default=None
        None takes features and class vectors as they are, which is convex in the
        features; a positive number looks at their cosine only and multiplies it.
    logit_adjustment : float, default=0.0
        The strength τ. At 1 the model is trained for the balanced error, and the
        loss is the balanced softmax of [2]_; other than 0 it needs ``log_prior``.

    References
    ----------
    .. [1] Menon et al., "Long-tail learning via logit adjustment", ICLR 2021,
       equation (10), arXiv:2007.07314.
    .. [2] Ren et al., "Balanced meta-softmax for long-tailed visual recognition",
       NeurIPS 2020, arXiv:2007.10740.

    Examples
    --------
    >>> import torch
    >>> features, y = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])
    >>> CrossEntropy()(features, y, torch.eye(2))
    tensor(0.1269)
    >>> log_prior = torch.tensor([0.9, 0.1]).log()
    >>> CrossEntropy(logit_adjustment=1.0)(features, y, torch.eye(2), None, log_prior)
    tensor(0.4058)
    """

    scale: float | None = None
    logit_adjustment: float = 0.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        if self.scale is not None:
            check_number("scale", self.scale, 0, open_ends="low", also=(None,))
        check_number("logit_adjustment", self.logit_adjustment)

    @property
    def unit_features(self) -> bool:  # type: ignore[override]
        """Whether the logits are cosines."""
        return self.scale is not None

    @property
    def convex(self) -> bool:  # type: ignore[override]
        """Whether the logits are linear in the features."""
        return self.scale is None

    @property
    def needs_prior(self) -> bool:  # type: ignore[override]
        """Whether the logits are adjusted."""
        return self.logit_adjustment != 0

    def unadjusted(self) -> tuple[Loss, float]:
        """Return plain cross-entropy and τ, for post-hoc adjustment of raw logits."""
        if self.unit_features:
            return self, 0.0
        return replace(self, logit_adjustment=0.0), self.logit_adjustment

    def curvature(self, class_vectors: Tensor) -> float:
        """Return the mean curvature at equal probabilities: tr(WᵀPW) / (K d)."""
        if self.unit_features:
            return 1.0
        centred = class_vectors - class_vectors.mean(dim=0)
        return float(centred.square().mean())

    def per_sample(
        self, features: Tensor, y: Tensor, class_vectors: Tensor, log_prior: MaybeTensor
    ) -> Tensor:
        """Return the (n,) cross-entropies of the samples."""
        if self.scale is not None:
            features = unit_rows(features)
            class_vectors = self.scale * unit_rows(class_vectors)
        if self.needs_prior and log_prior is not None:
            # One n × K matrix, not a second one for the sum.
            adjustment = log_prior * self.logit_adjustment
            logits = torch.addmm(adjustment, features, class_vectors.T)
        else:
            logits = features @ class_vectors.T
        if logits.requires_grad:
            # Subnormal numbers would make the product that follows a hundred times
            # slower, and count for nothing.
            least = torch.finfo(logits.dtype).tiny / torch.finfo(logits.dtype).eps
            # Autograd hands over None where nothing depends on the logits.
            logits.register_hook(
                lambda gradient: (
                    None if gradient is None else F.hardshrink(gradient, least)
                )
            )
        return F.cross_entropy(logits, y, reduction="none")
