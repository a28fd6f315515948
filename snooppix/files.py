"""Files on the reception disks beside the rows that place them there: lost ones are due again, strange ones told."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import Level
from dbclient.stores import Differences, Events, Frames, Transfers
from snooppix.filing import Filing
from snooppix.reception import CALIBRATIONS, VALID, Reception, Receptions
from terapix.clock import Clock
from terapix.identity import FrameId, UnsafeName
from terapix.journal import logger

log = logger("files")

SOURCE: Final = "snooppix"
PAGE: Final = 1000
"""Rows or files compared at once."""
FEW: Final = 10
SHARE: Final = 0.5
"""Files, and share of those recorded, that may be found lost: more says that a disk is not what it was."""
SHOWN: Final = 5
"""Strange files that an event names."""


class Files:
    """Compares disks and database."""

    def __init__(self, database: Database, receptions: Receptions, *, clock: Clock) -> None:
        self.database = database
        self.receptions = receptions
        self.filing = Filing(database, receptions, clock=clock)
        self.clock = clock

    async def compare(self) -> tuple[int, int, str | None]:
        """Compare once: lost files, whose frames are due again; strange files; what is left to an operator."""
        lost, recorded = await self._lost()
        strange = await self._strange()
        if len(lost) > max(FEW, SHARE * recorded):
            said = f"{len(lost)} of {recorded} files are not where they were: is a reception disk away? None is fetched"
            return 0, len(strange), said
        found = 0
        for frame in lost:
            found += await self._fetch_again(frame)
        if strange:
            await self._tell(strange)
        return found, len(strange), None

    async def _lost(self) -> tuple[list[FrameRecord], int]:
        """Frames without the file that is recorded, and how many files are recorded on disks that answer."""
        lost: list[FrameRecord] = []
        recorded, after = 0, 0
        while True:
            async with self.database.read() as session:
                page = await Differences().received(session, after=after, limit=PAGE)
            if not page:
                return lost, recorded
            after = page[-1].id
            here = [frame for frame in page if self.receptions.disk(frame.disk) in self.receptions.usable]
            recorded += len(here)
            lost += await asyncio.to_thread(self._missing, here)

    def _missing(self, frames: Sequence[FrameRecord]) -> list[FrameRecord]:
        return [frame for frame in frames if not self._lies(frame)]

    def _lies(self, frame: FrameRecord) -> bool:
        """Tell whether the file is where it is recorded, or on its way within the disk."""
        disk = self.receptions.disk(frame.disk)
        filed = disk.filed(frame.uri, generation=frame.generation, kind=frame.kind)
        places = (Path(frame.path or "."), disk.incoming(frame.uri, generation=frame.generation), filed)
        return any((disk.root / place).is_file() for place in places)

    async def _fetch_again(self, frame: FrameRecord) -> int:
        """Make a frame due whose file is lost, unless it moved on while we looked."""
        async with self.database.write() as session:
            fresh = await Frames().get(session, frame.id)
            moving = await Transfers().open_of_frame(session, frame.id)
            if (fresh.state, fresh.path) != (frame.state, frame.path) or moving or self._lies(fresh):
                return 0
            await self.filing.lost(session, fresh)
        return 1

    async def _strange(self) -> list[str]:
        """Files that no row places there; what lies in incoming/ is the healing's concern."""
        strange: list[str] = []
        for disk in self.receptions.usable:
            for directory in (VALID, CALIBRATIONS):
                files = await asyncio.to_thread(_files, disk.root / directory)
                for start in range(0, len(files), PAGE):
                    strange += await self._unknown(disk, directory, files[start : start + PAGE])
        return strange

    async def _unknown(self, disk: Reception, directory: Path, files: Sequence[str]) -> list[str]:
        names = {name for file in files for name in _names(file)}
        async with self.database.read() as session:
            placed = await Differences().paths(session, sorted(names))
        known = {path for name, path in placed if self.receptions.disk(name) is disk}
        unknown = [file for file in files if str(directory / file) not in known]
        return [f"{disk.root / directory / file}" for file in unknown if (disk.root / directory / file).is_file()]

    async def _tell(self, strange: Sequence[str]) -> None:
        more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
        message = f"files of no frame lie on the reception disk: {', '.join(strange[:SHOWN])}{more}"
        log.warning("strange files", files=len(strange))
        async with self.database.write() as session:
            await Events().append(
                session,
                source=SOURCE,
                kind="strange-files",
                message=message,
                level=Level.WARNING,
                now=self.clock.now(),
                data={"files": len(strange)},
            )


def _files(directory: Path) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]


def _names(file: str) -> set[str]:
    """Names of the frames whose file this may be."""
    try:
        name = FrameId.of_file(file).name
    except UnsafeName:
        return set()
    return {name, name.rpartition(".g")[0] or name}
