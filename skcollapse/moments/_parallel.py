"""Long parts of the rows side by side, each on one thread."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch

# With fewer values a second thread does not pay.
_SMALL = 2**22
# Each has buffers of its own.
_MOST_THREADS = 8


@contextmanager
def one_thread():
    """Have torch's operations use one thread, also in threads that are started within.

    Threads that meet after every operation wait for the slowest each time, which costs
    many times a short operation where another process wants the same cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def sum_over_parts(function, n_rows, n_values, on_host):
    """Return the sum of ``function(start, stop)`` over consecutive parts of rows."""
    workers = min(torch.get_num_threads(), _MOST_THREADS)
    if workers == 1 or not on_host or n_values < _SMALL:
        return function(0, n_rows)
    ends = pairwise(np.linspace(0, n_rows, workers + 1).astype(int).tolist())
    with one_thread(), ThreadPoolExecutor(workers) as pool:
        first, *others = pool.map(lambda part: function(*part), ends)
    for other in others:
        first += other
    return first
