"""Commands that relocate what lies on nodes: copies, evacuations, a more even filling; and the orders that go on."""

import getpass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.assignment import wanted_of
from datatransfer.candidates import filters_of
from datatransfer.preview import rooms_last_measured
from datatransfer.relocation import Facts, Relocation, copying, evacuation, rebalancing
from datatransfer.relocations import everywhere
from dbclient.database import Database
from dbclient.records import RequestRecord
from dbclient.schema import RequestKind, RequestState
from dbclient.stores import Cargo, Cargoes, Nodes, Requests
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, byte_count, out, say_json, stop, table
from spica.cli.operate import ORDERS, PATIENCE, FilterOption, WaitOption, request
from terapix.quantities import in_words
from terapix.sections import Settings
from terapix.settings import Loaded

relocate = typer.Typer()
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and do nothing.")]


@relocate.command()
def copy(
    runid: Annotated[str, typer.Argument(help="RUNID, as 08AC14.")],
    config: ConfigOption = None,
    *,
    to: Annotated[str | None, typer.Option("--to", help="Node that shall have them as well.")] = None,
    replicas: Annotated[int, typer.Option("--replicas", min=2, max=9, help="Nodes that shall have each frame.")] = 2,
    filter_: FilterOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = PATIENCE,
    as_json: JsonOption = False,
) -> None:
    """Have a run lie on several nodes, each on a disk of its own. The order goes on until all have it."""

    async def plan(session: AsyncSession, settings: Settings) -> Relocation:
        if to is not None:
            await _known(session, to)
        cargoes = await Cargoes().of_run(session, runid, filters=filters_of(filter_))
        if not cargoes:
            stop(f"No frame of run {runid}{f' in {filter_}' if filter_ else ''} lies on a node.", Exit.NOT_FOUND)
        return copying(cargoes, await _facts(session, settings, cargoes), replicas=replicas, node=to)

    arguments = {"runid": runid, "filter": filter_, "node": to, "replicas": replicas}
    _order(config, RequestKind.COPY, arguments, plan, dry_run=dry_run, wait=wait, as_json=as_json)


@relocate.command()
def evacuate(
    node: Annotated[str, typer.Argument(help="Node, as node5.")],
    config: ConfigOption = None,
    *,
    dry_run: DryRunOption = False,
    wait: WaitOption = PATIENCE,
    as_json: JsonOption = False,
) -> None:
    """Drain a node and send all that it holds to others, with its products. The order goes on until it is empty."""

    async def plan(session: AsyncSession, settings: Settings) -> Relocation:
        held = await Nodes().named(session, await _known(session, node))
        cargoes = await Cargoes().on_node(session, held.id) if held else []
        return evacuation(cargoes, await _facts(session, settings, cargoes), node=node)

    _order(config, RequestKind.EVACUATE, {"node": node}, plan, dry_run=dry_run, wait=wait, as_json=as_json)


@relocate.command()
def rebalance(
    most: Annotated[str, typer.Option("--most", help="Bytes that may be carried in all, as 500GB.")],
    config: ConfigOption = None,
    *,
    dry_run: DryRunOption = False,
    wait: WaitOption = PATIENCE,
    as_json: JsonOption = False,
) -> None:
    """Make the filled shares of nodes more alike, without carrying more bytes than that."""
    bound = byte_count(most)

    async def plan(session: AsyncSession, settings: Settings) -> Relocation:
        cargoes = await everywhere(session)
        return rebalancing(cargoes, await _facts(session, settings, cargoes), most=bound)

    _order(config, RequestKind.REBALANCE, {"most": bound}, plan, dry_run=dry_run, wait=wait, as_json=as_json)


@relocate.command()
def orders(
    withdraw: Annotated[int | None, typer.Option("--withdraw", help="End this order; what moves is finished.")] = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the orders that immediate transfers still work on, and how far each is."""
    if withdraw is not None:
        out.print(_withdrawn(config, withdraw), highlight=False)
        return

    async def look(database: Database, _: Loaded) -> list[RequestRecord]:
        async with database.read() as session:
            return await Requests().open(session, *ORDERS)

    found = ask(config, look)
    if as_json:
        say_json(found)
        return
    rows = [
        (
            order.id,
            order.kind.value,
            ", ".join(f"{name} {value}" for name, value in order.arguments.items() if value is not None),
            order.asked_by,
            order.asked_at,
            order.answer or "waits for the next run of immediate transfers",
        )
        for order in found
    ]
    columns = ("order", "what", "of what", "by", "since", "how far")
    table("Orders", columns, rows, empty="No order is open.")


def _withdrawn(config: Any, number: int) -> str:
    async def whole(database: Database, _: Loaded) -> str:
        async with database.write() as session:
            held = {order.id for order in await Requests().open(session, *ORDERS)}
            if number not in held:
                stop(f"There is no open order {number}: see terapix orders.", Exit.NOT_FOUND)
            words = f"It was withdrawn by {getpass.getuser()}; what has room is moved all the same."
            await Requests().answer(session, number, RequestState.REFUSED, words, now=datetime.now(UTC))
        return f"Order {number} is withdrawn."

    return ask(config, whole)


async def _known(session: AsyncSession, node: str) -> str:
    if await Nodes().named(session, node) is None:
        known = ", ".join(each.name for each in await Nodes().all(session)) or "none"
        stop(f"There is no node {node}; nodes are: {known}.", Exit.NOT_FOUND)
    return node


async def _facts(session: AsyncSession, settings: Settings, cargoes: list[Cargo]) -> Facts:
    """Give what the order is decided on, as nodes were last measured."""
    section = settings.datatransfer
    frames = list({cargo.frame.id: cargo.frame for cargo in cargoes}.values())
    wanted = {item.frame_id: item for item in await wanted_of(session, frames, section)}
    rooms, disks = await rooms_last_measured(session, frames, section, settings.nodes)
    nodes = {node.id: node.name for node in await Nodes().all(session)}
    return Facts(nodes, wanted, rooms, disks, section.policy)


def _order(
    config: Any, kind: RequestKind, arguments: dict[str, Any], plan: Any, *, dry_run: bool, wait: float, as_json: bool
) -> None:
    """Say what an order would do, or give it."""

    async def look(database: Database, loaded: Loaded) -> Relocation:
        async with database.read() as session:
            found: Relocation = await plan(session, loaded.settings)
            return found

    relocation = ask(config, look)
    if not dry_run:
        request(config, kind, arguments, wait=wait, as_json=as_json)
    if as_json:
        say_json(_shown(relocation))
    else:
        out.print(
            f"{relocation.sentence[:1].upper()}{relocation.sentence[1:]}.",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
        rows = [(p.wanted.name, p.node, in_words(p.wanted.need.frame), p.why) for p in relocation.plan.promises]
        table("What would go", ("frame", "to", "size", "why"), rows, empty="")
    raise typer.Exit(Exit.SOME_FAILED if relocation.plan.refused or relocation.alone else Exit.OK)


def _shown(relocation: Relocation) -> dict[str, Any]:
    return {
        "sentence": relocation.sentence,
        "bytes": relocation.bytes,
        "moves": [
            {"frame": p.wanted.name, "node": p.node, "bytes": p.wanted.need.frame, "why": p.why}
            for p in relocation.plan.promises
        ],
        "refused": [{"frame": r.wanted.name, "why": r.sentence} for r in relocation.plan.refused],
        "busy": relocation.busy,
        "there": relocation.there,
        "alone": relocation.alone,
        "left": relocation.plan.left,
    }
