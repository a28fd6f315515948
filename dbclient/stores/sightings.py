"""Sightings: what an archive lists becomes a new frame, a new generation, or nothing; twice does no harm."""

import enum
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, bindparam, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.lifecycle import UNFINISHED
from dbclient.schema import Event, Frame, FrameKind, FrameState, Level
from dbclient.stores import slab as slabs
from dbclient.stores.events import Events, about
from dbclient.stores.generations import supersede, told
from dbclient.stores.insertion import insert_unless_there
from dbclient.stores.landslide import MANY, pour
from dbclient.stores.slab import Slab
from dbclient.units import EVENT

TOLD_SINGLY: Final = 100
"""New frames of one unit that each get an event; of more, one event tells of all, and their rows say when."""
ASKED_AT_ONCE: Final = 500
"""Names in one question to the database."""
SPREAD: Final = timedelta(seconds=60)
"""DATEPROC differs from CCD to CCD of one frame by seconds, and the archive may list that of any."""
DESCRIBED: Final = ("runid", "filter", "object", "exposure_time", "observed_at", "release")
"""Columns that a sighting may tell before the header is here, under the names of both."""
NAMED: Final = {
    "archive_modified": "modified",
    "wire_digest": "digest",
    "processed_at": "processed_at",
    "elixir_version": "version",
    "offered": "offered",
    "uri": "uri",
    "size": "size",
} | {name: name for name in DESCRIBED}
"""Columns and the fields of a sighting that fill them."""
_HELD: Final = attrgetter(*NAMED)
_TOLD: Final = attrgetter(*NAMED.values())
NEWEST_WINS: Final = ("archive_modified", "release", "uri", "offered")
"""Columns that follow the archive; the others are filled once and then belong to the file."""


class Sighting(NamedTuple):
    """A file that the archive lists.

    A tuple, since a million of them are read in one look: made in a tenth of
    the time that a frozen record takes.
    """

    name: str
    uri: str
    kind: FrameKind | str = FrameKind.OBJECT
    size: int | None = None
    digest: str | None = None
    """As md5:<hex>, if the archive tells."""
    modified: datetime | None = None
    release: datetime | None = None
    runid: str | None = None
    filter: str | None = None
    object: str | None = None
    exposure_time: float | None = None
    observed_at: datetime | None = None
    processed_at: datetime | None = None
    """DATEPROC, that of any CCD: those of one frame differ by seconds."""
    version: str | None = None
    """EL_SYS."""
    offered: int | None = None
    """Generation of a product as its publisher counts."""


class Sighted(enum.Enum):
    NEW = "new"  #: never seen before
    KNOWN = "known"  #: seen before, the same bytes
    REPROCESSED = "re-processed"  #: same name, other bytes: a new generation
    OUTDATED = "outdated"  #: an older generation than the one that is here, or the same with other bytes: refused
    RETURNED = "returned"  #: seen before, withdrawn by the archive since, and listed again


KEPT: Final = (
    *(Frame.id, Frame.name, Frame.state, Frame.retry_at, Frame.withdrawn_at),
    *(getattr(Frame, column) for column in NAMED),
)
"""What of a row a sighting is compared with."""


