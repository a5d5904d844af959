"""Where rows come from, and how they get to the device that computes.

Where rows lie is one matter and where they are needed is another. Those that are many
stay where they are, an array, a memory map or a data set, and are chosen by index; what
training sees are batches on its device.
"""

from skcollapse.rows._placed import (
    DeviceRows,
    StreamedRows,
    as_source,
    without_gradients,
)
from skcollapse.rows._sources import ArrayRows, DatasetRows, as_rows, read_labels

__all__ = [
    "ArrayRows",
    "DatasetRows",
    "DeviceRows",
    "StreamedRows",
    "as_rows",
    "as_source",
    "read_labels",
    "without_gradients",
]
