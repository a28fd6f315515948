"""The query that asks the archive what it has, and what its rows mean."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from dbclient.schema import FrameKind
from dbclient.stores.frames import Sighting
from snooppix.names import Names
from snooppix.selection import Candidate, Columns, Rule, conditions, quoted, within
from terapix.identity import Digest, FrameId, UnsafeName

COLUMNS: Final = (
    "o.observationID",
    "o.proposal_id",
    "o.proposal_pi",
    "o.target_name",
    "o.targetPosition_coordinates_cval1",
    "o.targetPosition_coordinates_cval2",
    "o.maxLastModified",
    "p.productID",
    "p.calibrationLevel",
    "p.provenance_runID",
    "p.dataRelease",
    "p.provenance_version",
    "p.provenance_lastExecuted",
    "p.energy_bandpassName",
    "p.time_bounds_lower",
    "p.time_exposure",
    "a.uri",
    "a.contentLength",
    "a.contentChecksum",
)
"""What is asked of caom2, in this order; names are those of its table schema."""

RULED: Final = Columns(
    run="o.proposal_id",
    camera_run="p.provenance_runID",
    investigator="o.proposal_pi",
    filter="p.energy_bandpassName",
    observed="p.time_bounds_lower",
    ra="o.targetPosition_coordinates_cval1",
    dec="o.targetPosition_coordinates_cval2",
    level="p.calibrationLevel",
)
"""Where caom2 tells what the rules of the selection ask for. A frame's place is its target's: the footprint, a region,
is written in as many ways as there are servers."""

_FROM: Final = (
    "FROM caom2.Observation o JOIN caom2.Plane p ON o.obsID=p.obsID JOIN caom2.Artifact a ON p.planeID=a.planeID"
)
_ARTIFACTS: Final = "FROM caom2.Artifact a"
ELIXIR: Final = Names()
"""Names of MegaCam's and WIRCam's processed frames: a number and the letter p."""
_URI: Final = COLUMNS.index("a.uri")
_PRODUCT: Final = COLUMNS.index("p.productID")
LONGEST_ADDRESS: Final = 300
"""Characters of a URI; those of the archive have 25."""
LAST_GENERATION: Final = 2**31 - 1
_MD5: Final = re.compile(r"md5:[0-9a-f]{32}")
_MJD_0: Final = datetime(1858, 11, 17, tzinfo=UTC)


def stamp(moment: datetime) -> str:
    """Write a moment as caom2 does: UTC, milliseconds, no zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


@dataclass(frozen=True, slots=True)
class Key:
    """Where a page of the listing ends: the next one begins behind it."""

    modified: str
    """As the archive wrote it, so that it compares as the archive compares."""
    uri: str


def selected(*, collection: str, instrument: str, chosen: Sequence[Rule] = ()) -> list[str]:
    """Write the conditions under which a file is one of ours: a science file that the rules may keep."""
    return [
        f"o.collection={quoted(collection)}",
        f"o.instrument_name={quoted(instrument)}",
        "a.productType='science'",
        *conditions(chosen),
    ]


def changes(where: Sequence[str], *, mark: datetime | None, behind: Key | None) -> str:
    """Write the query for what was changed at `mark` or later, behind a key; oldest change first."""
    bounds: list[str] = []
    if behind is not None:
        at, uri = quoted(behind.modified), quoted(behind.uri)
        bounds = [f"(o.maxLastModified>{at} OR (o.maxLastModified={at} AND a.uri>{uri}))"]
    elif mark is not None:
        bounds = [f"o.maxLastModified>={quoted(stamp(mark))}"]
    return _query([*where, *bounds], "o.maxLastModified,a.uri")


def releases(where: Sequence[str], *, after: datetime, until: datetime, behind: Key | None) -> str:
    """Write the query for what was released in [after, until): the description or the pixels; ordered by address."""
    begin, end = quoted(stamp(after)), quoted(stamp(until))
    dates = ("o.metaRelease", "p.metaRelease", "p.dataRelease")
    released = " OR ".join(f"({date}>={begin} AND {date}<{end})" for date in dates)
    return _query([*where, f"({released})", *_behind(behind)], "a.uri")


def everything(where: Sequence[str], *, behind: Key | None) -> str:
    """Write the query for all that is selected, ordered by address."""
    return _query([*where, *_behind(behind)], "a.uri")


def among(uris: Sequence[str]) -> str:
    """Write the query for those of some files that the archive has; rows of Artifact are hidden from nobody."""
    return f"SELECT a.uri {_ARTIFACTS} WHERE a.uri IN ({','.join(map(quoted, uris))})"


def _behind(behind: Key | None) -> list[str]:
    return [f"a.uri>{quoted(behind.uri)}"] if behind is not None else []


