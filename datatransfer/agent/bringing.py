"""What an agent is bringing: a file that is asked for again while it comes is not fetched twice."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from datatransfer.agent.pace import Paces
from datatransfer.agent.packs import SMALL, in_packs, receive_pack
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
PACKS: Final = 2
"""Packs at the same time: one comes while the disk flushes the other."""


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
        self.task: asyncio.Future[Carried]

    def stop(self) -> None:
        self.unwanted = True
        if self.halt is not None:
            self.halt.set()


class Bringings:
    """All files that this host fetches."""

    def __init__(self, roots: Mapping[str, Root], *, trust: Trust, segments: int, rate: int) -> None:
        self._roots = roots
        self._trust = trust
        self._segments = segments
        self.paces = Paces(rate)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bring")
        self._packers = ThreadPoolExecutor(PACKS, thread_name_prefix="pack")
        self._held: dict[tuple[str, str], Bringing] = {}
        self._turn = threading.Lock()
        self._packs: set[asyncio.Task[None]] = set()

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
            await self._begin_packs(parcels)
            for number, parcel in enumerate(parcels):
                bringing = await self._join(parcel)
                joined.append(bringing)
                bringing.task.add_done_callback(partial(_note, ended, number))
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

    async def _begin_packs(self, parcels: Sequence[Parcel]) -> None:
        """Begin what can come in packs: small files of which nothing is here yet."""
        small = [parcel for parcel in parcels if parcel.size <= SMALL]
        absent = await asyncio.to_thread(self._absent, small)  # the disk may be slow to answer
        fresh = [parcel for parcel in absent if (parcel.root, parcel.path) not in self._held]
        for pack in in_packs(fresh)[0]:
            loop = asyncio.get_running_loop()
            held = [Bringing(parcel) for parcel in pack]
            stop = threading.Event()
            for bringing in held:
                bringing.task = loop.create_future()
                bringing.task.add_done_callback(lambda task: task.cancelled() or task.exception())
                self._held[bringing.parcel.root, bringing.parcel.path] = bringing
            work = loop.create_task(self._receive_pack(held, stop))
            self._packs.add(work)
            work.add_done_callback(self._packs.discard)

    def _absent(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        return [parcel for parcel in parcels if not (self._roots[parcel.root].directory / parcel.path).exists()]

    async def _receive_pack(self, held: Sequence[Bringing], stop: threading.Event) -> None:
        """Bring a pack; it stops when nobody waits for any of its files."""
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
        ended: Mapping[Parcel, Carried | MoveError] = {}
        try:
            receiving = asyncio.get_running_loop().run_in_executor(self._packers, work)
            while not (await asyncio.wait({receiving}, timeout=LOOK))[0]:
                if all(bringing.unwanted for bringing in held):
                    stop.set()
            ended = receiving.result()
        except Exception:
            log.exception("bringing a pack broke off")
        log.info("a pack of files is here", root=root.name, files=sum(isinstance(e, Carried) for e in ended.values()))
        for bringing in held:
            parcel = bringing.parcel
            self._held.pop((parcel.root, parcel.path), None)
            end = ended.get(parcel, LinkBroken(parcel.source, "it broke off"))
            bringing.done = parcel.size
            if isinstance(end, Carried):
                bringing.task.set_result(end)
            else:
                bringing.task.set_exception(end)

    async def _join(self, parcel: Parcel) -> Bringing:
        key = (parcel.root, parcel.path)
        held = self._held.get(key)
        if held is not None and (held.parcel != parcel or held.unwanted):
            held.stop()
            await asyncio.wait({held.task})
            held = self._held.get(key)
        if held is None:
            held = self._held[key] = Bringing(parcel)
            held.task = asyncio.ensure_future(self._receive(held))
        held.waiting += 1
        return held

    async def _receive(self, bringing: Bringing) -> Carried:
        parcel, halt = bringing.parcel, threading.Event()
        bringing.halt = halt
        if bringing.unwanted:
            halt.set()

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
            carried = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except MoveError as problem:
            log.warning("file did not come", root=parcel.root, path=parcel.path, problem=str(problem))
            raise
        else:
            log.info("file is here", root=parcel.root, path=parcel.path, size=carried.size, how=carried.how)
            return carried
        finally:
            self._held.pop((parcel.root, parcel.path), None)

    def _leave(self, bringing: Bringing) -> None:
        """Stop what nobody waits for any more; its end is nobody's concern then."""
        bringing.waiting -= 1
        if bringing.waiting <= 0 and not bringing.task.done():
            bringing.stop()
            bringing.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def close(self) -> None:
        """Stop everything within a chunk; the bytes so far stay."""
        held = list(self._held.values())
        for bringing in held:
            bringing.stop()
        await asyncio.gather(*(bringing.task for bringing in held), return_exceptions=True)
        for threads in (self._threads, self._packers):
            await asyncio.to_thread(threads.shutdown)


def _note(ended: asyncio.Queue[int], number: int, _: asyncio.Future[Carried]) -> None:
    ended.put_nowait(number)


def _end_of(number: int, joined: Sequence[Bringing]) -> dict[str, Any]:
    return {"file": number, **_told(joined[number].task)}


def _told(future: asyncio.Future[Carried]) -> dict[str, Any]:
    """Say how a file ended."""
    problem = future.exception()
    if problem is None:
        carried = future.result()
        return {"state": "arrived", "size": carried.size, "how": carried.how}
    if isinstance(problem, MoveError):
        return {"state": "failed", "problem": facts(problem)}
    log.error("bringing a file broke off", problem=repr(problem))
    return {"state": "failed", "problem": facts(LinkBroken("the agent", repr(problem)))}
