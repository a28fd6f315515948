"""Machine code of kernels on the disk, run without the compiler that made it.

Numba keeps compiled kernels in its cache, but a process that wants them brings in the compiler as a whole: 0.3 s of a
processor before the first pixel is read. What it keeps is an object file, the names of a function in it that takes
Python's arguments, and a few constants; LLVM's loader and numba's run-time library, both without the compiler, are all
that is needed to run these. They are of the release of numba that is installed: another one has code of its own.
"""

import ctypes
import hashlib
import importlib.util
import os
import pickle
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import Any, Final

KERNELS: Final = Path(__file__).parent / "kernels"
FLAGS: Final = Path(__file__).with_name("flags.py")
"""Whose numbers kernels have within: all that they take from elsewhere."""
COMPILER: Final = Path(__file__).with_name("compiler.py")
_SUFFIX: Final = ".code"
_PICKLER: Final = "numba.core.serialize"
_lock = threading.Lock()

Name = tuple[str, str, str]
"""Module and name of a kernel, and what it is called with."""


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled kernel.

    Parameters
    ----------
    objects : an object file
    entry : symbol of the function that takes Python's arguments
    constants : for each symbol of an environment, the objects that the function takes from there
    """

    objects: bytes
    entry: str
    constants: tuple[tuple[str, tuple[Any, ...]], ...]


def place() -> Path | None:
    """Where code is kept: in NUMBA_CACHE_DIR, beside the kernels, or in the user's cache; None where none may be."""
    told = os.environ.get("NUMBA_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    for each in (Path(told),) if told else (KERNELS / "__pycache__", home / "terapix"):
        try:
            found = each.expanduser() / "kernels"
            found.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # nobody has a home everywhere
            continue
        if os.access(found, os.W_OK):
            return found
    return None


@cache
def stamp() -> str:
    """What code depends on: files of the compiler, of kernels and of the flags, by size and time, and the processor."""
    import llvmlite.binding as llvm  # noqa: PLC0415  wanted by the first kernel that runs

    told = [importlib.util.MAGIC_NUMBER.hex(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    for path in (_numba() / "_version.py", Path(llvm.__file__), FLAGS, COMPILER, *sorted(KERNELS.glob("*.py"))):
        found = path.stat()
        told.append(f"{path} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _path(name: Name) -> Path | None:
    kept = place()
    told = hashlib.sha256(name[2].encode()).hexdigest()[:16]
    return None if kept is None else kept / f"{name[0]}.{name[1]}-{stamp()[:16]}-{told}{_SUFFIX}"


def keep(name: Name, code: Code) -> None:
    """Keep code for processes to come; that of other stamps goes. A disk that takes none is no error."""
    path = _path(name)
    if path is None:
        return
    fresh = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        fresh.write_bytes(pickle.dumps((code.objects, code.entry, code.constants)))
        fresh.replace(path)
        for other in path.parent.glob(f"{name[0]}.{name[1]}-*{_SUFFIX}"):
            if stamp()[:16] not in other.name:
                other.unlink(missing_ok=True)
    except OSError:
        fresh.unlink(missing_ok=True)


def load(name: Name) -> Callable[..., Any] | None:
    """Return a kernel ready to be called; None where no code of it is kept, or none that this numba runs."""
    path = _path(name)
    try:
        if path is None:
            return None
        code = Code(*pickle.loads(path.read_bytes()))  # noqa: S301  as trusted as the modules beside which it lies
    except (OSError, pickle.UnpicklingError, EOFError, TypeError):
        return None
    try:
        with _lock:
            return _linked(code, name[1])
    except (ImportError, AttributeError, KeyError, RuntimeError):
        return None


def _linked(code: Code, name: str) -> Callable[..., Any]:
    import llvmlite.binding as llvm  # noqa: PLC0415  as above

    functions = _runtime()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.objects))
    engine.finalize_object()
    held: list[Any] = [engine]
    for symbol, constants in code.constants:
        environment = functions.Environment({})
        environment.consts.extend(constants)
        held.append(environment)
        at = engine.get_global_value_address(symbol)
        if at:
            ctypes.c_void_p.from_address(at).value = id(environment)
    entry = engine.get_function_address(code.entry)
    return functions.make_function(functions, name, "", entry, held[1], tuple(held))  # type: ignore[no-any-return]


def _target() -> Any:
    import llvmlite.binding as llvm  # noqa: PLC0415  as above

    return llvm.Target.from_default_triple().create_target_machine(jit=True)


@cache
def _runtime() -> Any:
    """Return numba's maker of functions; tell LLVM of what compiled code calls: numba's run-time library, errors."""
    import llvmlite.binding as llvm  # noqa: PLC0415  as above

    helpers, functions = _extension("_helperlib"), _extension("_dynfunc")
    memory = _extension("core", "runtime", "_nrt_python")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.add_symbol("_Py_NoneStruct", id(None))
    for name, address in (*helpers.c_helpers.items(), *functions.c_helpers.items()):
        llvm.add_symbol(f"numba_{name}", address)
    for name, address in memory.c_helpers.items():
        llvm.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
    for each in vars(__import__("builtins")).values():
        if isinstance(each, type) and issubclass(each, BaseException):
            llvm.add_symbol(f"PyExc_{each.__name__}", id(each))
    _spare_its_pickler(helpers.c_helpers["unpickle"])
    return functions


def _spare_its_pickler(address: int) -> None:
    """Let the run-time library read types and errors that kernels return with pickle itself.

    It asks the compiler's module for that, once, and keeps what it finds: here, what that module does.
    """
    if "numba" in sys.modules:
        return
    known: dict[tuple[int, bytes], Any] = {}

    def unpickle(place: int, content: bytes, digest: bytes) -> Any:
        if (place, digest) not in known:
            known[place, digest] = pickle.loads(content)  # noqa: S301  of the kernel's own code
        return known[place, digest]

    stand_in = ModuleType(_PICKLER)
    stand_in._numba_unpickle = unpickle  # type: ignore[attr-defined]  # noqa: SLF001
    sys.modules["numba"], sys.modules[_PICKLER] = ModuleType("numba"), stand_in
    try:
        content = pickle.dumps(None)
        call = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)(address)
        call(content, len(content), bytes(20))
    finally:
        del sys.modules["numba"], sys.modules[_PICKLER]


def _extension(*names: str) -> ModuleType:
    """Bring in one of numba's extensions alone: the package itself is the compiler."""
    for suffix in EXTENSION_SUFFIXES:
        path = _numba().joinpath(*names).with_name(names[-1] + suffix)
        if path.is_file():
            spec = importlib.util.spec_from_file_location(".".join(("numba", *names)), path)
            if spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    raise ImportError(f"{_numba()} has no {'.'.join(names)}: install what requirements.lock pins")


@cache
def _numba() -> Path:
    """Where numba lies; looked up without bringing it in."""
    found = importlib.util.find_spec("numba")
    if found is None or not found.submodule_search_locations:
        raise ImportError("numba is missing: install what requirements.lock pins")
    return Path(found.submodule_search_locations[0])
