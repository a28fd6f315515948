"""Any archive that lists its files in an ObsCore table behind TAP.

What ObsCore tells, and what it does not, decides how such an archive is followed:

- Every dataset has an ``obs_publisher_did``. Listings are ordered by it and
  paged behind the last one, never by a stamp: ObsCore has none. What was begun
  and not ended is begun again, so a bookmark moves with the last page only.
- Nothing says when a row was changed. Where a table has such a column beyond
  the standard (``last_mod_date``, ``last_modified``), a look asks for rows
  changed since the bookmark. Elsewhere it asks for what was observed within
  `HORIZON` before it, for observatories deliver within weeks. What came later, or
  changed, is found by the full difference, which is the main way here, not the
  second: have it once a day.
- No digest is listed, and the size only as an estimate. A file is taken by what
  arrives: its length as the server announces it, its FITS checksums. That it was
  processed again shows only where a table has a column of changes or
  ``obs_creation_date``.
- ``obs_release_date`` is optional; where there is none nothing is known of releases.
- The address of a file may be signed or may change. What is kept is the identity
  with the file's name behind it; the address is asked for anew before each fetch,
  and followed through DataLink where it leads to a document of links.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Final

from yarl import URL

from dbclient.schema import FrameKind
from dbclient.stores.frames import Sighting
from snooppix.archive import Batch
from snooppix.datalink import is_datalink, is_fits, own
from snooppix.errors import ListingBroken, ListingRefused
from snooppix.listing import ELIXIR, LONGEST_ADDRESS, day, moment, number, stamp
from snooppix.names import Names
from snooppix.selection import Candidate, Columns, Rule, conditions, followed, keeps, quoted, rules, within
from snooppix.tap import KEPT, Services, Tap
from snooppix.votable import TableBroken
from snooppix.wire import Wire
from terapix.clock import Clock
from terapix.sections import ArchiveSection, SelectionSection

HORIZON: Final = timedelta(days=90)
"""How far before the bookmark a look asks for observations, where nothing says when a row was changed."""
ASKED_AT_ONCE: Final = 200
"""Identities in one query."""
NEEDED: Final = (
    *("obs_publisher_did", "obs_id", "obs_collection", "instrument_name", "target_name", "calib_level"),
    *("t_min", "t_exptime", "s_ra", "s_dec", "access_url", "access_format"),
)
"""Columns that every ObsCore table has and we ask for."""
CHANGED: Final = ("last_mod_date", "last_modified", "lastmodified", "maxlastmodified")
"""What archives call the moment of a row's last change, which ObsCore itself does not have."""
CREATED: Final = ("obs_creation_date",)
RELEASED: Final = ("obs_release_date",)
PROPOSAL: Final = ("proposal_id", "program_id", "obs_program_id")
INVESTIGATOR: Final = ("proposal_pi", "pi_name", "obs_creator_name")
FILTER: Final = ("filter", "filter_name", "filters", "energy_bandpassname")
_ENDINGS: Final = (".fits", ".fits.fz", ".fits.gz", ".fit")
_MJD_0: Final = datetime.fromisoformat("1858-11-17T00:00:00+00:00")

Row = dict[str, str]
"""Cells by column, as `Table` names them."""


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of one archive's table; empty where it has none."""

    name: str
    changed: str
    created: str
    released: str
    proposal: str
    investigator: str
    filter: str

    @classmethod
    def of(cls, name: str, columns: Sequence[str]) -> "Table":
        """Look through the columns that a table has, whatever letters they are written in.

        Raises
        ------
        ListingBroken
            If it lacks one that ObsCore demands.
        """
        had = {column.lower(): column for column in columns}
        lacking = [column for column in NEEDED if column not in had]
        if lacking:
            raise ListingBroken(name, f"it is no ObsCore table: it has no {', '.join(lacking)}")

        def first(known: Sequence[str]) -> str:
            return next((had[column] for column in known if column in had), "")

        return cls(name, *map(first, (CHANGED, CREATED, RELEASED, PROPOSAL, INVESTIGATOR, FILTER)))

    @property
    def asked(self) -> tuple[str, ...]:
        """What queries ask for, in this order."""
        optional = (self.changed, self.created, self.released, self.proposal, self.investigator, self.filter)
        return (*NEEDED, *filter(None, optional))

    @property
    def ruled(self) -> Columns:
        """Where it tells what the rules of the selection look at."""
        return Columns(
            run=self.proposal,
            investigator=self.investigator,
            filter=self.filter,
            observed="t_min",
            ra="s_ra",
            dec="s_dec",
            level="calib_level",
        )


