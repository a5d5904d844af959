"""What is drawn from."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skcollapse._utils.checks import plain


def resolve_random_state(random_state: Any) -> np.random.RandomState:
    """Return the generator that a ``random_state`` parameter stands for, or raise."""
    try:
        return check_random_state(random_state)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "random_state must be None, an integer from 0 to 2**32 - 1 or a "
            f"numpy.random.RandomState; got {plain(random_state)!r}."
        ) from error
