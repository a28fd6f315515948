"""What lies in a directory of an FTP server, look by look: names, sizes, times, digests beside, first headers."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from dbclient.schema import FrameKind
from dbclient.stores.frames import Sighting
from snooppix.errors import ListingBroken, Rejection
from snooppix.ftp.control import Refused
from snooppix.ftp.door import Door, heard
from snooppix.ftp.header import Description, header
from snooppix.ftp.listing import Entry, LineUnread, digests, entry
from snooppix.ftp.session import Session
from snooppix.headers import read_dump
from snooppix.names import Names
from terapix.clock import Clock
from terapix.identity import Digest, FrameId, UnsafeName, safe_name

YOUNG: Final = timedelta(days=1)
"""So far may a server's clock be behind ours: at a first look an older file counts as complete, whatever its clock."""
DEEPEST: Final = 3
"""Sub-directories in each other that are looked into."""
MOST_DIRECTORIES: Final = 1000
"""Directories of one look."""
MOST_LINES: Final = 1_000_000
"""Lines of all listings of one look: about 500 MB of memory."""
LARGEST_SUMS: Final = 4 * 1024**2
"""Bytes of a file of digests."""
SUMS: Final = frozenset({"md5sum", "md5sums", "md5sum.txt", "md5sums.txt"})
"""Names, in any case, of files that hold the digests of a directory."""
LONGEST: Final = 255
"""Bytes of a name on most file systems."""
MOST_REFUSED: Final = 1000
"""Lines of one look of which is told why they are not taken."""


Listed = tuple[int | None, datetime | None]
"""Size and time as a line of the listing has them, which may be less exact than what the server says when asked."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What a file of digests said."""

    listed: Listed
    since: float
    """Monotonic time since when it is listed so."""
    modified: datetime | None
    """What is older than the file it is about is the digest of another."""
    digests: dict[str, Digest]


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
    listed: Listed = (None, None)
    since: float = 0.0
    """Monotonic time since when it has been so."""
    quiet: bool = False
    digest: Digest | None = None
    description: Description | None = None
    """What the first header says, where the selection asks for it; none too if it cannot be read."""
    header_read: bool = False
    given: Sighting | None = None
    """As it was last handed on, and taken."""


@dataclass(slots=True)
class Look:
    """What one walk through the directories found."""

    files: dict[str, Known] = field(default_factory=dict)
    """By path."""
    closed: list[str] = field(default_factory=list)
    """Directories that could not be looked into."""
    lines: int = 0
    passed_over: int = 0
    refused: list[str] = field(default_factory=list)
    """Why lines are not taken that may claim to be ours."""

    def refuse(self, sentence: str) -> None:
        """Pass a line over, and say why."""
        if len(self.refused) < MOST_REFUSED:
            self.refused.append(sentence[:300])


