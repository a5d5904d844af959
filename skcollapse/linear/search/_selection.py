"""The comparison of candidates, and the average of the best."""

from dataclasses import dataclass

import numpy as np
import torch

from skcollapse.fitting import Progress, Trial, fit_inverse_temperature, log_loss
from skcollapse.linear._spec import Candidate, FeatureSpec
from skcollapse.linear.search._averaging import STEPS, greedy_average
from skcollapse.linear.search._held_out import HeldOut
from skcollapse.linear.solvers import LinearSolver, Strength

# Held-out logits that are kept for averaging, as numbers: 128 MiB in float32.
_KEPT_LOGITS = 2**25
# Logits whose temperatures are fitted at once, as numbers: it takes several copies.
_AT_ONCE = 2**20


@dataclass(frozen=True)
class Selection:
    """What a search found.

    Parameters
    ----------
    factors : dict
        From candidates to the factors of their projections, which hold the inverse
        temperature: probabilities are the softmax of the scores.
    results : dict of ndarrays
        A row for each candidate: "feature_scaling", "projector", "solver", "alpha",
        "prior_adjustment", "n_iter", "log_loss" (class-balanced, at the best
        temperature), "inverse_temperature" and "weight" (its share of the average).
    """

    factors: dict[Candidate, float]
    results: dict[str, np.ndarray]


class _Pool:
    """The candidates so far, and the scaled held-out logits of the best of them."""

    def __init__(self, held_out):
        self.y, self.weight = held_out.y, held_out.weight
        self.candidates, self.factors, self.losses, self.kept = [], [], [], {}
        self._most_kept = max(1, _KEPT_LOGITS // (len(self.y) * held_out.n_classes))

    def add(self, features, solver, strength, logits):
        """Add the candidates of (c, n, K) logits; return the lowest of their losses."""
        parts = logits.split(max(1, _AT_ONCE // logits[0].numel()))
        factor = torch.cat(
            [fit_inverse_temperature(part, self.y, self.weight) for part in parts]
        )
        logits *= factor[:, None, None]
        for place, of_candidate in enumerate(logits):
            self.kept[len(self.candidates)] = of_candidate.clone()
            self.candidates.append(Candidate(features, solver, strength, place + 1))
        self.factors += factor.tolist()
        losses = log_loss(logits, self.y, self.weight).nan_to_num(nan=np.inf).tolist()
        self.losses += losses
        # What is not finite is never chosen.
        finite = [i for i in self.kept if np.isfinite(self.losses[i])]
        best = sorted(finite, key=self.losses.__getitem__)[: self._most_kept]
        self.kept = {index: self.kept[index] for index in sorted(best)}
        return min(losses)


def select(
    held_out: HeldOut,
    features: tuple[FeatureSpec, ...],
    strengths: dict[LinearSolver, tuple[Strength, ...]],
    *,
    average: bool,
    progress: Progress,
) -> Selection:
    """Compare all candidates on held-out rows, and average the best or choose one.

    Strengths go from strong to weak. Progress is told of each that is tried; if it asks
    for the end, the choice is among those so far.
    """
    pool = _Pool(held_out)
    for family in features:
        # In a function: what is made for some features does not outlive them.
        if _try_all(pool, held_out, family, strengths, progress):
            break
    if not pool.kept:
        raise ValueError(
            "No candidate has finite scores on the rows that are held out. X holds "
            "values too large for its dtype: scale the features before."
        )
    logits = torch.stack(list(pool.kept.values()))
    share = greedy_average(logits, pool.y, pool.weight, STEPS if average else 1)
    averaged = torch.tensordot(share.to(logits), logits, dims=1)[None]
    last = fit_inverse_temperature(averaged, pool.y, pool.weight).item()
    weights = np.zeros(len(pool.candidates))
    weights[list(pool.kept)] = share.cpu().numpy()
    chosen, rows = {}, []
    for candidate, factor, loss, weight in zip(
        pool.candidates, pool.factors, pool.losses, weights, strict=True
    ):
        if weight:
            chosen[candidate] = last * factor * weight
        row = {
            "feature_scaling": candidate.features.scaling,
            "projector": candidate.features.projector.name,
            "solver": candidate.solver.name,
            **candidate.strength._asdict(),
            "n_iter": candidate.n_iter,
            "log_loss": loss,
            "inverse_temperature": factor,
            "weight": weight,
        }
        rows.append(row)
    results = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return Selection(chosen, results)


def _try_all(pool, held_out, features, strengths, progress):
    """Try all candidates of some features; return whether that is asked to end."""
    progress.begin("trial")
    logits_at = held_out.logits_of(features)
    for solver, alphas in strengths.items():
        losses: dict[Strength, float] = {}
        while (strength := solver.propose(losses, alphas)) is not None:
            progress.begin("trial")
            logits = logits_at(solver, strength)
            loss = pool.add(features, solver, strength, logits)
            losses[strength] = loss
            tried = (
                f"projector {features.projector.name}, "
                f"feature scaling {features.scaling}, "
                f"solver {solver.name}, alpha {strength.alpha:g}"
            )
            if progress.end(Trial(tried, loss)):
                return True
    return False
