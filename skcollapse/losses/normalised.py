"""Normalised losses: a class vector picks its samples out of the batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from skcollapse._utils.checks import check_number
from skcollapse.losses._base import (
    LOG_ZERO,
    Loss,
    MaybeTensor,
    unit_rows,
    weighted_mean,
)


@dataclass(frozen=True)
class NTCE(Loss):
    r"""Normalised cross-entropy over the samples of a batch.

    .. math::

        -\log \frac{\exp(w_{y_i}^\top u_i / \tau)}
                   {\sum_{j=1}^{M} \exp(w_{y_i}^\top u_j / \tau)}

    with unit features u and unit class vectors w. The class vector is the anchor and
    all M samples of the batch are contrasted, the sample itself included, where
    cross-entropy contrasts the K classes.

    Koromilas et al., "Neural collapse by design", ICML 2026, arXiv:2605.20302.

    Parameters
    ----------
    temperature : float, default=0.1
        The temperature τ, positive: the lower, the more the nearest samples count.

    Notes
    -----
    The normaliser depends on the class of a sample only: K normalisers from one K × M
    matrix serve the batch. Its value grows as log M, so losses compare at equal batch
    sizes only.

    Examples
    --------
    >>> import torch
    >>> features, y = torch.eye(2), torch.tensor([0, 1])
    >>> NTCE(temperature=1.0)(features, y, torch.eye(2))
    tensor(0.3133)
    """

    temperature: float = 0.1

    unit_features = True
    contrasts_samples = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_number("temperature", self.temperature, 0, open_ends="low")

    def contrasted(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the (K, n) logits with the log of 0 where j is not contrasted."""
        return logits

    def over_batch(
        self,
        features: Tensor,
        y: Tensor,
        class_vectors: Tensor,
        sample_weight: MaybeTensor,
        log_prior: MaybeTensor,
    ) -> Tensor:
        """Return the mean of normaliser minus attraction."""
        features = unit_rows(features)
        class_vectors = unit_rows(class_vectors) / self.temperature
        if sample_weight is None:
            logits = class_vectors @ features.T
        else:
            # w copies of a sample are w terms of the sum: log w in the exponent.
            log_weight = sample_weight.log().clamp(min=LOG_ZERO)
            logits = torch.addmm(log_weight, class_vectors, features.T)
        normaliser = self.contrasted(logits, y).logsumexp(dim=1)[y]
        attraction = (features * class_vectors[y]).sum(dim=1)
        # Where nothing is contrasted the normaliser is the log of 0: no loss.
        losses = (normaliser - attraction).where(normaliser > LOG_ZERO / 2, 0)
        return weighted_mean(losses, sample_weight)


@dataclass(frozen=True)
class NONL(NTCE):
    r"""Normalised loss with only the negatives in the normaliser.

    .. math::

        -\log \frac{\exp(w_{y_i}^\top u_i / \tau)}
                   {\sum_{j : y_j \neq y_i} \exp(w_{y_i}^\top u_j / \tau)}

    Attraction and repulsion decouple, and the loss may be negative. A sample whose
    class has no negatives in the batch, as in a batch of one class, contributes zero.

    Koromilas et al., "Neural collapse by design", ICML 2026, arXiv:2605.20302.

    Parameters
    ----------
    temperature : float, default=0.1
        The temperature τ, positive: the lower, the more the nearest samples count.

    Examples
    --------
    >>> import torch
    >>> features, y = torch.eye(2), torch.tensor([0, 1])
    >>> NONL(temperature=1.0)(features, y, torch.eye(2))
    tensor(-1.)
    """

    def contrasted(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the (K, n) logits with the log of 0 where j is of the class itself."""
        return logits.scatter(0, y[None], LOG_ZERO)