class Directory:
    """The directory that is followed, with what the last look found in it."""

    def __init__(self, door: Door, *, names: Names, clock: Clock, quiet: float, asks_headers: bool) -> None:
        self.door = door
        self.names = names
        self.clock = clock
        self.quiet = quiet
        """Seconds without a change after which a file counts as complete."""
        self._asks_headers = asks_headers
        self.closed: tuple[str, ...] = ()
        """Directories that the last look could not look into."""
        self._looked = False
        self._known: dict[str, Known] = {}
        self._sums: dict[str, Sums] = {}
        """By path."""

    def find(self, name: str) -> Known | None:
        """Give the file of a frame or calibration, as the last look found it; none if it is not there, or not whole."""
        return next((known for known in self._known.values() if known.name == name and known.quiet), None)

    async def look(self, *, headers_since: datetime | None, at_once: bool = False) -> Look:
        """Walk through the directories, and ask for what their lines do not say.

        Headers are read of complete files that are not older than `headers_since`.

        Raises
        ------
        ArchiveError
            If the server is silent, or does not show the directory.
        """
        look = Look()
        with heard(str(self.door.base)):
            async with self.door.session() as session:
                pages = await self._walk(session, look)
                for place, entries in pages.items():
                    await self._compare(session, place, entries, look)
                self._one_of_each_name(look)
                if self._asks_headers:
                    await self._read_headers(session, look, headers_since, at_once=at_once)
        self._known, self.closed, self._looked = look.files, tuple(look.closed), True
        return look

    def is_complete(self, known: Known, *, at_once: bool) -> bool:
        """Tell whether nobody writes a file any more; where it is not to be fetched (`at_once`) its time may tell."""
        return known.quiet or (at_once and self._is_older(known.modified, timedelta(seconds=self.quiet)))

    def holds(self, path: str) -> bool:
        """Tell whether the last look found a file."""
        return path in self._known or self.hides(path)

    def hides(self, path: str) -> bool:
        """Tell whether the last look could not look where a file lies."""
        return any(path.startswith(f"{place}/") for place in self.closed)

    async def _walk(self, session: Session, look: Look) -> dict[str, list[Entry]]:
        """Read all directories, `DEEPEST` levels down; one that lists what a directory above lists is a loop."""
        pages: dict[str, list[Entry]] = {}
        listed: dict[str, list[Entry]] = {}
        waiting = [""]
        while waiting:
            place = waiting.pop(0)
            try:
                machine, lines = await session.directory(joined(self.door.directory, place))
            except Refused as refused:
                if place == "" or refused.code // 100 != 5:
                    raise
                look.closed.append(place)
                look.refuse(f"directory {place} cannot be read: {refused}")
                continue
            look.lines += len(lines)
            if look.lines > MOST_LINES:
                raise ListingBroken(str(self.door.base), f"it has more than {MOST_LINES} files")
            listed[place] = self._entries(place, lines, look, machine=machine)
            if listed[place] and any(listed[place] == listed[above] for above in _above(place)):
                look.refuse(f"directory {place} is passed over: it leads back to one above it")
                continue
            pages[place] = [found for found in listed[place] if not found.directory]
            for found in listed[place]:
                if not found.directory:
                    continue
                if len(pages) + len(waiting) >= MOST_DIRECTORIES or place.count("/") + bool(place) >= DEEPEST:
                    look.closed.append(joined(place, found.name))
                    look.refuse(f"directory {joined(place, found.name)} is too deep, or one too many")
                else:
                    waiting.append(joined(place, found.name))
        return pages

    def _entries(self, place: str, lines: list[str], look: Look, *, machine: bool) -> list[Entry]:
        """Read the lines of one directory; what has a name that no file should have is left out.

        Before a line in no known form may be the first half of a name with a line end in it: that file is asked for.
        """
        entries: list[Entry] = []
        unread = 0
        for line in lines:
            try:
                found = entry(line, machine=machine, now=self.clock.now())
            except LineUnread as problem:
                unread += 1
                look.refuse(f"of directory /{place} {problem}")
                entries[-1:] = [replace(doubtful, size=None) for doubtful in entries[-1:]]
                continue
            if found is None:
                continue
            try:
                entries.append(replace(found, name=safe_name(found.name)))
            except UnsafeName as problem:
                look.passed_over += 1
                if _may_be_ours(found):
                    look.refuse(f"a line of directory /{place} is passed over: {problem}")
        if unread and unread == len(lines):
            raise ListingBroken(
                str(self.door.base), f"no line of its listing is in a form that is known: {lines[0][:80]!r}"
            )
        return entries

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
        """Ask for what the line of a file does not tell, and see how long it has been so.

        What is new or different since the last look is left until it has been so for a while by our own clock: the
        server's may be wrong, and a file may be copied with its own time. Only at the first look may its time tell.
        """
        now, listed = self.clock.monotonic(), (found.size, found.modified)
        known = self._known.get(path)
        if known is None or known.listed != listed or found.size is None or now - known.since <= self.quiet:
            size, modified = found.size, found.modified
            try:
                if size is None:
                    size = await session.size(joined(self.door.directory, path))
                if found.size is None or not session.machine:
                    modified = await session.modified(joined(self.door.directory, path)) or modified
            except Refused as refused:
                if refused.code // 100 != 5:
                    raise
                return None  # a link that leads nowhere, or a file that is gone meanwhile
            if known is None or (known.size, known.modified) != (size, modified):
                known = Known(path, name, kind, size, modified, since=now, given=known.given if known else None)
                known.quiet = not self._looked and self._is_older(modified, YOUNG)
            known.listed = listed
        known.quiet = known.quiet or now - known.since >= self.quiet
        return known

    def _is_older(self, modified: datetime | None, age: timedelta) -> bool:
        return modified is not None and modified < self.clock.now() - age

    async def _digests(
        self, session: Session, place: str, entries: list[Entry]
    ) -> dict[str, tuple[Digest, datetime | None]]:
        """Read the files of digests that changed; a file's own counts before the directory's."""
        found: dict[str, tuple[Digest, datetime | None]] = {}
        for each in sorted(entries, key=lambda each: each.name.lower() not in SUMS):
            alone = each.name.removesuffix(".md5") if each.name.endswith(".md5") else ""
            if (each.name.lower() not in SUMS and not alone) or (each.size or 0) > LARGEST_SUMS:
                continue
            path = joined(place, each.name)
            try:
                sums = await self._sums_of(session, path, (each.size, each.modified), of=alone)
            except Refused as refused:
                if refused.code // 100 != 5:
                    raise
                continue
            found |= {name: (digest, sums.modified) for name, digest in sums.digests.items()}
        return found

    async def _sums_of(self, session: Session, path: str, listed: Listed, *, of: str) -> Sums:
        """Read a file of digests, again while it is fresh; its time must be in the zone of the files' times."""
        known, now = self._sums.get(path), self.clock.monotonic()
        if known is not None and known.listed == listed and now - known.since > self.quiet:
            return known
        whole = joined(self.door.directory, path)
        raw = await session.begin_of(whole, size=LARGEST_SUMS)
        modified = listed[1] if session.machine else await session.modified(whole) or listed[1]
        since = known.since if known is not None and known.listed == listed else now
        self._sums[path] = Sums(listed, since, modified, digests(raw.decode("utf-8", errors="replace"), of=of))
        return self._sums[path]

    def _one_of_each_name(self, look: Look) -> None:
        """Keep of several files of one name the newest, or they would be each other's next generation for ever.

        Of names that differ only by case, what was taken before is kept, else the older file: the other one was made
        where nobody tells them apart, or for us to take it for the first.
        """
        newest: dict[str, Known] = {}
        for known in sorted(look.files.values(), key=self._age):
            other = newest.get(known.name)
            if other is not None:
                look.refuse(f"{other.path} is passed over: {known.path} has the same name and is newer")
            newest[known.name] = known
        first: dict[str, Known] = {}
        for known in sorted(newest.values(), key=lambda known: (known.given is None, *self._age(known))):
            other = first.setdefault(known.name.lower(), known)
            if other is not known:
                look.refuse(f"{known.path} is passed over: it differs from {other.path} only by case")
        look.files = {known.path: known for known in first.values()}

    def _age(self, known: Known) -> tuple[datetime, str]:
        return known.modified or self.clock.now(), known.path

    async def _read_headers(self, session: Session, look: Look, since: datetime | None, *, at_once: bool) -> None:
        """Read the first header of new files, for the rules of the selection."""
        for known in look.files.values():
            old = since is not None and known.modified is not None and known.modified < since
            complete = self.is_complete(known, at_once=at_once)
            if known.kind is not FrameKind.OBJECT or not complete or known.header_read or old:
                continue
            try:
                raw = await header(session, joined(self.door.directory, known.path), offset=0)
                known.header_read = True
                known.description = Description.of(known.name, read_dump(raw))
            except Refused as refused:
                if refused.code // 100 != 5:
                    raise
                look.refuse(f"{known.path} cannot be read: {refused}")
            except Rejection as problem:
                look.refuse(f"{known.path} has no header by which it could be selected: {problem.sentence}")


def _above(place: str) -> list[str]:
    """Name the directories that one lies in, up to the one that is followed."""
    parts = place.split("/") if place else []
    return ["/".join(parts[:count]) for count in range(len(parts))]


def _may_be_ours(found: Entry) -> bool:
    """Tell whether a name that no file should have is worth telling of: people's notes with spaces in them are not."""
    name = found.name
    harmless = name.isascii() and name.isprintable() and "/" not in name and ".." not in name and len(name) <= LONGEST
    return ".fits" in name.lower() or not harmless or (found.directory and not name.startswith("."))


def joined(place: str, name: str) -> str:
    return f"{place.rstrip('/')}/{name}" if place and name else place or name
