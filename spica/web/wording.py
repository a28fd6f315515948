"""How the page writes times, sizes, shares and states."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup, escape

from dbclient.records import EventRecord, JobRecord, TransferRecord
from dbclient.schema import FrameState, HostState, JobState, Level, NodeState, PublicationState, RequestState
from terapix.identity import FrameId, UnsafeName
from terapix.quantities import counted

HOST_TONES: Final[Mapping[HostState, tuple[str, tuple[str, str]]]] = MappingProxyType(
    {
        HostState.CLOSED: ("asked as usual", ("done", "filled-tick")),
        HostState.OPEN: ("rests", ("warning", "slash")),
        HostState.PROBING: ("is probed", ("moving", "eye")),
    }
)
"""Word of each state of a host, for the electrician's words mislead; and its tone and icon."""
STATE_TONES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        FrameState.SPOTTED: ("waiting", "eye"),
        FrameState.FETCHED: ("moving", "arrow"),
        FrameState.VALID: ("moving", "tick"),
        FrameState.PLACED: ("moving", "disk"),
        FrameState.WEIGHTED: ("done", "filled-tick"),
        FrameState.REJECTED: ("warning", "slash"),
        FrameState.FAILED: ("failed", "cross"),
        FrameState.SUPERSEDED: ("waiting", "layers"),
        JobState.DUE: ("waiting", "clock"),
        JobState.RUNNING: ("moving", "gear"),
        JobState.DONE: ("done", "filled-tick"),
        NodeState.UP: ("done", "filled-tick"),
        NodeState.DRAINING: ("warning", "slash"),
        NodeState.DOWN: ("failed", "cross"),
        NodeState.MISSING: ("failed", "cross"),
        NodeState.REMOVED: ("plain", "dot"),
        RequestState.OPEN: ("waiting", "clock"),
        RequestState.REFUSED: ("warning", "slash"),
        Level.INFO: ("plain", "dot"),
        Level.WARNING: ("warning", "triangle"),
        Level.ERROR: ("failed", "cross"),
        "catalogued": ("done", "layers"),
        "debug": ("waiting", "dot"),
        PublicationState.OFFERED: ("moving", "eye"),
        PublicationState.ACKNOWLEDGED: ("done", "filled-tick"),
        **dict(HOST_TONES.values()),
    }
)
"""Tone (colour) and icon of each state; the word is the state itself."""
TODAY = timedelta(hours=20)
"""A time of day that is older is ambiguous."""
LATE = timedelta(minutes=2)
"""What was due longer ago than this is late: a look at a large archive takes some seconds."""
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def tone(state: str) -> str:
    """Give the tone of a state: waiting, moving, done, warning, failed or plain."""
    return STATE_TONES.get(state, ("plain", "dot"))[0]


def icon(state: str) -> str:
    """Give the name of a state's icon."""
    return STATE_TONES.get(state, ("plain", "dot"))[1]


def host_word(state: HostState) -> str:
    """Give the word for a host's state."""
    return HOST_TONES[state][0]


def size(count: float | None) -> str:
    """Write bytes, in decimal units: 341 MB."""
    if count is None:
        return "–"
    value, unit = float(count), 0
    while abs(value) >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 1 if unit and abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"


def megabytes(count: float | None) -> str:
    """Write bytes as a bare number of megabytes, for columns that name the unit in their head."""
    return "–" if count is None else f"{count / 1e6:,.1f}".replace(",", "\u2009")


def gigabytes(count: float | None) -> str:
    """Write bytes as a bare number of gigabytes, for columns that name the unit in their head."""
    return "–" if count is None else f"{count / 1e9:,.1f}".replace(",", "\u2009")


def share(value: float | None) -> str:
    """Write a share of one: 75 %."""
    if value is None:
        return "–"
    if 0 < value < 0.005:
        return "< 1 %"
    return f"{100 * value:.0f} %"


def rate(bytes_a_second: float | None) -> str:
    """Write a rate: 12.3 MB/s."""
    return "" if not bytes_a_second else f"{size(bytes_a_second)}/s"


