"""Kernels compiled before the first image, with a bar, where a machine never ran them."""

from collections.abc import Callable
from pathlib import Path

from processing.kernels import detecting, gaps, measures

TASKS = (*detecting.TASKS, *gaps.TASKS, *measures.TASKS)


def cold() -> bool:
    """Tell whether a kernel of the tool is in no cache: the first image would wait for it."""
    for kernel in (*detecting.ENTRIES, *measures.ENTRIES):
        name = f"{kernel.__module__.rpartition('.')[2]}.{kernel.__name__}-"
        if not any(Path(kernel.stats.cache_path).glob(f"{name}*.nbi")):
            return True
    return False


def warm(progress: Callable[[float], None]) -> None:
    """Compile what is not in the cache yet; `progress` receives the share done, from 0 to 1."""
    for done, task in enumerate(TASKS):
        progress(done / len(TASKS))
        task()
    progress(1.0)
