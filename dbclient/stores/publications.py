"""Publications: the ledger of what goes back to the archive, one row a generation of a published name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import PublicationRecord, record
from dbclient.schema import Frame, FrameKind, Level, Node, Product, ProductState, Publication, PublicationState, Receipt
from dbclient.stores.events import Events, about
from dbclient.stores.insertion import insert_unless_there


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A product that is held and not in the ledger."""

    product_id: int
    frame_id: int
    frame: str
    """Name of the frame."""
    kind: str
    digest: str
    runid: str | None
    source: str
    """Absolute path on its node."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A publication with what its frame tells of the sky."""

    publication: PublicationRecord
    filter: str | None
    object: str | None
    exposure_time: float | None
    observed_at: datetime | None
    release: datetime | None
    ra: float | None
    dec: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A file that is to be published."""

    name: str
    kind: str
    source: str
    """Absolute path."""
    digest: str
    """Of its bytes, as md5:<hex>."""
    product_id: int | None = None
    frame_id: int | None = None
    runid: str | None = None


class Publications:
    """Generation numbers never fall; a step forward is an event."""

    def __init__(self) -> None:
        self._events = Events()

    async def unpublished(
        self, session: AsyncSession, *, kinds: Sequence[str], limit: int, behind: int = 0
    ) -> list[Unpublished]:
        """Give products of exposures that are held and not in the ledger with these bytes, oldest first.

        Parameters
        ----------
        behind : a product's number: only those made after it are compared
        """
        known = exists().where(Publication.product_id == Product.id, Publication.wire_digest == Product.digest)
        query = (
            select(Product, Frame.name, Frame.runid, Node.directory)
            .join(Frame, Frame.id == Product.frame_id)
            .join(Node, Node.id == Product.node_id)
            .where(
                Product.id > behind,
                Product.state == ProductState.HELD,
                Product.kind.in_(kinds),
                Frame.kind == FrameKind.OBJECT,
                ~known,
            )
            .order_by(Product.id)
            .limit(limit)
        )
        return [
            Unpublished(
                product.id,
                product.frame_id,
                name,
                product.kind,
                product.digest,
                runid,
                f"{directory.rstrip('/')}/{product.path}",
            )
            for product, name, runid, directory in (await session.execute(query)).all()
        ]

    async def register(
        self, session: AsyncSession, wanted: Registration, *, floor: int = 0, now: datetime, source: str
    ) -> PublicationRecord:
        """Enter a file; the newest generation is given back as it is where its bytes are the same.

        Parameters
        ----------
        floor : a generation that the name is known to have reached, if the ledger was lost
        """
        newest = await self._newest(session, wanted.name)
        if newest is not None and newest.wire_digest == wanted.digest:
            newest.product_id = wanted.product_id or newest.product_id
            if newest.state is PublicationState.FAILED and newest.offered_at is None:
                newest.state, newest.reason, newest.retry_at, newest.attempts = PublicationState.DUE, None, None, 0
            if newest.state is PublicationState.DUE:
                newest.source = wanted.source
            return record(PublicationRecord, newest)
        number = await insert_unless_there(
            session,
            Publication,
            name=wanted.name,
            generation=max(newest.generation if newest else 0, floor) + 1,
            kind=wanted.kind,
            state=PublicationState.DUE,
            product_id=wanted.product_id,
            frame_id=wanted.frame_id,
            runid=wanted.runid,
            source=wanted.source,
            wire_digest=wanted.digest,
            registered_at=now,
        )
        if number is None:  # another process has just registered this generation
            return await self.register(session, wanted, floor=floor, now=now, source=source)
        row = await self._row(session, number)
        said = f"is registered for publication: generation {row.generation}"
        await self._event(session, row, "registered", said, now=now, source=source)
        return record(PublicationRecord, row)

    async def get(self, session: AsyncSession, publication_id: int) -> PublicationRecord:
        return record(PublicationRecord, await self._row(session, publication_id))

    async def newest(self, session: AsyncSession, name: str) -> PublicationRecord | None:
        """Give the newest generation of a name, whatever has become of it."""
        row = await self._newest(session, name)
        return record(PublicationRecord, row) if row else None

    async def generations(self, session: AsyncSession, name: str) -> list[PublicationRecord]:
        """Give all generations of a name, newest first."""
        query = select(Publication).where(Publication.name == name).order_by(Publication.generation.desc())
        return [record(PublicationRecord, row) for row in await session.scalars(query)]

    async def offered(self, session: AsyncSession, name: str) -> PublicationRecord | None:
        """Give the generation of a name that is listed now; none if none is."""
        query = select(Publication).where(Publication.name == name, *_listed()).order_by(Publication.generation.desc())
        row = await session.scalar(query.limit(1))
        return record(PublicationRecord, row) if row else None

    async def due(self, session: AsyncSession, *, now: datetime, limit: int) -> list[PublicationRecord]:
        """Give what is to be laid out now, the longest registered first."""
        return await self._waiting(session, PublicationState.DUE, now=now, limit=limit)

    async def to_push(
        self, session: AsyncSession, *, now: datetime, limit: int, to: str = ""
    ) -> list[PublicationRecord]:
        """Give what lies ready for an archive that has it put there, and has no receipt of it yet, in order."""
        there = exists().where(Receipt.publication_id == Publication.id, Receipt.follower == to)
        return await self._waiting(session, PublicationState.OFFERED, ~there, now=now, limit=limit)

    async def _waiting(
        self, session: AsyncSession, state: PublicationState, *conditions: Any, now: datetime, limit: int
    ) -> list[PublicationRecord]:
        due = or_(Publication.retry_at.is_(None), Publication.retry_at <= now)
        query = select(Publication).where(Publication.state == state, due, *conditions)
        query = query.order_by(Publication.id).limit(limit)
        return [record(PublicationRecord, row) for row in await session.scalars(query)]

    async def lay_out(
        self, session: AsyncSession, publication_id: int, *, size: int, pixel_digest: str | None, now: datetime
    ) -> bool:
        """Note what a file is that is about to take its place; the generations before it give theirs up.

        False where a newer generation was offered meanwhile: this one is superseded and takes no place.
        """
        row = await self._row(session, publication_id)
        newer = exists().where(
            Publication.name == row.name, Publication.generation > row.generation, Publication.offered_at.is_not(None)
        )
        if await session.scalar(select(newer)):
            row.state, row.reason, row.retry_at = PublicationState.SUPERSEDED, None, None
            return False
        row.size, row.pixel_digest = size, pixel_digest
        older = and_(Publication.name == row.name, Publication.generation < row.generation)
        await session.execute(
            update(Publication).where(older, Publication.path.is_not(None)).values(path=None, deleted_at=now)
        )
        unfinished = Publication.state.not_in((PublicationState.ACKNOWLEDGED, PublicationState.SUPERSEDED))
        await session.execute(
            update(Publication)
            .where(older, unfinished)
            .values(state=PublicationState.SUPERSEDED, reason=None, retry_at=None)
        )
        return True

    async def offer(
        self,
        session: AsyncSession,
        publication_id: int,
        *,
        path: str,
        now: datetime,
        source: str,
        disk: str | None = None,
    ) -> PublicationRecord:
        """Say that a file lies in its place, on a reception disk, and is listed from now on."""
        row = await self._row(session, publication_id)
        row.state, row.disk, row.path, row.offered_at = PublicationState.OFFERED, disk, path, now
        row.reason, row.retry_at, row.attempts = None, None, 0
        said = f"is offered to the archive: generation {row.generation}, {(row.size or 0) / 1e6:.1f} MB"
        await self._event(session, row, "offered", said, now=now, source=source)
        return record(PublicationRecord, row)

    async def wait(
        self,
        session: AsyncSession,
        publication_id: int,
        *,
        reason: str,
        retry_at: datetime,
        now: datetime,
        source: str,
    ) -> None:
        """Let a publication wait in its state, with its reason; an event only when the reason is another one."""
        row = await self._row(session, publication_id)
        changed = row.reason != reason
        row.reason, row.retry_at, row.attempts = reason, retry_at, row.attempts + 1
        if changed:
            await self._event(session, row, "waits", f"waits: {reason}", now=now, source=source, level=Level.WARNING)

    async def fail(
        self, session: AsyncSession, publication_id: int, *, reason: str, now: datetime, source: str
    ) -> None:
        """Give a publication up until an operator looks at it; told once for each reason."""
        row = await self._row(session, publication_id)
        if row.state is PublicationState.FAILED and row.reason == reason:
            return
        row.state, row.reason, row.retry_at = PublicationState.FAILED, reason, None
        said = f"failed on its way back: {reason}"
        await self._event(session, row, "publication-failed", said, now=now, source=source, level=Level.ERROR)

    async def acknowledge(
        self, session: AsyncSession, publication_id: int, *, by: str, now: datetime, source: str
    ) -> None:
        """Say that the archive has the very file; saying it again changes nothing."""
        row = await self._row(session, publication_id)
        if row.state is PublicationState.ACKNOWLEDGED:
            return
        row.state, row.acknowledged_at, row.acknowledged_by = PublicationState.ACKNOWLEDGED, now, by
        row.reason, row.retry_at, row.attempts = None, None, 0
        said = f"is safe at the archive: generation {row.generation}, acknowledged by {by}"
        await self._event(session, row, "acknowledged", said, now=now, source=source)

    async def half_way(
        self, session: AsyncSession, publication_id: int, *, reason: str, now: datetime, source: str
    ) -> None:
        """Say that some followers have the very file and others do not yet."""
        row = await self._row(session, publication_id)
        row.state, row.reason, row.retry_at, row.attempts = PublicationState.OFFERED, reason, None, 0
        await self._event(session, row, "received", f"generation {row.generation}: {reason}", now=now, source=source)

    async def tell(
        self, session: AsyncSession, publication_id: int, kind: str, message: str, *, now: datetime, source: str
    ) -> None:
        """Write a warning about a publication that changes nothing of it."""
        row = await self._row(session, publication_id)
        await self._event(session, row, kind, message, now=now, source=source, level=Level.WARNING)

    async def deletable(self, session: AsyncSession, *, before: datetime, limit: int) -> list[PublicationRecord]:
        """Give what was acknowledged before a moment, byte for byte by all, and still lies in to_CADC/."""
        repacked = exists().where(Receipt.publication_id == Publication.id, Receipt.wire_digest.is_(None))
        query = (
            select(Publication)
            .where(
                Publication.state == PublicationState.ACKNOWLEDGED,
                Publication.acknowledged_at <= before,
                Publication.path.is_not(None),
                ~repacked,
            )
            .order_by(Publication.id)
            .limit(limit)
        )
        return [record(PublicationRecord, row) for row in await session.scalars(query)]

    async def deleted(self, session: AsyncSession, publication_id: int, *, now: datetime, source: str) -> bool:
        """Say that a file is about to go from to_CADC/; False where it may not, or has gone."""
        row = await self._row(session, publication_id)
        if row.path is None or row.state is not PublicationState.ACKNOWLEDGED:
            return False
        row.path, row.deleted_at = None, now
        await self._event(session, row, "deleted", "goes from to_CADC/: acknowledged long ago", now=now, source=source)
        return True

    async def lay_out_again(
        self, session: AsyncSession, seen: PublicationRecord, *, reason: str, now: datetime, source: str, path: str = ""
    ) -> bool:
        """Let a file be brought to its place anew, from another path where one is given; False where it has changed."""
        row = await self._row(session, seen.id)
        if row.state is not seen.state or row.offered_at != seen.offered_at:
            return False
        row.state, row.reason, row.retry_at, row.attempts = PublicationState.DUE, reason, None, 0
        row.source = path or row.source
        said = f"is laid out again: {reason}"
        await self._event(session, row, "lost", said, now=now, source=source, level=Level.WARNING)
        return True

    async def outdate(
        self, session: AsyncSession, publication_id: int, *, reached: int, now: datetime, source: str
    ) -> None:
        """Say that a newer generation was published, unknown to this ledger; this one is no more offered."""
        row = await self._row(session, publication_id)
        row.state, row.path, row.retry_at = PublicationState.SUPERSEDED, None, None
        row.reason = f"generation {reached} was published before this ledger was put back"
        said = f"generation {row.generation} is not published: {row.reason}"
        await self._event(session, row, "outdated", said, now=now, source=source, level=Level.ERROR)

    async def on_shelves(self, session: AsyncSession) -> list[PublicationRecord]:
        """Give what lies in to_CADC/ of any disk, by name."""
        query = select(Publication).where(Publication.path.is_not(None)).order_by(Publication.name)
        return [record(PublicationRecord, row) for row in await session.scalars(query)]

    async def listed(self, session: AsyncSession, names: Sequence[str] | None = None) -> list[Listed]:
        """Give what is listed, of all names or of some, by name: of each the newest generation that was offered."""
        query = (
            select(Publication, Frame)
            .outerjoin(Frame, Frame.id == Publication.frame_id)
            .where(*_listed(), *([] if names is None else [Publication.name.in_(names)]))
            .order_by(Publication.name, Publication.generation)
        )
        found: dict[str, Listed] = {}
        for row, frame in (await session.execute(query)).all():
            seen: dict[str, Any] = {
                field: getattr(frame, field, None)
                for field in ("filter", "object", "exposure_time", "observed_at", "release", "ra", "dec")
            }
            found[row.name] = Listed(record(PublicationRecord, row), **seen)
        return list(found.values())

    async def ledger(
        self, session: AsyncSession, *, behind: tuple[str, int] = ("", 0), limit: int | None = None
    ) -> list[PublicationRecord]:
        """Give rows by name and generation: all, or a page of them behind one."""
        name, generation = behind
        later = or_(Publication.name > name, and_(Publication.name == name, Publication.generation > generation))
        query = select(Publication).where(later).order_by(Publication.name, Publication.generation).limit(limit)
        return [record(PublicationRecord, row) for row in await session.scalars(query)]

    async def counts(self, session: AsyncSession) -> dict[PublicationState, int]:
        """Count the rows in each state."""
        query = select(Publication.state, func.count()).group_by(Publication.state)
        return dict((await session.execute(query)).all())

    async def _newest(self, session: AsyncSession, name: str) -> Publication | None:
        query = select(Publication).where(Publication.name == name).order_by(Publication.generation.desc()).limit(1)
        found: Publication | None = await session.scalar(query)
        return found

    async def _row(self, session: AsyncSession, publication_id: int) -> Publication:
        row = await session.get(Publication, publication_id, populate_existing=True)
        if row is None:
            raise NoSuchRow("publication", publication_id)
        return row

    async def _event(
        self,
        session: AsyncSession,
        row: Publication,
        kind: str,
        message: str,
        *,
        now: datetime,
        source: str,
        level: Level = Level.INFO,
    ) -> None:
        await self._events.append(
            session,
            source=source,
            kind=kind,
            message=about(row.name, message),
            level=level,
            frame_id=row.frame_id,
            now=now,
        )


def _listed() -> tuple[Any, ...]:
    """Conditions of what is listed: it was offered, and no newer generation took its place."""
    return Publication.offered_at.is_not(None), Publication.state != PublicationState.SUPERSEDED
