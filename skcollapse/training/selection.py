"""The choice of what is "auto", by held-out class-balanced log-loss."""

from dataclasses import dataclass

import numpy as np
import torch

from skcollapse.training.averaging import STEPS, greedy_average
from skcollapse.training.calibration import fit_inverse_temperature, log_loss
from skcollapse.training.candidates import Candidate

# Held-out logits that are kept for averaging, as numbers: 128 MiB in float32.
_KEPT_LOGITS = 2**25
# Logits whose temperatures are fitted at once, as numbers: it takes several copies.
_AT_ONCE = 2**22
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
        A row for each candidate: "feature_scaling", "projector", "alpha", "n_iter",
        "log_loss" (class-balanced, at the best temperature), "inverse_temperature"
        and "weight" (its share of the average).
    """

    shares: dict[Candidate, float]
    results: dict[str, np.ndarray]

    @property
    def lowest_loss(self):
        """The held-out log-loss of the best candidate."""
        return self.results["log_loss"].min()


def select(held_out, families, strengths, *, average):
    """Compare all candidates on held-out rows, and average the best.

    Parameters
    ----------
    held_out : FoldLogits or LeaveOneOutLogits
    families : list of Family
    strengths : sequence of float
        From strong to weak.
    average : bool
        Average candidates; False chooses the best.

    Returns
    -------
    Selection
    """
    y, weight, n_classes = held_out.y, held_out.weight, held_out.n_classes
    candidates, factors, losses, kept = [], [], [], {}
    most_kept = max(1, _KEPT_LOGITS // (len(y) * n_classes))
    for family in families:
        logits_at, lowest = held_out.of_family(family), np.inf
        for alpha in strengths:
            logits = logits_at(alpha)
            factor = torch.cat(
                [
                    fit_inverse_temperature(some, y, weight)
                    for some in logits.split(max(1, _AT_ONCE // logits[0].numel()))
                ]
            )
            logits *= factor[:, None, None]
            for place, of_candidate in enumerate(logits):
                kept[len(candidates)] = of_candidate.clone()
                candidates.append(Candidate(family, alpha, place + 1))
            factors += factor.tolist()
            loss = log_loss(logits, y, weight)
            losses += loss.tolist()
            best = sorted(kept, key=losses.__getitem__)[:most_kept]
            kept = {index: kept[index] for index in sorted(best)}
            if loss.min() > _HOPELESS * lowest:
                break
            lowest = min(lowest, loss.min())

    logits = torch.stack(list(kept.values()))
    share = greedy_average(logits, y, weight, STEPS if average else 1)
    averaged = torch.tensordot(share.to(logits), logits, dims=1)[None]
    last = fit_inverse_temperature(averaged, y, weight).item()
    weights = np.zeros(len(candidates))
    weights[list(kept)] = share.cpu().numpy()
    shares = {
        candidate: last * factor * weight
        for candidate, factor, weight in zip(candidates, factors, weights, strict=True)
        if weight
    }
    columns = {
        "feature_scaling": [c.family.feature_scaling for c in candidates],
        "projector": [c.family.projector for c in candidates],
        "alpha": [c.alpha for c in candidates],
        "n_iter": [c.n_iter for c in candidates],
        "log_loss": losses,
        "inverse_temperature": factors,
        "weight": weights,
    }
    return Selection(shares, {name: np.array(col) for name, col in columns.items()})
