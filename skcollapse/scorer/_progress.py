"""A line that tells how far it is."""

from time import monotonic

# Seconds between two states of the line.
_INTERVAL = 0.5


def progress(batches, n_batches, what, told_by):
    """Yield batches, and rewrite a line that counts them.

    Parameters
    ----------
    batches : iterable
    n_batches : int or None
        How many there are, if that is known.
    what : str
        What they are for.
    told_by : str or None
        Who tells; None for silence.
    """
    if told_by is None:
        yield from batches
        return
    total = "" if n_batches is None else f" of {n_batches}"
    start = told = monotonic()
    done = 0
    for done, batch in enumerate(batches, start=1):
        yield batch
        if monotonic() - told >= _INTERVAL:
            told = monotonic()
            print(f"\r[{told_by}] {what}: {done}{total} batches", end="", flush=True)
    seconds = monotonic() - start
    print(f"\r[{told_by}] {what}: {done}{total} batches, {seconds:.1f} s", flush=True)
