"""How rows are shared out into batches."""

import math


def batch_sizes(n_rows, batch_size):
    """Share the rows of an epoch out into batches as equal as can be.

    A small last batch would have poor statistics for batch normalisation, and few
    samples to contrast. A single row has none at all and makes no batch unless asked
    for, so that batches of two or three may exceed ``batch_size`` by one.

    Parameters
    ----------
    n_rows, batch_size : int

    Returns
    -------
    list of int

    Examples
    --------
    >>> batch_sizes(10, 4), batch_sizes(9, 8), batch_sizes(5, 2), batch_sizes(3, 4)
    ([4, 3, 3], [5, 4], [3, 2], [3])
    """
    n_batches = math.ceil(n_rows / batch_size)
    if batch_size > 1:
        n_batches = max(1, min(n_batches, n_rows // 2))
    size, n_larger = divmod(n_rows, n_batches)
    return [size + 1] * n_larger + [size] * (n_batches - n_larger)
