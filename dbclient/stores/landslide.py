"""Sightings by the ten thousand into SQLite, which takes a row in 7 us this way and in 16 us one by one.

One statement brings many rows, so that its cursors stay at the end of each
index while rows come in order; constants stand in its text. bench_listing.py.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import Frame, FrameKind
from terapix.collector import paused

if TYPE_CHECKING:
    from dbclient.stores.sightings import Sighting

MANY: Final = 200
"""Sightings from which on this way is taken."""
AT_ONCE: Final = 1000
"""Rows a statement; SQLite takes at most 32766 values in one."""
_COLUMNS: Final = (
    *("name", "uri", "kind", "size", "wire_digest", "archive_modified", "release", "runid", "filter", "object"),
    *("exposure_time", "observed_at", "processed_at", "elixir_version", "offered", "spotted_at"),
)
_ROW: Final = "(" + "?," * len(_COLUMNS) + "1,1,'new','spotted',0,0)"
_CONSTANTS: Final = ("generation", "current", "cause", "state", "attempts", "priority")
_BEGIN: Final = " ".join(("INSERT INTO frames", f"({','.join((*_COLUMNS, *_CONSTANTS))})", "VALUES "))
_END: Final = " ON CONFLICT DO NOTHING"
_ASIDE: Final = "\0"
_KINDS: Final[dict[str, str]] = {kind: kind.value for kind in FrameKind}


async def pour(session: AsyncSession, sightings: Sequence["Sighting"], *, now: datetime) -> dict[str, int | None]:
    """Insert what has no row yet; give the names of what had none, without their rows."""
    before = int(await session.scalar(select(func.max(Frame.id))) or 0)
    line = await session.connection()
    spotted = _stamp(now)
    made = 0
    for start in range(0, len(sightings), AT_ONCE):
        some = sightings[start : start + AT_ONCE]
        with paused():
            values = tuple(chain.from_iterable([_row(seen, spotted) for seen in some]))
        done = await line.exec_driver_sql(_BEGIN + ",".join([_ROW] * len(some)) + _END, values)
        made += done.rowcount
    if made == len(sightings):
        return dict.fromkeys([seen.name for seen in sightings])
    rows = await session.execute(select(Frame.name, Frame.id).where(Frame.id > before, Frame.generation == 1))
    return dict(list(rows))


def _row(seen: "Sighting", spotted: str) -> tuple[Any, ...]:
    """Give the values of a row as SQLAlchemy's types would write them."""
    name, uri, kind, size, digest, modified, release, runid, band, target, exposed, begun = seen[:12]
    processed, version, offered = seen[12:]
    if exposed is not None and not isfinite(exposed):
        exposed = None
    if not f"{uri}{digest}{runid}{target}{version}{band}".isprintable():
        uri, digest, runid = _clean(uri) or "", _clean(digest), _clean(runid)
        target, version, band = _clean(target), _clean(version), _clean(band)
    return (
        name[:80],
        uri,
        _KINDS[kind],
        size,
        digest[:80] if digest else digest,
        _stamp(modified) if modified else None,
        _stamp(release) if release else None,
        runid[:20] if runid else runid,
        band[:40] if band else band,
        target[:80] if target else target,
        exposed,
        _stamp(begun) if begun else None,
        _stamp(processed) if processed else None,
        version[:20] if version else version,
        offered,
        spotted,
    )


def _stamp(moment: datetime) -> str:
    """Write a moment as SQLAlchemy has it in SQLite: in UTC, without its zone."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(" ", "microseconds")[:26]


def _clean(text: str | None) -> str | None:
    """Leave out what databases refuse, as `dbclient.schema.base.Text` does."""
    return None if text is None else text.replace(_ASIDE, "").encode("utf-8", "replace").decode("utf-8")
