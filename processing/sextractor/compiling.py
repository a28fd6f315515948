"""Kernels compiled before the first image, with a bar, where a machine never ran them."""

from collections.abc import Callable
from typing import Final

from processing import kernel_cache, machine_code
from processing.kernels import detecting, gaps, measures, psf_fit, psf_joint

TASKS: Final = (*detecting.TASKS, *gaps.TASKS, *measures.TASKS, *psf_fit.TASKS, *psf_joint.TASKS)
_STAGE: Final = "sextractor"


def cold() -> bool:
    """Tell whether kernels may be in no cache as they are now: the first image would wait for them.

    No kernel is asked: all of them were compiled when the mark beside them was set.
    """
    place = machine_code.place()
    return place is None or not (kernel_cache.is_marked(_STAGE, place) and any(place.glob("*.code")))


def warm(progress: Callable[[float], None]) -> None:
    """Compile what is not in the cache yet; `progress` receives the share done, from 0 to 1."""
    for done, task in enumerate(TASKS):
        progress(done / len(TASKS))
        task()
    kernel_cache.mark(_STAGE, machine_code.place())
    progress(1.0)
