"""Names for types that several rooms take."""

from collections.abc import Sequence

import numpy as np

# What sklearn.utils.check_random_state takes.
Seed = int | np.random.RandomState | None
# Class sizes, or other numbers one for each class.
Counts = Sequence[float] | np.ndarray
