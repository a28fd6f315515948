"""What lies in a directory of an FTP server, look by look: names, sizes, times, digests beside, first headers."""

import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from dbclient.schema import FrameKind
from dbclient.stores.frames import Sighting
from snooppix.errors import Rejection
from snooppix.ftp.door import Door, heard
from snooppix.ftp.listing import Entry, digests, entry
from snooppix.ftp.session import Refused, Session
from snooppix.headers import BLOCK, CARD, LONGEST_HEADER, Headers, read_dump
from snooppix.names import Names
from terapix.clock import Clock
from terapix.identity import Digest, FrameId, UnsafeName, safe_name

QUIET: Final = 300.0
"""Seconds without a change after which a file counts as complete, as for the archive's own uploader."""
DEEPEST: Final = 3
"""Sub-directories in each other that are looked into."""
MOST_DIRECTORIES: Final = 1000
"""Directories of one look."""
LARGEST_SUMS: Final = 4 * 1024**2
"""Bytes of a file of digests."""
SUMS: Final = frozenset({"md5sum", "md5sums", "md5sum.txt", "md5sums.txt"})
"""Names, in any case, of files that hold the digests of a directory."""
FIRST: Final = 10 * BLOCK
"""Bytes read at once of a header; MegaCam's primary header takes 7 blocks."""


@dataclass(slots=True)
class Known:
    """One file of the listing, as it was seen last."""

    path: str
    """Below the directory that is followed."""
    name: str
    """Of the frame."""
    kind: FrameKind
    size: int | None
    modified: datetime | None
    listed: tuple[int | None, datetime | None] = (None, None)
    """Size and time as the listing has them, which may be less exact."""
    since: float = 0.0
    """Monotonic time since when it has been so."""
    quiet: bool = False
    digest: Digest | None = None
    header: Headers | None = None
    """First header, where the selection asks for it; none too if it cannot be read."""
    header_read: bool = False
    given: Sighting | None = None
    """As it was last handed on, and taken."""


@dataclass(slots=True)
class Look:
    """What one walk through the directories found."""

    files: dict[str, Known] = field(default_factory=dict)
    """By path."""
    passed_over: int = 0
    refused: list[str] = field(default_factory=list)


