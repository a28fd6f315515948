"""`terapix rules`: which frames automatic transfers take first, and where they go."""

import getpass
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.rules import POLICIES, shares
from dbclient.database import Database
from dbclient.errors import NoSuchRow
from dbclient.rulebook import RuleRecord
from dbclient.schema import FrameKind, FrameState
from dbclient.stores import Frames, Nodes, Rules
from dbclient.stores.rules import in_words
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, out, say_json, size, stop, table
from terapix.settings import Loaded

rules = typer.Typer(invoke_without_command=True)
NumberArgument = Annotated[int, typer.Argument(help="Place of the rule, as `terapix rules` lists it.")]
Pattern = Annotated[str | None, typer.Option(help="Pattern with * and ?; * takes all.")]
PriorityOption = Annotated[
    int | None, typer.Option("--priority", help="Higher goes first; an operator's order has 100.")
]
PolicyOption = Annotated[
    str | None, typer.Option("--policy", help=f"{', '.join(POLICIES)} (stay at reception), or '' for the settings'.")
]
NodeOption = Annotated[str | None, typer.Option("--node", help="The only node that will do, or '' for any.")]
CommentOption = Annotated[str | None, typer.Option("--comment", help="What it is for.")]

WAITING = (FrameState.SPOTTED, FrameState.FETCHED, FrameState.VALID)
"""Frames that a rule may still decide on."""
MOST = 1_000_000
"""Frames that a test looks at."""


