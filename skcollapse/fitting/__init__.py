"""What every fit shares: its data, what it may call on, and what it leads to.

``linear`` and ``network`` both go from `TrainingData` to `Fitted`; they share the
`Problem` that is minimised, the rows that are held out, and the temperature.
"""

from skcollapse.fitting._calibration import (
    EXCLUDED,
    class_scores,
    fit_inverse_temperature,
    fit_temperature,
    log_loss,
)
from skcollapse.fitting._context import FitContext
from skcollapse.fitting._data import TrainingData
from skcollapse.fitting._fitted import Fitted
from skcollapse.fitting._problem import Objective, Problem
from skcollapse.fitting._progress import (
    Iteration,
    NoContext,
    NullProgress,
    Progress,
    Stopped,
    Trial,
)
from skcollapse.fitting._splits import (
    MANY_ROWS,
    class_aware_subsample,
    hold_out,
    make_splits,
    shuffle_by_class,
)

__all__ = [
    "EXCLUDED",
    "MANY_ROWS",
    "FitContext",
    "Fitted",
    "Iteration",
    "NoContext",
    "NullProgress",
    "Objective",
    "Problem",
    "Progress",
    "Stopped",
    "TrainingData",
    "Trial",
    "class_aware_subsample",
    "class_scores",
    "fit_inverse_temperature",
    "fit_temperature",
    "hold_out",
    "log_loss",
    "make_splits",
    "shuffle_by_class",
]
