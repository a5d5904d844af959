"""The state of class moments: how rows and other moments are added to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch

from skcollapse._utils.checks import check_choice, check_integer
from skcollapse.moments._rows import (
    WIDE_RANGE,
    as_array,
    centre_on_device,
    centre_on_host,
    gram_of,
)


class MomentState:
    """Counts, means and scatter: NumPy arrays, or tensors on an accelerator."""

    _STATE = ("_counts", "_means", "_trace", "_scatter")

    def __init__(
        self,
        n_classes: int,
        n_features: int,
        *,
        scatter: bool | Literal["class"] = True,
    ) -> None:
        self.n_classes = check_integer("n_classes", n_classes, 1)
        self.n_features = check_integer("n_features", n_features, 1)
        check_choice("scatter", scatter, (True, False, "class"))
        # The state: NumPy arrays, or tensors on the device of the latest batch.
        self._device: torch.device | None = None
        self._counts: Any = np.zeros(self.n_classes)
        self._means: Any = np.zeros((self.n_classes, self.n_features))
        self._trace: Any = np.zeros(self.n_classes)
        self._scatter: Any = None
        if scatter:
            shape = (self.n_classes,) if isinstance(scatter, str) else ()
            self._scatter = np.zeros((*shape, self.n_features, self.n_features))

    @property
    def gathers(self) -> bool | Literal["class"]:
        """The value of `scatter` that these moments were constructed with."""
        if self._scatter is None:
            return False
        return True if self._scatter.ndim == 2 else "class"

    def __getstate__(self) -> dict[str, Any]:
        # NumPy copies: a pickle loads without the device, and copy.copy copies.
        state: dict[str, Any] = {"_device": None}
        state |= {"n_classes": self.n_classes, "n_features": self.n_features}
        for name in self._STATE:
            values = as_array(getattr(self, name), None)
            state[name] = None if values is None else values.copy()
        return state

    def _move(self, device: torch.device | None) -> None:
        """Move the state to a device, in one step."""
        if device != self._device:
            moved = {
                name: as_array(getattr(self, name), device) for name in self._STATE
            }
            vars(self).update(moved, _device=device)

    @contextmanager
    def _all_or_nothing(self, labels: Any) -> Iterator[None]:
        """Restore the moments of the classes among labels if what follows fails.

        A pooled scatter is never changed in place while it is the one to restore.
        """
        classes = labels.unique() if self._device else np.unique(as_array(labels, None))
        state = [getattr(self, name) for name in self._STATE if name != "_scatter"]
        scatter = self._scatter
        if self.gathers == "class":
            state.append(scatter)
        before = [values[classes] for values in state]
        try:
            yield
        except BaseException:
            self._scatter = scatter
            for values, own in zip(state, before, strict=True):
                values[classes] = own
            raise

    def _update_chunk(self, rows: Any, labels: Any, weights: Any) -> None:
        """Merge the moments of rows of positive weight."""
        if len(rows) == 0:
            return
        centre: Any = centre_on_host if self._device is None else centre_on_device
        *moments, centred = centre(rows, labels, weights)
        classes, between = self._merge_classes(*moments)
        self._add_scatter(labels, centred)
        if self.gathers is True and not _longer(between, moments[-1].sum() / len(rows)):
            # Reused for a second product in the precision of the first.
            centred[: len(between)] = between
            between = centred[: len(between)]
        self._add_scatter(classes, between)

    def _add_scatter(self, classes: Any, rows: Any) -> None:
        """Add the scatter of centred rows of classes."""
        if self.gathers is True:
            self._scatter = self._scatter + gram_of(rows)
        elif self.gathers:
            for k in range(self.n_classes):
                own = rows[classes == k]
                if len(own):
                    self._scatter[k] += gram_of(own)

    def _merge_classes(
        self, classes: Any, counts: Any, means: Any, trace: Any
    ) -> tuple[Any, Any]:
        """Merge all moments but the scatter, in terms that arrays and tensors share.

        Between the two means of a class lies scatter that neither part has seen.
        Returns the classes that have some, and rows of which it is the Gram matrix.
        """
        ours = self._counts[classes]
        total = ours + counts
        gap = means - self._means[classes]
        self._counts[classes] = total
        self._means[classes] += gap * (counts / total)[:, None]
        between = gap * ((ours * counts / total) ** 0.5)[:, None]
        self._trace[classes] += trace + (between**2).sum(1)
        return classes[ours > 0], between[ours > 0]


def _longer(rows: Any, usual: Any) -> bool:
    """Return whether float32 is too short for rows beside those of a usual square."""
    return len(rows) > 0 and bool((rows**2).sum(1).max() > WIDE_RANGE * usual)
