"""In which order, and how often, the rows of an epoch come. A new one is a line."""

import torch
from torch import Tensor

# The power of the class counts that the probabilities of the classes follow.
SAMPLERS = {"square_root": 0.5, "balanced": 0.0}


def class_probabilities(class_counts: Tensor, sampler: str) -> Tensor:
    """Return how often rows of each class are drawn.

    Parameters
    ----------
    class_counts : tensor of shape (K,)
    sampler : {"square_root", "balanced"}
        The probability of a class of n rows is proportional to √n, or the same for all
        classes that have rows.

    Returns
    -------
    tensor of shape (K,), float64

    Examples
    --------
    >>> import torch
    >>> class_probabilities(torch.tensor([81, 9, 0]), "square_root")
    tensor([0.7500, 0.2500, 0.0000], dtype=torch.float64)
    >>> class_probabilities(torch.tensor([81, 9, 0]), "balanced")
    tensor([0.5000, 0.5000, 0.0000], dtype=torch.float64)
    """
    counts = class_counts.double()
    share = counts.pow(SAMPLERS[sampler]).where(counts > 0, 0)
    return share / share.sum()


class EpochOrder:
    """Draws which rows make an epoch, as many as there are.

    Without a sampler every row comes once. With one, rows are drawn with replacement: a
    class by its probability, then any of its rows. Rare rows come often then and some
    of the frequent ones not at all. The prior of the rows drawn is that of the class
    probabilities: a loss that adjusts for another one adjusts twice.

    Parameters
    ----------
    y : tensor of shape (n,), int64
        Class indices in [0, K).
    n_classes : int
    sampler : {"balanced", "square_root"} or None, default=None

    Raises
    ------
    ValueError
        If there is no such sampler, or there are no rows.

    References
    ----------
    .. [1] Kang et al., "Decoupling representation and classifier for long-tailed
       recognition", ICLR 2020, section 4.1, arXiv:1910.09217.
    .. [2] Mahajan et al., "Exploring the limits of weakly supervised pretraining", ECCV
       2018, section 2.2, arXiv:1805.00932: the square root.

    Examples
    --------
    >>> import torch
    >>> y = torch.tensor([0] * 990 + [1] * 10)
    >>> order = EpochOrder(y, 2, "balanced")(torch.Generator().manual_seed(0))
    >>> len(order), y[order].bincount().tolist()
    (1000, [500, 500])
    """

    def __init__(self, y: Tensor, n_classes: int, sampler: str | None = None):
        if sampler is not None and sampler not in SAMPLERS:
            raise ValueError(
                f"sampler must be None or one of {', '.join(map(repr, SAMPLERS))}; "
                f"got {sampler!r}"
            )
        if len(y) == 0:
            raise ValueError("y must have rows to draw an epoch from; got none")
        self.n_rows, self.sampler = len(y), sampler
        if sampler is not None:
            y = y.cpu()
            self.by_class = y.argsort(stable=True)
            self.counts = y.bincount(minlength=n_classes)
            self.probabilities = class_probabilities(self.counts, sampler)

    def __call__(self, generator: torch.Generator) -> Tensor:
        """Draw an epoch.

        Parameters
        ----------
        generator : torch.Generator
            On the CPU, so that every device sees the rows in the same order.

        Returns
        -------
        tensor of shape (n,), int64, on the CPU
            Indices of rows.
        """
        if self.sampler is None:
            return torch.randperm(self.n_rows, generator=generator)
        # Of rows at once torch could tell no more than 2 ** 24 apart.
        drawn = torch.multinomial(
            self.probabilities, self.n_rows, replacement=True, generator=generator
        )
        position = torch.rand(self.n_rows, generator=generator, dtype=torch.float64)
        counts = self.counts[drawn]
        within = (position * counts).long()
        start = self.counts.cumsum(0) - self.counts
        return self.by_class[start[drawn] + within]
