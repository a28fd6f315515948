"""Filing: what a row says of its file, once that has come, was verified, or is lost. Each is one step with its event.

A file stands under its final name only as a whole, and before its row says so: a
kill in between is seen by comparing (`snooppix.healing`, `snooppix.sorting`).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import FrameKind, FrameState, Level, TransferState
from dbclient.stores import Frames, Transfers
from snooppix.carrier import Arrived
from snooppix.quarantine import forget
from snooppix.reception import Reception, Receptions
from terapix.clock import Clock

SOURCE: Final = "snooppix"


@dataclass(frozen=True, slots=True)
class Fetch:
    """A transfer that brought a file."""

    transfer: int
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the server said of the file."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a verified file holds, and the sentence that its history gets."""

    columns: Mapping[str, Any]
    """Metadata for its row."""
    pixels: str | None
    """Digest of its pixels; none for a file without an image."""
    message: str
    event: str = "valid"
    source: str = SOURCE
    level: Level = Level.INFO
    reason: str | None = None


class Filing:
    """Writes where files lie."""

    def __init__(self, database: Database, receptions: Receptions, *, clock: Clock) -> None:
        self.database = database
        self.receptions = receptions
        self.clock = clock

    async def received(
        self, frame: FrameRecord, disk: Reception, path: Path, arrived: Arrived, how: str, fetch: Fetch | None = None
    ) -> None:
        """Record a file that is whole, with the digest that was listed.

        Raises
        ------
        IllegalMove
            If the frame was superseded meanwhile.
        """
        now, size = self.clock.now(), arrived.size

        async def step(session: AsyncSession) -> None:
            await Frames().advance(
                session,
                frame.id,
                FrameState.FETCHED,
                now=now,
                source=SOURCE,
                message=f"{how}: {size / 1e6:.1f} MB, {arrived.proof}",
                event="fetched",
                path=str(path),
                disk=disk.name,
                size=size,
                wire_digest=str(arrived.digest),
            )
            if fetch is not None:
                await Transfers().end(
                    session,
                    fetch.transfer,
                    TransferState.DONE,
                    now=now,
                    headers=dict(fetch.headers),
                    done=size,
                    rate=size / max(fetch.seconds, 1e-3),
                )

        await self.database.together(step)

    async def file(self, frame: FrameRecord, disk: Reception, lies: Path, found: Found) -> Path:
        """Bring a verified file to where it belongs and record it; what was set aside of it before is not kept.

        Raises
        ------
        IllegalMove
            If the frame was superseded meanwhile; the file is where it belongs then.
        """
        target = disk.filed(frame.uri, generation=frame.generation, kind=frame.kind)
        await asyncio.to_thread(self._place, disk, lies, target)
        now, more = self.clock.now(), {"reason": found.reason} if found.reason else {}

        async def step(session: AsyncSession) -> None:
            await Frames().advance(
                session,
                frame.id,
                FrameState.VALID,
                now=now,
                source=found.source,
                message=found.message,
                event=found.event,
                level=found.level,
                path=str(target),
                disk=disk.name,
                pixel_digest=found.pixels,
                **found.columns,
                **more,
            )

        await self.database.together(step)
        return target

    def _place(self, disk: Reception, lies: Path, target: Path) -> None:
        if lies != target:
            disk.move(lies, target)
        for other in self.receptions.usable:
            forget(other, target.name)

    async def lost(self, session: AsyncSession, frame: FrameRecord) -> None:
        """Make a frame due again whose file is gone."""
        await Frames().advance(
            session,
            frame.id,
            FrameState.SPOTTED,
            now=self.clock.now(),
            source=SOURCE,
            message=f"is no longer on the reception disk ({frame.path}): it is fetched again",
            event="lost",
            level=Level.WARNING,
            path=None,
            disk=None,
        )


def what(frame: FrameRecord) -> str:
    """Name what a frame is, as sentences do."""
    return "frame" if frame.kind is FrameKind.OBJECT else frame.kind.value
