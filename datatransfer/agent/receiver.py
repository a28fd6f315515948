"""The receiver: brings one file from another agent under its final name here, whole and verified, or not at all.

Everything here blocks and belongs in a thread. The bytes lie in ``*.part``
beside their place, with a sidecar of what they belong to; they stay when the
connection breaks or the process dies, and the next try reads them again and
fetches the rest. While one block is written, the one before is digested.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from datatransfer.agent.line import Cut, Line
from datatransfer.agent.pace import Pace
from datatransfer.agent.roots import Root, place_of
from datatransfer.agent.stretches import Stretches
from datatransfer.agent.trust import Trust
from datatransfer.errors import DigestMismatch, DiskFull, LinkBroken, NodeUnreachable, Stopped
from datatransfer.mover import FULL, PART, Carried, aside, digest_of
from terapix.claims import Claim
from terapix.identity import Digest
from terapix.part import Bound, Part, Span, publish, sync_directory
from terapix.retry import Backoff
from terapix.steps import reached

CHUNK: Final = 1 << 20
"""Bytes read, written and digested at once."""
AHEAD: Final = 4
"""Chunks that may wait for their digest."""
AGAIN: Final = Backoff(first=0.2, factor=3.0, ceiling=5.0, attempts=4)
"""A connection that breaks is made again, so often in a row without a byte; then the coordinator decides."""
WHOLE: Final = 2
"""Times that a file is fetched whole when its bytes come damaged."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One file to be brought."""

    source: str
    """Address of the agent that has it."""
    origin: str
    """Root and path there."""
    root: str
    """Root here."""
    path: str
    """Path below it: the final name."""
    digest: str
    """Of the bytes, as md5:<hex>."""
    size: int

    @property
    def link(self) -> tuple[str, str]:
        """Roots from which and to which it goes: what limits are about."""
        return "/".join(self.origin.split("/")[:2]), self.root


def receive(
    parcel: Parcel,
    root: Root,
    *,
    trust: Trust,
    pace: Pace,
    segments: int,
    progress: Callable[[int], None],
    stop: threading.Event,
) -> Carried:
    """Bring a file; what an earlier try has brought is taken up.

    Parameters
    ----------
    segments : connections at most
    progress : told the bytes that are here, after each chunk

    Raises
    ------
    DiskFull, NodeUnreachable, SourceGone, DigestMismatch, LinkBroken, Stopped, MoveError
        After LinkBroken and Stopped the bytes so far stay.
    """
    reached("bring.asked")
    try:
        with place_of(root, parcel.path, make=True) as target:
            found = _found(target, parcel)
            if found is None:
                _bring(target, parcel, Fetching(trust, pace, segments, progress, stop))
    except OSError as problem:
        if problem.errno in FULL:
            raise DiskFull(root.directory / parcel.path, written=0, size=parcel.size) from problem
        raise NodeUnreachable(root.directory, problem.strerror or str(problem)) from problem
    progress(parcel.size)
    reached("bring.renamed")
    return found or Carried(parcel.size, "brought")


def _found(target: Path, parcel: Parcel) -> Carried | None:
    """Take up what stands under the final name; set aside what is something else."""
    if not target.exists():
        return None
    if target.stat().st_size == parcel.size and digest_of(target) == parcel.digest:
        sync_directory(target.parent)
        return Carried(parcel.size, "found")
    target.rename(aside(target))
    return None


@dataclass(frozen=True, slots=True)
class Fetching:
    """How a file is fetched."""

    trust: Trust
    pace: Pace
    segments: int
    progress: Callable[[int], None]
    stop: threading.Event


