"""Long parts of the rows side by side, each on one thread."""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ContextDecorator
from functools import cache
from itertools import pairwise
from threading import Lock

import numpy as np
import torch

# With fewer values a second thread does not pay.
_SMALL = 2**22
# Each has buffers of its own.
_MOST_THREADS = 8


class _OneThread(ContextDecorator):
    """Have torch's operations use one thread, also in threads that are started within.

    Threads that meet after every operation wait for the slowest each time, which costs
    many times a short operation where another process wants the same cores.

    The number of threads is that of the process: the last to leave, of those who run
    side by side, restores what the first has found.
    """

    def __init__(self):
        self._lock, self._inside, self._before = Lock(), 0, None

    def __enter__(self):
        """Set one thread."""
        with self._lock:
            if self._inside == 0:
                self._before = torch.get_num_threads()
                torch.set_num_threads(1)
            self._inside += 1

    def __exit__(self, *_):
        """Restore the number of threads."""
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.set_num_threads(self._before)


one_thread = _OneThread()


def row_slices(stop, step, start=0):
    """Return slices of so many rows, one after the other."""
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))


def sum_over_parts(function, n_rows, n_values, on_host):
    """Return the sum of ``function(start, stop)`` over consecutive parts of rows."""
    workers = min(torch.get_num_threads(), _MOST_THREADS)
    if workers == 1 or not on_host or n_values < _SMALL:
        return function(0, n_rows)
    first, *others = pairwise(np.linspace(0, n_rows, workers + 1).astype(int).tolist())
    # Memory that a thread has freed is not used by another: the caller takes a part.
    with one_thread:
        running = [_pool().submit(function, *part) for part in others]
        try:
            total = function(*first)
        finally:
            wait(running)
        for other in running:
            total += other.result()
    return total


@cache
def _pool():
    """Return threads that stay, since the first operations of a new one are slow."""
    return ThreadPoolExecutor(_MOST_THREADS - 1)


# Threads do not live on in a forked process.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
