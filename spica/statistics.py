"""Statistics as rows: what was received, held and weighted by run, filter, node, instrument, day, week or month."""

import csv
import enum
import functools
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.stores import Grouping, Statistics, Sums
from terapix.instruments import Instrument, known_instruments, load_instrument

LEAST: Final = timedelta(hours=1)
"""The shortest time that a rate is reckoned over: what came in a minute says nothing of a day."""
DAY: Final = timedelta(days=1)
UNKNOWN: Final = "not known"
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""First signs that make a spreadsheet reckon; RUNID and FILTER come from headers that anybody may have written."""


class By(enum.StrEnum):
    RUN = "run"  #: RUNID
    FILTER = "filter"  #: FILTER, as r.MP9601
    NODE = "node"  #: the node that holds the frame; one on two counts on both, one on none on none
    INSTRUMENT = "instrument"  #: the camera that has the frame's filter
    DAY = "day"  #: day (UTC) of reception; of what is not here yet, of its first listing
    WEEK = "week"  #: likewise, from Monday to Sunday
    MONTH = "month"  #: likewise


GROUPINGS: Final[Mapping[By, Grouping]] = {
    By.RUN: Grouping.RUN,
    By.FILTER: Grouping.FILTER,
    By.NODE: Grouping.NODE,
    By.INSTRUMENT: Grouping.FILTER,
    By.DAY: Grouping.DAY,
    By.WEEK: Grouping.WEEK,
    By.MONTH: Grouping.MONTH,
}
"""By what the database sums; the rest is folded here, from a row a filter or a day."""
PERIODS: Final = frozenset({By.DAY, By.WEEK, By.MONTH})


@dataclass(frozen=True, slots=True)
class Row:
    """One run, filter, node, instrument or period; counts as in `dbclient.stores.statistics.Sums`."""

    name: str
    """RUNID, filter, node or instrument; a period by its first day, as 2008-03-24."""
    known: bool
    """Whether that is its name; otherwise it says what is not known."""
    expected: int
    held: int
    weighted: int
    aside: int
    exposure: float
    """Seconds."""
    bytes: int
    received: int
    received_bytes: int
    files_a_day: float
    """Files received, over the days that were looked at; over those of the period, if it is one."""
    bytes_a_day: float
    share: float
    """Of the exposure time of all rows, 0 to 1."""
    status: str
    """How far it is: weighted, held, 3 missing, nothing expected."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time that is looked at."""

    begin: datetime
    end: datetime

    @classmethod
    def of(cls, since: date | None, until: date | None, *, first: datetime | None, now: datetime) -> "Window":
        """Give the time from the first day to the end of the last one.

        Parameters
        ----------
        since, until : days (UTC), both included; none: from the first listing, up to now
        first : when the first frame was listed; before it nothing could come
        """
        end = now if until is None or until >= now.date() else _midnight(until) + DAY
        begin = first or end
        if since is not None:
            begin = max(begin, _midnight(since))
        return cls(min(begin, end), end)

    def days(self, begin: datetime, end: datetime) -> float:
        """Give how many days of a period lie in this time; never less than an hour."""
        return max(min(end, self.end) - max(begin, self.begin), LEAST) / DAY


async def gather(
    session: AsyncSession, by: By, *, since: date | None = None, until: date | None = None, now: datetime
) -> list[Row]:
    """Let the database sum, and make rows of it."""
    store = Statistics()
    sums = await store.sums(session, GROUPINGS[by], since=since, until=until)
    window = Window.of(since, until, first=await store.begin(session), now=now)
    cameras = _cameras() if by is By.INSTRUMENT else []
    return rows(sums, by, window=window, instruments=cameras)


@functools.lru_cache
def _cameras() -> tuple[Instrument, ...]:
    return tuple(load_instrument(name) for name in known_instruments())


def rows(sums: Iterable[Sums], by: By, *, window: Window, instruments: Sequence[Instrument] = ()) -> list[Row]:
    """Make rows of what the database summed: periods newest first, else by name, what is not known last.

    Parameters
    ----------
    sums : by `GROUPINGS[by]`
    window : the time they were asked for
    instruments : cameras that the filters of `By.INSTRUMENT` are looked up in
    """
    cameras = {band.name: camera.title for camera in instruments for band in camera.filters}
    folded: dict[str | None, Sums] = {}
    for one in sums:
        key = _key(one.key, by, cameras)
        folded[key] = _together(folded[key], one) if key in folded else one
    whole = sum(one.exposure for one in folded.values())
    names = sorted((key for key in folded if key is not None), reverse=by in PERIODS)
    order = [*names, *([None] if None in folded else [])]
    days = window.days(window.begin, window.end)
    return [_row(key, folded[key], by, window, whole=whole, whole_days=days) for key in order]


def _key(key: str | None, by: By, cameras: Mapping[str, str]) -> str | None:
    if not key:
        return None
    if by is By.INSTRUMENT:
        return cameras.get(key)
    if by in PERIODS:
        return first_day(date.fromisoformat(key), by).isoformat()
    return key


def first_day(day: date, by: By) -> date:
    """Give the first day of the day's period."""
    if by is By.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if by is By.MONTH else day


def _after(begin: date, by: By) -> date:
    """Give the first day of the period that follows."""
    if by is By.MONTH:
        return (begin + timedelta(days=32)).replace(day=1)
    return begin + timedelta(days=7 if by is By.WEEK else 1)


def _together(one: Sums, other: Sums) -> Sums:
    names = [field.name for field in fields(Sums) if field.name != "key"]
    return Sums(one.key, **{name: getattr(one, name) + getattr(other, name) for name in names})


def _row(key: str | None, sums: Sums, by: By, window: Window, *, whole: float, whole_days: float) -> Row:
    days = whole_days
    if key is not None and by in PERIODS:
        day = date.fromisoformat(key)
        days = window.days(_midnight(day), _midnight(_after(day, by)))
    return Row(
        name=key if key is not None else UNKNOWN,
        known=key is not None,
        expected=sums.expected,
        held=sums.held,
        weighted=sums.weighted,
        aside=sums.aside,
        exposure=sums.exposure,
        bytes=sums.bytes,
        received=sums.received,
        received_bytes=sums.received_bytes,
        files_a_day=sums.received / days,
        bytes_a_day=sums.received_bytes / days,
        share=sums.exposure / whole if whole else 0.0,
        status=_status(sums),
    )


def _status(sums: Sums) -> str:
    if sums.held < sums.expected:
        return f"{sums.expected - sums.held} missing"
    if not sums.held:
        return "nothing expected"
    return "weighted" if sums.weighted == sums.held else "held"


def as_csv(found: Sequence[Row]) -> str:
    """Write rows as CSV (RFC 4180) with a line of names: seconds, bytes, files and bytes a day, shares from 0 to 1."""
    names = [field.name for field in fields(Row) if field.name != "known"]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    for row in found:
        writer.writerow([harmless(row.name), *(_figure(getattr(row, name)) for name in names[1:])])
    return text.getvalue()


def harmless(name: str) -> str:
    """Give a word as a spreadsheet takes it for a word."""
    return f"'{name}" if name.startswith(FORMULA) else name


def _figure(value: str | float) -> str | float:
    return round(value, 6) if isinstance(value, float) else value


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
