"""Missing: a node that was down for long. What it held counts as not held, and is brought or made again elsewhere.

A node that comes back after that is compared with the database first, and each of
its files is read whole before it counts again (`datatransfer.upkeep`).
"""

from datetime import timedelta
from typing import Final

from datatransfer.losses import Losses
from datatransfer.nodes import DRAINING
from dbclient.database import Database
from dbclient.records import NodeRecord
from dbclient.schema import NodeState
from dbclient.stores import Frames, Holdings, Jobs, Leases, Nodes
from terapix.clock import Clock
from terapix.errors import TerapixError
from terapix.journal import logger

log = logger("datatransfer.missing")

AT_ONCE: Final = 100
"""Frames that are asked for again in one transaction."""
WATCHED: Final = 600.0
"""Seconds for which this process must have seen a node down before it says that it is missing: a host that was
itself away, or whose clock jumped, does not know for how long."""
KIND: Final = "missing"
"""Of the events."""


class NotDown(TerapixError):
    """A node that is not down cannot be missing."""

    def __init__(self, node: NodeRecord) -> None:
        super().__init__(
            f"{node.name} is {node.state.value}, and only a node that is down can be missing; "
            f"terapix nodes drain {node.name} lets it take nothing new"
        )


class Missing:
    """Declares nodes missing, and asks for what they held."""

    def __init__(self, database: Database, clock: Clock, *, days: float, source: str) -> None:
        self._database = database
        self._clock = clock
        self._after = timedelta(days=days)
        self._source = source
        self._losses = Losses(clock, source=source)
        self._down: dict[str, float] = {}
        """Since when (monotonic) this process sees nodes down."""
        self._asked: set[str] = set()
        """Missing nodes of which this process has asked for everything."""

    async def pass_(self) -> int:
        """Declare nodes that were down for long, and see that what they held is asked for; return how many frames."""
        async with self._database.read() as session:
            nodes = [node for node in await Nodes().all(session) if not node.state.answers]
        self._down = {node.name: self._down.get(node.name, self._clock.monotonic()) for node in nodes}
        self._asked &= {node.name for node in nodes if node.state is NodeState.MISSING}
        again = 0
        for node in nodes:
            if node.state is NodeState.DOWN and self._is_due(node):
                await self.declare(node, f"it has been down since {node.since:%Y-%m-%d %H:%M} UTC")
            elif node.state is not NodeState.MISSING or node.name in self._asked:
                continue
            again += await self.ask(node)
            self._asked.add(node.name)
        return again

    def _is_due(self, node: NodeRecord) -> bool:
        """Tell whether a node that is down has been so for long, by the calendar and by our own watch."""
        if not self._after or node.since is None:
            return False
        watched = self._clock.monotonic() - self._down[node.name]
        return watched >= WATCHED and self._clock.now() - node.since >= self._after

    async def declare(self, node: NodeRecord, why: str) -> int:
        """Say that a node is missing, and of all it held that it is not held; return how many files that are.

        Raises
        ------
        NotDown
        """
        now = self._clock.now()
        async with self._database.write() as session:
            await Nodes().room(session, lock=True)
            fresh = await Nodes().named(session, node.name)
            if fresh is None or fresh.state is not NodeState.DOWN:
                raise NotDown(fresh or node)
            files = await Holdings().put_away(session, node.id)
            reason = f"{why}; {files} files on it are not counted any more"
            if (fresh.reason or "").endswith(DRAINING):
                reason += DRAINING
            await Nodes().set_state(session, node.name, NodeState.MISSING, reason=reason, now=now, source=self._source)
            for lease in await Leases().open(session, node.id):
                await Leases().settle(session, lease.frame_id, node.id, frame=True, products=True, now=now)
        log.error("node is missing", node=node.name, why=why, files=files)
        return files

    async def ask(self, node: NodeRecord) -> int:
        """Ask the archive for the frames that a missing node had and nobody else holds; return how many."""
        again, behind = 0, 0
        why = f"{node.name}, which had it, is missing"
        while True:
            async with self._database.write() as session:
                found = await Holdings().bereaved(session, node.id, behind=behind, limit=AT_ONCE)
                for holding in found:
                    frame = await Frames().get(session, holding.frame_id)
                    loss = await self._losses.ask_again(session, frame, why=why, kind=KIND, holding=holding)
                    again += loss.again
            if not found:
                break
            behind = found[-1].id
        async with self._database.write() as session:
            await Jobs().leave(session, node.id)
        if again:
            log.warning("frames of a missing node are fetched again", node=node.name, frames=again)
        return again
