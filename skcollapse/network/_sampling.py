"""In which order, and how often, rows come, and in what batches."""

import math

import torch
from torch import Tensor

from skcollapse._utils.checks import check_choice
from skcollapse.fitting import Objective, Problem

# The power of the class counts that the probabilities of the classes follow: a new
# sampler is a line.
SAMPLERS = {"square_root": 0.5, "balanced": 0.0}


def class_probabilities(class_counts: Tensor, sampler: str) -> Tensor:
    """Return how often rows of each of K classes are drawn, in float64."""
    counts = class_counts.double()
    share = counts.pow(SAMPLERS[sampler]).where(counts > 0, 0)
    return share / share.sum()


class EpochOrder:
    """Draws which rows make an epoch, as many as there are.

    Without a sampler every row comes once. With one, rows are drawn with replacement: a
    class by its probability, then any of its rows. Rare rows come often then and some
    of the frequent ones not at all. The prior of the rows drawn is that of the class
    probabilities: a loss that adjusts for another one adjusts twice.

    References
    ----------
    .. [1] Kang et al., "Decoupling representation and classifier for long-tailed
       recognition", ICLR 2020, section 4.1, arXiv:1910.09217.
    .. [2] Mahajan et al., "Exploring the limits of weakly supervised pretraining", ECCV
       2018, section 2.2, arXiv:1805.00932: the square root.
    """

    def __init__(self, y: Tensor, n_classes: int, sampler: str | None = None):
        check_choice("sampler", sampler, (None, *SAMPLERS))
        if len(y) == 0:
            raise ValueError("y must have rows to draw an epoch from; got none")
        self.n_rows, self.sampler = len(y), sampler
        if sampler is not None:
            y = y.cpu()
            self.by_class = y.argsort(stable=True)
            self.counts = y.bincount(minlength=n_classes)
            self.probabilities = class_probabilities(self.counts, sampler)

    def __call__(self, generator: torch.Generator) -> Tensor:
        """Draw the (n,) indices of the rows of an epoch, on the CPU."""
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


class EpochSampler:
    """Draws which rows make an epoch, and knows what their loss is."""

    def __init__(self, problem: Problem, sampler: str | None):
        y, weight = problem.y, problem.sample_weight
        self.objective = Objective(problem)
        self.weight = problem.tensor(torch.ones_like(y) if weight is None else weight)
        self.order = EpochOrder(y, len(problem.target.classifier), sampler)
        self.total_weight = float(self.weight.double().sum())
        if sampler is None:
            return
        # How heavy the classes are in what is drawn: the prior that a loss adjusts for.
        drawn = self.order.probabilities.to(y.device)
        heavy = torch.zeros_like(drawn).index_add_(0, y, self.weight.double())
        mass = drawn * heavy / self.order.counts.to(drawn).clamp(min=1)
        self.total_weight = float(mass.sum()) * len(y)
        if self.objective.log_prior is not None:
            self.objective.log_prior = problem.tensor((mass / mass.sum()).log())


def batch_sizes(n_rows: int, batch_size: int) -> list[int]:
    """Share the rows of an epoch out into batches as equal as can be.

    A small last batch would have poor statistics for batch normalisation, and few
    samples to contrast. A single row has none at all and makes no batch unless asked
    for, so that batches of two or three may exceed ``batch_size`` by one.
    """
    n_batches = math.ceil(n_rows / batch_size)
    if batch_size > 1:
        n_batches = max(1, min(n_batches, n_rows // 2))
    size, n_larger = divmod(n_rows, n_batches)
    return [size + 1] * n_larger + [size] * (n_batches - n_larger)
