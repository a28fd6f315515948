"""The two modes of transfer: how they stand, and what operators want of them."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import record
from dbclient.rulebook import ModeRecord
from dbclient.schema import Mode, TransferMode
from dbclient.stores.events import Events


class Modes:
    """A row a mode; one without a row has never run and was never paused."""

    async def all(self, session: AsyncSession) -> dict[TransferMode, ModeRecord]:
        """Give both modes."""
        held = {row.name: record(ModeRecord, row) for row in await session.scalars(select(Mode))}
        return {name: held.get(name) or ModeRecord(name) for name in TransferMode}

    async def paused(self, session: AsyncSession) -> frozenset[TransferMode]:
        """Name the modes that begin nothing."""
        return frozenset(await session.scalars(select(Mode.name).where(Mode.paused)))

    async def set_paused(
        self, session: AsyncSession, name: TransferMode, paused: bool, *, by: str, now: datetime
    ) -> bool:
        """Pause or resume a mode; an event wakes the daemon. False if it is so already."""
        row = await self._row(session, name)
        if row.paused == paused:
            return False
        row.paused, row.changed_by, row.changed_at = paused, by, now
        word = "pauses" if paused else "resumes"
        await self._tell(session, f"mode-{word}", f"{by} {word} {name.value} transfers", by=by, now=now)
        return True

    async def ask_run(self, session: AsyncSession, name: TransferMode, *, by: str, now: datetime) -> None:
        """Ask for a run at once; an event wakes the daemon."""
        (await self._row(session, name)).asked_at = now
        await self._tell(session, "mode-run", f"{by} asks for a run of {name.value} transfers", by=by, now=now)

    async def ran(
        self,
        session: AsyncSession,
        name: TransferMode,
        *,
        every: float,
        next_at: datetime,
        said: str,
        now: datetime,
        answers: datetime | None = None,
    ) -> None:
        """Write down that a run has ended; it wakes nobody.

        Parameters
        ----------
        answers : when the run was asked for that this one was
        """
        row = await self._row(session, name)
        row.every, row.ran_at, row.next_at, row.said = every, now, next_at, said
        if row.asked_at == answers:
            row.asked_at = None

    async def set_next(self, session: AsyncSession, name: TransferMode, *, every: float, next_at: datetime) -> None:
        """Write down when the next run is due."""
        row = await self._row(session, name)
        row.every, row.next_at = every, next_at

    async def _row(self, session: AsyncSession, name: TransferMode) -> Mode:
        row = await session.get(Mode, name, with_for_update=True)
        if row is None:
            row = Mode(name=name, paused=False)
            session.add(row)
            await session.flush()
        return row

    async def _tell(self, session: AsyncSession, kind: str, message: str, *, by: str, now: datetime) -> None:
        await Events().append(session, source=f"operator:{by}"[:60], kind=kind, message=message, now=now)
