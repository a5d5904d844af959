"""What a search compares."""

from typing import NamedTuple


class Family(NamedTuple):
    """Candidates on the same features, which differ in how they are fitted."""

    feature_scaling: str | None
    projector: str


class Candidate(NamedTuple):
    """A family, a solver, its strength, and which of its maps: ``None`` is the last."""

    family: Family
    solver: type
    alpha: float
    n_iter: int | None = None
