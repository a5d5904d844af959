"""Softmax regression that is shrunk towards class prototypes instead of zero."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from skcollapse._utils.parallel import row_slices, sum_over_parts
from skcollapse.fitting import Problem
from skcollapse.linear._lbfgs import lbfgs
from skcollapse.linear._objective import SMALLEST_RIDGE, second_moment
from skcollapse.linear.solvers._base import (
    NO_PROGRESS,
    AffineMap,
    LinearSolver,
    Solution,
    Strength,
)

# What is made for so many rows stays in the processor's cache.
_ROWS_AT_ONCE = 2048
# The curvature of the loss for a class, by its frequency: most rows are decided soon.
_CURVATURE = 0.1
# Penalties go in steps of half a decade from the first, pulls along this list.
_STEP = 10**-0.5
_FIRST = Strength(1e-4, "afterwards", 4.0)
_PULLS = (0.0, 4.0, 8.0, 16.0, 32.0)
_WEAKEST, _STRONGEST = 1e-8, 1e-1


class Prototypes:
    r"""The scores of class means, and what a row's own class mean owes to the row.

    With the unit vector :math:`u_k` of each centred class mean and the mean g of the
    class means, the scores are :math:`\langle f - g, u_k\rangle`. A row's own class
    mean is taken without the row, and a class of one row has none: otherwise the scores
    of training rows would promise what those of others do not keep.
    """

    def __init__(self, problem: Problem):
        features, y = problem.features, problem.y
        n_classes, tensor = len(problem.target.classifier), problem.tensor
        counts = problem.class_frequency
        present = counts > 0
        weight = problem.weight.double()
        mass = weight.new_zeros(n_classes).index_add_(0, y, weight)
        sums = features.new_zeros(n_classes, features.shape[1])
        sums.index_add_(0, y, features * problem.weight[:, None])
        means = sums / tensor(mass.clamp(min=torch.finfo(mass.dtype).tiny))[:, None]
        center = means[present].mean(0)
        directions = means - center
        directions[~present] = 0.0
        self.coef = _unit(directions).T.contiguous()
        self.intercept = -center @ self.coef
        # Of a row that stands for several, one is left out: the lightest of its class.
        one = mass.new_full((n_classes,), torch.inf)
        one = one.scatter_reduce(0, y, weight, "amin")[y]
        rest = mass[y] - one
        alone = rest <= 1e-6 * one
        own = (sums[y] - tensor(one)[:, None] * features) / tensor(
            rest.masked_fill(alone, 1)
        )[:, None]
        own = _unit(own - center).masked_fill_(alone[:, None], 0.0)
        own -= self.coef.T[y]
        self.own_gap = ((features - center) * own).sum(1)


def _unit(rows):
    return torch.nn.functional.normalize(rows)


@dataclass
class _Prepared:
    """What all strengths share, and the last solution, from which the next one starts.

    Its total map T = pull · U + B is kept when the pull changes.
    """

    problem: Problem
    max_iter: int
    tol: float
    last: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    @cached_property
    def prototypes(self) -> Prototypes:
        return Prototypes(self.problem)

    @cached_property
    def eigen(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues of the second moment, and its eigenvectors as columns."""
        values, vectors = torch.linalg.eigh(second_moment(self.problem))
        return values.clamp_(min=0), self.problem.tensor(vectors)


