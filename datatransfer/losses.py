"""Losses: a file of a node is not what it was, or not there. What that means for its frame is decided here, once.

The scrub finds such files by reading, the homecoming and the audit by comparing,
and a node that is missing has lost all it held. In each case the row says so
from then on, and what is wanted and held nowhere else is asked for again.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import FrameRecord, NodeRecord
from dbclient.schema import FrameKind, FrameState, Level
from dbclient.stores import Events, Fate, Frames, Holding, Holdings, Leases, Sort, Transfers
from dbclient.stores.events import about
from terapix.clock import Clock

HAD: Final = frozenset({FrameState.PLACED, FrameState.WEIGHTED})
"""States in which a frame's file lies on a node."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What became of a file that was lost."""

    frame: FrameRecord
    again: bool
    """Whether the frame is asked of the archive."""
    remedy: str
    """What is done about it, in words that follow the frame's name."""


class Losses:
    """Writes losses down."""

    def __init__(self, clock: Clock, *, source: str) -> None:
        self._clock = clock
        self._source = source

    async def write_down(
        self,
        session: AsyncSession,
        node: NodeRecord,
        holding: Holding,
        fate: Fate,
        *,
        said: str,
        kind: str,
        level: Level = Level.ERROR,
        data: dict[str, Any] | None = None,
        was: str | None = None,
    ) -> Loss | None:
        """Say that a node holds a file no more, and ask for what is held nowhere else, in the caller's transaction.

        Parameters
        ----------
        said : what was found, as ``is gone from node5``
        kind : of the event
        data : evidence
        was : the state in which the file was, if that was not held

        Returns
        -------
        Loss
            None if the database says something else of the file by now.
        """
        if not await Holdings().lose(session, holding, fate, was=was):
            return None
        frame = await Frames().get(session, holding.frame_id)
        evidence = {"path": holding.path, "expected": holding.digest, "bytes": holding.size, **(data or {})}
        await self.tell(session, node, frame, f"{holding.path} {said}", kind=kind, level=level, data=evidence)
        if holding.sort is Sort.PRODUCT:
            return Loss(frame, again=False, remedy=await self._product(session, holding))
        return await self.ask_again(session, frame, why=f"its file {said}", kind=kind, holding=holding)

    async def ask_again(
        self, session: AsyncSession, frame: FrameRecord, *, why: str, kind: str, holding: Holding
    ) -> Loss:
        """Ask the archive for a frame of which no verified file is left; say what is done instead where one is."""
        others = await Holdings().others(session, holding)
        if others:
            return Loss(frame, again=False, remedy=f"is held by {' and '.join(name for name, _ in others)}, too")
        if frame.state is FrameState.SUPERSEDED:
            return Loss(frame, again=False, remedy="is superseded and not missed")
        if frame.path is not None:
            return Loss(frame, again=False, remedy="is brought again from the reception disk")
        awaited = frame.state in HAD or (frame.state is FrameState.VALID and frame.kind is not FrameKind.OBJECT)
        if not awaited or frame.withdrawn_at is not None:
            cause = "the archive has withdrawn it" if frame.withdrawn_at else f"it is {frame.state.value}"
            remedy = f"has no good copy left here and is not fetched by itself: {cause}"
            level = Level.ERROR if frame.withdrawn_at else Level.WARNING
            await Events().append_once(
                session,
                source=self._source,
                kind=kind,
                level=level,
                message=about(frame.name, remedy),
                frame_id=frame.id,
                now=self._clock.now(),
            )
            return Loss(frame, again=False, remedy=remedy)
        return await self.fetch(session, frame, why)

    async def fetch(self, session: AsyncSession, frame: FrameRecord, why: str) -> Loss:
        """Have SNOOPPIX fetch a frame from the archive again; its promised room is given back."""
        remedy = f"is fetched again: {why}"
        now = self._clock.now()
        await Frames().advance(
            session,
            frame.id,
            FrameState.SPOTTED,
            now=now,
            source=self._source,
            message=remedy,
            event="lost",
            path=None,
            disk=None,
        )
        await Leases().release(session, frame.id, now=now)
        return Loss(frame, again=True, remedy=remedy)

    async def find(self, session: AsyncSession, node: NodeRecord, frame: FrameRecord, digest: str) -> bool:
        """Place a frame that waits to be fetched and whose verified file was found on a node; tell whether it was so.

        It takes the steps that it took before: its bytes are those that were
        verified then. One that somebody fetches already is left to that.
        """
        if frame.state is not FrameState.SPOTTED or frame.wire_digest != digest or frame.needs is None:
            return False
        if await Transfers().open_of_frame(session, frame.id):
            return False
        for state, message in (
            (FrameState.FETCHED, f"need not be fetched: its file is on {node.name}"),
            (FrameState.VALID, "reads as it was when it was verified"),
            (FrameState.PLACED, f"is on {node.name}, as before"),
        ):
            await Frames().advance(
                session, frame.id, state, now=self._clock.now(), source=self._source, message=message, path=None
            )
        return True

    async def tell(
        self,
        session: AsyncSession,
        node: NodeRecord,
        frame: FrameRecord,
        message: str,
        *,
        kind: str,
        level: Level = Level.INFO,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Write into the history of a frame what happened to one of its files."""
        await Events().append(
            session,
            source=self._source,
            kind=kind,
            level=level,
            message=message,
            frame_id=frame.id,
            node_id=node.id,
            data=data,
            now=self._clock.now(),
        )

    @staticmethod
    async def _product(session: AsyncSession, holding: Holding) -> str:
        laid_out = await Holdings().laid_out(session, holding)
        return "has a copy that was laid out for the archive" if laid_out else "has it made again"
