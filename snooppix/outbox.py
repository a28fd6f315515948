"""The clone's outbox: each product that is verified here is acknowledged to its publisher, until it says that it knows.

What is owed is what the database says: a product that is valid and not
acknowledged. A kill at any moment repeats an acknowledgement at most, which does
no harm; the publisher counts each once.
"""

import asyncio
import json
from datetime import timedelta
from typing import Final

from aiohttp import ClientError

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import Level
from dbclient.stores import Acknowledgements, Frames
from snooppix.errors import ArchiveError
from snooppix.publisher.acknowledgement import Acknowledgement
from snooppix.wire import Wire, retry_after
from terapix.clock import Clock
from terapix.journal import logger
from terapix.retry import Backoff
from terapix.steps import reached

log = logger("outbox")

SOURCE: Final = "snooppix"
WAITS: Final = Backoff(first=5.0, factor=2.0, ceiling=3600.0, attempts=1_000_000)
AT_ONCE: Final = 100
ANSWER: Final = 4096
"""Bytes of an answer that are read: a sentence."""


class Outbox:
    """Acknowledges products, one after the other."""

    def __init__(self, database: Database, wire: Wire, address: str, *, clock: Clock) -> None:
        self.database = database
        self.wire = wire
        self.address = address
        """Where acknowledgements go; empty: nobody is told."""
        self.clock = clock
        self.sent = 0

    async def send_due(self, stopping: asyncio.Event) -> int:
        """Acknowledge what is due, until `stopping`; return how many the publisher took.

        A publisher that does not answer is asked for one product a round: the others wait with it, not each for itself.
        """
        if not self.address:
            return 0
        async with self.database.read() as session:
            due = await Acknowledgements().due(session, now=self.clock.now(), limit=AT_ONCE)
        taken = 0
        for frame in due:
            if stopping.is_set():
                break
            try:
                taken += await self._send(frame)
            except (ArchiveError, ClientError, OSError, TimeoutError) as problem:
                why = str(problem) or type(problem).__name__
                await self._wait(frame, f"its publisher cannot be told that it is here: {why}", None)
                break
        self.sent += taken
        return taken

    async def _send(self, frame: FrameRecord) -> bool:
        told = Acknowledgement(frame.uri.rsplit("/", 1)[-1], frame.offered or 0, frame.wire_digest, frame.pixel_digest)
        headers = {"Content-Type": "application/json"}
        body = json.dumps(told.document()).encode()
        async with self.wire.ask("POST", self.address, headers=headers, data=body) as response:
            answer = (await response.content.read(ANSWER)).decode("utf-8", "replace")
            status, asked = response.status, retry_after(response)
        if status != 200:
            await self._wait(frame, f"its publisher refuses the acknowledgement ({status}): {_reason(answer)}", asked)
            return False
        reached("acknowledge.sent")
        async with self.database.write() as session:
            await Acknowledgements().done(session, frame.id, now=self.clock.now(), source=SOURCE)
        log.info("product acknowledged", product=frame.name, generation=frame.offered)
        reached("acknowledge.recorded")
        return True

    async def _wait(self, frame: FrameRecord, reason: str, asked: float | None) -> None:
        now = self.clock.now()
        pause = max(WAITS.delay(frame.attempts + 1), asked or 0.0)
        async with self.database.write() as session:
            await Frames().wait(
                session,
                frame.id,
                reason=reason,
                retry_at=now + timedelta(seconds=pause),
                now=now,
                source=SOURCE,
                level=Level.WARNING,
            )


def _reason(answer: str) -> str:
    """Give the publisher's sentence, or what came in its place."""
    try:
        told = json.loads(answer)
        return str(told["reason"])[:500]
    except (ValueError, KeyError, TypeError):
        return answer[:200].strip() or "without a word"
