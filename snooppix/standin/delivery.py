"""Bytes on their way out: whole files by sendfile, faulty ones block by block."""

import asyncio
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from snooppix.protocol.sending import BLOCK, cut, send
from snooppix.standin.inventory import StoredFile
from snooppix.standin.kinds import Dropped, Flipped, Gzip, Replaced, Short, Slow, Stalled
from snooppix.standin.site import SITE, Site, put_in_place, service_of

TICKS = 10
"""Blocks per second of a slow body."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to go wrong with one body."""

    stop: int | None = None
    """Bytes after which it ends, if it does."""
    stall: bool = False
    """At its end the connection stays open."""
    rate: int = 0
    """Bytes per second; 0: as fast as they go."""
    flip: int | None = None
    """Place in the file of the byte that goes wrong."""
    replacement: Path | None = None
    """File that takes its place at the end."""

    @property
    def clean(self) -> bool:
        """Nothing goes wrong."""
        return self == Plan()


async def deliver(
    request: web.Request, file: StoredFile, facts: dict[str, str], *, start: int, count: int, whole: bool
) -> web.StreamResponse:
    """Send bytes of a file with its facts as headers, and whatever is to go wrong."""
    site = request.app[SITE]
    at = service_of(request)
    plan = _plan(site, file.name, at, count)
    answer = web.StreamResponse(status=200 if whole else 206, headers=facts)
    with file.path.open("rb") as source:
        if site.faults.take(Gzip, file.name, at=at):
            return await _compressed(request, answer, source, start, count)
        if short := site.faults.take(Short, file.name, at=at):
            count = max(0, count - short.missing)
        answer.content_length = count
        await answer.prepare(request)
        if plan.clean:
            sent = await send(request, answer, source, start, count)
            await (answer.write_eof() if sent == count else cut(request))
            return answer
        end = start + (count if plan.stop is None else min(plan.stop, count))
        await _blocks(site, answer, source, start, end, plan)
    if plan.replacement is not None:
        await asyncio.to_thread(put_in_place, plan.replacement, file.path)
    if plan.stall:
        await site.closing.wait()
    await (answer.write_eof() if plan.stop is None else cut(request))
    return answer


def _plan(site: Site, name: str, at: str, count: int) -> Plan:
    stalled = site.faults.take(Stalled, name, at=at)
    dropped = site.faults.take(Dropped, name, at=at)
    replaced = site.faults.take(Replaced, name, at=at)
    slow = site.faults.take(Slow, name, at=at)
    flipped = site.faults.take(Flipped, name, at=at)
    stops = [fault.after for fault in (stalled, dropped, replaced) if fault is not None]
    return Plan(
        stop=min(after if after >= 0 else max(0, count + after) for after in stops) if stops else None,
        stall=stalled is not None,
        rate=slow.rate if slow else 0,
        flip=flipped.byte if flipped else None,
        replacement=Path(replaced.source) if replaced else None,
    )


async def _blocks(site: Site, answer: web.StreamResponse, source: BinaryIO, start: int, end: int, plan: Plan) -> None:
    size = max(1, min(BLOCK, plan.rate // TICKS)) if plan.rate else BLOCK
    source.seek(start)
    place = start
    while place < end and (block := await asyncio.to_thread(source.read, min(size, end - place))):
        if plan.flip is not None and place <= plan.flip < place + len(block):
            changed = bytearray(block)
            changed[plan.flip - place] ^= 0xFF
            block = bytes(changed)
        await answer.write(block)
        place += len(block)
        if plan.rate:
            await site.clock.sleep(len(block) / plan.rate)


async def _compressed(
    request: web.Request, answer: web.StreamResponse, source: BinaryIO, start: int, count: int
) -> web.StreamResponse:
    source.seek(start)
    body = await asyncio.to_thread(lambda: gzip.compress(source.read(count), compresslevel=1, mtime=0))
    answer.headers["Content-Encoding"] = "gzip"
    answer.content_length = len(body)
    await answer.prepare(request)
    await answer.write(body)
    await answer.write_eof()
    return answer