@rules.callback()
def listed(context: typer.Context, config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """List the rules in their order; of those that are on, the first that fits a frame decides."""
    if context.invoked_subcommand is not None:
        return
    _show(config, as_json=as_json)


@rules.command("list")
def list_(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """List the rules in their order."""
    _show(config, as_json=as_json)


def _show(config: Any, *, as_json: bool) -> None:
    async def look(database: Database, loaded: Loaded) -> Any:
        async with database.read() as session:
            return await Rules().all(session), loaded.settings.datatransfer.policy

    held, policy = ask(config, look)
    if as_json:
        say_json(held)
        return
    rows = [
        (
            rule.position,
            rule.runid,
            rule.filter,
            rule.instrument,
            rule.program,
            rule.priority,
            rule.node or rule.policy or policy,
            "on" if rule.enabled else "off",
            rule.comment,
        )
        for rule in held
    ]
    columns = ("rule", "runid", "filter", "instrument", "program", "priority", "where to", "state", "comment")
    table("Rules", columns, rows, empty=f"There is no rule: automatic transfers go by datatransfer.policy, {policy}.")


@rules.command()
def add(
    config: ConfigOption = None,
    *,
    runid: Pattern = None,
    filter_: Annotated[str | None, typer.Option("--filter", help="Pattern of filters, as r.*.")] = None,
    instrument: Pattern = None,
    program: Annotated[str | None, typer.Option("--program", help="Letter of the RUNID, as L in 03AL03.")] = None,
    priority: PriorityOption = None,
    policy: PolicyOption = None,
    node: NodeOption = None,
    comment: CommentOption = None,
    at: Annotated[int | None, typer.Option("--at", min=1, help="Its place in the order; else the last.")] = None,
) -> None:
    """Add a rule."""
    said = _said(runid, filter_, instrument, program, priority, policy, node, comment)
    if not said:
        stop("Say what the rule is about or what it does, as --runid '08A*' --node node2.", Exit.USAGE)

    async def edit(session: AsyncSession) -> RuleRecord:
        await _checked(session, said)
        return await Rules().add(session, position=at, **_by(), **said)

    rule = _edit(config, edit)
    out.print(f"Rule {rule.position}: {in_words(rule)}.", soft_wrap=True, highlight=False, markup=False)


@rules.command()
def change(
    rule: NumberArgument,
    config: ConfigOption = None,
    *,
    runid: Pattern = None,
    filter_: Annotated[str | None, typer.Option("--filter", help="Pattern of filters, as r.*.")] = None,
    instrument: Pattern = None,
    program: Annotated[str | None, typer.Option("--program", help="Letter of the RUNID, as L in 03AL03.")] = None,
    priority: PriorityOption = None,
    policy: PolicyOption = None,
    node: NodeOption = None,
    comment: CommentOption = None,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Whether it is used.")] = None,
) -> None:
    """Change what a rule says, or switch it on or off."""
    said = _said(runid, filter_, instrument, program, priority, policy, node, comment)
    if on is not None:
        said["enabled"] = on
    if not said:
        stop("Say what is to be changed, as --off or --priority 5.", Exit.USAGE)

    async def edit(session: AsyncSession) -> RuleRecord:
        await _checked(session, said)
        return await Rules().change(session, rule, **_by(), **said)

    changed = _edit(config, edit)
    out.print(f"Rule {changed.position}: {in_words(changed)}.", soft_wrap=True, highlight=False, markup=False)


@rules.command()
def move(
    rule: NumberArgument,
    to: Annotated[int, typer.Argument(min=1, help="Its new place.")],
    config: ConfigOption = None,
) -> None:
    """Put a rule elsewhere in the order."""
    moved = _edit(config, lambda session: Rules().move(session, rule, to, **_by()))
    out.print(f"Rule {moved.position}: {in_words(moved)}.", soft_wrap=True, highlight=False, markup=False)


@rules.command()
def remove(rule: NumberArgument, config: ConfigOption = None) -> None:
    """Remove a rule; the history keeps what it said."""
    gone = _edit(config, lambda session: Rules().remove(session, rule, **_by()))
    out.print(f"Removed: {in_words(gone)}.", soft_wrap=True, highlight=False, markup=False)


@rules.command("test")
def take(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Count what each rule would take of the frames that are not on a node yet; nothing is changed."""

    async def look(database: Database, _: Loaded) -> Any:
        async with database.read() as session:
            held = await Rules().all(session)
            frames = [
                frame
                for state in WAITING
                for frame in await Frames().search(
                    session, state=state, kind=FrameKind.OBJECT, limit=MOST, newest=False
                )
            ]
        return shares(held, frames)

    found = ask(config, look)
    if as_json:
        say_json(found)
        return
    rows = [
        (
            share.rule.position if share.rule else "",
            in_words(share.rule) if share.rule else "no rule: as the settings say",
            share.fitting if share.rule else "",
            share.frames,
            size(share.bytes),
            ", ".join(share.names) + (" …" if share.frames > len(share.names) else ""),
        )
        for share in found
    ]
    table("What each rule would take", ("rule", "what it says", "fits", "takes", "size", "frames"), rows, empty="")


def _said(
    runid: str | None,
    filter_: str | None,
    instrument: str | None,
    program: str | None,
    priority: int | None,
    policy: str | None,
    node: str | None,
    comment: str | None,
) -> dict[str, Any]:
    """Give what was said, as columns; an empty word takes a policy or node back."""
    if policy and policy not in POLICIES:
        stop(f"There is no policy {policy}; policies are: {', '.join(POLICIES)}.", Exit.USAGE)
    said = {
        "runid": runid,
        "filter": filter_,
        "instrument": instrument,
        "program": program,
        "priority": priority,
        "comment": comment,
    }
    found: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    found |= {name: value or None for name, value in (("policy", policy), ("node", node)) if value is not None}
    return found


async def _checked(session: AsyncSession, said: dict[str, Any]) -> None:
    """Refuse a node that nobody knows."""
    if said.get("node") and await Nodes().named(session, said["node"]) is None:
        known = ", ".join(node.name for node in await Nodes().all(session)) or "none"
        stop(f"There is no node {said['node']}; nodes are: {known}.", Exit.NOT_FOUND)


def _edit(config: Any, edit: Callable[[AsyncSession], Awaitable[RuleRecord]]) -> RuleRecord:
    """Change the rules in a transaction of its own; a rule that is not there ends the command."""

    async def whole(database: Database, _: Loaded) -> RuleRecord:
        try:
            async with database.write() as session:
                return await edit(session)
        except NoSuchRow as problem:
            stop(f"{problem}: see terapix rules.".capitalize(), Exit.NOT_FOUND)

    return ask(config, whole)


def _by() -> dict[str, Any]:
    return {"by": getpass.getuser(), "now": datetime.now(UTC)}
