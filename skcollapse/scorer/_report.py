"""The report: numbers with their names, readable as text, HTML or a data frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from skcollapse.measures import MEASURES, MeasureInputs, class_nc1, seli_grams

if TYPE_CHECKING:
    import pandas as pd

_SECTIONS = {
    "NC1": "NC1, features gather at class means",
    "NC2": "NC2, class means form a simplex",
    "sizes": "Classes of unequal size",
    "NC3": "NC3, the classifier is the class means",
    "NC4": "NC4, decisions are nearest class centres",
    "classifier": "Class vectors of the classifier",
}


@dataclass(frozen=True, repr=False, eq=False)
class CollapseReport:
    """How far features, and a classifier on them, are from neural collapse.

    Parameters
    ----------
    measures : dict of str to float
        Values by name; NaN where the data do not say.
    classes : dict of str to ndarray of shape (n_classes_present,)
        Columns with a value for each class that has samples.
    split : str
        What the rows were. Collapse of a training split does not imply that of a test
        split.
    means : ndarray of shape (n_classes_present, n_features)
        Class means.
    coef : ndarray of shape (n_classes_present, n_features), or None
        Class vectors of the classifier.
    ridge : float
        Strength of the regularisation in the SELI geometry.
    n_singletons : int or None
        Number of classes with one sample, which have no spread; None if not known.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skcollapse import NeuralCollapseScorer
    >>> report = NeuralCollapseScorer().fit(*load_iris(return_X_y=True)).report_
    >>> round(report["cdnv"], 3)
    0.118
    >>> report.classes["class"].tolist()
    [0, 1, 2]
    """

    measures: dict[str, float]
    classes: dict[str, np.ndarray]
    split: str
    means: np.ndarray
    coef: np.ndarray | None = None
    ridge: float = 0.0
    n_singletons: int | None = None

    def __getitem__(self, name: str) -> float:
        return self.measures[name]

    def to_dict(self) -> dict[str, float]:
        """Return the measures as a dict of floats."""
        return dict(self.measures)

    def to_frame(self) -> pd.DataFrame:
        """Return the measures as a data frame with a row for each.

        Returns
        -------
        pandas.DataFrame
            Indexed by name, with the columns "value" and "at_collapse", the latter NaN
            where it depends on the classes, and "split".

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas as pd

        rows = [
            (value, MEASURES[name].collapsed, self.split)
            for name, value in self.measures.items()
        ]
        index = pd.Index(self.measures, name="measure")
        frame = pd.DataFrame(rows, index, ["value", "at_collapse", "split"])
        return frame.astype({"at_collapse": float})

    def to_class_frame(self) -> pd.DataFrame:
        """Return the columns of the classes as a data frame.

        Returns
        -------
        pandas.DataFrame
            Indexed by class.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas as pd

        return pd.DataFrame(self.classes).set_index("class")

    def _caption(self) -> str:
        weights = self.classes["weight"]
        text = (
            f"Neural collapse on the {self.split} split: {weights.sum():,.6g} samples, "
            f"{len(weights)} classes of {weights.min():,.6g} to {weights.max():,.6g}, "
            f"{self.means.shape[1]} features"
        )
        if self.n_singletons:
            text += f"; {self.n_singletons} with one sample, which have no spread"
        return text

    def _rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Yield (section or "", title, name, value, value at collapse) as text."""
        for section, heading in _SECTIONS.items():
            for name, value in self.measures.items():
                measure = MEASURES[name]
                if measure.section == section:
                    shown = "–" if np.isnan(value) else f"{value:.4g}"
                    at_collapse = measure.collapsed
                    ideal = "" if at_collapse is None else f"{at_collapse:g}"
                    yield heading, measure.title, name, shown, ideal
                    heading = ""

    def __repr__(self) -> str:
        lines = [self._caption()]
        for section, title, name, value, collapsed in self._rows():
            if section:
                lines += ["", f"{section:<66}{'value':>10}{'collapsed':>11}"]
            lines.append(f"  {name:<27} {title:<36}{value:>10}{collapsed:>11}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        lines = ["<table>", f"<caption>{escape(self._caption())}</caption>"]
        for section, title, name, value, collapsed in self._rows():
            if section:
                lines.append(_html_row("th", escape(section), "value", "collapsed"))
            described = f"<code>{escape(name)}</code> {escape(title)}"
            lines.append(_html_row("td", described, value, collapsed))
        return "\n".join([*lines, "</table>"])


def _html_row(tag: str, *cells: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"


def make_report(
    inputs: MeasureInputs, classes: np.ndarray, sizes: np.ndarray | None, split: str
) -> CollapseReport:
    """Return the report of what is measured, given labels and numbers of samples."""
    has_head = inputs.head is not None
    # The agreement first: one look at the rows then serves all measures.
    if has_head and "rows" in inputs.has:
        inputs.agreement()
    return CollapseReport(
        {
            name: measure(inputs)
            for name, measure in MEASURES.items()
            if has_head or "classifier" not in measure.needs
        },
        _class_columns(inputs, classes, sizes),
        split,
        inputs.means,
        inputs.coef if has_head else None,
        inputs.ridge,
        None if sizes is None else int((sizes == 1).sum()),
    )


def _class_columns(
    inputs: MeasureInputs, labels: np.ndarray, sizes: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Return columns with a row for each class that has samples."""
    moments, present = inputs.moments, inputs.present
    columns = {"class": np.asarray(labels)[present], "weight": inputs.counts}
    if sizes is not None:
        columns["samples"] = sizes[present]
    columns["variance"] = moments.class_scatter_trace[present] / inputs.counts
    if "class spread" in inputs.has:
        columns["nc1"] = class_nc1(moments)[present]
    classifier, means = seli_grams(inputs.counts, ridge=inputs.ridge)
    # What is left on the diagonal when the mean of the vectors is taken off.
    centred = np.diagonal(means) - 2 * means.mean(axis=0) + means.mean()
    columns |= _lengths("norm", inputs.centred, centred)
    if inputs.head is None:
        return columns
    columns |= _lengths("classifier_norm", inputs.coef, np.diagonal(classifier))
    lengths = columns["norm"] * columns["classifier_norm"]
    products = (inputs.coef * (inputs.means - inputs.means.mean(axis=0))).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns["nc3_cosine"] = 1 - products / lengths
    if "rows" in inputs.has:
        columns["nc4_ncc_agreement"] = inputs.agreement()[present]
    return columns


def _lengths(
    name: str, vectors: np.ndarray, squares: np.ndarray
) -> dict[str, np.ndarray]:
    """Return lengths, and those that SELI predicts at the same mean square."""
    lengths = np.linalg.norm(vectors, axis=1)
    predicted = np.sqrt(np.maximum(squares, 0))
    scale = np.linalg.norm(lengths) / np.linalg.norm(predicted)
    return {name: lengths, f"seli_{name}": predicted * scale}
