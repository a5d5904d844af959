"""Networks: features that are measured as they are computed, and never held."""

from itertools import chain
from typing import NamedTuple

import numpy as np
import torch

from skcollapse._utils.arrays import resolve_classes, to_numpy
from skcollapse.extract import iter_features, last_linear
from skcollapse.moments import ClassMoments
from skcollapse.scorer._data import class_indices
from skcollapse.scorer._head import Head, resolve_head
from skcollapse.scorer._progress import progress
from skcollapse.scorer._validation import check_head

# Within what a head must give the logits, by the largest of them: bfloat16 has 8 bits.
_HEAD_TOLERANCE = 0.05


class Network(NamedTuple):
    """How to get features: the parameters of `iter_features`, and who tells of it."""

    module: torch.nn.Module
    layer: object
    device: object
    autocast: object
    told_by: str | None

    def rows(self, batches, n_batches, what):
        """Yield features and labels of batches."""
        computed = iter_features(
            self.module,
            batches,
            layer=self.layer,
            device=self.device,
            autocast=self.autocast,
        )
        for batch in progress(computed, n_batches, what, self.told_by):
            if batch.labels is None:
                raise ValueError(
                    "loader gives no labels, which say what class a row is of: it must "
                    "give (x, y) pairs, or dicts with labels."
                )
            yield batch


class Gathered(NamedTuple):
    """What the rows of a network say: moments, the head, labels, and the agreement."""

    moments: ClassMoments
    head: Head | None
    classes: np.ndarray
    agreement: np.ndarray | None


def look_at_network(network, loader, head, classes, scatter):
    """Gather moments of all batches; look again, if they come again, for NC4.

    Parameters
    ----------
    network : Network
        Its layer is found in the first batch if it is None.
    loader : iterable
    head : Head or None
        None stands for that of the network.
    classes : array-like or None
        None stands for the row numbers of the head.
    scatter : callable
        From the numbers of classes and features to the ``scatter`` of `ClassMoments`.

    Returns
    -------
    Gathered
    """
    n_batches = len(loader) if hasattr(loader, "__len__") else None
    batches = iter(loader)
    first = next(batches, None)
    if first is None:
        raise ValueError(f"loader gave no batches; got {loader!r}.")
    layer = last_linear(network.module, first, layer=network.layer)
    network = network._replace(layer=layer)
    moments = None
    for rows in network.rows(chain([first], batches), n_batches, "class means"):
        if moments is None:
            head = _head_of(layer, rows) if head is None else head
            classes = _classes_of(classes, head, layer)
            shape = len(classes), rows.features.shape[1]
            check_head(head, *shape)
            moments = ClassMoments(*shape, scatter=scatter(*shape))
        moments.update(rows.features, class_indices(to_numpy(rows.labels), classes))
    _check_finite(moments, classes)
    agreement = None
    # An iterator is used up.
    if head is not None and batches is not loader:
        again = network.rows(loader, n_batches, "agreement")
        agreement = _agreement(again, moments, head, classes)
    return Gathered(moments, head, classes, agreement)


def _head_of(layer, rows):
    """Return the head that a layer is, or None if weights do not give its output."""
    weight = getattr(layer, "weight", None)
    shape = rows.logits.shape[1], rows.features.shape[1]
    # As many values: a convolution of size 1 is linear too.
    if weight is None or weight.numel() != shape[0] * shape[1]:
        return None
    bias = getattr(layer, "bias", None)
    head = weight.detach().reshape(shape), None if bias is None else bias.detach()
    features, logits = rows.features.float(), rows.logits.float()
    given = (None if value is None else value.to(features) for value in head)
    gap = (torch.nn.functional.linear(features, *given) - logits).abs().max()
    return None if gap > _HEAD_TOLERANCE * logits.abs().max() else resolve_head(head)


def _classes_of(classes, head, layer):
    if classes is not None:
        return resolve_classes(classes, None)
    if head is None:
        raise ValueError(
            f"classes must be given, as the layer {layer!r} has no class vectors to "
            "count: all labels of loader."
        )
    return np.arange(len(head.coef))


def _check_finite(moments, classes):
    wrong = (moments.counts > 0) & ~np.isfinite(moments.means).all(axis=1)
    if wrong.any():
        raise ValueError(
            f"Features of class {classes[wrong][0]} hold NaN or infinity: has the "
            "training of module diverged?"
        )


def _agreement(batches, moments, head, classes):
    """Return the share of rows of each class decided for the nearest class mean."""
    present = np.flatnonzero(moments.counts)
    means = moments.means[present]
    # About their mean, so that offsets of the features do not decide.
    offset = means.mean(axis=0)
    means = means - offset
    coef = head.coef - head.coef.mean(axis=0)
    intercept = coef @ offset + head.intercept - head.intercept.mean()
    arrays = offset, coef.T, intercept, means.T, -np.square(means).sum(1) / 2, present
    agreeing, seen = np.zeros((2, len(classes)))
    for rows in batches:
        dtype = torch.promote_types(rows.features.dtype, torch.float32)
        features = rows.features.to(dtype)
        offset, coef, intercept, means, lengths = (
            torch.from_numpy(array).to(features) for array in arrays[:-1]
        )
        features = features - offset
        decided = torch.addmm(intercept, features, coef).argmax(1).cpu().numpy()
        nearest = torch.addmm(lengths, features, means).argmax(1).cpu().numpy()
        labels = class_indices(to_numpy(rows.labels), classes)
        agrees = decided == present[nearest]
        agreeing += np.bincount(labels, agrees, len(classes))
        seen += np.bincount(labels, minlength=len(classes))
    with np.errstate(invalid="ignore"):
        return agreeing / seen
