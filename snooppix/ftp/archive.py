"""A directory on an FTP server as an archive: what its listing says, beside it digests and first headers.

A listing tells names, sizes and times, and nothing else. So a file is one of
ours by its name; it is a new generation by its digest where a file of digests
lies beside it, else by its size and time; and it is complete when neither has
changed for a while, since nothing tells when somebody has finished writing.
What the selection asks for beyond that is read from the first header.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Final

from dbclient.schema import FrameKind
from dbclient.stores.frames import Sighting
from snooppix.archive import Batch
from snooppix.errors import Rejection, UnsafeAddress
from snooppix.ftp.control import Refused
from snooppix.ftp.directory import Directory, Known
from snooppix.ftp.door import Door, heard, is_denied
from snooppix.ftp.header import KEYWORDS, LEVEL, header
from snooppix.headers import BLOCK, CARD, MOST_HDUS, Header, data_size
from snooppix.names import Names
from snooppix.selection import Candidate, Rule, keeps, rules
from terapix.clock import Clock
from terapix.sections import SelectionSection

QUIET: Final = 300.0
"""Seconds, as archive.ftp_quiet has them by itself."""


class FtpArchive:
    """An archive that is a directory.

    Parameters
    ----------
    door : the way to the server
    selection : rules that frames keep
    names : by which frames are known
    page : files handed on at once
    clock : tells how long a file has been unchanged
    quiet : seconds without a change after which a file counts as complete
    """

    def __init__(
        self,
        door: Door,
        *,
        selection: SelectionSection,
        names: Names,
        page: int,
        clock: Clock,
        quiet: float = QUIET,
    ) -> None:
        self.door = door
        self.page = page
        self.clock = clock
        self.rules: tuple[Rule, ...] = rules(selection, KEYWORDS, table="the header of a file")
        self._asks_headers = any(rule.needs != ("level",) for rule in self.rules)
        self.directory = Directory(door, names=names, clock=clock, quiet=quiet, asks_headers=self._asks_headers)
        self._looking = asyncio.Lock()
        self._begun = False

    @property
    def name(self) -> str:
        return f"{self.door.base}"[:120]

    async def since(self, mark: datetime | None) -> AsyncIterator[Batch]:
        """List what is new or different since the last look of this process, oldest first.

        A file may come with any time stamp, as when it was copied with its own, so the mark does not bound the
        listing. It bounds only whose header is read at the first look of a process, where the selection asks for
        headers: what is older was looked at in an earlier life, and the full difference finds the rest.
        """
        async with self._looking:
            before = mark if self._asks_headers and not self._begun else None
            look = await self.directory.look(headers_since=before)
            fresh = [
                (known, seen)
                for known in look.files.values()
                if known.quiet and (seen := self._sighting(known)) is not None and seen != known.given
                if before is None or known.modified is None or known.modified >= before
            ]
            fresh.sort(key=lambda pair: (pair[1].modified or self.clock.now(), pair[0].path))
            first = True
            for start in range(0, max(len(fresh), 1), self.page):
                group = fresh[start : start + self.page]
                yield Batch(
                    tuple(seen for _, seen in group),
                    self._reached(seen for _, seen in group),
                    look.passed_over if first else 0,
                    tuple(look.refused) if first else (),
                )
                first = False
                for known, seen in group:
                    known.given = seen
            self._begun = True

    async def released(self, after: datetime, until: datetime) -> AsyncIterator[Batch]:
        """List nothing: a file in a directory is there for whoever may read it, and has no date."""
        del after, until
        none: tuple[Batch, ...] = ()
        for batch in none:
            yield batch

    async def everything(self) -> AsyncIterator[Batch]:
        """List all complete files that are selected, ordered by address.

        Who only compares has not looked before, and does not fetch: the times of files tell which are complete.
        """
        async with self._looking:
            look = await self.directory.look(headers_since=None, at_once=not self._begun)
        files = sorted(look.files.values(), key=lambda known: self.door.address(known.path))
        complete = [known for known in files if self.directory.is_complete(known, at_once=not self._begun)]
        found = [seen for known in complete if (seen := self._sighting(known)) is not None]
        for start in range(0, max(len(found), 1), self.page):
            group = found[start : start + self.page]
            yield Batch(tuple(group), self._reached(group), look.passed_over if start == 0 else 0)

    async def has(self, uris: Sequence[str]) -> set[str]:
        """Ask for each file by name: a listing may leave out what is just being replaced.

        What we may not see may be there all the same.
        """
        found: set[str] = set()
        with heard(self.name):
            async with self.door.session() as session:
                for uri in uris:
                    try:
                        path = self.door.path(uri)
                        size = await session.size(path)
                    except UnsafeAddress:
                        continue
                    except Refused as refused:
                        if refused.code // 100 == 4:
                            raise
                        if is_denied(refused) or self.directory.hides(self.door.below(path)):
                            found.add(uri)
                    else:
                        if size is not None or self.directory.holds(self.door.below(path)):
                            found.add(uri)
        return found

    async def find(self, name: str) -> Sighting | None:
        """Look one file up; where it is not known yet the directories are looked through again."""
        async with self._looking:
            known = self.directory.find(name)
            if known is None:
                await self.directory.look(headers_since=self.clock.now())
                known = self.directory.find(name)
        return self._told(known) if known else None

    async def locate(self, uri: str) -> list[str]:
        """Give its address, which is the same; whether it is still there the download will see."""
        self.door.path(uri)
        return [uri]

    async def header(self, uri: str) -> str:
        """Read the headers of all HDUs, each from where it begins; of a packed file the first."""
        path = self.door.path(uri)
        dumps: list[str] = []
        with heard(uri):
            async with self.door.session() as session:
                size, offset = await session.size(path), 0
                while len(dumps) < MOST_HDUS and (size is None or offset < size):
                    raw = await header(session, path, offset=offset)
                    if not raw:
                        break
                    cards = [raw[i : i + CARD] for i in range(0, len(raw), CARD)]
                    dumps.append("\n".join(card.rstrip() for card in cards))
                    try:
                        length = data_size(Header.of_cards(iter(cards)), number=len(dumps) - 1)
                    except Rejection:
                        break
                    offset += len(raw) + -(-length // BLOCK) * BLOCK
                    if path.endswith(".gz"):
                        break
        return "\n".join(dumps)

    def _sighting(self, known: Known) -> Sighting | None:
        """Give a file as the watcher takes it; none if the selection drops it."""
        candidate = known.description.candidate if known.description else Candidate(known.name, level=LEVEL)
        if known.kind is FrameKind.OBJECT and not keeps(self.rules, candidate):
            return None
        return self._told(known)

    def _told(self, known: Known) -> Sighting:
        return Sighting(
            name=known.name,
            kind=known.kind,
            uri=self.door.address(known.path),
            size=known.size,
            digest=str(known.digest) if known.digest else None,
            modified=known.modified,
            **(known.description.columns if known.description else {}),
        )

    def _reached(self, sightings: Iterable[Sighting]) -> datetime | None:
        """Newest time among some files; a clock that runs ahead does not carry the bookmark into the future."""
        times = [seen.modified for seen in sightings if seen.modified is not None]
        return min(max(times), self.clock.now()) if times else None
