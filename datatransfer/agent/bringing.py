"""What an agent is bringing: a file that is asked for again while it comes is not fetched twice."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from datatransfer.agent.receiver import Pace, Parcel, receive
from datatransfer.agent.roots import Root
from datatransfer.agent.trust import Trust
from datatransfer.errors import LinkBroken, MoveError, facts
from datatransfer.mover import Carried
from terapix.journal import logger
from terapix.steps import reached

log = logger("datatransfer.agent")

AT_ONCE: Final = 8
"""Files fetched at the same time; the coordinator asks for fewer."""


class Bringing:
    """One file on its way, and who waits for it."""

    def __init__(self, parcel: Parcel) -> None:
        self.parcel = parcel
        self.done = 0
        """Bytes that are here."""
        self.waiting = 0
        """Requests that wait for it; when none is left it stops, and its bytes stay."""
        self.stop = threading.Event()
        self.task: asyncio.Future[Carried]


class Bringings:
    """All files that this host fetches."""

    def __init__(self, roots: Mapping[str, Root], *, trust: Trust, segments: int, rate: int) -> None:
        self._roots = roots
        self._trust = trust
        self._segments = segments
        self._pace = Pace(rate)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bring")
        self._held: dict[tuple[str, str], Bringing] = {}

    def busy(self, root: str) -> frozenset[str]:
        """Paths below a root that are on their way."""
        return frozenset(path for name, path in self._held if name == root)

    async def bring(self, parcels: Sequence[Parcel], *, every: float) -> AsyncGenerator[dict[str, Any]]:
        """Bring files and tell how far they are; one that is on its way already is joined.

        Parameters
        ----------
        every : seconds between two tellings at most
        """
        waiting: dict[asyncio.Future[Carried], int] = {}
        joined: list[Bringing] = []
        try:
            for number, parcel in enumerate(parcels):
                bringing = await self._join(parcel)
                joined.append(bringing)
                waiting[asyncio.shield(bringing.task)] = number
            while waiting:
                ended, _ = await asyncio.wait(waiting, timeout=every, return_when=asyncio.FIRST_COMPLETED)
                for future in ended:
                    yield {"file": waiting.pop(future), **_told(future)}
                    reached("bring.told")
                yield {"done": sum(bringing.done for bringing in joined)}
        finally:
            for bringing in joined:
                self._leave(bringing)

    async def _join(self, parcel: Parcel) -> Bringing:
        key = (parcel.root, parcel.path)
        held = self._held.get(key)
        if held is not None and (held.parcel != parcel or held.stop.is_set()):
            held.stop.set()
            await asyncio.wait({held.task})
            held = self._held.get(key)
        if held is None:
            held = self._held[key] = Bringing(parcel)
            held.task = asyncio.ensure_future(self._receive(held))
        held.waiting += 1
        return held

    async def _receive(self, bringing: Bringing) -> Carried:
        parcel = bringing.parcel

        def progress(done: int) -> None:
            bringing.done = done

        def work() -> Carried:
            return receive(
                parcel,
                self._roots[parcel.root],
                trust=self._trust,
                pace=self._pace,
                segments=self._segments,
                progress=progress,
                stop=bringing.stop,
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
            bringing.stop.set()
            bringing.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def close(self) -> None:
        """Stop everything within a chunk; the bytes so far stay."""
        held = list(self._held.values())
        for bringing in held:
            bringing.stop.set()
        await asyncio.gather(*(bringing.task for bringing in held), return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)


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