class _Objective:
    """Cross-entropy plus α/2 ‖T − pull · U‖², in coordinates of even curvature.

    For a class of frequency π, cross-entropy curves like π times the second moment of
    the features: in the basis of its eigenvectors that is a diagonal, whose root
    divides the coordinates.
    """

    def __init__(self, prepared: _Prepared, strength: Strength):
        problem = self.problem = prepared.problem
        self.alpha, self.pull = strength.alpha, strength.pull
        self.prototypes = prepared.prototypes
        values, self.basis = prepared.eigen
        floor = 0.3 / len(problem.y)
        frequency = problem.class_frequency.clamp(min=floor).to(values)
        curvature = _CURVATURE * frequency * (1 - frequency).clamp(min=0.1)
        smallest = SMALLEST_RIDGE * float(values.sum()) or 1.0
        scale = torch.outer(values, curvature) + max(self.alpha, smallest)
        self.scale = torch.cat([scale, curvature[None]]).sqrt().cpu().numpy()
        self.log_frequency = problem.tensor(frequency.log())
        self.weight = problem.weight
        on_host = problem.features.device.type == "cpu"
        self.step = _ROWS_AT_ONCE if on_host else len(problem.y)

    def pack(self, coef: Tensor, intercept: Tensor) -> np.ndarray:
        """Return the coordinates of a map, whose prototypes are taken off."""
        residual = self.basis.T @ (coef - self.pull * self.prototypes.coef)
        shift = intercept - self.pull * self.prototypes.intercept
        rows = torch.cat([residual, shift[None]]).double().cpu().numpy()
        return (rows * self.scale).ravel()

    def unpack(self, vector: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return coef (q, K) and intercept (K,) of the whole map."""
        rows = self.problem.tensor(vector.reshape(self.scale.shape) / self.scale)
        prototypes = self.prototypes
        coef = torch.addmm(self.pull * prototypes.coef, self.basis, rows[:-1])
        return coef, rows[-1] + self.pull * prototypes.intercept

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the value and the gradient at some coordinates."""
        coef, intercept = self.unpack(vector)
        residual = vector.reshape(self.scale.shape)[:-1] / self.scale[:-1]
        sums = self._sum(coef, intercept)
        value = sums[0].item() + 0.5 * self.alpha * float((residual**2).sum())
        by_intercept, by_coef = sums[1:].split([len(intercept), coef.numel()])
        by_coef = by_coef.reshape(len(intercept), -1).T.to(self.basis)
        slope = (self.basis.T @ by_coef).double().cpu().numpy() + self.alpha * residual
        rows = np.concatenate([slope, by_intercept.cpu().numpy()[None]])
        return value, (rows / self.scale).ravel()

    def _sum(self, coef, intercept):
        """Return the loss and its slopes by intercept and coef.T as one vector."""
        features, y, weight = self.problem.features, self.problem.y, self.weight
        gap = self.pull * self.prototypes.own_gap
        least = torch.finfo(features.dtype).tiny / torch.finfo(features.dtype).eps

        def sum_part(start, stop):
            value = 0.0
            by_intercept = torch.zeros_like(intercept, dtype=torch.float64)
            by_coef = torch.zeros_like(coef.T)
            for part in row_slices(stop, self.step, start):
                rows, own = features[part], y[part, None]
                scores = torch.addmm(intercept, rows, coef)
                scores.scatter_add_(1, own, gap[part, None])
                scores.sub_(scores.logsumexp(1, keepdim=True))
                value -= float(scores.gather(1, own)[:, 0] @ weight[part])
                pull = scores.exp_()
                pull.scatter_add_(1, own, pull.new_full(own.shape, -1.0))
                pull *= weight[part, None]
                # Subnormal numbers would make the product a hundred times slower.
                pull = torch.nn.functional.hardshrink(pull, least)
                by_intercept += pull.sum(0)
                by_coef.addmm_(pull.T, rows)
            slopes = torch.cat([by_intercept, by_coef.flatten().double()])
            return torch.cat([slopes.new_tensor([value]), slopes])

        n_rows = len(y)
        return sum_over_parts(sum_part, n_rows, features.numel(), self.step < n_rows)


class PrototypeSoftmax(LinearSolver):
    r"""Cross-entropy with an L2 penalty on the distance from class prototypes.

    The map minimises :math:`\ell(T) + \tfrac\alpha2 \|T - s U\|^2`, with the unit
    vectors of the centred class means as columns of U and a pull s: where classes have
    a few rows only, class means are a better guess than zero. The class prior is taken
    off the scores afterwards. It needs class vectors of a simplex, with which maps to
    scores and maps to the target are the same.
    """

    name = "prototypes"
    alphas = (_FIRST,)
    few_alphas = (_FIRST,)
    iterates = True
    is_adaptive = True

    def prepare(self, problem, max_iter, tol):
        """Return the problem: what is made of it is made when it is asked for."""
        return _Prepared(problem, max_iter, tol)

    def accepts(self, loss, target):
        """Return whether scores are softmax logits, and class vectors a simplex."""
        return loss.is_softmax and target.is_simplex

    def propose(self, losses, alphas):
        """Return a neighbour of the best that was not tried, or None at a minimum."""
        if alphas != self.alphas or not losses:
            return super().propose(losses, alphas)
        best = min(losses, key=losses.__getitem__)
        place = _PULLS.index(best.pull)
        neighbours = [
            best._replace(alpha=best.alpha * _STEP),
            best._replace(alpha=best.alpha / _STEP),
            *(best._replace(pull=pull) for pull in _PULLS[place + 1 : place + 2]),
            *(best._replace(pull=pull) for pull in _PULLS[max(place - 1, 0) : place]),
        ]
        for strength in neighbours:
            # On the grid again, whatever rounding does.
            alpha = 10 ** (round(2 * np.log10(strength.alpha)) / 2)
            strength = strength._replace(alpha=float(alpha))
            if strength not in losses and _WEAKEST < strength.alpha < _STRONGEST:
                return strength
        return None

    def solve(self, prepared, strength, n_maps=None, progress=NO_PROGRESS):
        """Return the minimum, on from the last one."""
        problem, objective = prepared.problem, _Objective(prepared, strength)
        vectors = problem.tensor(problem.target.classifier)
        # Scores are the products with the vectors of a simplex, whose Gram matrix is a
        # multiple of the centring matrix.
        inverse = vectors * ((len(vectors) - 1) / vectors.square().sum())
        shift = -problem.loss.unadjusted()[1] * objective.log_frequency

        def solution(iterates, losses):
            coef, intercept = objective.unpack(iterates[-1])
            maps = [AffineMap(coef @ inverse, (intercept + shift) @ inverse)]
            return Solution(maps, losses)

        start = prepared.last
        if start is None:
            pull, prototypes = strength.pull, prepared.prototypes
            intercept = objective.log_frequency + pull * prototypes.intercept
            start = pull * prototypes.coef, intercept
        iterates, losses, _ = lbfgs(
            objective,
            objective.pack(*start),
            max_iter=prepared.max_iter,
            tol=0.0,
            # What is left to gain, if the curvature is as even as it should be.
            enough=lambda value, slope: 0.5 * slope @ slope < prepared.tol * value,
            progress=progress.map(lambda state: solution(*state)),
        )
        prepared.last = objective.unpack(iterates[-1])
        return solution(iterates, losses)