class FrameSightings:
    """The half of `dbclient.stores.frames.Frames` that takes in what archives list."""

    async def sight(self, session: AsyncSession, sighting: Sighting, *, now: datetime, source: str) -> Sighted:
        """Take one sighting in.

        A generation that has given nothing yet (spotted, fetched, rejected,
        failed) is superseded at once by a newer one; one that has, when the
        new one is valid.
        """
        return (await self.sight_all(session, [sighting], now=now, source=source))[0]

    async def sight_all(
        self, session: AsyncSession, sightings: Sequence[Sighting], *, now: datetime, source: str
    ) -> list[Sighted]:
        """Take sightings in, and say of each what it was; of a name that comes twice, the last one counts."""
        last = {seen.name: seen for seen in sightings}
        new = await _insert(session, list(last.values()), now=now)
        outcomes = dict.fromkeys(last, Sighted.NEW)
        if len(new) < len(last):
            rest = [seen for name, seen in last.items() if name not in new]
            outcomes |= await self._compare(session, rest, now=now, source=source)
        await _tell_new(session, new, now=now, source=source)
        if len(last) == len(sightings):
            return list(outcomes.values())
        told_by = {seen.name: number for number, seen in enumerate(sightings)}
        return [
            outcomes[seen.name] if told_by[seen.name] == number else Sighted.KNOWN
            for number, seen in enumerate(sightings)
        ]

    async def sight_slab(self, session: AsyncSession, slab: Slab, *, now: datetime, source: str) -> dict[Sighted, int]:
        """Take a slab in, and count what its sightings were."""
        if not slabs.fits(session):
            return counted(await self.sight_all(session, slab.sightings(), now=now, source=source))
        new = await slabs.pour(session, slab, now=now)
        if new is None:
            await _tell_many(session, slab.count, slab.ends, now=now, source=source)
            return counted([]) | {Sighted.NEW: slab.count}
        made = set(new)
        rest = [seen for seen in slab.sightings() if seen.name not in made]
        outcomes = await self._compare(session, rest, now=now, source=source)
        if len(new) > TOLD_SINGLY:
            await _tell_new(session, dict.fromkeys(new), now=now, source=source)
        elif new:
            rows = await self.kept(session, new)
            await _tell_new(session, {name: row.id for name, row in rows.items()}, now=now, source=source)
        counts = counted(outcomes.values())
        return counts | {Sighted.NEW: counts[Sighted.NEW] + len(new)}

    async def kept(self, session: AsyncSession, names: Sequence[str]) -> dict[str, Row[Any]]:
        """Give what sightings are compared with: of each name the newest generation, if there is one."""
        found: dict[str, Row[Any]] = {}
        for start in range(0, len(names), ASKED_AT_ONCE):
            query = select(*KEPT).where(Frame.name.in_(names[start : start + ASKED_AT_ONCE]), Frame.current == true())
            found |= {row.name: row for row in await session.execute(query)}
        return found

    async def withdraw(self, session: AsyncSession, frame_ids: Sequence[int], *, now: datetime, source: str) -> int:
        """Mark frames that the archive lists no more; they are kept. Return how many were not marked before."""
        marked = 0
        for number in frame_ids:
            row = await session.get(Frame, number, with_for_update=True)
            if row is None or row.withdrawn_at is not None:
                continue
            row.withdrawn_at = now
            marked += 1
            said = f"is listed by the archive no more; here it is {row.state.value} and stays so"
            await told(session, row, "withdrawn", said, now=now, source=source, level=Level.WARNING)
        return marked

    async def release(self, session: AsyncSession, names: Sequence[str], *, now: datetime) -> int:
        """Make frames due at once that wait, and that the archive's date has released by now; return how many."""
        freed = 0
        for start in range(0, len(names), ASKED_AT_ONCE):
            done = await session.execute(
                update(Frame)
                .where(
                    Frame.name.in_(names[start : start + ASKED_AT_ONCE]),
                    Frame.state == FrameState.SPOTTED,
                    Frame.retry_at > now,
                    Frame.release <= now,
                )
                .values(retry_at=None)
                .execution_options(synchronize_session=False)
            )
            freed += int(done.rowcount)  # type: ignore[attr-defined]
        if freed:
            session.info[EVENT] = True
        return freed

    async def _compare(
        self, session: AsyncSession, sightings: Sequence[Sighting], *, now: datetime, source: str
    ) -> dict[str, Sighted]:
        """Compare sightings with the rows of their names, and write what differs."""
        outcomes: dict[str, Sighted] = {}
        learned: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        rows = await self.kept(session, [seen.name for seen in sightings])
        for seen in sightings:
            row = rows.get(seen.name)
            if row is not None and (why := outdated(row, seen)):
                outcomes[seen.name] = Sighted.OUTDATED
                message = about(seen.name, why)
                await Events().append_once(
                    session,
                    source=source,
                    kind="outdated",
                    message=message,
                    level=Level.WARNING,
                    frame_id=row.id,
                    now=now,
                )
                continue
            cause = difference(row, seen) if row is not None else "new"
            if row is None or (cause and await _another(session, seen, cause, now=now, source=source)):
                outcomes[seen.name] = Sighted.REPROCESSED if row is not None else Sighted.KNOWN
                continue
            outcomes[seen.name] = Sighted.KNOWN
            more = {} if cause else learnt(row, seen, now=now)
            if row.withdrawn_at is not None:
                more["withdrawn_at"] = None
                outcomes[seen.name] = Sighted.RETURNED
                message = about(seen.name, "is listed by the archive again")
                await Events().append(
                    session, source=source, kind="returned", message=message, frame_id=row.id, now=now
                )
            if more:
                learned[tuple(more)].append({"row": row.id} | {f"new_{name}": value for name, value in more.items()})
        for names, values in learned.items():
            table = Frame.__table__
            changed = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
            line = await session.connection()
            await line.execute(update(Frame).where(table.c.id == bindparam("row")).values(changed), values)
        if learned:
            session.expire_all()
        return outcomes


