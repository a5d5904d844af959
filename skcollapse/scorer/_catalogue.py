"""What a report holds: every measure with what it needs and which way it points.

To add a measure: write it in ``skcollapse.measures`` and give it one entry here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skcollapse import measures
from skcollapse.targets import TARGETS


@dataclass(frozen=True)
class Measure:
    """An entry: ``compute`` takes a `Subject`, ``needs`` says what that must have.

    ``collapsed`` is the value at collapse, None where it depends on the number of
    classes or on their sizes. Less is more collapsed unless ``rising``.
    """

    title: str
    compute: Callable
    needs: frozenset = frozenset()
    collapsed: float | None = 0.0
    rising: bool = False


@dataclass
class Subject:
    """What is measured: moments, a head, and what they are compared with.

    ``agreement_by_class`` is given where the moments have no rows to look at again.
    """

    moments: object
    has: frozenset
    head: object = None
    target: object = "etf"
    ridge: float = 0.0
    agreement_by_class: np.ndarray | None = None

    def __post_init__(self):
        """Leave out the classes without samples."""
        self.present = self.moments.counts > 0
        self.counts = self.moments.counts[self.present]
        # A slice does not copy.
        rows = slice(None) if self.present.all() else self.present
        self.means = self.moments.means[rows]
        self.coef = None if self.head is None else self.head.coef[self.present]

    def agreement(self):
        """Return the agreement of each class; the rows are looked at once."""
        if self.agreement_by_class is None:
            self.agreement_by_class = measures.ncc_agreement(
                self.moments, self.head.coef, self.head.intercept, by_class=True
            )
        return self.agreement_by_class

    @cached_property
    def arrangement(self):
        """The class means, moved into as few dimensions as there are classes."""
        n_classes, n_features = self.means.shape
        if n_features <= n_classes:
            return self.means
        return np.linalg.qr(_centred(self.means).T, mode="r").T

    @cached_property
    def etf_distance(self):
        """The distance of the class means from the ETF, which may be the target too."""
        return measures.etf_distance(self.arrangement)

    def target_distance(self):
        """Return the distance of the class means from the target."""
        if not isinstance(self.target, str):
            target = np.asarray(self.target, dtype=np.float64)
            if len(target) != len(self.present):
                raise ValueError(
                    "target must have a row for each of the "
                    f"{len(self.present)} classes, got the shape {target.shape}."
                )
            return measures.target_distance(self.arrangement, target[self.present])
        if self.target == "etf":
            return self.etf_distance
        if self.target == "seli":
            return measures.seli_distance(self.arrangement, self.counts)
        geometry = TARGETS[self.target].build(
            self.counts, None, np.random.RandomState(0)
        )
        return measures.target_distance(self.arrangement, geometry.means)


def _centred(means):
    return means - means.mean(axis=0)


def _weighted_agreement(subject):
    agreement = subject.agreement()[subject.present]
    return float(np.average(agreement, weights=subject.counts))


def _needs(*names):
    return frozenset(names)


_HEAD = _needs("classifier")

CATALOGUE = {
    "nc1": Measure(
        "tr(Σ_W Σ_B⁺) / K, pooled", lambda s: measures.nc1(s.moments), _needs("spread")
    ),
    "nc1_balanced": Measure(
        "the same, classes alike",
        lambda s: measures.nc1(s.moments, balanced=True),
        _needs("class spread"),
    ),
    "nc1_trace_ratio": Measure(
        "tr Σ_W / tr Σ_B", lambda s: measures.nc1_trace_ratio(s.moments)
    ),
    "cdnv": Measure(
        "class-distance normalised variance", lambda s: measures.cdnv(s.moments)
    ),
    "vci": Measure(
        "variability collapse index",
        lambda s: measures.vci(s.moments),
        _needs("scatter"),
    ),
    "nc2_equinorm": Measure(
        "variation of lengths", lambda s: measures.equinorm(s.arrangement)
    ),
    "nc2_equiangularity": Measure(
        "mean |cos + 1/(K − 1)|", lambda s: measures.equiangularity(s.arrangement)
    ),
    "nc2_cosine_std": Measure(
        "deviation of cosines", lambda s: measures.cosine_std(s.arrangement)
    ),
    "nc2_etf_distance": Measure("distance from the ETF", lambda s: s.etf_distance),
    "target_distance": Measure(
        "distance from the target", lambda s: s.target_distance()
    ),
    "min_angle": Measure(
        "smallest angle, degrees",
        lambda s: measures.min_angle(_centred(s.arrangement)),
        collapsed=None,
        rising=True,
    ),
    "uniformity": Measure(
        "mean log 1 / distance",
        lambda s: measures.uniformity(_centred(s.arrangement)),
        collapsed=None,
    ),
    "seli_distance": Measure(
        "distance from SELI",
        lambda s: measures.seli_distance(s.arrangement, s.counts, ridge=s.ridge),
    ),
    "minority_cosine": Measure(
        "cosine of small classes, excess",
        lambda s: measures.minority_cosine(s.arrangement, s.counts),
        collapsed=None,
    ),
    "norm_ratio": Measure(
        "length of large classes over small",
        lambda s: measures.norm_ratio(s.arrangement, s.counts),
        collapsed=None,
    ),
    "nc3_self_duality": Measure(
        "distance of classifier and means",
        lambda s: measures.self_duality(s.coef, s.means),
        _HEAD,
    ),
    "nc3_cosine": Measure(
        "mean 1 − cos of both",
        lambda s: measures.self_duality_cosine(s.coef, s.means),
        _HEAD,
    ),
    "nc4_ncc_agreement": Measure(
        "decides for the nearest centre",
        _weighted_agreement,
        _HEAD | {"rows"},
        collapsed=1.0,
        rising=True,
    ),
    "classifier_equinorm": Measure(
        "variation of lengths",
        lambda s: measures.equinorm(s.coef, centred=False),
        _HEAD,
    ),
    "classifier_equiangularity": Measure(
        "mean |cos + 1/(K − 1)|",
        lambda s: measures.equiangularity(s.coef, centred=False),
        _HEAD,
    ),
    "classifier_etf_distance": Measure(
        "distance from the ETF",
        lambda s: measures.etf_distance(s.coef, centred=False),
        _HEAD,
    ),
    "classifier_seli_distance": Measure(
        "distance from SELI",
        lambda s: measures.seli_distance(
            s.coef, s.counts, ridge=s.ridge, vectors="classifier"
        ),
        _HEAD,
    ),
    "classifier_minority_cosine": Measure(
        "cosine of small classes, excess",
        lambda s: measures.minority_cosine(s.coef, s.counts, centred=False),
        _HEAD,
        collapsed=None,
    ),
}


def measure(name, subject):
    """Return the value of a measure, NaN where the subject lacks what it needs."""
    entry = CATALOGUE[name]
    return entry.compute(subject) if entry.needs <= subject.has else np.nan


def class_columns(subject, labels, sizes):
    """Return {column: array} with a row for each class that has samples."""
    moments, present = subject.moments, subject.present
    columns = {"class": np.asarray(labels)[present], "weight": subject.counts}
    if sizes is not None:
        columns["samples"] = sizes[present]
    columns["variance"] = moments.class_scatter_trace[present] / subject.counts
    if "class spread" in subject.has:
        columns["nc1"] = measures.class_nc1(moments)[present]
    classifier, means = measures.seli_grams(subject.counts, ridge=subject.ridge)
    # What is left on the diagonal when the mean of the vectors is taken off.
    centred = np.diagonal(means) - 2 * means.mean(axis=0) + means.mean()
    columns |= _lengths("norm", _centred(subject.arrangement), centred)
    if subject.head is None:
        return columns
    columns |= _lengths("classifier_norm", subject.coef, np.diagonal(classifier))
    lengths = columns["norm"] * columns["classifier_norm"]
    products = (subject.coef * _centred(subject.means)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns["nc3_cosine"] = 1 - products / lengths
    if "rows" in subject.has:
        columns["nc4_ncc_agreement"] = subject.agreement()[present]
    return columns


def _lengths(name, vectors, squares):
    """Return lengths, and those that SELI predicts at the same mean square."""
    lengths = np.linalg.norm(vectors, axis=1)
    predicted = np.sqrt(np.maximum(squares, 0))
    scale = np.linalg.norm(lengths) / np.linalg.norm(predicted)
    return {name: lengths, f"seli_{name}": predicted * scale}