class Directory:
    """The directory that is followed, with what the last look found in it."""

    def __init__(self, door: Door, *, names: Names, clock: Clock, quiet: float, asks_headers: bool) -> None:
        self.door = door
        self.names = names
        self.clock = clock
        self.quiet = quiet
        """Seconds without a change after which a file counts as complete."""
        self._asks_headers = asks_headers
        self._known: dict[str, Known] = {}
        self._sums: dict[str, tuple[tuple[int | None, datetime | None], dict[str, Digest]]] = {}
        """What a file of digests said, by its path, and its size and time then."""

    def find(self, name: str) -> Known | None:
        """Give the file of a frame or calibration, as the last look found it; none if it is not there, or not whole."""
        return next((known for known in self._known.values() if known.name == name and known.quiet), None)

    async def look(self, *, headers_since: datetime | None) -> Look:
        """Walk through the directories, and ask for what their lines do not say.

        Raises
        ------
        ArchiveError
            If the server is silent, or does not show the directory.
        """
        look = Look()
        with heard(str(self.door.base)):
            async with await self.door.open() as session:
                pages = await self._walk(session, look)
                for place, entries in pages.items():
                    await self._compare(session, place, entries, look)
                self._one_of_each_name(look)
                if self._asks_headers:
                    await self._read_headers(session, look, headers_since)
        self._known = look.files
        return look

    async def _walk(self, session: Session, look: Look) -> dict[str, list[Entry]]:
        """Read all directories, `DEEPEST` levels down."""
        pages: dict[str, list[Entry]] = {}
        waiting = [""]
        while waiting:
            place = waiting.pop(0)
            try:
                machine, lines = await session.directory(joined(self.door.directory, place))
            except Refused as refused:
                if place == "" or refused.code // 100 != 5:
                    raise
                look.refused.append(f"directory {place} cannot be read: {refused}")
                continue
            pages[place], names = [], set[str]()
            for line in lines:
                found = entry(line, machine=machine, now=self.clock.now())
                if found is None:
                    continue
                try:
                    safe_name(found.name)
                except UnsafeName as problem:
                    look.passed_over += 1
                    if not found.name.startswith("."):
                        look.refused.append(f"a line of directory /{place} is passed over: {problem}"[:300])
                    continue
                names.add(found.name)
                if not found.directory:
                    pages[place].append(found)
                elif len(pages) + len(waiting) >= MOST_DIRECTORIES or place.count("/") + bool(place) >= DEEPEST:
                    look.refused.append(f"directory {joined(place, found.name)} is too deep, or one too many")
                else:
                    waiting.append(joined(place, found.name))
        return pages

    async def _compare(self, session: Session, place: str, entries: list[Entry], look: Look) -> None:
        """Compare the files of one directory with what was known of them."""
        sums = await self._digests(session, place, entries)
        for found in entries:
            path = joined(place, found.name)
            try:
                name = FrameId.of_file(found.name).name
            except UnsafeName:
                name = ""
            kind = self.names.kind(name) if ".fits" in found.name else None
            if kind is None:
                look.passed_over += 1
                continue
            known = await self._file(session, path, name, kind, found)
            if known is None:
                look.passed_over += 1
                continue
            stamped = sums.get(found.name)
            known.digest = None
            if stamped is not None:
                digest, told = stamped
                if told is None or known.modified is None or told >= known.modified - timedelta(seconds=60):
                    known.digest = digest  # one that is older than the file is that of another
            look.files[path] = known

    async def _file(self, session: Session, path: str, name: str, kind: FrameKind, found: Entry) -> Known | None:
        now, listed = self.clock.monotonic(), (found.size, found.modified)
        known = self._known.get(path)
        if known is None or known.listed != listed or now - known.since <= self.quiet:
            size, modified = found.size, found.modified
            try:
                if size is None:
                    size = await session.size(joined(self.door.directory, path))
                if "MLST" not in session.features:
                    modified = await session.modified(joined(self.door.directory, path)) or modified
            except Refused as refused:
                if refused.code // 100 != 5:
                    raise
                return None  # a link that leads nowhere, or a file that is gone meanwhile
            if known is None or (known.size, known.modified) != (size, modified):
                known = Known(path, name, kind, size, modified, since=now, given=known.given if known else None)
            known.listed = listed
        known.quiet = known.quiet or now - known.since >= self.quiet or self._is_old(known.modified)
        return known

    def _is_old(self, modified: datetime | None) -> bool:
        return modified is not None and modified < self.clock.now() - timedelta(seconds=self.quiet)

    async def _digests(
        self, session: Session, place: str, entries: list[Entry]
    ) -> dict[str, tuple[Digest, datetime | None]]:
        """Read the files of digests that changed; a file's own counts before the directory's."""
        found: dict[str, tuple[Digest, datetime | None]] = {}
        for each in sorted(entries, key=lambda each: each.name.lower() not in SUMS):
            alone = each.name.removesuffix(".md5") if each.name.endswith(".md5") else ""
            if (each.name.lower() not in SUMS and not alone) or (each.size or 0) > LARGEST_SUMS:
                continue
            path, listed = joined(place, each.name), (each.size, each.modified)
            if path not in self._sums or self._sums[path][0] != listed or not self._is_old(each.modified):
                raw = await session.begin_of(joined(self.door.directory, path), size=LARGEST_SUMS)
                self._sums[path] = listed, digests(raw.decode("utf-8", errors="replace"), of=alone)
            found |= {name: (digest, each.modified) for name, digest in self._sums[path][1].items()}
        return found

    def _one_of_each_name(self, look: Look) -> None:
        """Keep of several files of one name the newest, or they would be each other's next generation for ever."""
        by_name: dict[str, Known] = {}
        for known in sorted(look.files.values(), key=lambda known: (known.modified or self.clock.now(), known.path)):
            other = by_name.get(known.name)
            if other is not None:
                look.refused.append(f"{other.path} is passed over: {known.path} has the same name and is newer")
                del look.files[other.path]
            by_name[known.name] = known

    async def _read_headers(self, session: Session, look: Look, since: datetime | None) -> None:
        """Read the first header of new files, for the rules of the selection."""
        for known in look.files.values():
            old = since is not None and known.modified is not None and known.modified < since
            if known.kind is not FrameKind.OBJECT or not known.quiet or known.header_read or old:
                continue
            raw = await header(session, joined(self.door.directory, known.path), offset=0)
            known.header_read = True
            try:
                known.header = read_dump(raw)
            except Rejection as problem:
                look.refused.append(f"{known.path} has no header by which it could be selected: {problem.sentence}")


async def header(session: Session, path: str, *, offset: int) -> str:
    """Read one header in whole blocks, from SIMPLE or XTENSION to END; empty if there is none."""
    raw = b""
    while len(raw) < LONGEST_HEADER:
        chunk = await session.begin_of(path, offset=offset + len(raw), size=FIRST)
        raw += chunk
        cards = zlib.decompressobj(31).decompress(raw, LONGEST_HEADER) if raw.startswith(b"\x1f\x8b") else raw
        if not cards.startswith((b"SIMPLE  =", b"XTENSION=")):
            return ""
        for start in range(0, len(cards), CARD):
            if cards[start : start + 8] == b"END     ":
                return cards[: -(-(start + CARD) // BLOCK) * BLOCK].decode("latin-1")
        if len(chunk) < FIRST:
            return ""
    return ""


def joined(place: str, name: str) -> str:
    return f"{place.rstrip('/')}/{name}" if place and name else place or name
