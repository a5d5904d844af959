"""The report: numbers with their names, readable as text, HTML or a data frame."""

from dataclasses import dataclass
from html import escape

import numpy as np

from skcollapse.scorer._catalogue import CATALOGUE, class_columns, measure

_SECTIONS = {
    "nc1": "NC1, features gather at class means",
    "nc2_equinorm": "NC2, class means form a simplex",
    "seli_distance": "Classes of unequal size",
    "nc3_self_duality": "NC3, the classifier is the class means",
    "nc4_ncc_agreement": "NC4, decisions are nearest class centres",
    "classifier_equinorm": "Class vectors of the classifier",
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

    measures: dict
    classes: dict
    split: str
    means: np.ndarray
    coef: np.ndarray | None = None
    ridge: float = 0.0
    n_singletons: int | None = None

    def __getitem__(self, name):
        return self.measures[name]

    def to_dict(self):
        """Return the measures as a dict of floats.

        Returns
        -------
        dict of str to float
        """
        return dict(self.measures)

    def to_frame(self):
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
            (value, _at_collapse(name), self.split)
            for name, value in self.measures.items()
        ]
        index = pd.Index(self.measures, name="measure")
        return pd.DataFrame(rows, index, ["value", "at_collapse", "split"])

    def to_class_frame(self):
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

    def _caption(self):
        weights = self.classes["weight"]
        text = (
            f"Neural collapse on the {self.split} split: {weights.sum():,.6g} samples, "
            f"{len(weights)} classes of {weights.min():,.6g} to {weights.max():,.6g}, "
            f"{self.means.shape[1]} features"
        )
        if self.n_singletons:
            text += f"; {self.n_singletons} with one sample, which have no spread"
        return text

    def _rows(self):
        """Return (section or None, title, name, value, value at collapse) as text."""
        return [
            (
                _SECTIONS.get(name),
                CATALOGUE[name].title,
                name,
                "–" if np.isnan(value) else f"{value:.4g}",
                "" if np.isnan(_at_collapse(name)) else f"{_at_collapse(name):g}",
            )
            for name, value in self.measures.items()
        ]

    def __repr__(self):
        lines = [self._caption()]
        for section, title, name, value, collapsed in self._rows():
            if section:
                lines += ["", f"{section:<66}{'value':>10}{'collapsed':>11}"]
            lines.append(f"  {name:<27} {title:<36}{value:>10}{collapsed:>11}")
        return "\n".join(lines)

    def _repr_html_(self):
        lines = ["<table>", f"<caption>{escape(self._caption())}</caption>"]
        for section, title, name, value, collapsed in self._rows():
            if section:
                cells = escape(section), "value", "collapsed"
                heads = "".join(f"<th>{cell}</th>" for cell in cells)
                lines.append(f"<tr>{heads}</tr>")
            described = f"<code>{escape(name)}</code> {escape(title)}"
            cells = "".join(
                f"<td>{cell}</td>" for cell in (described, value, collapsed)
            )
            lines.append(f"<tr>{cells}</tr>")
        return "\n".join([*lines, "</table>"])


def _at_collapse(name):
    collapsed = CATALOGUE[name].collapsed
    return np.nan if collapsed is None else collapsed


def make_report(subject, classes, sizes, split):
    """Return the report of a subject.

    Parameters
    ----------
    subject : Subject
    classes : ndarray of shape (n_classes,)
        Labels.
    sizes : ndarray of shape (n_classes,) or None
        Numbers of samples, if known.
    split : str
    """
    # The agreement first: one look at the rows then serves all measures.
    if subject.head is not None and "rows" in subject.has:
        subject.agreement()
    values = {
        name: float(measure(name, subject))
        for name, entry in CATALOGUE.items()
        if subject.head is not None or "classifier" not in entry.needs
    }
    return CollapseReport(
        values,
        class_columns(subject, classes, sizes),
        split,
        subject.means,
        subject.coef,
        subject.ridge,
        None if sizes is None else int((sizes == 1).sum()),
    )
