"""A network as a transformer of scikit-learn."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import validate_data
from torch.nn import Module

from skcollapse._utils.arrays import Rows, as_input, reject_dataset, to_numpy
from skcollapse._utils.checks import check_integer
from skcollapse._utils.devices import exclusive_device
from skcollapse._utils.doc_link import DocLinked
from skcollapse.extract._batches import to_device
from skcollapse.extract._collect import check_vectors, gather, run_batches
from skcollapse.extract._head import head_name, layer_name
from skcollapse.extract._modules import (
    device_for,
    floating_dtype,
    owner,
    placed,
    portable,
)
from skcollapse.extract._stream import iter_features


class FeatureExtractor(
    DocLinked, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Turn images, token sequences or any other arrays into features of a network.

    A frozen network at the head of a pipeline. Nothing is fitted; ``fit`` only checks
    its input and learns the number of features.

    Parameters
    ----------
    module_or_callable : torch.nn.Module or callable
        A network, whose features are what enters its head, see
        :func:`extract_features`. Or a function from a batch of inputs, a tensor on the
        device, to the (n, d) features themselves; it may be a method of a module.
    layer : str, default=None
        The qualified name of the layer of a network whose input is the features. None
        is its last linear layer, found by tracing two rows: see :func:`last_linear`.
    batch_size : int, default=256
        Rows computed at a time.
    device : str or torch.device, default="auto"
        Where to compute. "auto" is where the network is, or CUDA where there is one if
        that is the CPU. A copy of the network is moved, not itself.

    Attributes
    ----------
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)

    See Also
    --------
    extract_features : Features, logits and labels of batches of a loader.

    Notes
    -----
    Floating-point numbers are converted to the dtype of the network, as are integers of
    one byte, which stand for pixels. Other integers are passed on as int64, which
    embedding layers look up; pixels in such integers need ``X.astype("float32")``.

    ``clone`` copies the network, as it copies all parameters that are not estimators.
    Pickles hold NumPy arrays and load on the CPU. Their hash depends on the values of
    the weights only, so that a ``Pipeline`` with ``memory`` computes features once.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from skcollapse import ETFClassifier
    >>> from skcollapse.extract import FeatureExtractor
    >>> digits = load_digits()
    >>> X, y = digits.images[:, None], digits.target  # (n, 1, 8, 8)
    >>> _ = torch.manual_seed(0)
    >>> network = torch.nn.Sequential(
    ...     torch.nn.Conv2d(1, 16, 3),
    ...     torch.nn.ReLU(),
    ...     torch.nn.Flatten(),
    ...     torch.nn.Linear(576, 10),
    ... )
    >>> model = make_pipeline(
    ...     FeatureExtractor(network), ETFClassifier(solver="closed_form")
    ... )
    >>> model.fit(X[:900], y[:900]).score(X[900:], y[900:]) > 0.9
    True
    >>> model[0].transform(X).shape
    (1797, 576)
    """

    def __init__(
        self,
        module_or_callable: Module | Callable[[Any], Any],
        layer: str | None = None,
        batch_size: int = 256,
        device: str | torch.device = "auto",
    ) -> None:
        self.module_or_callable = module_or_callable
        self.layer = layer
        self.batch_size = batch_size
        self.device = device

    def fit(self, X: Rows, y: object = None) -> "FeatureExtractor":
        """Check the input, and learn the number of features from its first two rows.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features, ...)
            Numbers, of any number of axes but one.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter is not valid, X is not, or the network has no head.
        """
        self._check_parameters()
        X = self._check(X, reset=True)
        self._n_features_out = self._compute(X[:2]).shape[1]
        return self

    def transform(self, X: Rows) -> np.ndarray:
        """Compute the features.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features, ...)

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            In the precision of the network, but half precision in float32.

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit`, which need not have been called.
        """
        self._check_parameters()
        return self._compute(self._check(X, reset=False))

    def _check_parameters(self) -> None:
        if not callable(self.module_or_callable):
            raise TypeError(
                "module_or_callable must be a torch.nn.Module or a function; got "
                f"{self.module_or_callable!r}."
            )
        if not (self.layer is None or isinstance(self.layer, str)):
            raise TypeError(
                "layer must be None or the qualified name of a layer, as copies of the "
                f"network have layers of their own; got {self.layer!r}."
            )
        if self.layer is not None and not isinstance(self.module_or_callable, Module):
            raise ValueError(
                f"layer={self.layer!r} needs a torch.nn.Module; what a function "
                "returns is taken as it is."
            )
        check_integer("batch_size", self.batch_size, 1)

    def _check(self, X: Any, *, reset: bool) -> np.ndarray:
        reject_dataset(X, "Give its loader to extract_features.")
        X = to_numpy(X, widen=True)
        options = {"allow_nd": True, "dtype": "numeric"}
        return np.asarray(validate_data(self, X, reset=reset, **options))

    def _compute(self, X: np.ndarray) -> np.ndarray:
        function = self.module_or_callable
        batches = _Batches(X, self.batch_size, converts=owner(function) is not None)
        with exclusive_device(device_for(function, self.device)):
            function, device = placed(function, self.device)
            return gather(self._iterate(function, batches, device), len(batches))

    def _iterate(
        self, function: Any, batches: "_Batches", device: torch.device
    ) -> Iterator[Any]:
        """Yield the features of batches."""
        if not isinstance(function, Module):

            def checked(inputs: torch.Tensor) -> Any:
                features = torch.as_tensor(function(inputs))
                return check_vectors(features, len(inputs), "module_or_callable")

            yield from (x for x, _ in run_batches(checked, function, batches, device))
            return
        layer = layer_name(function, self.layer)
        if layer is None:
            few = to_device(batches.rows(0, 2), device, floating_dtype(function))
            layer = head_name(function, few)
        for batch in iter_features(function, batches, layer=layer, device=device):
            yield batch.features

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state["module_or_callable"] = portable(self.module_or_callable)
        return state

    def __copy__(self) -> "FeatureExtractor":
        # copy.copy would put the stand-ins for pickles in the place of the weights.
        copied = type(self).__new__(type(self))
        copied.__dict__.update(vars(self))
        return copied

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags


class _Batches:
    """Consecutive rows of an array, as tensors.

    Integers are converted for a network; a function of the user's own takes them as
    they are.
    """

    def __init__(self, X: np.ndarray, batch_size: int, *, converts: bool) -> None:
        self.X, self.batch_size = X, batch_size
        self.converts = converts and X.dtype.kind in "biu"

    def __len__(self) -> int:
        return -(-len(self.X) // self.batch_size)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for start in range(0, len(self.X), self.batch_size):
            yield self.rows(start, start + self.batch_size)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        # A copy: torch takes no read-only arrays, and no reversed or swapped ones.
        rows = self.X[start:stop]
        native = rows.dtype.newbyteorder("=")
        batch = torch.from_numpy(np.array(rows, native, order="C"))
        return as_input(batch, torch.float32) if self.converts else batch