class ObsCore:
    """An archive behind an ObsCore table."""

    def __init__(
        self,
        wire: Wire,
        section: ArchiveSection,
        *,
        selection: SelectionSection | None = None,
        names: Names = ELIXIR,
        page: int,
        clock: Clock,
    ) -> None:
        self.wire = wire
        self.section = section
        self.selection = selection or SelectionSection()
        self.names = names
        self.page = page
        """Rows asked for at once."""
        self.clock = clock
        self.tap = Tap(wire, section, Services(wire, section.registry, clock=clock))
        self._table: Table | None = None
        self._learned = float("-inf")

    @property
    def name(self) -> str:
        return followed(self.tap.name, self.section, self.selection, self.names)

    async def since(self, mark: datetime | None) -> AsyncIterator[Batch]:
        """List what may be new since `mark`; only the last page says that all before was listed."""
        table, now = await self.table(), self.clock.now()
        bounds = []
        if mark is not None and table.changed:
            bounds = [f"{table.changed}>={quoted(stamp(mark))}"]
        elif mark is not None:
            bounds = [f"t_min>={(mark - HORIZON - _MJD_0) / timedelta(days=1):.6f}"]
        newest: datetime | None = None
        pages = self._batches(table, bounds)
        async for batch, rows in pages:
            stamps = (moment(row[table.changed]) for row in rows if table.changed)
            newest = max(filter(None, (newest, *stamps)), default=None)
            yield batch
        yield Batch((), newest if table.changed else now)

    async def released(self, after: datetime, until: datetime) -> AsyncIterator[Batch]:
        """List what became public between two moments; nothing where the table has no dates of release."""
        table = await self.table()
        if table.released:
            bounds = [f"{table.released}>={quoted(stamp(after))}", f"{table.released}<{quoted(stamp(until))}"]
            async for batch, _ in self._batches(table, bounds):
                yield batch

    async def everything(self) -> AsyncIterator[Batch]:
        """List all that is selected, ordered by identity as the archive orders texts."""
        async for batch, _ in self._batches(await self.table(), []):
            yield batch

    async def candidates(self) -> AsyncIterator[list[Candidate]]:
        """List all files of the collection and instrument page by page, whatever the rules say of them."""
        table = await self.table()
        async for rows in self._rows(table, self._ours()):
            yield [self._candidate(row, table) for row in rows if _fetchable(row)]

    async def rules_of(self, names: Names | None) -> tuple[Rule, ...]:
        """Give the rules that are followed, with that of names if there are any.

        Raises
        ------
        RuleNotFollowed
            If the table does not tell what a rule looks at.
        """
        table = await self.table()
        return rules(self.selection, table.ruled, names=names, table=table.name)

    async def has(self, uris: Sequence[str]) -> set[str]:
        identities = {uri: _identity(uri) for uri in uris}
        asked, found = sorted(set(identities.values())), set[str]()
        for start in range(0, len(asked), ASKED_AT_ONCE):
            some = ",".join(map(quoted, asked[start : start + ASKED_AT_ONCE]))
            query = _select(["obs_publisher_did"], self.section.table, [f"obs_publisher_did IN ({some})"])
            answer = await self.tap.query(query, limit=100 * ASKED_AT_ONCE, columns=1)
            found |= {row[0] for row in answer.rows}
        return {uri for uri, identity in identities.items() if identity in found}

    async def find(self, name: str) -> Sighting | None:
        table = await self.table()
        like = quoted(f"%{within(name)}%")
        where = f"obs_id={quoted(name)} OR obs_publisher_did LIKE {like} OR access_url LIKE {like}"
        collection = f"obs_collection={quoted(self.section.collection)}"
        async for rows in self._rows(table, [collection, f"({where})"]):
            for row in rows:
                seen = self._sighting(row, table)
                if seen is not None and seen.name == name:
                    return seen
        return None

    async def locate(self, uri: str) -> list[str]:
        """Ask for the addresses of a file, through DataLink where they are documents of links; allowed hosts only."""
        where = [f"obs_publisher_did={quoted(_identity(uri))}"]
        query = _select(["access_url", "access_format"], self.section.table, where, order="access_url")
        answer = await self.tap.query(query, limit=100, columns=2)
        given: list[str] = []
        for address, form in answer.rows:
            if is_datalink(form):
                document = await self.wire.text("GET", self.wire.hosts.check(address))
                try:
                    given += own(document)
                except TableBroken as problem:
                    raise ListingBroken(address, str(problem)) from problem
            elif address and is_fits(form):
                given.append(address)
        return self.wire.hosts.usable(given)

    async def header(self, uri: str) -> str:
        """ObsCore has no service of headers: the file itself has to be fetched.

        Raises
        ------
        ListingRefused
            Always.
        """
        raise ListingRefused(self.tap.name, f"ObsCore gives no headers apart from files, asked for those of {uri}")

    async def table(self) -> Table:
        """Learn which columns the table has, from the head of an answer of one row.

        Raises
        ------
        ArchiveError
            If it does not answer, or it is no ObsCore table.
        """
        now = self.clock.monotonic()
        if self._table is None or now - self._learned > KEPT:
            answer = await self.tap.query(_select(["TOP 1 *"], self.section.table), limit=1, columns=None)
            self._table, self._learned = Table.of(self.section.table, answer.names), now
        return self._table

    def _ours(self) -> list[str]:
        """Conditions that hold for every frame of the collection and instrument."""
        collection, instrument = quoted(self.section.collection), quoted(self.section.instrument)
        return [f"obs_collection={collection}", f"instrument_name={instrument}"]

    async def _batches(self, table: Table, bounds: Sequence[str]) -> AsyncIterator[tuple[Batch, list[Row]]]:
        chosen = await self.rules_of(None)
        async for rows in self._rows(table, [*self._ours(), *conditions(chosen), *bounds]):
            found = [
                seen
                for row in rows
                if (seen := self._sighting(row, table)) is not None and keeps(chosen, self._candidate(row, table))
            ]
            refused = tuple(why for row in rows if (why := self._refusal(row)) is not None)
            yield Batch(tuple(found), None, len(rows) - len(found), refused), rows

    async def _rows(self, table: Table, where: Sequence[str]) -> AsyncIterator[list[Row]]:
        """Ask page after page in the order of identities, each behind the last row of the one before."""
        asked, behind = table.asked, ("", "")
        while True:
            bounds = list(where)
            if behind[0]:
                did, address = map(quoted, behind)
                bounds.append(f"(obs_publisher_did>{did} OR (obs_publisher_did={did} AND access_url>{address}))")
            query = _select(asked, table.name, bounds, order="obs_publisher_did,access_url")
            answer = await self.tap.query(query, limit=self.page, columns=len(asked))
            rows = [dict(zip(asked, row, strict=True)) for row in answer.rows]
            yield rows
            if not answer.more or not rows:
                return
            last = rows[-1]["obs_publisher_did"], rows[-1]["access_url"]
            if last == behind or not last[0]:
                raise ListingBroken(self.tap.name, "the page behind a row begins with that row again")
            behind = last

    def _name(self, row: Row) -> str:
        """Name of the frame in a row: what its identity, its file or its observation is called, if that is one."""
        for text in (row["obs_publisher_did"], URL(row["access_url"]).path, row["obs_id"]):
            last = text.rsplit("/", 1)[-1].rsplit("?", 1)[-1].rsplit("#", 1)[-1]
            name = last.removesuffix(_ending(last))
            if self.names.kind(name) is not None:
                return name
        return ""

    def _refusal(self, row: Row) -> str | None:
        """Say why a row that claims to be one of ours is not taken; none for all others."""
        name = self._name(row) if _fetchable(row) else ""
        if name and len(_uri(row, name)) > LONGEST_ADDRESS:
            return f"{name} is listed with an identity of {len(row['obs_publisher_did'])} characters and is not fetched"
        return None

    def _sighting(self, row: Row, table: Table) -> Sighting | None:
        name = self._name(row) if _fetchable(row) else ""
        if not name or self._refusal(row) is not None:
            return None
        return Sighting(
            name=name,
            kind=self.names.kind(name) or FrameKind.OBJECT,
            uri=_uri(row, name),
            modified=moment(row.get(table.changed, "")),
            release=moment(row.get(table.released, "")),
            processed_at=moment(row.get(table.created, "")),
            runid=row.get(table.proposal, "")[:20] or None,
            filter=row.get(table.filter, "")[:40] or None,
            object=row["target_name"][:80] or None,
            exposure_time=number(row["t_exptime"]),
            observed_at=day(row["t_min"]),
        )

    def _candidate(self, row: Row, table: Table) -> Candidate:
        level = number(row["calib_level"])
        return Candidate(
            name=self._name(row) or row["obs_id"],
            run=row.get(table.proposal, ""),
            investigator=row.get(table.investigator, ""),
            filter=row.get(table.filter, ""),
            observed_at=day(row["t_min"]),
            ra=number(row["s_ra"]),
            dec=number(row["s_dec"]),
            level=None if level is None else int(level),
        )


def _select(columns: Sequence[str], table: str, where: Sequence[str] = (), *, order: str = "") -> str:
    """Write a query; its texts were quoted before."""
    words = ["SELECT", ",".join(columns), "FROM", table]
    if where:
        words += ["WHERE", " AND ".join(where)]
    if order:
        words += ["ORDER BY", order]
    return " ".join(words)


def _fetchable(row: Row) -> bool:
    """Whether a row leads to a FITS file, at once or through links; previews and packages do not."""
    return bool(row["access_url"]) and (is_fits(row["access_format"]) or is_datalink(row["access_format"]))


def _ending(file: str) -> str:
    return max((ending for ending in _ENDINGS if file.lower().endswith(ending)), key=len, default="")


def _uri(row: Row, name: str) -> str:
    """Identity of the file: that of its dataset, and behind it the name under which it is kept here."""
    file = PurePosixPath(URL(row["access_url"]).path).name
    ending = _ending(file) if file.startswith(name) else ""
    return f"{row['obs_publisher_did']}/{name}{ending or '.fits'}"


def _identity(uri: str) -> str:
    """Identity of the dataset that a file belongs to."""
    return uri.rpartition("/")[0]
