"""As many threads as the work is worth."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from skcollapse._utils.parallel import one_blas_thread, one_thread_of

# Matrix products with fewer multiplications than this take less time than threads take
# to meet, above all where other processes want the same cores.
_SMALL = 2**24


@contextmanager
def limited_threads(n_multiplications: int) -> Iterator[None]:
    """Compute with one BLAS thread, and one for torch if the work is small.

    OpenBLAS threads go on spinning for a while after each call. On few cores they keep
    torch's threads from running: a fit of a second took half a minute. They belong to
    the process, torch's threads to the thread that fits. The work is the number of
    multiplications of one product of the features and the weights.
    """
    small = n_multiplications < _SMALL
    with one_blas_thread, one_thread_of("openmp") if small else nullcontext():
        yield
