"""As many threads as the work is worth: parts of the rows, each on one thread."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import (
    AbstractContextManager,
    ContextDecorator,
    contextmanager,
    nullcontext,
)
from functools import cache
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

# With fewer values a second thread does not pay.
_SMALL = 2**22
# Matrix products with fewer multiplications than this take less time than threads take
# to meet, above all where other processes want the same cores.
_SMALL_PRODUCT = 2**24
# Each has buffers of its own.
_MOST_THREADS = 8


class _OfTheProcess(ContextDecorator):
    """A limit that holds for the whole process, however many run side by side.

    The first to enter sets it, and the last to leave restores what the first has found.
    """

    def __init__(self, limit: Callable[[], AbstractContextManager[object]]) -> None:
        self._limit, self._lock, self._inside = limit, Lock(), 0

    def unlock(self) -> None:
        """Forget that a thread holds the lock, which lives on in the parent only."""
        self._lock = Lock()

    def __enter__(self) -> None:
        """Set the limit."""
        with self._lock:
            if self._inside == 0:
                self._context = self._limit()
                self._context.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        """Restore what was before."""
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._context.__exit__(None, None, None)


@cache
def _libraries() -> ThreadpoolController:
    # To find them takes longer than a small fit. All that compute are loaded by then.
    return ThreadpoolController()


def _one_thread_of(user_api: str) -> Any:
    """Set one thread for libraries of a kind, "blas" or "openmp"; return a context.

    :func:`threadpoolctl.threadpool_limits` would restore those of the other kind too.
    """
    return _libraries().select(user_api=user_api).limit(limits=1)


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    # threadpoolctl lets no other thread change what one has set, until that has ended.
    with ThreadPoolExecutor(1) as thread:
        limit = thread.submit(_one_thread_of, "blas").result()
    yield
    with ThreadPoolExecutor(1) as thread:
        thread.submit(limit.restore_original_limits).result()


# Torch's operations use one thread, also in threads that are started within. Threads
# that meet after every operation wait for the slowest each time, which costs many times
# a short operation where another process wants the same cores.
one_thread = _OfTheProcess(_one_torch_thread)
_one_blas = _OfTheProcess(_one_blas_thread)


@contextmanager
def limited_threads(n_multiplications: int) -> Iterator[None]:
    """Compute with one BLAS thread, and one for torch if the work is small.

    OpenBLAS threads go on spinning for a while after each call. On few cores they keep
    torch's threads from running: a fit of a second took half a minute. They belong to
    the process, torch's threads to the thread that fits. The work is the number of
    multiplications of one product of the features and the weights.
    """
    small = n_multiplications < _SMALL_PRODUCT
    with _one_blas, _one_thread_of("openmp") if small else nullcontext():
        yield


def row_slices(stop: int, step: int, start: int = 0) -> Iterator[slice]:
    """Return slices of so many rows, one after the other."""
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))


def sum_over_parts(
    function: Callable[[int, int], Any], n_rows: int, n_values: int, on_host: bool
) -> Any:
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
def _pool() -> ThreadPoolExecutor:
    """Return threads that stay, since the first operations of a new one are slow."""
    return ThreadPoolExecutor(_MOST_THREADS - 1)


def _begin_anew() -> None:
    """Use one thread in a forked process: no other lives on there.

    Torch would wait for those of its parent for ever, if it had any.
    """
    _pool.cache_clear()
    for limit in (one_thread, _one_blas):
        limit.unlock()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
