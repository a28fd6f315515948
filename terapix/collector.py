"""The collector of cyclic garbage, paused while ten thousand records are made that hold no cycle."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Pause it for a block that neither waits nor makes cycles.

    Each 700 new records would call it, and it would look at all that were made
    before: half of the time that a page of a listing takes, bench_listing.py.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
