"""As many threads as the work is worth."""

from threadpoolctl import threadpool_limits

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
    return threadpool_limits(limits=1, user_api=None if small else "blas")
