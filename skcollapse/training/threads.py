"""As many threads as the work is worth."""

from functools import cache

from threadpoolctl import ThreadpoolController

# Matrix products with fewer multiplications than this take less time than threads take
# to meet, above all where other processes want the same cores.
_SMALL = 2**24


def limited_threads(n_multiplications):
    """Return a context with one BLAS thread, and one for torch if the work is small.

    OpenBLAS threads go on spinning for a while after each call. On few cores they keep
    torch's threads from running: a fit of a second took half a minute.

    Parameters
    ----------
    n_multiplications : int
        Of one product of the features and the weights.
    """
    small = n_multiplications < _SMALL
    return _controller().limit(limits=1, user_api=None if small else "blas")


@cache
def _controller():
    """Return what finds the libraries, which takes milliseconds."""
    return ThreadpoolController()
