"""What was freed goes back to the system, though something above it is still held."""

import ctypes
import platform
from datetime import UTC, datetime

import psutil
import pytest

from terapix.clock import SetClock, SystemClock
from terapix.heap import EVERY, Heap

BLOCK, COUNT = 64_000, 2000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed in arenas")
def test_holes_are_given_back_though_the_block_above_them_is_held() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    blocks = [libc.malloc(ctypes.c_size_t(BLOCK)) for _ in range(COUNT)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    for block in blocks[:-1]:
        libc.free(block)
    me = psutil.Process()
    before = me.memory_info().rss
    Heap(SystemClock()).give_back()
    freed = before - me.memory_info().rss
    libc.free(blocks[-1])
    assert freed > BLOCK * COUNT / 2  # whole pages go back, other threads take some meanwhile


def test_it_is_done_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[float] = []
    clock = SetClock(datetime(2008, 8, 6, tzinfo=UTC))
    heap = Heap(clock)
    monkeypatch.setattr(heap, "give_back", lambda: times.append(clock.monotonic()))
    for _ in range(5):
        clock.advance(EVERY / 2)
        heap.pass_()
    assert len(times) == 2
