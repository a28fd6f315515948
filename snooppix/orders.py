"""What operators ask of SNOOPPIX: fetch, retry, reload, accept. Each request is a row; its answer is a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from dbclient.database import Database
from dbclient.records import FrameRecord, RequestRecord
from dbclient.schema import FrameState, ReplicaState, RequestKind, RequestState
from dbclient.stores import Frames, Nodes, Replicas, Requests
from snooppix.errors import ArchiveError, Refused
from snooppix.pardon import Pardon
from snooppix.reception import Receptions
from snooppix.reloading import Reloading
from snooppix.verification import Verifier
from snooppix.watcher import Watcher
from terapix.clock import Clock
from terapix.identity import UnsafeName, safe_name
from terapix.journal import logger

log = logger("orders")

FIRST: Final = 100
"""Priority of what an operator asked for."""
KINDS: Final = (RequestKind.FETCH, RequestKind.RETRY, RequestKind.RELOAD, RequestKind.ACCEPT)


class Orders:
    """Answers requests."""

    def __init__(
        self,
        database: Database,
        watcher: Watcher,
        verifier: Verifier,
        receptions: Receptions,
        *,
        clock: Clock,
    ) -> None:
        self.database = database
        self.watcher = watcher
        self.verifier = verifier
        self.receptions = receptions
        self.reloading = Reloading(
            database, instrument=verifier.instrument, compression=verifier.compression, clock=clock
        )
        self.pardon = Pardon(database, verifier, receptions, clock=clock)
        self.clock = clock

    async def answer_open(self, *, beforehand: Callable[[], None] | None = None) -> int:
        """Answer every open request; return their number.

        `beforehand` is called if there are any: a frame is fetched as soon as it is due, before its answer is written.
        """
        async with self.database.read() as session:
            waiting = await Requests().open(session, *KINDS)
        if waiting and beforehand is not None:
            beforehand()
        for request in waiting:
            try:
                text, state = await self._answer(request), RequestState.DONE
            except Refused as refusal:
                text, state = str(refusal), RequestState.REFUSED
            except Exception as problem:  # a request that cannot be done must not be tried for ever
                log.exception("request failed", request=request.id)
                text, state = f"It failed on this host: {problem}", RequestState.REFUSED
            async with self.database.write() as session:
                await Requests().answer(session, request.id, state, text, now=self.clock.now())
            log.info("request answered", request=request.id, kind=request.kind.value, answer=text)
        return len(waiting)

    async def _answer(self, request: RequestRecord) -> str:
        name = str(request.arguments.get("frame", ""))
        try:
            safe_name(name)
        except UnsafeName as problem:
            raise Refused(str(problem)) from problem
        async with self.database.read() as session:
            frame = await Frames().named(session, name)
        source = f"operator:{request.asked_by}"[:60]
        if request.kind is RequestKind.FETCH:
            return await self._fetch(name, frame, source)
        if frame is None:
            raise Refused(f"No frame {name} is known here.")
        if request.kind is RequestKind.RETRY:
            return await self._retry(frame, source)
        if request.kind is RequestKind.ACCEPT:
            return await self.pardon.accept(frame, str(request.arguments.get("because", "")), by=request.asked_by)
        return await self._reload(frame, request)

    async def _fetch(self, name: str, frame: FrameRecord | None, source: str) -> str:
        if frame is None:
            try:
                found = await self.watcher.look_up(name, priority=FIRST)
            except ArchiveError as problem:
                raise Refused(f"{name} is unknown here and the archive cannot be asked: {problem}.") from problem
            if found is None:
                raise Refused(f"The archive has no processed frame, flat or mask named {name}.")
            return f"{name} was found at the archive and is fetched next."
        if frame.state in {FrameState.SPOTTED, FrameState.FAILED, FrameState.REJECTED}:
            await self._retry(frame, source)
            return f"{name} is fetched next."
        raise Refused(f"{name} is here already: it is {frame.state.value}.")

    async def _retry(self, frame: FrameRecord, source: str) -> str:
        now = self.clock.now()
        async with self.database.write() as session:
            if frame.state is FrameState.REJECTED:
                message = "was rejected and is fetched again"
                await Frames().advance(
                    session,
                    frame.id,
                    FrameState.SPOTTED,
                    now=now,
                    source=source,
                    message=message,
                    event="retry",
                    path=None,
                    disk=None,
                )
            else:
                await Frames().retry(session, frame.id, now=now, source=source)
            await Frames().prioritise(session, frame.id, FIRST)
            fresh = await Frames().get(session, frame.id)
        return f"{frame.name} is due again: it is {fresh.state.value}."

    async def _reload(self, frame: FrameRecord, request: RequestRecord) -> str:
        because = str(request.arguments.get("because") or "")
        if request.arguments.get("undo"):
            return await self.reloading.undo(frame, because, by=request.asked_by)
        path = await self._file_of(frame)
        if path is None:
            raise Refused(f"{frame.name} is {frame.state.value} and its file is not on this host: nothing was read.")
        return await self.reloading.reload(frame, path, because, by=request.asked_by)

    async def _file_of(self, frame: FrameRecord) -> Path | None:
        """Where the file of a frame can be read on this host: on the reception disk, or on a node's."""
        if frame.path and (found := self.receptions.disk(frame.disk).root / frame.path).is_file():
            return found
        async with self.database.read() as session:
            replicas = await Replicas().of_frame(session, frame.id)
            nodes = {node.id: node for node in await Nodes().all(session)}
        for replica in replicas:
            node = nodes.get(replica.node_id)
            if node and replica.state is ReplicaState.HELD and (found := Path(node.directory) / replica.path).is_file():
                return found
        return None
