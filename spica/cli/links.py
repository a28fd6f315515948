"""`terapix links`: what goes over each link between hosts, and what may at this hour."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import typer

from datatransfer.links import RECEPTION, Link, concerns, limit_of, obstacle
from dbclient.database import Database
from dbclient.records import NodeRecord, TransferRecord
from dbclient.schema import TransferState
from dbclient.stores import Nodes, Transfers
from dbclient.stores.transfers import TO_NODES
from spica.cli.answers import ConfigOption, JsonOption, ask, out, say_json, size, table
from terapix.hours import changes_at
from terapix.sections import Settings
from terapix.settings import Loaded

room = typer.Typer()


@dataclass(frozen=True, slots=True)
class Use:
    """One link as it is used now."""

    source: str
    target: str
    moving: int
    waiting: int
    """Transfers that have room and not begun."""
    rate: float
    """Bytes a second, lately."""
    most_moves: int
    """At the same time at this hour; 0: no limit."""
    most_rate: int
    """Bytes a second at this hour; 0: no limit."""
    until: datetime | None
    """When other limits hold; none: these always do."""
    full: bool
    """Whether one move more has to wait for another to end."""


@room.command()
def links(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Show what goes over each link, what waits for it, and what it may carry at this hour (datatransfer.limits)."""

    async def look(database: Database, loaded: Loaded) -> list[Use]:
        async with database.read() as session:
            nodes = await Nodes().all(session)
            moving = await Transfers().running(session, *TO_NODES)
            waiting = await Transfers().promised(session)
        return uses(nodes, [*moving, *waiting], loaded.settings, now=datetime.now(UTC))

    found = ask(config, look)
    if as_json:
        say_json(found)
        return
    rows = [
        (
            f"{use.source} → {use.target}",
            use.moving,
            use.waiting,
            f"{size(use.rate)}/s" if use.rate else "",
            use.most_moves or "",
            f"{size(use.most_rate)}/s" if use.most_rate else "",
            f"{use.until:%H:%M} UTC" if use.until else "",
            "full: what waits begins when a move ends" if use.full and use.waiting else "",
        )
        for use in found
    ]
    columns = ("link", "moving", "waiting", "rate", "moves at most", "rate at most", "until", "")
    table("Links", columns, rows, empty="Nothing moves between nodes, nothing waits, and no link has a limit.")
    if not loaded_limits(found):
        out.print("No limit holds on these links: [[datatransfer.limits]] in terapix.toml sets some.", soft_wrap=True)


def loaded_limits(found: list[Use]) -> bool:
    """Tell whether any of the links has a limit now."""
    return any(use.most_moves or use.most_rate for use in found) or not found


def uses(nodes: list[NodeRecord], transfers: list[TransferRecord], settings: Settings, *, now: datetime) -> list[Use]:
    """Sum what goes over each link; those with a limit stand there though nothing goes."""
    names = {node.id: node.name for node in nodes}
    limits = settings.datatransfer.limits
    by_link: dict[Link, list[TransferRecord]] = defaultdict(list)
    for transfer in transfers:
        source = names.get(transfer.origin_id, "") if transfer.origin_id else RECEPTION
        by_link[Link(source, transfer.node or "")].append(transfer)
    every = {
        Link(source, node.name) for node in nodes for source in (RECEPTION, *names.values()) if source != node.name
    }
    for link in every:
        if any(concerns(section, link) and section.source != "*" for section in limits):
            by_link.setdefault(link, [])
    going = [link for link, each in by_link.items() for t in each if t.state is TransferState.RUNNING]
    return [_use(link, each, going, settings, now) for link, each in sorted(by_link.items())]


def _use(link: Link, transfers: list[TransferRecord], going: list[Link], settings: Settings, now: datetime) -> Use:
    limits: Any = settings.datatransfer.limits
    limit = limit_of(limits, link, now)
    moving = [transfer for transfer in transfers if transfer.state is TransferState.RUNNING]
    return Use(
        link.source,
        link.target,
        len(moving),
        len(transfers) - len(moving),
        sum(transfer.rate or 0.0 for transfer in moving),
        limit.connections,
        limit.rate,
        changes_at([section for section in limits if concerns(section, link)], now),
        obstacle(limits, going, link, now) is not None,
    )