def _bring(target: Path, parcel: Parcel, how: Fetching) -> None:
    part = Part.open(target.with_name(target.name + PART), algorithm=Digest.parse(parcel.digest).algorithm)
    try:
        part.bind(Bound(parcel.digest, "", parcel.size))
        for tries in range(1, WHOLE + 1):
            _fill(part, parcel, how)
            if str(part.digest) == parcel.digest:
                break
            found = str(part.digest)
            part.restart()
            if tries == WHOLE:
                part.discard()
                raise DigestMismatch(Path(parcel.origin), expected=parcel.digest, found=found)
        reached("bring.written")
        part.close()
        publish(part.path, target)
    except OSError as problem:
        if problem.errno not in FULL:
            raise
        written = part.done
        with contextlib.suppress(OSError):
            part.discard()
        raise DiskFull(Path(parcel.path), written=written, size=parcel.size) from problem
    finally:
        part.close()


def _fill(part: Part, parcel: Parcel, how: Fetching) -> None:
    """Fetch what is missing, over new connections where they break."""
    failures = 0
    while not part.complete:
        before = part.done
        try:
            Filling(part, parcel, how).run()
        except Cut as problem:
            failures = 1 if part.done > before else failures + 1
            if AGAIN.spent(failures):
                raise LinkBroken(parcel.source, str(problem)) from problem
            how.stop.wait(AGAIN.delay(failures))
        if how.stop.is_set():
            raise Stopped


class Filling:
    """Fetches every stretch that is missing; further connections help as far as they make it faster."""

    def __init__(self, part: Part, parcel: Parcel, how: Fetching) -> None:
        self._part = part
        self._parcel = parcel
        self._how = how
        self._stretches = Stretches(part, most=how.segments)
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="digest")
        self._extra = ThreadPoolExecutor(max(1, how.segments - 1), thread_name_prefix="segment")
        self._helpers: list[Future[None]] = []
        self._half = 2 * part.done >= parcel.size

    def run(self) -> None:
        """Fetch until nothing is missing, or a connection breaks.

        Raises
        ------
        Cut, Stopped, SourceGone, MoveError
        """
        with self._hasher, self._extra:
            first = self._stretches.take()
            try:
                if first is not None:
                    self._bring(first, leads=True)
            finally:
                problems = [helper.exception() for helper in self._helpers]
            self._part.follow(0, ())
            for problem in problems:
                if problem is not None:
                    raise problem

    def _bring(self, claim: Claim, *, leads: bool) -> None:
        with Line(self._parcel.source, self._how.trust) as line:
            following: Claim | None = claim
            while following is not None:
                self._carry(line, following, leads=leads)
                self._stretches.drop(following)
                following = self._stretches.take() if leads or self._stretches.keeps else None

    def _carry(self, line: Line, claim: Claim, *, leads: bool) -> None:
        """Read one stretch; the chunk before is digested meanwhile."""
        asked = claim.end
        line.ask(self._parcel.origin, claim.at, asked, size=self._parcel.size)
        span = Span(self._part, claim.at)
        ring = [memoryview(bytearray(min(CHUNK, self._parcel.size))) for _ in range(AHEAD)]
        behind: deque[Future[None]] = deque()
        number = 0
        try:
            while claim.at < claim.end:
                if self._how.stop.is_set():
                    raise Stopped
                view = ring[number % AHEAD][: claim.end - claim.at]
                count = line.read_into(view)
                if not count:
                    raise Cut("the connection ended too early")
                span.write([view[:count]])
                behind.append(self._hasher.submit(self._part.follow, claim.at, [view[:count]]))
                if len(behind) == AHEAD:
                    behind.popleft().result()
                number += 1
                claim.at += count
                self._tell(count)
                if leads and (new := self._stretches.grown()) is not None:
                    self._helpers.append(self._extra.submit(self._bring, new, leads=False))
        finally:
            for digested in behind:
                digested.result()
            if claim.at < asked:
                line.close()

    def _tell(self, count: int) -> None:
        done = self._part.done
        self._how.progress(done)
        self._stretches.received += count
        if not self._half and 2 * done >= self._parcel.size:
            self._half = True
            reached("bring.half")
        self._how.pace.draw(count, self._how.stop)
