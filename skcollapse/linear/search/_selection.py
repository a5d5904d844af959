"""The choice of what is "auto", by held-out class-balanced log-loss."""

from dataclasses import dataclass

import numpy as np
import torch

from skcollapse.training.averaging import STEPS, greedy_average
from skcollapse.training.calibration import fit_inverse_temperature, log_loss
from skcollapse.training.candidates import Candidate
from skcollapse.training.following import NOBODY, Trial

# Held-out logits that are kept for averaging, as numbers: 128 MiB in float32.
_KEPT_LOGITS = 2**25
# Logits whose temperatures are fitted at once, as numbers: it takes several copies.
_AT_ONCE = 2**20
# Weaker and weaker regularisation is not tried once the loss has risen by this factor.
_HOPELESS = 1.1


@dataclass(frozen=True)
class Selection:
    """What a search found.

    Parameters
    ----------
    shares : dict
        From candidates to the factors of their projections, which hold the inverse
        temperature: probabilities are the softmax of the scores.
    results : dict of ndarrays
        A row for each candidate: "feature_scaling", "projector", "solver", "alpha",
        "n_iter", "log_loss" (class-balanced, at the best temperature),
        "inverse_temperature" and "weight" (its share of the average).
    """

    shares: dict[Candidate, float]
    results: dict[str, np.ndarray]


class _Pool:
    """The candidates so far, and the scaled held-out logits of the best of them."""

    def __init__(self, held_out):
        self.y, self.weight = held_out.y, held_out.weight
        self.candidates, self.factors, self.losses, self.kept = [], [], [], {}
        self._most_kept = max(1, _KEPT_LOGITS // (len(self.y) * held_out.n_classes))

    def add(self, family, solver, alpha, logits):
        """Add the candidates of (c, n, K) logits; return the lowest of their losses."""
        at_once = max(1, _AT_ONCE // logits[0].numel())
        factor = torch.cat(
            [
                fit_inverse_temperature(some, self.y, self.weight)
                for some in logits.split(at_once)
            ]
        )
        logits *= factor[:, None, None]
        for place, of_candidate in enumerate(logits):
            self.kept[len(self.candidates)] = of_candidate.clone()
            self.candidates.append(Candidate(family, solver, alpha, place + 1))
        self.factors += factor.tolist()
        losses = log_loss(logits, self.y, self.weight).tolist()
        self.losses += losses
        best = sorted(self.kept, key=self.losses.__getitem__)[: self._most_kept]
        self.kept = {index: self.kept[index] for index in sorted(best)}
        return min(losses)


def select(held_out, families, strengths, *, average, follower=NOBODY):
    """Compare all candidates on held-out rows, and average the best.

    Parameters
    ----------
    held_out : FoldLogits, HoldOutLogits or LeaveOneOutLogits
    families : list of Family
    strengths : dict
        From solvers to their strengths, from strong to weak.
    average : bool
        Average candidates; False chooses the best.
    follower : Follower
        Follows the strengths that are tried. If it asks for the end, the choice is
        among those so far.

    Returns
    -------
    Selection
    """
    pool = _Pool(held_out)
    _fill(pool, held_out, families, strengths, follower)
    y, weight, candidates, factors = pool.y, pool.weight, pool.candidates, pool.factors
    logits = torch.stack(list(pool.kept.values()))
    share = greedy_average(logits, y, weight, STEPS if average else 1)
    averaged = torch.tensordot(share.to(logits), logits, dims=1)[None]
    last = fit_inverse_temperature(averaged, y, weight).item()
    weights = np.zeros(len(candidates))
    weights[list(pool.kept)] = share.cpu().numpy()
    shares = {
        candidate: last * factor * weight
        for candidate, factor, weight in zip(candidates, factors, weights, strict=True)
        if weight
    }
    columns = {
        "feature_scaling": [c.family.feature_scaling for c in candidates],
        "projector": [c.family.projector for c in candidates],
        "solver": [c.solver.name for c in candidates],
        "alpha": [c.alpha for c in candidates],
        "n_iter": [c.n_iter for c in candidates],
        "log_loss": pool.losses,
        "inverse_temperature": factors,
        "weight": weights,
    }
    return Selection(shares, {name: np.array(col) for name, col in columns.items()})


def _fill(pool, held_out, families, strengths, follower):
    """Try all candidates, or as many as the follower wants."""
    for family in families:
        follower.begin()
        logits_at = held_out.of_family(family)
        for solver, alphas in strengths.items():
            lowest = np.inf
            for alpha in alphas:
                follower.begin()
                loss = pool.add(family, solver, alpha, logits_at(solver, alpha))
                if follower.end(Trial(family, solver.name, alpha, loss)):
                    return
                if loss > _HOPELESS * lowest:
                    break
                lowest = min(lowest, loss)
