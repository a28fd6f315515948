"""Quarantine: what we do not take is kept as evidence, with all that is known of it, within bounds.

A file lies in ``from_CADC/rejected/<word>/`` with ``<file>.why.json`` beside it.
What is kept may fill a small share of its disk: then the oldest files go, and
their notes stay. Of one file of the archive only the newest evidence is kept.
"""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import FrameState, Level
from dbclient.stores import Events, Frames, Transfers
from snooppix.errors import Damaged, FetchError, NotFits, Rejection
from snooppix.reception import REJECTED, Reception, Receptions
from terapix.clock import Clock
from terapix.identity import safe_name
from terapix.journal import logger
from terapix.part import sync_directory

log = logger("quarantine")

SOURCE: Final = "snooppix"
WHY: Final = ".why.json"
SHARE: Final = 0.05
"""Of a reception disk that evidence may fill; the newest file is kept even if it alone is larger."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a file that is set aside."""

    word: str
    """Name of the directory below from_CADC/rejected."""
    reason: str
    host: str | None = None
    """Who sent it."""
    found: str | None = None
    """Digest of what lies there."""
    head: bytes = b""
    """First bytes of what came in place of a file."""

    @classmethod
    def of_fetch(cls, word: str, reason: str, problem: FetchError) -> "Evidence":
        """Evidence of a download that went wrong too often."""
        found = problem.found if isinstance(problem, Damaged) else None
        head = problem.head if isinstance(problem, NotFits) else b""
        return cls(word, reason, host=problem.host, found=found, head=head)

    @classmethod
    def of_rejection(cls, rejection: Rejection, *, found: str | None) -> "Evidence":
        """Evidence of a whole file that is not what we take."""
        return cls(rejection.word, rejection.sentence, found=found)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that was set aside."""

    path: Path
    word: str
    why: dict[str, Any]
    """What the note says."""

    @property
    def name(self) -> str:
        """Name of the frame, or of the file if nothing better is known."""
        return str(self.why.get("frame") or self.path.name)

    @property
    def kept(self) -> bool:
        """Whether the file itself is still there."""
        return self.path.is_file()


class Quarantine:
    """Evidence on all reception disks."""

    def __init__(self, database: Database, receptions: Receptions, *, clock: Clock) -> None:
        self.database = database
        self.receptions = receptions
        self.clock = clock
        self._setting_aside = asyncio.Lock()
        """Two at once would take each other for older evidence where room is short."""

    async def reject(self, frame: FrameRecord, disk: Reception, source: Path | None, evidence: Evidence) -> None:
        """Set a frame's file aside and move its row to `rejected`, with what the server said when it was fetched.

        Parameters
        ----------
        disk : on which the file lies
        source : the file, below the disk's root; none if nothing but `evidence.head` came

        Raises
        ------
        IllegalMove
            If the frame was superseded meanwhile.
        """
        now = self.clock.now()
        async with self.database.read() as session:
            fetch = await Transfers().latest_fetch(session, frame.id)
        name = disk.file_name(frame.uri, generation=frame.generation)
        path = REJECTED / safe_name(evidence.word) / safe_name(name)
        why = {
            "frame": frame.name,
            "generation": frame.generation,
            "reason": evidence.reason,
            "word": evidence.word,
            "uri": frame.uri,
            "host": evidence.host or (fetch.source if fetch else None),
            "headers": fetch.headers if fetch else None,
            "expected": frame.wire_digest,
            "found": evidence.found,
            "rejected_at": now,
            "look": f"terapix snooppix check {disk.root / path}",
            "again": f"terapix snooppix retry {frame.name}",
        }
        async with self._setting_aside:
            removed = await asyncio.to_thread(set_aside, disk, source, path, why, head=evidence.head)
        async with self.database.write() as session:
            await Frames().advance(
                session,
                frame.id,
                FrameState.REJECTED,
                now=now,
                source=SOURCE,
                message=f"rejected ({evidence.word}): {evidence.reason}",
                event="rejected",
                level=Level.WARNING,
                reason=evidence.reason,
                path=str(path),
                disk=disk.name,
            )
            await self._tell(session, disk, removed)
        log.info("frame rejected", frame=frame.name, word=evidence.word, why=evidence.reason)

    async def keep(self, disk: Reception, source: Path, name: str, *, word: str, reason: str) -> None:
        """Set a file aside that belongs to no frame."""
        path = REJECTED / safe_name(word) / safe_name(name)
        why = {"reason": reason, "word": word, "rejected_at": self.clock.now()}
        why["look"] = f"terapix snooppix check {disk.root / path}"
        async with self._setting_aside:
            removed = await asyncio.to_thread(set_aside, disk, source, path, why)
        async with self.database.write() as session:
            await self._tell(session, disk, removed)

    async def _tell(self, session: AsyncSession, disk: Reception, removed: list[str]) -> None:
        if not removed:
            return
        some = ", ".join(removed[:5]) + (f" and {len(removed) - 5} more" if len(removed) > 5 else "")
        message = (
            f"the quarantine on {disk.name} is full ({SHARE:.0%} of the disk): the oldest evidence was removed, "
            f"its notes stay: {some}"
        )
        log.warning("evidence removed", disk=disk.name, files=len(removed))
        await Events().append(
            session, source=SOURCE, kind="quarantine-full", message=message, level=Level.WARNING, now=self.clock.now()
        )

    def all(self) -> list[Rejected]:
        """List everything that was set aside, by disk, reason and name."""
        return [item for disk in self.receptions.disks for item in set_aside_on(disk)]


def set_aside(
    disk: Reception, source: Path | None, target: Path, why: Mapping[str, Any], *, head: bytes = b""
) -> list[str]:
    """Move a file aside with its note; the note comes first, so that no file is there without one.

    Returns
    -------
    list
        Names of the older files that were removed to make room.
    """
    directory, name = (disk.root / target).parent, target.name
    directory.mkdir(parents=True, exist_ok=True)
    note = directory / f"{name}{WHY}"
    fresh = note.with_name(f".{note.name}")
    fresh.write_text(json.dumps(dict(why), indent=2, default=_plain, ensure_ascii=False) + "\n")
    fresh.rename(note)
    if source is not None:
        disk.move(source, target)
    else:
        (disk.root / target).write_bytes(head)
    sync_directory(directory)
    forget(disk, name, besides=disk.root / target)
    return keep_within(disk, int(shutil.disk_usage(disk.root).total * SHARE), besides=disk.root / target)


def keep_within(disk: Reception, bound: int, *, besides: Path) -> list[str]:
    """Remove the oldest evidence until what is left fits; `besides` stays in any case, and so do all notes."""
    files = []
    for path in (disk.root / REJECTED).glob("*/*"):
        if path.is_file() and not path.name.endswith(WHY):
            found = path.stat()
            files.append((found.st_ctime_ns, path, found.st_blocks * 512))
    total = sum(size for _, _, size in files)
    removed = []
    for _, path, size in sorted(files):
        if total <= bound:
            break
        if path != besides:
            path.unlink(missing_ok=True)
            total -= size
            removed.append(path.name)
    return removed


def forget(disk: Reception, name: str, *, besides: Path | None = None) -> None:
    """Remove the evidence of a file under any word, but for one."""
    note = f"{safe_name(name)}{WHY}"
    kept = []
    with contextlib.suppress(FileNotFoundError), os.scandir(disk.root / REJECTED) as words:
        kept = [word.path for word in words if os.path.lexists(f"{word.path}/{note}")]
    for word in kept:
        path = Path(word, name)
        if path != besides:
            path.unlink(missing_ok=True)
            path.with_name(note).unlink(missing_ok=True)


def set_aside_on(disk: Reception) -> list[Rejected]:
    """List what was set aside on one disk."""
    found = []
    for note in sorted((disk.root / REJECTED).glob(f"*/*{WHY}")):
        try:
            why = json.loads(note.read_text())
        except (OSError, ValueError):
            why = {"reason": "the note cannot be read"}
        path = note.with_name(note.name.removesuffix(WHY))
        found.append(Rejected(path, note.parent.name, why if isinstance(why, dict) else {"reason": str(why)}))
    return found


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
