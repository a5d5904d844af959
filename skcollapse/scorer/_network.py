"""Networks: features that are measured as they are computed, and never held."""

from collections.abc import Iterable, Iterator, Sized
from itertools import chain
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import torch

from skcollapse._utils.arrays import resolve_classes, to_numpy
from skcollapse.extract import Features, check_loader, iter_features, last_linear
from skcollapse.measures import batch_agreement
from skcollapse.moments import ClassMoments
from skcollapse.scorer._checks import streamed_scatter
from skcollapse.scorer._rows import Head, check_head, class_indices, resolve_head

# Within what a head must give the logits, by the largest of them: bfloat16 has 8 bits.
_HEAD_TOLERANCE = 0.05
# Seconds between two states of the progress line.
_INTERVAL = 0.5


class NetworkReader(NamedTuple):
    """How to compute features: parameters of `iter_features`, and a name for progress.

    Without a name nothing is printed.
    """

    module: torch.nn.Module
    layer: Any
    device: Any
    autocast: Any
    name: str | None

    def read(
        self, batches: Iterable[Any], n_batches: int | None, what: str
    ) -> Iterator[Features]:
        """Yield features, logits and labels of batches."""
        computed = iter_features(
            self.module,
            batches,
            layer=self.layer,
            device=self.device,
            autocast=self.autocast,
        )
        total = "" if n_batches is None else f" of {n_batches}"
        line, done = f"\r[{self.name}] {what}:", 0
        start = printed = monotonic()
        for done, batch in enumerate(computed, start=1):
            if batch.labels is None:
                raise ValueError(
                    "loader gives no labels, which say what class a row is of: it must "
                    "give (x, y) pairs, or dicts with labels."
                )
            yield batch
            if self.name is not None and monotonic() - printed >= _INTERVAL:
                printed = monotonic()
                print(f"{line} {done}{total} batches", end="", flush=True)
        if self.name is not None:
            seconds = monotonic() - start
            print(f"{line} {done}{total} batches, {seconds:.1f} s", flush=True)


def network_moments(
    reader: NetworkReader,
    loader: Iterable[Any],
    head: Head | None,
    classes: Any,
    scatter: Any,
) -> tuple[ClassMoments, Head | None, np.ndarray, np.ndarray | None]:
    """Gather moments of all batches; read again, if they come again, for NC4.

    A layer, a head and classes that are None are found: in the first batch, in the
    layer, and as the row numbers of the head. Returns moments, head, classes, and the
    agreement of each class.
    """
    check_loader(loader)
    n_batches = len(loader) if isinstance(loader, Sized) else None
    batches = iter(loader)
    first = next(batches, None)
    if first is None:
        raise ValueError(f"loader gave no batches; got {loader!r}.")
    layer = last_linear(reader.module, first, layer=reader.layer)
    reader = reader._replace(layer=layer)
    moments: Any = None
    for rows in reader.read(chain([first], batches), n_batches, "class means"):
        if moments is None:
            head = _head_of(layer, rows) if head is None else head
            classes = _classes_of(classes, head, layer)
            shape = len(classes), rows.features.shape[1]
            check_head(head, *shape)
            moments = ClassMoments(*shape, scatter=streamed_scatter(scatter, *shape))
        moments.update(rows.features, class_indices(to_numpy(rows.labels), classes))
    wrong = (moments.counts > 0) & ~np.isfinite(moments.means).all(axis=1)
    if wrong.any():
        raise ValueError(
            f"Features of class {classes[wrong][0]} hold NaN or infinity: has the "
            "training of module diverged?"
        )
    agreement = None
    # An iterator is used up.
    comes_again = batches is not loader
    if head is not None and comes_again and (moments.counts > 0).sum() > 1:
        agrees = batch_agreement(moments, head.coef, head.intercept)
        agreeing, seen = np.zeros((2, len(classes)))
        for batch in reader.read(loader, n_batches, "agreement"):
            labels = class_indices(to_numpy(batch.labels), classes)
            features: Any = batch.features
            indices = torch.from_numpy(labels.astype(np.int64)).to(features.device)
            found = agrees(features, indices).cpu().numpy()
            agreeing += np.bincount(labels, found, len(classes))
            seen += np.bincount(labels, minlength=len(classes))
        with np.errstate(invalid="ignore"):
            agreement = agreeing / seen
    return moments, head, classes, agreement


def _head_of(layer: torch.nn.Module, rows: Any) -> Head | None:
    """Return the head that a layer is, or None if weights do not give its output."""
    weight: Any = getattr(layer, "weight", None)
    shape = rows.logits.shape[1], rows.features.shape[1]
    # As many values: a convolution of size 1 is linear too.
    if weight is None or weight.numel() != shape[0] * shape[1]:
        return None
    bias: Any = getattr(layer, "bias", None)
    head = weight.detach().reshape(shape), None if bias is None else bias.detach()
    features, logits = rows.features.float(), rows.logits.float()
    given: Any = (None if value is None else value.to(features) for value in head)
    gap = (torch.nn.functional.linear(features, *given) - logits).abs().max()
    return None if gap > _HEAD_TOLERANCE * logits.abs().max() else resolve_head(head)


def _classes_of(classes: Any, head: Head | None, layer: Any) -> np.ndarray:
    if classes is not None:
        return resolve_classes(classes, None)
    if head is None:
        raise ValueError(
            f"classes must be given, as the layer {layer!r} has no class vectors to "
            "count: all labels of loader."
        )
    return np.arange(len(head.coef))
