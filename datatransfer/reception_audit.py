"""The reception's part of an audit: what should lie there, and what lies there and is nothing of ours."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Protocol

from datatransfer.depots import Depots
from datatransfer.discrepancies import CASES
from datatransfer.losses import Losses
from datatransfer.untracked import names_of
from dbclient.database import Database
from dbclient.schema import Discrepancy
from dbclient.stores import Accounting, Frames, NewFinding
from dbclient.stores.accounting import Received
from terapix.clock import Clock
from terapix.journal import logger
from terapix.sections import Settings

log = logger("datatransfer.audit")

PAGE: Final = 1000
"""Rows that are compared at once."""
ROOMS: Final = ("from_CADC/headervalid", "from_CADC/calibrations")
"""Rooms of a reception disk in which whole files lie; what comes and what was rejected is SNOOPPIX' own."""


class Counts(Protocol):
    """Counts what is compared."""

    files: int
    bytes: int


class ReceptionAudit:
    """Compares the reception disks with the database."""

    def __init__(self, database: Database, settings: Settings, clock: Clock, depots: Depots, *, source: str) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._depots = depots
        self._losses = Losses(clock, source=source)

    async def compare(self, count: Counts, *, runid: str | None, repair: bool) -> AsyncIterator[NewFinding]:
        """Compare both ways."""
        behind = 0
        while True:
            async with self._database.read() as session:
                page = await Accounting().received(session, runid=runid, behind=behind, limit=PAGE)
            sizes = await asyncio.to_thread(self._sizes, page)
            for item in page:
                count.files += 1
                count.bytes += item.size or 0
                if (
                    _is_wrong(item, sizes[item.frame_id])
                    and self._mounted(item)
                    and (found := await self._lost(item, repair=repair))
                ):
                    yield found
            if len(page) < PAGE:
                break
            behind = page[-1].frame_id
        if runid is None:
            async for found in self._strange(repair=repair):
                yield found

    def _place(self, item: Received) -> Path:
        return self._settings.received(item.disk, item.path)

    def _mounted(self, item: Received) -> bool:
        """Tell whether the room is there: a disk that is not mounted has lost nothing."""
        return self._place(item).parent.is_dir()

    def _sizes(self, page: list[Received]) -> dict[int, int | None]:
        return {
            item.frame_id: place.stat().st_size if (place := self._place(item)).is_file() else None for item in page
        }

    async def _lost(self, item: Received, *, repair: bool) -> NewFinding | None:
        """Look a second time: the file may have been moved on meanwhile."""
        async with self._database.read() as session:
            fresh = await Frames().get(session, item.frame_id)
        size = (await asyncio.to_thread(self._sizes, [item]))[item.frame_id]
        if (fresh.state, fresh.path, fresh.disk) != (item.state, item.path, item.disk) or not _is_wrong(item, size):
            return None
        done = False
        if repair:
            async with self._database.write() as session:
                fresh = await Frames().get(session, item.frame_id)
                if (fresh.state, fresh.path) == (item.state, item.path) and fresh.withdrawn_at is None:
                    said = "is not there" if size is None else f"has {size} bytes instead of {item.size}"
                    await self._losses.fetch(session, fresh, f"its file at reception {said}")
                    done = True
        return NewFinding(
            kind=Discrepancy.LOST_AT_RECEPTION,
            node_id=None,
            frame_id=item.frame_id,
            path=item.path,
            evidence={"disk": item.disk, "bytes": item.size, "found_bytes": size, "state": item.state.value},
            action=CASES[Discrepancy.LOST_AT_RECEPTION].action,
            done=done,
        )

    async def _strange(self, *, repair: bool) -> AsyncIterator[NewFinding]:
        """Find files whose names are those of nothing we know; all others are the sweep's, or SNOOPPIX'."""
        for disk in self._settings.reception_disks.values():
            for path, size in await asyncio.to_thread(_files, disk.directory):
                async with self._database.read() as session:
                    known = await Frames().of_names(session, names_of(path))
                if known:
                    continue
                action, done = CASES[Discrepancy.STRANGE_AT_RECEPTION].action, False
                if repair:
                    why = {"reason": "the audit found it: it has the name of no frame or calibration that we know"}
                    aside = await self._depots.set_aside(
                        self._depots.of_reception(disk.name), path, why | {"at": self._clock.now().isoformat()}
                    )
                    action, done = (f"set aside in {aside}", True) if aside else ("it is gone", False)
                yield NewFinding(
                    kind=Discrepancy.STRANGE_AT_RECEPTION,
                    node_id=None,
                    frame_id=None,
                    path=path,
                    evidence={"disk": disk.name, "bytes": size},
                    action=action,
                    done=done,
                )


def _is_wrong(item: Received, size: int | None) -> bool:
    return size is None or (item.size is not None and size != item.size)


def _files(root: Path) -> list[tuple[str, int]]:
    places = [place for room in ROOMS if (root / room).is_dir() for place in sorted((root / room).iterdir())]
    return [
        (str(place.relative_to(root)), place.stat().st_size)
        for place in places
        if place.is_file() and not place.is_symlink() and not place.name.endswith((".part", ".bound", ".json"))
    ]