def _query(where: Sequence[str], order: str) -> str:
    return f"SELECT {','.join(COLUMNS)} {_FROM} WHERE {' AND '.join(where)} ORDER BY {order}"


def by_name(name: str, *, collection: str, names: Names = ELIXIR) -> str:
    """Write the query for the files of one name, whatever their level."""
    named = f"p.productID={quoted(name)}"
    if not names.products:
        named = f"({named} OR a.uri LIKE {quoted(f'%{within(name)}%')})"
    where = f"o.collection={quoted(collection)} AND {named} AND a.productType IN ('science','calibration')"
    return _query([where], "o.maxLastModified,a.uri")


@functools.lru_cache(maxsize=4096)  # an exposure's stamps and a semester's releases come again and again
def moment(text: str) -> datetime | None:
    """Read a time of the archive; none if it is empty or none."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def day(text: str) -> datetime | None:
    """Read a modified Julian date; none if it is empty or none."""
    found = number(text)
    return _MJD_0 + timedelta(days=found) if found is not None and 0 < found < 100_000 else None


def number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < 1e12 else None


def generation(text: str) -> int | None:
    """Read the generation of a product, which its publisher lists where an archive lists EL_SYS; none if it is none."""
    return int(text) if text.isdecimal() and 0 < int(text) <= LAST_GENERATION else None


def _digest(text: str) -> str | None:
    if _MD5.fullmatch(text):
        return text
    try:
        return str(Digest.parse(text))
    except ValueError:
        return None


def kind_of(name: str, names: Names = ELIXIR) -> FrameKind | None:
    """Tell from a name what SNOOPPIX would take it for: processed frame, flat, mask, or nothing it wants."""
    return names.kind(name)


def candidate(row: Sequence[str], names: Names = ELIXIR) -> Candidate:
    """Read of a row what the rules of the selection look at."""
    cells = dict(zip(COLUMNS, row, strict=True))
    level = number(cells[RULED.level])
    return Candidate(
        name=cells["p.productID"] if names.products else _file(cells["a.uri"]),
        run=cells[RULED.run],
        camera_run=cells[RULED.camera_run],
        investigator=cells[RULED.investigator],
        filter=cells[RULED.filter],
        observed_at=day(cells[RULED.observed]),
        ra=number(cells[RULED.ra]),
        dec=number(cells[RULED.dec]),
        level=None if level is None else int(level),
    )


def _file(uri: str) -> str:
    """Name of the frame that a file holds; empty if it is called as no file should be."""
    try:
        return FrameId.of_file(uri).name
    except UnsafeName:
        return ""


def told(row: Sequence[str], names: Names = ELIXIR) -> Sighting | str | None:
    """Read one row: a file of ours, or why one that claims to be ours is not taken; none if it claims nothing."""
    uri, product = row[_URI], row[_PRODUCT]
    file = _file(uri)
    claimed = product if names.products else file
    kind = names.kind(claimed)
    if kind is None:
        return None
    cells = dict(zip(COLUMNS, row, strict=True))
    why = _refusal(claimed, kind, cells)
    if why is not None or file != claimed:
        return why
    size = number(cells["a.contentLength"])
    version = cells["p.provenance_version"][:20] or None
    published = kind is FrameKind.PRODUCT
    return Sighting(
        name=claimed,
        kind=kind,
        uri=uri,
        size=int(size) if size is not None and size >= 0 else None,
        digest=_digest(cells["a.contentChecksum"]),
        modified=moment(cells["o.maxLastModified"]),
        release=moment(cells["p.dataRelease"]),
        processed_at=None if published else moment(cells["p.provenance_lastExecuted"]),
        version=None if published else version,
        offered=generation(version or "") if published else None,
        runid=cells["o.proposal_id"][:20] or None,
        filter=cells["p.energy_bandpassName"][:40] or None,
        object=cells["o.target_name"][:80] or None,
        exposure_time=number(cells["p.time_exposure"]),
        observed_at=day(cells["p.time_bounds_lower"]),
    )


def _refusal(name: str, kind: FrameKind, cells: Mapping[str, str]) -> str | None:
    """Say why a row that claims to be one of our files cannot be one; none if it is in order."""
    if kind is FrameKind.PRODUCT and generation(cells["p.provenance_version"]) is None:
        return f"{name} is listed without the generation of a product in provenance_version and is not fetched"
    uri = cells["a.uri"]
    begin = f"{name} is listed with an address that no file of the archive has and is not fetched:"
    if len(uri) > LONGEST_ADDRESS:
        return f"{begin} {uri[:60]!r}… has {len(uri)} characters"
    if not _file(uri):
        return f"{begin} {UnsafeName(uri.rsplit('/', 1)[-1])}"
    return f"{begin} {uri!r} leads out of its directory" if ".." in uri else None
