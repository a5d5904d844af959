"""One thread for BLAS while torch computes."""

from threadpoolctl import threadpool_limits


def one_blas_thread():
    """Return a context in which NumPy's and SciPy's BLAS use one thread.

    OpenBLAS threads go on spinning for a while after each call. On few cores they keep
    torch's threads from running: a fit of a second took half a minute.
    """
    return threadpool_limits(limits=1, user_api="blas")
