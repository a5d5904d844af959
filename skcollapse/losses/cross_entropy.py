"""Cross-entropy on raw or cosine logits, adjusted or with a margin by class."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from skcollapse._utils.checks import check_number
from skcollapse.losses._base import Loss, MaybeTensor, unit_rows


@dataclass(frozen=True)
class _SoftmaxLoss(Loss):
    """A loss of inner products, or of cosines times a scale."""

    scale: float | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        if self.scale is not None:
            check_number("scale", self.scale, 0, open_ends="low", also=(None,))

    @property
    def unit_features(self) -> bool:  # type: ignore[override]
        """Whether the logits are cosines."""
        return self.scale is not None

    @property
    def convex(self) -> bool:  # type: ignore[override]
        """Whether the logits are linear in the features."""
        return self.scale is None


@dataclass(frozen=True)
class CrossEntropy(_SoftmaxLoss):
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

    logit_adjustment: float = 0.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_number("logit_adjustment", self.logit_adjustment)

    @property
    def is_softmax(self) -> bool:  # type: ignore[override]
        """Whether the logits are the scores themselves."""
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


@dataclass(frozen=True)
class LDAM(_SoftmaxLoss):
    r"""Label-distribution-aware margin loss.

    .. math::

        -\log \frac{\exp(s (c_y - \Delta_y))}
                   {\exp(s (c_y - \Delta_y)) + \sum_{k \neq y} \exp(s c_k)},
        \qquad \Delta_k = \Delta_{\max} \left(\frac{\min_l n_l}{n_k}\right)^{1/4}

    with :math:`c_k = \cos(w_k, h)` and class sizes n. A sample must beat the other
    classes by the margin of its own: by :math:`\Delta_{\max}` in the rarest class.

    Parameters
    ----------
    scale : float or None, default=30.0
        The positive factor s. None takes features and class vectors as they are:
        :math:`s c_k` is :math:`w_k^\top h` then, and the margin is in its units.
    max_margin : float, default=0.5
        The margin of the rarest class, :math:`\Delta_{\max} > 0`; with ``scale=None``
        that of :math:`s \Delta_{\max}`. The margin of a class without a row too.

    Notes
    -----
    Only ratios of the class sizes count, which ``log_prior`` holds. The power ¼ is
    where the bound of [1]_ on the balanced error is smallest.

    References
    ----------
    .. [1] Cao et al., "Learning imbalanced datasets with label-distribution-aware
       margin loss", NeurIPS 2019, equations (12) and (13), arXiv:1906.07413.

    Examples
    --------
    >>> import torch
    >>> features, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    >>> log_prior = torch.tensor([16.0, 1.0]).log()  # margins 1/4 and 1/2
    >>> loss = LDAM(scale=2.0)
    >>> loss(features, y, torch.eye(2), None, log_prior)
    tensor(0.2573)
    >>> 0.5 * torch.tensor([-2 * 0.75, -2 * 0.5]).exp().log1p().sum()
    tensor(0.2573)
    """

    scale: float | None = 30.0
    max_margin: float = 0.5

    needs_prior = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_number("max_margin", self.max_margin, 0, open_ends="low")

    def margins(self, log_prior: Tensor) -> Tensor:
        """Return the (K,) margins, in units of the cosine or the logit.

        Instead of class frequencies, `log_prior` may hold any multiples of them.
        """
        present = log_prior.isfinite()
        rarest = log_prior.masked_fill(~present, 0).where(present, float("inf")).min()
        # A class that nothing was learnt from would have an infinite margin.
        shrunk = ((rarest - log_prior) / 4).masked_fill(~present, 0)
        return self.max_margin * shrunk.exp()

    def per_sample(
        self, features: Tensor, y: Tensor, class_vectors: Tensor, log_prior: MaybeTensor
    ) -> Tensor:
        """Return the (n,) cross-entropies after the margin is taken off."""
        assert log_prior is not None  # needs_prior
        margins, scale = self.margins(log_prior), 1.0
        if self.scale is not None:
            features, class_vectors = unit_rows(features), unit_rows(class_vectors)
            scale = self.scale
        logits = scale * (features @ class_vectors.T)
        taken_off = (scale * margins)[y][:, None]
        logits = logits.scatter_add(1, y[:, None], -taken_off)
        return F.cross_entropy(logits, y, reduction="none")
