"""What operators want of the daemons: to work or to rest, to read their settings again, and with which ones."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow, Outdated
from dbclient.records import ConfigurationRecord, ControlRecord, record
from dbclient.schema import Configuration, Control, Wish
from dbclient.stores.events import Events

ASKED = {Wish.RUN: "to work", Wish.REST: "to rest"}


class Controls:
    """A row a daemon; one without a row is to work."""

    async def of(self, session: AsyncSession, daemon: str) -> ControlRecord | None:
        """Give what was asked of a daemon; None if nothing ever was."""
        row = await session.get(Control, daemon, populate_existing=True)
        return record(ControlRecord, row) if row else None

    async def wish(self, session: AsyncSession, daemon: str) -> Wish:
        """Tell whether a daemon is to work or to rest."""
        asked = await self.of(session, daemon)
        return asked.wish if asked else Wish.RUN

    async def set_wish(self, session: AsyncSession, daemon: str, wish: Wish, *, by: str, now: datetime) -> None:
        """Ask a daemon to work or to rest; an event wakes it. Nothing happens if it was asked so already."""
        row = await self._row(session, daemon, by=by, now=now)
        if row.wish == wish:
            return
        row.wish, row.changed_by, row.changed_at = wish, by, now
        await self._tell(session, f"wish-{wish.value}", f"{by} asks {daemon} {ASKED[wish]}", by=by, now=now)

    async def ask_reload(self, session: AsyncSession, daemon: str, *, by: str, now: datetime) -> None:
        """Ask a daemon to read its settings again; an event wakes it."""
        row = await self._row(session, daemon, by=by, now=now)
        row.reload_at = now
        await self._tell(session, "wish-reload", f"{by} asks {daemon} to read its settings again", by=by, now=now)

    async def _row(self, session: AsyncSession, daemon: str, *, by: str, now: datetime) -> Control:
        row = await session.get(Control, daemon, with_for_update=True)
        if row is None:
            row = Control(daemon=daemon, wish=Wish.RUN, changed_by=by, changed_at=now)
            session.add(row)
            await session.flush()
        return row

    async def _tell(self, session: AsyncSession, kind: str, message: str, *, by: str, now: datetime) -> None:
        await Events().append(session, source=f"operator:{by}"[:60], kind=kind, message=message, now=now)


class Configurations:
    """Versions of settings: only ever added to, the newest is in force."""

    async def newest(self, session: AsyncSession, daemon: str) -> ConfigurationRecord | None:
        """Give the version in force; None if operators never edited any."""
        query = select(Configuration).where(Configuration.daemon == daemon).order_by(Configuration.id.desc()).limit(1)
        row = await session.scalar(query)
        return record(ConfigurationRecord, row) if row else None

    async def get(self, session: AsyncSession, daemon: str, version: int) -> ConfigurationRecord:
        """Give a version of a daemon's settings.

        Raises
        ------
        NoSuchRow
        """
        row = await session.get(Configuration, version)
        if row is None or row.daemon != daemon:
            raise NoSuchRow("version", version)
        return record(ConfigurationRecord, row)

    async def history(
        self, session: AsyncSession, daemon: str, *, limit: int = 20, before: int | None = None
    ) -> list[ConfigurationRecord]:
        """Give versions, newest first."""
        query = select(Configuration).where(Configuration.daemon == daemon)
        if before is not None:
            query = query.where(Configuration.id < before)
        query = query.order_by(Configuration.id.desc()).limit(limit)
        return [record(ConfigurationRecord, row) for row in await session.scalars(query)]

    async def save(
        self,
        session: AsyncSession,
        daemon: str,
        text: str,
        *,
        comment: str,
        by: str,
        now: datetime,
        over: int | None,
    ) -> int:
        """Add a version and give its number; an event tells of it.

        Parameters
        ----------
        over : the version that the operator had seen in force; none if there was none

        Raises
        ------
        Outdated
            If somebody else saved one meanwhile.
        """
        query = select(func.max(Configuration.id)).where(Configuration.daemon == daemon)
        held = await session.scalar(query)
        if held != over:
            raise Outdated("version of the settings", seen=over, held=held)
        row = Configuration(daemon=daemon, text=text, comment=comment, saved_by=by, saved_at=now)
        session.add(row)
        await session.flush()
        await Events().append(
            session,
            source=f"operator:{by}"[:60],
            kind="settings-saved",
            message=f"{by} saved version {row.id} of the settings of {daemon}: {comment}",
            now=now,
        )
        return row.id
