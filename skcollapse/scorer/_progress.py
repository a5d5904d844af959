"""A progress line."""

from collections.abc import Iterable, Iterator
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

# Seconds between two states of the line.
_INTERVAL = 0.5


def progress(
    batches: Iterable[T], n_batches: int | None, what: str, name: str | None
) -> Iterator[T]:
    """Yield batches, and rewrite a line that counts them, under a name if not None."""
    if name is None:
        yield from batches
        return
    total = "" if n_batches is None else f" of {n_batches}"
    start = printed = monotonic()
    done = 0
    for done, batch in enumerate(batches, start=1):
        yield batch
        if monotonic() - printed >= _INTERVAL:
            printed = monotonic()
            print(f"\r[{name}] {what}: {done}{total} batches", end="", flush=True)
    seconds = monotonic() - start
    print(f"\r[{name}] {what}: {done}{total} batches, {seconds:.1f} s", flush=True)
