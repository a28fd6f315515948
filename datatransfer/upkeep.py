"""Upkeep: beside the passes of the coordinator, files are read again on every node, each at its pace.

What a node has brought back that was missing comes first, then what is due.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from datatransfer.errors import Stopped
from datatransfer.scrub import Scrub
from datatransfer.taking_back import TakingBack
from dbclient.records import NodeRecord
from terapix.clock import Clock
from terapix.errors import TerapixError
from terapix.journal import logger
from terapix.sections import Settings

log = logger("datatransfer.upkeep")

REST: Final = 30.0
"""Seconds before a node on which nothing was to be read is looked at again: with 50 nodes, each look counts."""
YIELD: Final = 0.1
"""Share of the rate that is left to the scrub while frames move."""


class Upkeep:
    """Reads what is due, a file at a time on each node."""

    def __init__(
        self, scrub: Scrub, back: TakingBack, settings: Settings, clock: Clock, *, busy: Callable[[], bool]
    ) -> None:
        self._scrub = scrub
        self._back = back
        self._rate = settings.datatransfer.scrub_rate
        self._days = timedelta(days=settings.datatransfer.scrub_days)
        self._clock = clock
        self._busy = busy
        self._stop = threading.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._rests: dict[str, float] = {}
        """Until when (monotonic) a node on which nothing was to be read is left alone."""
        self.findings = 0
        """Files that were found not to be what they were, since this process began."""

    def pass_(self, nodes: Sequence[NodeRecord]) -> None:
        """Begin with the nodes that answer, where nobody is at it."""
        for node in nodes if not self._stop.is_set() else ():
            task = self._tasks.get(node.name)
            if (task is None or task.done()) and self._rests.get(node.name, 0.0) <= self._clock.monotonic():
                self._tasks[node.name] = asyncio.create_task(self._run(node), name=f"scrub {node.name}")

    async def settled(self) -> None:
        """Wait until nothing is read."""
        await asyncio.gather(*self._tasks.values())

    async def close(self) -> None:
        """Stop within a block."""
        self._stop.set()
        await self.settled()

    @property
    def _pace(self) -> float:
        return self._rate * (YIELD if self._busy() else 1.0)

    async def _run(self, node: NodeRecord) -> None:
        try:
            while away := await self._back.waiting(node):
                for holding in away:
                    await self._back.read(node, holding, rate=self._pace, stop=self._stop)
            due = await self._scrub.unread(node, since=self._clock.now() - self._days) if self._rate else ()
            if not due:
                self._rests[node.name] = self._clock.monotonic() + REST
            for holding in due:
                finding = await self._scrub.read(node, holding, rate=self._pace, stop=self._stop)
                self.findings += finding is not None
        except Stopped:
            return
        except TerapixError as problem:
            log.warning("scrub broke off; the next pass goes on", node=node.name, why=str(problem))
