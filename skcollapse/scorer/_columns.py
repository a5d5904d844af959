"""The columns of a report: values of each class."""

import numpy as np

from skcollapse.measures import MeasureInputs, class_nc1, seli_grams


def class_columns(
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
