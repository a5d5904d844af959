"""The last station of a fit: what it leads to becomes attributes, in one step."""

from dataclasses import replace
from typing import Any

import numpy as np

from skcollapse.fitting import Fitted


def attributes(
    fitted: Fitted, classes: np.ndarray, class_counts: np.ndarray, extractor: Any
) -> dict[str, Any]:
    """Return all attributes of a fitted classifier.

    The extractor is one that is not trained: one that was is in ``fitted``.
    """
    if extractor is not None:
        fitted = replace(fitted, extractor=extractor)
    public = {f"{name}_": getattr(fitted, name) for name in Fitted.public_fields()}
    of_data = {"classes_": classes, "class_counts_": class_counts}
    return public | of_data | {"_fitted": fitted}
