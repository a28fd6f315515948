"""The daemon `datatransfer-node`: runs on a node's host, measures its disk and reports it into the node's row."""

import asyncio
import socket
from collections.abc import Sequence

from datatransfer.nodes import Roster
from dbclient.database import Database
from dbclient.heartbeat import keep_heartbeat
from terapix.daemon import Daemon, command
from terapix.errors import TerapixError
from terapix.journal import logger
from terapix.sections import Settings

log = logger("datatransfer-node")

NAME = "datatransfer-node"
REPORT = 20.0
"""Seconds between two reports: below the watchdog's limit and a daemon's silence."""


class NoNode(TerapixError):
    """No node of the settings lies on this host."""

    def __init__(self, settings: Settings) -> None:
        known = ", ".join(f"{node.name} in {settings.at(node.directory)}" for node in settings.nodes) or "none"
        super().__init__(
            f"no node's directory is on {socket.gethostname()}: [[nodes]] in terapix.toml has {known}; "
            f"make the directory of this host's node, or name it there"
        )


def here(settings: Settings) -> frozenset[str]:
    """Names of the nodes whose directory is on this host."""
    return frozenset(node.name for node in settings.nodes if settings.at(node.directory).is_dir())


async def work(daemon: Daemon) -> None:
    """Measure and report until the daemon is told to stop."""
    settings = daemon.settings
    names = await asyncio.to_thread(here, settings)
    if not names:
        raise NoNode(settings)
    database = await Database.open(settings.database_url)
    try:
        roster = Roster(database, settings, daemon.clock, source=NAME, only=names)
        keep_heartbeat(daemon, database, name=f"{NAME}:{socket.gethostname()}")
        await daemon.ready(f"measures {', '.join(sorted(names))}")
        while not daemon.stopping.is_set():
            await roster.look()
            ill = names - set(roster.standings)
            await daemon.beat(f"{', '.join(sorted(ill))} down" if ill else f"{', '.join(sorted(names))} well")
            await _pause(daemon.stopping, REPORT)
    finally:
        await database.close()


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon."""
    return command(NAME, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