def duration(seconds: float | None) -> str:
    """Write a time span with its two largest units at most: 4 min 10 s."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s" if whole % 60 else f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def age(moment: datetime, now: datetime) -> str:
    """Write how long ago, coarse, as it stands beside the time itself: 12 s ago."""
    seconds = (now - moment).total_seconds()
    if seconds < 0:
        return f"in {coarse(-seconds)}"
    return f"{coarse(seconds)} ago"


def due(moment: datetime, now: datetime) -> str:
    """Write how long until something is due; what goes on since a moment is no lateness yet."""
    seconds = (moment - now).total_seconds()
    if seconds > 0:
        return f"in {coarse(seconds)}"
    return "now" if seconds > -LATE.total_seconds() else f"{coarse(-seconds)} late"


def coarse(seconds: float) -> str:
    """Write a time span with one unit."""
    for limit, unit, word in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit)} {word}"
    return f"{int(seconds // 86400)} d"


def clock(moment: datetime | None, now: datetime | None = None) -> str:
    """Write the time of day in UTC, 06:23:01; what is not of the last 20 hours with its day, 03-30 06:23."""
    if moment is None:
        return "–"
    written = iso(moment)
    return _day_and_time(written) if now is not None and abs(now - moment) > TODAY else written[11:19]


def _day_and_time(written: str) -> str:
    return f"{written[5:10]} {written[11:16]}"


def stamp(moment: datetime | None) -> str:
    """Write date and time in UTC: 2008-03-30 06:23:01."""
    return "–" if moment is None else iso(moment)[:19].replace("T", " ")


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


NONE: Final = Markup('<span class="none">–</span>')
"""What stands where nothing is known."""


def hour(moment: datetime | None, now: datetime) -> Markup:
    """Mark up a time, with date and second for who points at it; a page of frames has five hundred of them."""
    if moment is None:
        return NONE
    written = iso(moment)
    day, time = written[:10], written[11:19]
    short = _day_and_time(written) if abs(now - moment) > TODAY else time
    return Markup(f'<time datetime="{written}" title="{day} {time} UTC">{short}</time>')  # noqa: S704 - digits and signs


def text(value: Any) -> Markup:
    """Mark up a word that may be missing."""
    return NONE if value is None or value == "" else escape(value)


@lru_cache(maxsize=256)
def sign(name: str) -> Markup:
    """Mark up an icon of ours."""
    return Markup('<svg class="icon" aria-hidden="true" focusable="false"><use href="#i-{}"/></svg>').format(name)


@lru_cache(maxsize=256)
def state(value: str) -> Markup:
    """Mark up a state of ours: its colour never stands without its icon and its word."""
    return Markup('<span class="state {}">{}{}</span>').format(tone(value), sign(icon(value)), value)


def number(value: float | None, digits: int = 0) -> str:
    """Write a number for a column, thousands parted by a thin space."""
    return "–" if value is None else f"{value:,.{digits}f}".replace(",", "\u2009")


def transfer_share(transfer: TransferRecord) -> float | None:
    """Give the share of a transfer's bytes that are through; None while the total is unknown."""
    if not transfer.bytes_total:
        return None
    return min(1.0, transfer.bytes_done / transfer.bytes_total)


def transfer_left(transfer: TransferRecord) -> float | None:
    """Give the seconds that a transfer still takes at its present rate."""
    if not transfer.bytes_total or not transfer.rate:
        return None
    return max(0.0, (transfer.bytes_total - transfer.bytes_done) / transfer.rate)


def job_left(job: JobRecord, now: datetime) -> float | None:
    """Give the seconds that a job still takes if it goes on as it went so far."""
    if not job.started_at or job.done_share <= 0.01:
        return None
    spent = (now - job.started_at).total_seconds()
    return max(0.0, spent / job.done_share - spent)


def begin_of(moment: datetime, step: str, *, short: bool = False) -> str:
    """Write the beginning of a step of time: of an hour, a day or a month."""
    forms = {
        "hour": ("%H", "%Y-%m-%d %H:00"),
        "day": ("%m-%d", "%Y-%m-%d"),
        "month": ("%b", "%B %Y"),
    }
    brief, whole = forms[step]
    return moment.astimezone(UTC).strftime(brief if short else whole)


def marked(lines: Sequence[str]) -> list[tuple[str, str, str]]:
    """Give kind, sign and text of each line of a unified diff; a colour never stands without its sign."""
    kinds = {"+": "added", "-": "removed"}
    found = []
    for number, line in enumerate(lines):
        if number < 2:
            found.append(("head", line[:3], line[4:]))
        elif line.startswith("@@"):
            found.append(("place", "", line))
        else:
            found.append((kinds.get(line[:1], "same"), line[:1], line[1:]))
    return found


def subject(event: EventRecord) -> tuple[str | None, str]:
    """Part the frame's name, with which the message of a frame's event begins, from the rest."""
    first, _, rest = event.message.partition(" ")
    if event.frame_id is None:
        return None, event.message
    try:
        return str(FrameId(first)), rest
    except UnsafeName:
        return None, event.message


def segment(text: str) -> str:
    """Quote a name as one segment of an address: a slash within it leads nowhere else."""
    return quote(text, safe="")


FILTERS = {
    "segment": segment,
    "tone": tone,
    "icon": icon,
    "host_word": host_word,
    "size": size,
    "megabytes": megabytes,
    "gigabytes": gigabytes,
    "subject": subject,
    "share": share,
    "rate": rate,
    "duration": duration,
    "age": age,
    "due": due,
    "clock": clock,
    "stamp": stamp,
    "iso": iso,
    "hour": hour,
    "text": text,
    "sign": sign,
    "state": state,
    "number": number,
    "transfer_share": transfer_share,
    "transfer_left": transfer_left,
    "job_left": job_left,
    "counted": counted,
    "begin_of": begin_of,
    "marked": marked,
}
"""Filters of the templates."""
