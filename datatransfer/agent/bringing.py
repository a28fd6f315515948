"""What an agent is bringing: a file that is asked for again while it comes is not fetched twice."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from datatransfer.agent.pace import Paces
from datatransfer.agent.packs import in_packs, receive_pack
from datatransfer.agent.receiver import Parcel, receive
from datatransfer.agent.roots import Root
from datatransfer.agent.trust import Trust
from datatransfer.errors import LinkBroken, MoveError, facts
from datatransfer.mover import Carried
from terapix.journal import logger
from terapix.steps import reached

log = logger("datatransfer.agent")

LINE: Final = 2000
"""Files of which one line tells that they ended."""
LOOK: Final = 0.25
"""Seconds between two looks whether a pack is still wanted."""
AT_ONCE: Final = 8
"""Files fetched at the same time; the coordinator asks for fewer."""
PACKS: Final = 3
"""Packs from one host at the same time: one comes, one is written, and one is flushed by the disk."""
HOSTS: Final = 4
"""Hosts from which packs come at the same time."""


class Bringing:
    """One file on its way, and who waits for it."""

    def __init__(self, parcel: Parcel) -> None:
        self.parcel = parcel
        self.done = 0
        """Bytes that are here."""
        self.waiting = 0
        """Requests that wait for it; when none is left it stops, and its bytes stay."""
        self.unwanted = False
        """Nobody waits for it any more, or the agent ends."""
        self.halt: threading.Event | None = None
        """What tells a file that comes by itself to stop."""
        self.end: Carried | Exception | None = None
        """How it ended; none while it is on its way."""
        self._told: list[tuple[asyncio.Queue[int], int]] = []
        self._over: asyncio.Event | None = None

    def stop(self) -> None:
        self.unwanted = True
        if self.halt is not None:
            self.halt.set()

    def tell(self, ended: asyncio.Queue[int], number: int) -> None:
        """Put a number into a queue when it has ended; ten thousand files cost less so than with a future each."""
        if self.end is None:
            self._told.append((ended, number))
        else:
            ended.put_nowait(number)

    def finish(self, end: Carried | Exception) -> None:
        """Say how it ended."""
        self.end = end
        for ended, number in self._told:
            ended.put_nowait(number)
        if self._over is not None:
            self._over.set()

    async def over(self) -> None:
        """Wait until it has ended."""
        if self.end is None:
            self._over = self._over or asyncio.Event()
            await self._over.wait()


class Bringings:
    """All files that this host fetches."""

    def __init__(self, roots: Mapping[str, Root], *, trust: Trust, segments: int, rate: int) -> None:
        self._roots = roots
        self._trust = trust
        self._segments = segments
        self.paces = Paces(rate)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bring")
        self._packers = ThreadPoolExecutor(PACKS * HOSTS, thread_name_prefix="pack")
        self._from: dict[str, asyncio.Semaphore] = {}
        """By host: how many more packs may come from it."""
        self._held: dict[tuple[str, str], Bringing] = {}
        self._turn = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def busy(self, root: str) -> frozenset[str]:
        """Paths below a root that are on their way."""
        return frozenset(path for name, path in self._held if name == root)

    async def bring(self, parcels: Sequence[Parcel], *, every: float) -> AsyncGenerator[dict[str, Any]]:
        """Bring files and tell how far they are; one that is on its way already is joined.

        Parameters
        ----------
        every : seconds between two tellings at most
        """
        ended: asyncio.Queue[int] = asyncio.Queue()
        joined: list[Bringing] = []
        left = len(parcels)
        try:
            self._begin_packs(parcels)
            await asyncio.sleep(0)  # they begin while the rest of the list is looked through
            for number, parcel in enumerate(parcels):
                bringing = await self._join(parcel)
                joined.append(bringing)
                bringing.tell(ended, number)
            while left:
                news: list[dict[str, Any]] = []
                with contextlib.suppress(TimeoutError):
                    news.append(_end_of(await asyncio.wait_for(ended.get(), every), joined))
                while not ended.empty():
                    news.append(_end_of(ended.get_nowait(), joined))
                left -= len(news)
                for begin in range(0, len(news), LINE):
                    yield {"ended": news[begin : begin + LINE]}
                    reached("bring.told")
                yield {"done": sum(bringing.done for bringing in joined)}
        finally:
            for bringing in joined:
                self._leave(bringing)

    def _begin_packs(self, parcels: Sequence[Parcel]) -> None:
        """Begin what can come in packs: small files that are not on their way yet."""
        fresh = [parcel for parcel in parcels if (parcel.root, parcel.path) not in self._held]
        for pack in in_packs(fresh):
            held = [Bringing(parcel) for parcel in pack]
            for bringing in held:
                self._held[bringing.parcel.root, bringing.parcel.path] = bringing
            self._keep(self._receive_pack(held, threading.Event()))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _receive_pack(self, held: Sequence[Bringing], stop: threading.Event) -> None:
        """Bring a pack; it stops when nobody waits for its files. One whose place is taken comes by itself."""
        parcels = [bringing.parcel for bringing in held]
        root = self._roots[parcels[0].root]
        work = partial(
            receive_pack,
            parcels,
            root,
            trust=self._trust,
            pace=self.paces.of(parcels[0].link),
            stop=stop,
            turn=self._turn,
        )
        ends: Sequence[Carried | MoveError | None] = [LinkBroken(parcels[0].source, "it broke off")] * len(parcels)
        try:
            async with self._from.setdefault(parcels[0].source, asyncio.Semaphore(PACKS)):
                receiving = asyncio.get_running_loop().run_in_executor(self._packers, work)
                while not (await asyncio.wait({receiving}, timeout=LOOK))[0]:
                    if all(bringing.unwanted for bringing in held):
                        stop.set()
                ends = receiving.result()
        except Exception:
            log.exception("bringing a pack broke off")
        log.info("a pack of files is here", root=root.name, files=sum(isinstance(end, Carried) for end in ends))
        for bringing, end in zip(held, ends, strict=True):
            if end is None:
                self._keep(self._receive(bringing))
                continue
            parcel = bringing.parcel
            self._held.pop((parcel.root, parcel.path), None)
            bringing.done = parcel.size
            bringing.finish(end)

    async def _join(self, parcel: Parcel) -> Bringing:
        key = (parcel.root, parcel.path)
        held = self._held.get(key)
        if held is not None and (held.parcel != parcel or held.unwanted):
            held.stop()
            await held.over()
            held = self._held.get(key)
        if held is None:
            held = self._held[key] = Bringing(parcel)
            self._keep(self._receive(held))
        held.waiting += 1
        return held

    async def _receive(self, bringing: Bringing) -> None:
        """Bring a file by itself."""
        parcel, halt = bringing.parcel, threading.Event()
        bringing.halt = halt
        if bringing.unwanted:
            halt.set()
        end: Carried | Exception = LinkBroken(parcel.source, "it broke off")

        def progress(done: int) -> None:
            bringing.done = done

        def work() -> Carried:
            return receive(
                parcel,
                self._roots[parcel.root],
                trust=self._trust,
                pace=self.paces.of(parcel.link),
                segments=self._segments,
                progress=progress,
                stop=halt,
            )

        try:
            end = await asyncio.get_running_loop().run_in_executor(self._threads, work)
            log.info("file is here", root=parcel.root, path=parcel.path, size=end.size, how=end.how)
        except MoveError as problem:
            end = problem
            log.warning("file did not come", root=parcel.root, path=parcel.path, problem=str(problem))
        except Exception as problem:
            end = problem
            log.exception("bringing a file broke off")
        finally:
            self._held.pop((parcel.root, parcel.path), None)
            bringing.finish(end)

    def _leave(self, bringing: Bringing) -> None:
        """Stop what nobody waits for any more; its end is nobody's concern then."""
        bringing.waiting -= 1
        if bringing.waiting <= 0 and bringing.end is None:
            bringing.stop()

    async def close(self) -> None:
        """Stop everything within a chunk; the bytes so far stay."""
        held = list(self._held.values())
        for bringing in held:
            bringing.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for threads in (self._threads, self._packers):
            await asyncio.to_thread(threads.shutdown)


def _end_of(number: int, joined: Sequence[Bringing]) -> dict[str, Any]:
    """Say how a file ended."""
    end = joined[number].end
    if isinstance(end, Carried):
        return {"file": number, "state": "arrived", "size": end.size, "how": end.how}
    problem = end if isinstance(end, MoveError) else LinkBroken("the agent", repr(end))
    return {"file": number, "state": "failed", "problem": facts(problem)}
