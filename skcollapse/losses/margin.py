"""Cross-entropy with a margin that is the wider the rarer the class."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from skcollapse._utils.checks import check_number
from skcollapse.losses._base import Loss, MaybeTensor
from skcollapse.losses._numerics import unit_rows


@dataclass(frozen=True)
class LDAM(Loss):
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
    where the bound of [1]_ on the balanced error is smallest. There the loss is
    weighted by class in the last epochs, which is up to the training.

    References
    ----------
    .. [1] Cao, Wei, Gaidon, Arechiga and Ma, "Learning imbalanced datasets with
       label-distribution-aware margin loss", NeurIPS 2019, equations (12) and (13),
       arXiv:1906.07413.

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
        if self.scale is not None:
            check_number("scale", self.scale, 0, open_ends="low", also=(None,))
        check_number("max_margin", self.max_margin, 0, open_ends="low")

    @property
    def unit_features(self) -> bool:  # type: ignore[override]
        """Whether the logits are cosines."""
        return self.scale is not None

    @property
    def convex(self) -> bool:  # type: ignore[override]
        """Whether the logits are linear in the features."""
        return self.scale is None

    def margins(self, log_prior: Tensor) -> Tensor:
        """Return the (K,) margins, in units of the cosine or the logit.

        Parameters
        ----------
        log_prior : tensor of shape (K,)
            Logarithms of the class frequencies, or of any multiples of them.
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
