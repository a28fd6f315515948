"""Heartbeats: each daemon keeps one row that says it lives and what it does."""

import os
import socket
from typing import Any

from dbclient.database import Database
from dbclient.stores.nodes import Nodes
from terapix.daemon import Daemon

AGAIN = 10.0
"""Seconds after which an unchanged beat is written again."""


class Heartbeat:
    """Writes a daemon's row after its passes, not oftener than is of use."""

    def __init__(self, daemon: Daemon, database: Database, *, name: str | None = None) -> None:
        self._daemon = daemon
        self._database = database
        self.name = name or daemon.name
        self._written_at = float("-inf")
        self._written: tuple[str, dict[str, Any]] | None = None

    async def __call__(self, status: str, figures: dict[str, Any]) -> None:
        now = self._daemon.clock.monotonic()
        if (status, figures) == self._written and now - self._written_at < AGAIN:
            return
        self._written, self._written_at = (status, dict(figures)), now
        async with self._database.write() as session:
            await Nodes().heartbeat(
                session,
                name=self.name,
                host=socket.gethostname(),
                pid=os.getpid(),
                status=status,
                endpoint=self._daemon.endpoint,
                started_at=self._daemon.started_at,
                now=self._daemon.clock.now(),
                figures=figures or None,
            )

    async def end(self) -> None:
        """Take the row away: the daemon has ended as asked."""
        async with self._database.write() as session:
            await Nodes().forget(session, self.name, os.getpid())


def keep_heartbeat(daemon: Daemon, database: Database, *, name: str | None = None) -> Heartbeat:
    """Have a daemon's beats written to the database from now on."""
    beat = Heartbeat(daemon, database, name=name)
    daemon.on_beat.append(beat)
    return beat
