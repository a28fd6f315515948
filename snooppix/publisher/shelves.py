"""The shelves of all reception disks: on which of them a product is laid out, and where it is found again."""

import asyncio
import errno
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, Self

from dbclient.records import PublicationRecord
from snooppix.publisher.shelf import Shelf, Staged
from terapix.sections import Settings

FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""Answers of a disk for which another one may do."""


class Shelves:
    """One shelf a reception disk. What blocks belongs in a thread."""

    def __init__(self, *shelves: Shelf) -> None:
        self.all = shelves
        self.moving = asyncio.Lock()
        """Held while a name on a shelf changes what it leads to: a file is never taken for the one before it."""
        self._used: set[str] = set()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        disks = settings.reception_disks.values()
        return cls(*(Shelf(disk.directory, reserve=disk.reserve, name=disk.name) for disk in disks))

    @property
    def usable(self) -> list[Shelf]:
        """Shelves whose disks are there."""
        return [shelf for shelf in self.all if shelf.trouble is None]

    def prepare(self, used: Collection[str | None] = ()) -> None:
        """Take all shelves; of several, those whose disks are there.

        Parameters
        ----------
        used : disks from which files are offered, as the ledger names them

        Raises
        ------
        ShelfTaken
            If another process holds one.
        """
        self._used = {self.named(name).name for name in used}
        for shelf in self.all:
            if len(self.all) > 1 and not (shelf.directory if shelf.name in self._used else shelf.root).is_dir():
                shelf.trouble = shelf.examine(used=shelf.name in self._used)
            else:
                shelf.prepare()

    def look(self) -> Iterator[tuple[Shelf, str]]:
        """Look at all disks; give those with which something has changed, and what there is to say of it."""
        for shelf in self.all:
            found = shelf.examine(used=shelf.name in self._used)
            if (found is None) != (shelf.trouble is None):
                said = f"is used again: {shelf.root}" if found is None else f"is passed over: {found}"
                yield shelf, f"reception disk {shelf.name} {said}"
            shelf.trouble = found

    def release(self) -> None:
        for shelf in self.all:
            shelf.release()

    def named(self, disk: str | None) -> Shelf:
        """Give the shelf of a disk; of the first where there is no such one, as rows of an only disk have it."""
        return next((shelf for shelf in self.all if shelf.name == disk), self.all[0])

    def path(self, publication: PublicationRecord) -> Path | None:
        """Absolute path of what is offered; none once it was deleted."""
        return self.named(publication.disk).root / publication.path if publication.path is not None else None

    def stage(self, source: Path, name: str, generation: int, *, ours: bool) -> Staged:
        """Bring a file to a shelf under a temporary name: on its own disk, where the name is, or most room.

        Raises
        ------
        OSError
            The source cannot be read, or no disk can take it.
        """
        shelves = sorted(
            self.usable, key=lambda shelf: (not shelf.shares(source), not shelf.place(name).exists(), -shelf.room())
        )
        said = [f"reception disk {shelf.name}: {shelf.trouble}" for shelf in self.all if shelf.trouble]
        for shelf in shelves:
            try:
                staged = shelf.stage(source, name, generation, ours=ours)
            except OSError as problem:
                if problem.errno not in FULL:
                    raise
                said.append(problem.strerror or str(problem))
            else:
                self._used.add(shelf.name)
                return staged
        raise OSError(errno.ENOSPC, "; ".join(said))

    def staged(self, name: str, generation: int) -> Staged | None:
        """Find what lies under a temporary name; none if it does on no shelf."""
        return next((s.staged(name, generation) for s in self.usable if s.temporary(name, generation).exists()), None)

    def placed(self, name: str) -> Iterator[Staged]:
        """Give what lies in the place of a name: on one shelf, or on two for a moment."""
        for shelf in self.usable:
            if shelf.place(name).exists():
                yield shelf.placed(name)

    def put_in_place(self, staged: Staged, name: str) -> None:
        """Give a staged file its published name; what bears it on another disk goes."""
        staged.shelf.put_in_place(staged, name)
        self.clear(name, besides=staged.shelf)

    def clear(self, name: str, *, besides: Shelf) -> None:
        """Take a name from all other disks."""
        for shelf in self.usable:
            if shelf is not besides and shelf.place(name).exists():
                shelf.remove(name)

    def discard(self, name: str, generation: int) -> None:
        """Take away what lies under a temporary name."""
        for shelf in self.usable:
            shelf.temporary(name, generation).unlink(missing_ok=True)

    def generations(self) -> dict[str, int]:
        """Give the generations that the manifests tell of."""
        found: dict[str, int] = {}
        for shelf in self.all:
            for name, generation in shelf.generations().items():
                found[name] = max(generation, found.get(name, 0))
        return found
