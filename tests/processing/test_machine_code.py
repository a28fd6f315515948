"""Kernels that were compiled before run without the compiler, and never as they were before a change."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from processing import machine_code
from processing.compiler import Kernel, njit

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
import numpy as np
from processing.compiler import njit

@njit(cache=True, nogil=True)
def root(values):
    return np.sqrt(values)

@njit(cache=True, nogil=True)
def shares(values, whole, names=(1, 2)):
    if whole == 7:
        raise ValueError("seven")
    made = root(values) * (1 / whole)
    return made, made.sum(), names[1]
"""
USE = """
import sys
import numpy as np
import made
values = np.arange(5.0)
found, total, second = made.shares(values, 2, (3, 4))
assert np.array_equal(found, np.sqrt(values) / 2) and total == found.sum() and second == 4, (found, total, second)
for number, error in ((0, ZeroDivisionError), (7, ValueError)):
    try:
        made.shares(values, number, (3, 4))
    except error:
        pass
    else:
        raise SystemExit(f"{number} raised nothing")
print("numba" in sys.modules)
"""


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "made.py").write_text(MODULE)
    return tmp_path


def compiled_anew(room: Path, use: str = USE) -> bool:
    """Run a process of its own with the module; tell whether it brought in the compiler."""
    path = os.pathsep.join((str(room), str(ROOT)))
    env = {**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(room / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run([sys.executable, "-c", use], env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip() == "True"


def kept(room: Path) -> list[Path]:
    return sorted((room / "cache" / "kernels").glob("made.shares-*"))


def test_what_one_process_compiled_the_next_runs_without_the_compiler(room: Path) -> None:
    assert compiled_anew(room)
    assert len(kept(room)) == 1
    quiet = USE.partition("for number")[0] + 'print("numba" in sys.modules)\n'
    assert not compiled_anew(room, quiet)
    compiled_anew(room)  # errors come through too


@pytest.mark.parametrize("content", [b"", b"no code", b"\x80\x04K\x05."])
def test_code_that_is_damaged_is_compiled_again(room: Path, content: bytes) -> None:
    compiled_anew(room)
    whole = kept(room)[0].read_bytes()
    for damaged in (content, whole[: len(whole) // 2]):
        kept(room)[0].write_bytes(damaged)
        assert compiled_anew(room)
    assert len(kept(room)) == 1


def test_who_uses_an_array_is_counted_without_a_lock_and_rightly_from_many_threads() -> None:
    @njit(nogil=True)
    def lines(values: np.ndarray, number: int) -> np.ndarray:
        total = np.zeros(values.shape[1])
        for k in range(number):
            line = values[k % values.shape[0]]
            total += line
        return total

    values = np.ones((7, 5))
    users, expected = sys.getrefcount(values), lines(values, 7000)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: lines(values, 7000), range(64)))
    assert all(np.array_equal(each, expected) for each in found)
    assert sys.getrefcount(values) == users
    assert all("lock\t" not in text for text in lines.dispatcher.inspect_asm().values())


def test_other_arguments_are_other_code(room: Path) -> None:
    compiled_anew(room)
    other = "import numpy as np, made; assert made.shares(np.ones(4)[::2], 0.5, (1, 2))[1] == 4.0; print(True)"
    compiled_anew(room, other)
    assert len(kept(room)) == 2


def test_code_of_kernels_as_they_were_is_not_taken_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = iter(["a" * 64, "b" * 64])
    now = next(stamps)
    monkeypatch.setattr(machine_code, "stamp", lambda: now)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    name = ("made", "shares", "kinds")
    machine_code.keep(name, machine_code.Code(b"object", "entry", ()))
    now = next(stamps)
    assert machine_code.load(name) is None
    machine_code.keep(name, machine_code.Code(b"object", "entry", ()))
    assert len(list((tmp_path / "kernels").iterdir())) == 1


@pytest.mark.parametrize("name", ["kernels/one.py", "flags.py", "compiler.py"])
def test_a_changed_kernel_and_changed_flags_change_the_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "kernels").mkdir()
    for each in ("kernels/one.py", "flags.py", "compiler.py"):
        (tmp_path / each).write_text("pass\n")
    monkeypatch.setattr(machine_code, "KERNELS", tmp_path / "kernels")
    monkeypatch.setattr(machine_code, "FLAGS", tmp_path / "flags.py")
    monkeypatch.setattr(machine_code, "COMPILER", tmp_path / "compiler.py")
    before = machine_code.stamp.__wrapped__()
    assert machine_code.stamp.__wrapped__() == before
    (tmp_path / name).write_text("pass  # otherwise\n")
    assert machine_code.stamp.__wrapped__() != before


def test_a_disk_that_takes_no_code_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_code, "place", lambda: tmp_path / "gone")
    machine_code.keep(("made", "shares", "kinds"), machine_code.Code(b"object", "entry", ()))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="this is a run without kernels")
def test_arrays_that_differ_in_layout_order_or_rights_are_not_taken_for_each_other() -> None:
    @njit()
    def first(values: np.ndarray) -> float:
        return values[0, 0]  # type: ignore[no-any-return]

    assert isinstance(first, Kernel)
    whole = np.arange(12.0).reshape(3, 4)
    locked = whole.copy()
    locked.flags.writeable = False
    for each in (whole, whole[:1], whole.T, whole[:, ::2], locked, whole.astype(np.float32)):
        assert first(each) == each[0, 0]
    assert len(first.kinds) == 5  # one row is by rows and by columns: by rows, as others
    with pytest.raises(Exception, match="array dtype"):
        first(whole.astype(">f8"))


def test_without_the_compiler_a_kernel_is_its_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")

    def one() -> int:
        return 1

    assert njit(cache=True)(one) is one
