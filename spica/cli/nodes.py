"""`terapix nodes`: the processing nodes, on this host and on others, and who may speak for them."""

import asyncio
import getpass
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from datatransfer.agent.authority import Authority
from datatransfer.agent.trust import Role
from datatransfer.depots import Depots
from datatransfer.disks import Disk, furnish, measure
from datatransfer.errors import MoveError
from datatransfer.homecoming import Homecoming, Verdict
from datatransfer.missing import Missing
from dbclient.database import Database
from dbclient.records import NodeRecord, NodeRoom
from dbclient.schema import NodeState, RequestKind
from dbclient.stores import Events, Holdings, Leases, Nodes, Products, Replicas
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, out, say_json, settings, size, stop, table
from spica.cli.operate import PATIENCE, WaitOption, request
from terapix.clock import SystemClock
from terapix.errors import TerapixError
from terapix.hosts import NodeSection
from terapix.settings import Loaded

nodes = typer.Typer(invoke_without_command=True)
NameArgument = Annotated[str, typer.Argument(help="Node, as node5.")]
AuthorityOption = Annotated[
    Path, typer.Option("--directory", help="Where the authority lies; its key should not leave this host.")
]
AUTHORITY = Path("authority")
SOURCE = "terapix nodes"


@nodes.callback()
def listed(context: typer.Context, config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """List the processing nodes: state, room, promised room, address; and look after them."""
    if context.invoked_subcommand is not None:
        return

    async def look(database: Database, _: Loaded) -> Any:
        async with database.read() as session:
            store = Nodes()
            return await store.all(session), {room.name: room for room in await store.room(session)}

    held, rooms = ask(config, look)
    if as_json:
        say_json([{"node": node, "room": rooms.get(node.name)} for node in held])
        return
    rows = [
        (
            n.name,
            n.state,
            size(n.capacity),
            size(n.used),
            size(r.leased if (r := rooms.get(n.name)) else 0),
            size(n.free),
            n.address or "this host",
            n.directory,
            n.reason,
        )
        for n in held
        if n.state is not NodeState.REMOVED
    ]
    columns = ("node", "state", "capacity", "held", "promised", "free", "host", "directory", "why")
    table("Nodes", columns, rows, empty="No node has been registered: [[nodes]] in terapix.toml names them.")
    if several := [room for room in rooms.values() if len(room.disks) > 1]:
        disks = ("node", "disk of", "total", "free", "promised", "reserve")
        table("Nodes with several disks", disks, [row for room in several for row in _disks(room)], empty="")


def _disks(room: NodeRoom) -> Iterator[tuple[Any, ...]]:
    """Give a line for each disk of a node: what lies there, and what it can still promise."""
    promised = dict(zip(("frames", "products", "scratch"), room.promised, strict=True))
    for disk in room.disks:
        taken = sum(promised.get(part, 0) for part in disk["parts"])
        words = (size(disk["total"]), size(disk["free"]), size(taken), size(room.reserve))
        yield room.name, ", ".join(disk["parts"]), *words


@nodes.command()
def add(
    name: NameArgument,
    config: ConfigOption = None,
    *,
    address: Annotated[str, typer.Option("--address", help="Agent of its host, as https://node5:8620.")] = "",
    directory: Annotated[Path | None, typer.Option("--directory", help="Root of its disk, on this host.")] = None,
    capacity: Annotated[int, typer.Option("--capacity", min=0, help="Bytes to be used; 0: the whole disk.")] = 0,
    reserve: Annotated[int, typer.Option("--reserve", min=0, help="Bytes never promised.")] = 1_000_000_000,
) -> None:
    """Take a node into use; its agent, or its directory on this host, must answer now."""
    if not address and directory is None:
        stop("Say --address of the agent of its host, or --directory on this host.", Exit.USAGE)

    async def whole(database: Database, loaded: Loaded) -> str:
        section = _section(name, address, directory or Path("unknown"), capacity=capacity, reserve=reserve)
        root, total = await _seen(loaded, section)
        now = datetime.now(UTC)
        async with database.write() as session:
            known = await Nodes().named(session, name)
            if known and known.state is not NodeState.REMOVED:
                stop(f"{name} is in use already: it is {known.state.value}, in {known.directory}.", Exit.FAILURE)
            number = await Nodes().upsert(
                session,
                name=name,
                directory=root,
                capacity=capacity or total,
                reserve=reserve,
                address=address or None,
                now=now,
            )
            if known:
                again = "was added again and is compared with the database"
                await Nodes().set_state(session, name, NodeState.DOWN, reason=again, now=now, source=SOURCE)
            message = f"{name} was added: {size(total)} in {root} {f'at {address}' if address else 'on this host'}"
            await Events().append(session, source=SOURCE, kind="node-added", message=message, node_id=number, now=now)
        return message

    out.print(f"{ask(config, whole)}.", soft_wrap=True, highlight=False)


def _section(name: str, address: str, directory: Path, *, capacity: int, reserve: int) -> NodeSection:
    try:
        return NodeSection(name=name, address=address, directory=directory, capacity=capacity, reserve=reserve)
    except ValueError:
        stop(f"{name} with address {address!r} is no node: see [[nodes]] in docs/operators.md.", Exit.USAGE)


async def _seen(loaded: Loaded, section: NodeSection) -> tuple[str, int]:
    """Look at a new node's disk; give its directory and size."""
    depots = Depots(loaded.settings, SystemClock())
    try:
        depot = depots.of_section(section)
        if not depot.address:
            await asyncio.to_thread(furnish, depot.directory)
            disk = await asyncio.to_thread(measure, depot.directory)
            where = depot.directory
        else:
            gauge = depots.gauge(depot, walk_every=60.0)
            disk = await gauge.measure()
            where = gauge.directory
    finally:
        await depots.close()
    if not isinstance(disk, Disk):
        stop(f"{section.name} cannot be used: {disk.reason}.", Exit.TRY_AGAIN)
    return str(where), disk.total


@nodes.command()
def drain(
    name: NameArgument, config: ConfigOption = None, *, wait: WaitOption = PATIENCE, as_json: JsonOption = False
) -> None:
    """Let a node take nothing new; it keeps what it has."""
    request(config, RequestKind.DRAIN, {"node": name}, wait=wait, as_json=as_json)


@nodes.command()
def undrain(
    name: NameArgument, config: ConfigOption = None, *, wait: WaitOption = PATIENCE, as_json: JsonOption = False
) -> None:
    """Let a node take frames again."""
    request(config, RequestKind.UNDRAIN, {"node": name}, wait=wait, as_json=as_json)


@nodes.command()
def remove(name: NameArgument, config: ConfigOption = None) -> None:
    """Take a node out that holds nothing any more; its history stays."""

    async def whole(database: Database, loaded: Loaded) -> str:
        now = datetime.now(UTC)
        async with database.write() as session:
            await Nodes().room(session, lock=True)
            node = await Nodes().named(session, name)
            if node is None:
                stop(f"There is no node {name}.", Exit.NOT_FOUND)
            held = len(await Replicas().on_node(session, node.id)) + len(await Products().on_node(session, node.id))
            promised = sum(lease.node_id == node.id for lease in await Leases().open(session))
            if held or promised:
                what = f"{held} files lie there" if held else f"room is promised there for {promised} frames"
                stop(f"{name} is not removed: {what}. Drain it and move its frames first.", Exit.FAILURE)
            await Nodes().set_state(
                session, name, NodeState.REMOVED, reason="removed by an operator", now=now, source=SOURCE
            )
        listed = any(section.name == name for section in loaded.settings.nodes)
        return f"{name} is removed{'; take it out of terapix.toml too' if listed else ''}."

    out.print(ask(config, whole), soft_wrap=True)


@nodes.command()
def missing(name: NameArgument, config: ConfigOption = None) -> None:
    """Count what a node that is down held as not held: it is brought or made again; should it come back, it is read."""

    async def whole(database: Database, _: Loaded) -> tuple[int, int]:
        async with database.read() as session:
            node = await Nodes().named(session, name)
        if node is None:
            stop(f"There is no node {name}.", Exit.NOT_FOUND)
        declared = Missing(database, SystemClock(), days=0.0, source=SOURCE)
        files = await declared.declare(node, f"{getpass.getuser()} said so")
        return files, await declared.ask(node)

    files, again = ask(config, whole)
    said = f"{name} is missing: {files} files on it are not counted any more, {again} frames are fetched again."
    out.print(said, soft_wrap=True, highlight=False)


@nodes.command()
def check(
    name: Annotated[str | None, typer.Argument(help="Only this node.")] = None,
    config: ConfigOption = None,
    *,
    files: Annotated[bool, typer.Option("--files", help="Compare the files there with the database, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask every node's host at this moment: whether it answers, its disk, whether its files are those we know."""

    async def whole(database: Database, loaded: Loaded) -> list[dict[str, Any]]:
        async with database.read() as session:
            held = [node for node in await Nodes().all(session) if node.state is not NodeState.REMOVED]
        wanted = [node for node in held if name in {None, node.name}]
        if not wanted:
            stop(f"There is no node {name or ''}.", Exit.NOT_FOUND)
        depots = Depots(loaded.settings, SystemClock())
        try:
            return list(await asyncio.gather(*(_checked(database, depots, node, files=files) for node in wanted)))
        finally:
            await depots.close()

    found = ask(config, whole)
    if as_json:
        say_json(found)
    else:
        columns = ("node", "state", "host", "answers", "free", "total", "inodes", "files", "not counted", "why")
        rows = [tuple(_shown(item[column]) for column in columns) for item in found]
        table("Nodes", columns, rows, empty="")
    raise typer.Exit(Exit.OK if all(item["well"] for item in found) else Exit.SOME_FAILED)


def _shown(value: Any) -> Any:
    return ("yes" if value else "no") if isinstance(value, bool) else value


async def _checked(database: Database, depots: Depots, node: NodeRecord, *, files: bool) -> dict[str, Any]:
    depot = depots.of_node(node)
    disk = await depots.gauge(depot, walk_every=60.0).measure()
    verdict: Verdict | None = None
    why = "" if isinstance(disk, Disk) else disk.reason
    if files and isinstance(disk, Disk):
        try:
            verdict = await Homecoming(database, SystemClock(), depots, source=SOURCE).compare(node)
        except MoveError as problem:
            why = str(problem)
    wrong = bool(verdict and (verdict.missing or verdict.differing))
    async with database.read() as session:
        away = await Holdings().count_away(session, node.id)
    return {
        "node": node.name,
        "state": node.state.value,
        "host": node.address or "this host",
        "answers": isinstance(disk, Disk),
        "free": size(disk.free_in_all) if isinstance(disk, Disk) else None,
        "total": size(disk.total_of_all) if isinstance(disk, Disk) else None,
        "inodes": disk.inodes if isinstance(disk, Disk) else None,
        "files": verdict.sentence if verdict else None,
        "not counted": away,
        "why": why or (node.reason or "" if not node.state.answers else ""),
        "well": isinstance(disk, Disk) and node.state.answers and not why and not wrong,
    }


@nodes.command("init-ca")
def init_ca(config: ConfigOption = None, *, directory: AuthorityOption = AUTHORITY) -> None:
    """Make the installation's own certificate authority, once; its certificates let hosts know each other."""
    place = settings(config).settings.at(directory)
    try:
        Authority.make(place, now=datetime.now(UTC))
    except TerapixError as problem:
        stop(str(problem), Exit.FAILURE)
    out.print(
        f"The authority is made: {place / 'authority.pem'} goes to every host, {place / 'authority.key'} stays here.",
        soft_wrap=True,
        highlight=False,
    )


@nodes.command()
def certificate(
    name: NameArgument,
    config: ConfigOption = None,
    *,
    hosts: Annotated[
        list[str] | None, typer.Option("--host", help="Host name or address by which it is reached; several if needed.")
    ] = None,
    role: Annotated[Role, typer.Option("--role", help="coordinator: may have files brought and removed.")] = Role.AGENT,
    directory: AuthorityOption = AUTHORITY,
) -> None:
    """Issue a certificate for a host of the installation; an older one of the name is replaced."""
    place = settings(config).settings.at(directory)
    try:
        issued = Authority.open(place).issue(
            _section(name, "", place, capacity=0, reserve=0).name,
            role=role.value,
            hosts=hosts or [name],
            now=datetime.now(UTC),
        )
    except TerapixError as problem:
        stop(str(problem), Exit.FAILURE)
    out.print(
        f"{issued.certificate} and {issued.key} go to {name}, with authority.pem: [agent] there names them.",
        soft_wrap=True,
        highlight=False,
    )
