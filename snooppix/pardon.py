"""Pardon: a rejected file that an operator takes all the same, where that can be done soundly.

Excused is what the pixels can do without: a missing or empty keyword, processing that
does not say it was finished, a WCS that gives no place on the sky (the row then has
no coordinates). Never excused is a file that is not what the archive listed (its
digest differs), that cannot be read or unpacked, whose checksums disagree, that has
other CCDs than the camera, or that is another exposure: nobody could tell later what
was measured on it. A digest that the archive lists wrongly is put right there; the
next listing then brings the file as a new generation.
"""

import asyncio
from pathlib import Path
from typing import Final

from dbclient.database import Database
from dbclient.errors import IllegalMove
from dbclient.records import FrameRecord
from dbclient.schema import FrameState, Level
from snooppix.errors import Refused, Rejection
from snooppix.filing import Filing, Found, what
from snooppix.healing import digest_of
from snooppix.pixels import pixel_digest
from snooppix.reception import Reception, Receptions
from snooppix.verification import Read, Verifier
from terapix.clock import Clock
from terapix.identity import Digest
from terapix.journal import logger

log = logger("pardon")

LONGEST: Final = 500
"""Characters of the reason that an operator gives."""


class Pardon:
    """Takes rejected files on the word of an operator."""

    def __init__(
        self,
        database: Database,
        verifier: Verifier,
        receptions: Receptions,
        *,
        clock: Clock,
    ) -> None:
        self.verifier = verifier
        self.receptions = receptions
        self.filing = Filing(database, receptions, clock=clock)

    async def accept(self, frame: FrameRecord, because: str, *, by: str) -> str:
        """Take a rejected file; return what is to be said of it.

        Raises
        ------
        Refused
            If that would not be sound, with what stands against it.
        """
        because = " ".join(because.split())[:LONGEST].rstrip(".")
        if not because:
            raise Refused("A reason is needed: it stays in the frame's history.")
        if frame.state is not FrameState.REJECTED:
            raise Refused(f"{frame.name} is {frame.state.value} and not rejected: there is nothing to accept.")
        disk, lies = self._evidence(frame)
        try:
            await self._check_digest(frame, disk.root / lies)
            read = await self.verifier.read(disk.root / lies, kind=frame.kind, name=frame.name, lenient=True)
            if read.verdict.rejection is not None:
                raise read.verdict.rejection
            sums = await self.verifier.unpack(disk.root / lies, read.headers)
        except Rejection as rejection:
            raise Refused(f"{frame.name} cannot be accepted: {rejection.sentence}.") from rejection
        excused = "; ".join(rejection.sentence for rejection in read.verdict.excused) or "nothing is wrong with it now"
        return await self._take(frame, disk, lies, read, str(pixel_digest(sums)), because, excused, by=by)

    def _evidence(self, frame: FrameRecord) -> tuple[Reception, Path]:
        """Where the rejected file lies, or where an earlier life had brought it when it was accepted."""
        disk = self.receptions.disk(frame.disk)
        if disk.trouble is not None:
            raise Refused(f"{frame.name} lies on the reception disk {disk.name}, which cannot be used: {disk.trouble}.")
        filed = disk.filed(frame.uri, generation=frame.generation, kind=frame.kind)
        for lies in (Path(frame.path), filed) if frame.path else (filed,):
            if (disk.root / lies).is_file():
                return disk, lies
        raise Refused(
            f"The file of {frame.name} is not in quarantine any more: "
            f"terapix snooppix retry {frame.name} fetches it again."
        )

    async def _check_digest(self, frame: FrameRecord, path: Path) -> None:
        if frame.wire_digest is None:
            return
        listed = Digest.parse(frame.wire_digest)
        found = await asyncio.to_thread(digest_of, path, listed.algorithm)
        if found != listed:
            raise Rejection("damaged", f"its digest is {found} and the archive lists {listed}")

    async def _take(
        self,
        frame: FrameRecord,
        disk: Reception,
        lies: Path,
        read: Read,
        pixels: str,
        because: str,
        excused: str,
        *,
        by: str,
    ) -> str:
        found = Found(
            read.columns,
            pixels,
            f"is accepted as a valid {what(frame)} by {by}, because: {because}. Excused: {excused}",
            event="accepted",
            source=f"operator:{by}"[:60],
            level=Level.WARNING,
            reason=f"accepted by {by}: {because}",
        )
        try:
            await self.filing.file(frame, disk, lies, found)
        except IllegalMove as problem:
            target = disk.filed(frame.uri, generation=frame.generation, kind=frame.kind)
            await asyncio.to_thread((disk.root / target).unlink, missing_ok=True)
            raise Refused(f"{frame.name} was superseded meanwhile: a newer generation has come.") from problem
        log.warning("rejected frame accepted", frame=frame.name, by=by, because=because, excused=excused)
        return f"{frame.name} is accepted as a valid {what(frame)}. Excused: {excused}."