def outdated(row: Any, sighting: Sighting) -> str | None:
    """Say why a product is refused that its publisher counts no higher than the one that is here; none if it is not.

    A file of an older generation was once put back on-line by hand at both sites, and it took months to clear.
    """
    if sighting.offered is None or row.offered is None:
        return None
    if sighting.offered < row.offered:
        return (
            f"is listed with generation {sighting.offered} and generation {row.offered} is here: "
            "the older one is refused"
        )
    if sighting.offered == row.offered and sighting.digest and row.wire_digest and sighting.digest != row.wire_digest:
        return (
            f"is listed as generation {sighting.offered} with {sighting.digest}, "
            f"which was listed with {row.wire_digest} before: it is refused"
        )
    return None


def difference(row: Any, sighting: Sighting) -> str | None:
    """Say by what a sighting is another processing than the row knows: the cause of a generation; none if it is not.

    Digests decide first, where both are of one kind, then sizes; of the same
    bytes, another EL_SYS, or a DATEPROC that is another by more than the
    spread of the CCDs, still tells of another processing. Only where nothing
    else tells does the archive's stamp count.
    """
    if sighting.digest and row.wire_digest and _kind(sighting.digest) == _kind(row.wire_digest):
        if sighting.digest.lower() != row.wire_digest.lower():
            return "checksum"
    elif sighting.size is not None and row.size is not None and sighting.size != row.size:
        return "size"
    if sighting.version and row.elixir_version and sighting.version[:20] != row.elixir_version:
        return "version"
    processed = sighting.processed_at and row.processed_at
    if processed and abs(sighting.processed_at - row.processed_at) >= SPREAD:
        return "processed"
    if sighting.digest or processed or sighting.modified is None or row.archive_modified is None:
        return None
    return "stamp" if sighting.modified > row.archive_modified else None


def learnt(row: Any, sighting: Sighting, *, now: datetime) -> dict[str, Any]:
    """Give the columns that the archive knows now and the row does not; only what differs is written."""
    held, told_now = _HELD(row), _TOLD(sighting)
    if held == told_now:
        return {}
    more: dict[str, Any] = {
        column: new
        for column, old, new in zip(NAMED, held, told_now, strict=True)
        if new is not None and new != old and (old is None or column in NEWEST_WINS)
    }
    if "offered" in more:  # the publisher counts the same bytes anew, and waits to be told of them
        more["acknowledged_at"] = None
    parked = row.retry_at is not None and row.retry_at == row.release
    if parked and "release" in more:  # it waits for a date that is another one now
        more["retry_at"] = max(more["release"], now)
    return more


