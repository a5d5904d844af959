"""What a fit leads to."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

# How a field is called on an estimator, if not by its name and an underscore.
_PRIVATE = {"public": False}


@dataclass(frozen=True)
class Fitted:
    """All that a fit leads to, and all that predictions need.

    The list of these fields exists once: the attributes of a classifier, the files of
    its weights and the estimators that callbacks are handed derive from it.

    Parameters
    ----------
    projection : callable
        From X to (n, d) projected features, in NumPy.
    target : ndarray of shape (K, d)
        Class vectors.
    target_means : ndarray of shape (K, d)
        Where the features of each class should sit.
    temperature : float
        What scores are divided by before the softmax.
    loss_curve : list of float
        The objective after each iteration.
    n_iter : int
    validation_scores : list of float or None
        Balanced accuracy on rows that early stopping held out.
    selection_results : dict of ndarrays or None
        What a search compared, a row for each candidate.
    unit_features : bool
        Only the direction of a projected feature counts.
    extractor : torch.nn.Module or None
        The extractor that was trained together with the projection.
    network : object or None
        The network in training, if training can go on from it.
    """

    projection: Any
    target: np.ndarray
    target_means: np.ndarray
    temperature: float
    loss_curve: list[float]
    n_iter: int
    validation_scores: list[float] | None = None
    selection_results: dict[str, np.ndarray] | None = None
    extractor: Any = None
    unit_features: bool = field(default=False, metadata=_PRIVATE)
    network: Any = field(default=None, metadata=_PRIVATE)
    # From X to the scores at this temperature, in one product.
    scorer: Any = field(init=False, repr=False, metadata=_PRIVATE)

    def __post_init__(self):
        """Fold class vectors and temperature into the projection."""
        scores = self.target.T / self.temperature
        object.__setattr__(self, "scorer", self.projection.followed_by(scores))

    @classmethod
    def public_fields(cls) -> list[str]:
        """Return the names of the fields that users see, with an underscore added."""
        return [f.name for f in fields(cls) if f.metadata.get("public", True)]
