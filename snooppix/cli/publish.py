"""``terapix snooppix publish`` and ``ledger``: what goes back to the archive, and whether both sides agree on it."""

import asyncio
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from dbclient.database import Database
from dbclient.stores import Acknowledgements, Frames, Publications, Receipts
from dbclient.stores.publications import Registration
from snooppix.cli.answers import NOT_ALL, ConfigOption, JsonOption, out, print_json, settings_of, wrong
from snooppix.errors import ArchiveError
from snooppix.publisher.comparison import LedgerBroken, Line, compare, lines_of, received_line
from snooppix.publisher.ledger import Ledger, entry, source_of
from snooppix.publisher.names import MAPS, NoPublishedName, Sort, map_name, stack_name
from snooppix.publisher.shelves import Shelves
from snooppix.wire import Wire, heard
from terapix.clock import SystemClock
from terapix.errors import TerapixError
from terapix.identity import UnsafeName
from terapix.sections import Settings

app = typer.Typer()

LONGEST_LEDGER = 1 << 30
"""Bytes of the other side's ledger: about two million files."""


@app.command()
def publish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Stack, weight map, catalogue, regions.")],
    config: ConfigOption = None,
    *,
    kind: Annotated[Sort, typer.Option(help="What the file is.")],
    prog: Annotated[str, typer.Option(help="Programme and field of a stack, as D1.")] = "",
    band: Annotated[str, typer.Option("--filter", help="Filter of a stack, as r.")] = "",
    centre: Annotated[str, typer.Option(metavar="RA,DEC", help="Centre of a stack in degrees, J2000.")] = "",
    frame: Annotated[str, typer.Option(help="Frame that a weight or flag map belongs to, as 979412p.")] = "",
    release: Annotated[str, typer.Option(help="Release of a stack; default: publisher.release.")] = "",
) -> None:
    """Register a file for publication; the publisher lays it out in to_CADC/ and offers it.

    The file must stay where it is until then. A file that was published before
    under this name and replaced since is refused: generations never fall.
    """
    settings = settings_of(config)
    try:
        if kind in MAPS:
            name = map_name(frame, kind)
        else:
            ra, dec = _centre(centre)
            name = stack_name(kind, prog=prog, band=band, ra=ra, dec=dec, release=release or settings.publisher.release)
        told = asyncio.run(_register(settings, file, name=name, kind=kind, frame=frame))
    except TerapixError as problem:
        raise wrong(problem) from problem
    except UnsafeName as problem:
        raise wrong(NoPublishedName(str(problem))) from problem
    except OSError as problem:
        raise wrong(ArchiveError(f"{file} cannot be read: {problem.strerror or problem}")) from problem
    out.print(told, soft_wrap=True, highlight=False)


def _centre(text: str) -> tuple[float, float]:
    try:
        ra, dec = (float(part) for part in text.split(","))
    except ValueError as problem:
        raise NoPublishedName(f"--centre {text!r}: degrees were expected, as 36.4958,-4.4944") from problem
    return ra, dec


async def _register(settings: Settings, file: Path, *, name: str, kind: Sort, frame: str) -> str:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    database = await Database.open(settings.database_url)
    try:
        async with database.read() as session:
            known = await Frames().named(session, frame) if frame else None
        floors = Shelves.of(settings).generations()
        row = await Ledger(database, clock=SystemClock(), floors=floors).enter_by_hand(
            Registration(
                name=name,
                kind=kind.value,
                source=source_of(file),
                digest=f"md5:{digest}",
                frame_id=known.id if known else None,
                runid=known.runid if known else None,
            )
        )
    finally:
        await database.close()
    return f"{file.name} is generation {row.generation} of {name}: {row.state.value}"


@app.command()
def ledger(
    config: ConfigOption = None,
    *,
    against: Annotated[
        str,
        typer.Option("--compare", metavar="URL|FILE", help="The other side: its publisher, or its --json in a file."),
    ] = "",
    follower: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Follower whose ledger the other is, where there are several.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what was published or, where archive.offers is products, what was received; compare it with the other side.

    Exit code 0: both sides agree; 3: they do not.
    """
    settings = settings_of(config)
    try:
        ours, theirs = asyncio.run(_both(settings, against))
    except TerapixError as problem:
        raise wrong(problem) from problem
    if not against:
        _show(ours, as_json=as_json)
        return
    try:
        found = compare(lines_of(ours, by=follower), lines_of(theirs))
    except LedgerBroken as problem:
        raise wrong(ArchiveError(f"{against} cannot be read as a ledger: {problem}")) from problem
    if as_json:
        print_json([{"name": item.name, "difference": item.sentence} for item in found])
    else:
        for item in found:
            out.print(_plain(f"{item.name}: {item.sentence}"), soft_wrap=True, highlight=False, markup=False)
        if not found:
            out.print(f"Both sides agree on {len(lines_of(ours))} files.", soft_wrap=True, highlight=False)
    raise typer.Exit(NOT_ALL if found else 0)


async def _both(settings: Settings, against: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    database = await Database.open(settings.database_url)
    try:
        async with database.read() as session:
            if settings.archive.offers == "products":
                ours = [received_line(frame) for frame in await Acknowledgements().held(session)]
            else:
                rows = await Publications().ledger(session)
                receipts = await Receipts().of(session, [row.id for row in rows])
                ours = [entry(row, receipts[row.id]) for row in rows]
    finally:
        await database.close()
    return ours, await _theirs(settings, against) if against else []


async def _theirs(settings: Settings, against: str) -> list[dict[str, Any]]:
    """Read the other side's ledger: a JSON object a line, from a publisher or from a file."""
    if "://" not in against:
        try:
            return _entries(await asyncio.to_thread(Path(against).read_bytes), against)
        except OSError as problem:
            raise ArchiveError(f"{against} cannot be read as a ledger: {problem}") from problem
    address = against if against.rstrip("/").endswith("/ledger") else f"{against.rstrip('/')}/ledger"
    section = settings.archive.model_copy(update={"registry": address})
    text = bytearray()
    async with Wire(section, settings.snooppix) as wire, heard(address), wire.ask("GET", address) as response:
        if response.status != 200:
            raise ArchiveError(f"{address} answers {response.status}")
        async for chunk in response.content.iter_any():
            text += chunk
            if len(text) > LONGEST_LEDGER:
                raise ArchiveError(f"{address} gives more than {LONGEST_LEDGER} bytes")
    return _entries(bytes(text), address)


def _entries(text: bytes, where: str) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as problem:
        raise ArchiveError(f"{where} cannot be read as a ledger: {problem}") from problem


def _plain(text: str) -> str:
    """Give a text of the other side as it may stand on a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    table = Table("file", "generation", "state", "MB", "digest", "acknowledged", box=None)
    for row in rows:
        size = f"{row['size'] / 1e6:.1f}" if row["size"] else ""
        table.add_row(
            row["name"],
            str(row["generation"]),
            row["state"],
            size,
            str(row["wire_digest"] or ""),
            str(row["acknowledged_at"] or "")[:19],
        )
    out.print(table)
    counts = Counter(Line.of(row).state for row in rows)
    out.print(", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "The ledger is empty.")
