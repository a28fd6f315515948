"""The start of the compiler, which every tool with kernels waits for."""

import sys

_LINEAR_ALGEBRA = "scipy.linalg"


def start_compiler() -> None:
    """Let numba look round without SciPy's linear algebra, which no kernel uses and which takes 0.3 s to import.

    Numba looks for it when the first kernel is loaded. To be called before, by commands only: a process that has it
    already, or whose numba has looked, is left as it is.
    """
    if _LINEAR_ALGEBRA in sys.modules or "numba.np.arraymath" in sys.modules:
        return
    sys.modules[_LINEAR_ALGEBRA] = None  # type: ignore[assignment]
    try:
        import numba.np.arraymath  # noqa: F401, PLC0415
    finally:
        del sys.modules[_LINEAR_ALGEBRA]