OLD_NEWS: Final = timedelta(minutes=30)
"""What was replaced may still come from a page that was read before; later, the archive has taken the new one back."""


async def _another(session: AsyncSession, sighting: Sighting, cause: str, *, now: datetime, source: str) -> bool:
    """Open another generation of a frame; False if what is listed is one that was replaced, and no newer row of it."""
    query = select(Frame).where(Frame.name == sighting.name).order_by(Frame.generation.desc()).with_for_update()
    rows = list(await session.scalars(query.execution_options(populate_existing=True)))
    newest = rows[0]
    stamped = sighting.modified and newest.archive_modified and sighting.modified > newest.archive_modified
    old_news = not stamped and now - newest.spotted_at < OLD_NEWS
    if difference(newest, sighting) is None or (
        old_news and any(difference(older, sighting) is None for older in rows[1:])
    ):
        return False
    number = await insert_unless_there(
        session,
        Frame,
        **_values(sighting, now) | {"generation": newest.generation + 1, "supersedes": newest.id, "cause": cause},
    )
    if number is None:  # another process has just sighted the same
        return await _another(session, sighting, cause, now=now, source=source)
    row = await session.get_one(Frame, number)
    newest.current = False
    message = f"was processed again ({cause}): generation {row.generation}"
    await told(session, row, "reprocessed", message, now=now, source=source)
    for older in rows:
        if older.state in UNFINISHED:
            await supersede(session, older, now=now, source=source)
    return True


def _values(sighting: Sighting, now: datetime) -> dict[str, Any]:
    """Give the columns of a first generation."""
    told_now = {column: getattr(sighting, field) for column, field in NAMED.items()}
    return told_now | {
        "name": sighting.name,
        "kind": FrameKind(sighting.kind),
        "cause": "new",
        "state": FrameState.SPOTTED,
        "spotted_at": now,
    }


async def _insert(session: AsyncSession, sightings: Sequence[Sighting], *, now: datetime) -> dict[str, int | None]:
    """Insert what has no row yet; give the names, each with its row where that is known."""
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    if on_sqlite and len(sightings) >= MANY:
        return await pour(session, sightings, now=now)
    insert = sqlite.insert if on_sqlite else postgresql.insert
    statement = insert(Frame).on_conflict_do_nothing().returning(Frame.name, Frame.id)
    made: dict[str, int | None] = {}
    for start in range(0, len(sightings), ASKED_AT_ONCE):
        values = [_values(seen, now) for seen in sightings[start : start + ASKED_AT_ONCE]]
        made |= dict(list(await session.execute(statement, values)))
    return made


async def _tell_new(session: AsyncSession, new: dict[str, int | None], *, now: datetime, source: str) -> None:
    if not new:
        return
    if len(new) > TOLD_SINGLY:
        await _tell_many(session, len(new), (min(new), max(new)), now=now, source=source)
        return
    for name, number in new.items():
        message = about(name, "spotted at the archive")
        session.add(Event(at=now, source=source, kind="spotted", message=message, level=Level.INFO, frame_id=number))
    session.info[EVENT] = True
    await session.flush()


async def _tell_many(session: AsyncSession, count: int, ends: tuple[str, str], *, now: datetime, source: str) -> None:
    first, last = ends
    message = f"{count} frames were spotted at the archive: {first} to {last}"
    facts = {"frames": count, "first": first, "last": last}
    await Events().append(session, source=source, kind="spotted", message=message, now=now, data=facts)


def _kind(digest: str) -> str:
    return digest.partition(":")[0].lower()


def counted(outcomes: Iterable[Sighted]) -> dict[Sighted, int]:
    """Count outcomes; each kind is there."""
    counts = dict.fromkeys(Sighted, 0)
    for outcome in outcomes:
        counts[outcome] += 1
    return counts
