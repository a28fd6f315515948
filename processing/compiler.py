"""Kernels: functions that numba compiles once, and that run from then on without it (`processing.machine_code`)."""

import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from processing import machine_code
from processing.machine_code import Code

_LINEAR_ALGEBRA: Final = "scipy.linalg"
_BY_ROWS, _BY_COLUMNS = 1, 2
_SHAPE: Final = _BY_ROWS | _BY_COLUMNS | 0x500
"""Of the flags of an array, those that compiled code depends on: both contiguities, aligned, writeable."""
_lock = threading.RLock()

Function = Callable[..., Any]


def njit(**options: Any) -> Callable[[Function], Any]:
    """Make a kernel of a function: `numba.njit` of the same options, when it comes to that.

    With NUMBA_DISABLE_JIT in the environment it stays the function that it is.
    """
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return lambda function: function
    return lambda function: Kernel(function, options)


class Kernel:
    """A function that is compiled for each kind of its arguments, or taken from what was compiled before."""

    def __init__(self, function: Function, options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._options = options
        self._known: dict[tuple[Any, ...], Function] = {}
        self._compiler: Any = None

    def __call__(self, *arguments: Any) -> Any:
        kinds = tuple([_kind(each) for each in arguments])
        known = self._known.get(kinds)
        if known is None:
            known = machine_code.load(self._name(kinds))
            if known is None:
                return self._compiled(kinds, arguments)
            self._known[kinds] = known
        return known(*arguments)

    def _name(self, kinds: tuple[Any, ...]) -> machine_code.Name:
        return self.py_func.__module__.rpartition(".")[2], self.py_func.__name__, repr((kinds, sorted(self._options)))

    @property
    def kinds(self) -> frozenset[tuple[Any, ...]]:
        """Kinds of arguments that it was called with."""
        return frozenset(self._known)

    @property
    def dispatcher(self) -> Any:
        """What numba makes of the function."""
        with _lock:
            if self._compiler is None:
                self._compiler = _numba().njit(**self._options)(self.py_func)
            return self._compiler

    def _compiled(self, kinds: tuple[Any, ...], arguments: tuple[Any, ...]) -> Any:
        """Compile, call, and keep the code."""
        with _lock:
            dispatcher = self.dispatcher
            signature = tuple(_numba().typeof(each) for each in arguments)
            dispatcher.compile(signature)
            self._known[kinds] = dispatcher
            code = _code(dispatcher, signature)
            if code is not None:
                machine_code.keep(self._name(kinds), code)
        return dispatcher(*arguments)


def _kind(argument: Any) -> Any:
    """What compiled code depends on of an argument; as numba has it, which knows Python's numbers by 64 bits."""
    kind = type(argument)
    if kind is np.ndarray:
        shape = argument.flags.num & _SHAPE
        return argument.dtype.str, argument.ndim, shape & ~_BY_COLUMNS if shape & _BY_ROWS else shape
    if kind is float or kind is np.float64:
        return "float"
    if kind is int:
        return "int" if -(2**63) <= argument < 2**63 else "long"
    if kind is bool or kind is np.bool_:
        return "bool"
    if kind is tuple:
        return tuple([_kind(each) for each in argument])
    if isinstance(argument, np.generic):
        return "int" if kind is np.int64 else argument.dtype.str
    return kind.__qualname__


@functools.cache
def _numba() -> Any:
    """Bring in the compiler, and tell it what a kernel is that another one calls.

    Numba looks for SciPy's linear algebra, which no kernel uses and which takes 0.3 s to come: it is told of none. A
    kernel runs in the thread that calls it, and what it is given is counted for that call alone: who uses an array is
    counted without a lock on memory, which took half of the time of loops over short rows.
    """
    hidden = _LINEAR_ALGEBRA not in sys.modules and "numba.np.arraymath" not in sys.modules
    if hidden:
        sys.modules[_LINEAR_ALGEBRA] = None  # type: ignore[assignment]
    try:
        import numba  # noqa: PLC0415  most processes never need it
        import numba.np.arraymath  # noqa: PLC0415
        from numba.core.runtime import nrtdynmod  # noqa: PLC0415
    finally:
        if hidden:
            del sys.modules[_LINEAR_ALGEBRA]

    def type_of(kernel: Kernel, _: Any) -> Any:
        return numba.types.Dispatcher(kernel.dispatcher)

    nrtdynmod._define_atomic_inc_dec = _counted  # noqa: SLF001  its own switch for that never lets memory go
    numba.extending.typeof_impl.register(Kernel)(type_of)
    return numba


def _counted(module: Any, operation: str, ordering: str) -> Any:  # noqa: ARG001  in the place of numba's own
    """Define the function that adds one to a number of users, or takes one off, and returns what is left."""
    from llvmlite import ir  # noqa: PLC0415  with the compiler

    number = ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(number, [number.as_pointer()]), name=f"nrt_atomic_{operation}")
    builder = ir.IRBuilder(function.append_basic_block())
    users = getattr(builder, operation)(builder.load(function.args[0]), ir.Constant(number, 1))
    builder.store(users, function.args[0])
    builder.ret(users)
    return function


def _code(dispatcher: Any, signature: tuple[Any, ...]) -> Code | None:
    """Return the code out of numba's cache; None where it keeps none, or where it does more than to load it."""
    kept = dispatcher._cache  # noqa: SLF001  its public twin makes what needs the compiler of it
    if not hasattr(kept, "_cache_file"):
        return None
    key = kept._index_key(signature, dispatcher.targetctx.codegen())  # noqa: SLF001
    stored = kept._cache_file.load(key)  # noqa: SLF001
    if stored is None:
        return None
    try:
        (_, kind, data), described, environment, _, by_objects, _, _, begins, others = stored
    except ValueError:  # another release of numba
        return None
    if kind != "object" or by_objects or begins:
        return None
    constants = [(environment.env_name, tuple(environment.consts))]
    constants += [(each.env_name, tuple(each.consts)) for each in others if each.env_name != environment.env_name]
    return Code(data[0], described.llvm_cpython_wrapper_name, tuple(constants))
