"""Kernels out of numba's cache without what the compiler needs.

Before numba looks into its cache it brings in everything that it could compile with: some 40 modules and their tables,
0.35 s of a processor. A kernel that is in the cache needs of all that the run-time library alone, and the compiler
still brings in the rest by itself when it has something to compile.
"""

from typing import Any

from numba.core import caching
from numba.core.runtime import rtsys


def _load(cache: Any, signature: Any, context: Any) -> Any:
    """Load a kernel; None where it is not in the cache."""
    rtsys.initialize(context)
    return cache._load_overload(signature, context)  # noqa: SLF001  its public twin brings in the compiler


def spare_the_compiler() -> None:
    """Load kernels that way from now on, in this process; with another numba, whose cache is unlike, as ever."""
    if hasattr(caching.Cache, "_load_overload"):
        caching.Cache.load_overload = _load
