"""``terapix snooppix selection``: which frames the settings follow, and what each rule would keep and drop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Protocol, runtime_checkable

import typer
from rich.console import Console
from rich.table import Table

from snooppix.archives import archive_of
from snooppix.cli.answers import NOT_ALL, TRY_AGAIN, ConfigOption, JsonOption, out, print_json, settings_of, wrong
from snooppix.errors import ArchiveError
from snooppix.listing import RULED
from snooppix.names import Names
from snooppix.selection import Candidate, Rule, Tally, rules
from snooppix.wire import Wire
from terapix.clock import SystemClock
from terapix.errors import TerapixError
from terapix.instruments import load_instrument
from terapix.sections import Settings

app = typer.Typer()
err = Console(stderr=True)


@runtime_checkable
class Surveyed(Protocol):
    """An archive whose listing rules can be held against."""

    @property
    def name(self) -> str: ...

    async def rules_of(self, names: Names | None) -> tuple[Rule, ...]:
        """Give the rules that are followed, with that of names."""
        ...

    def candidates(self) -> AsyncIterator[list[Candidate]]:
        """List all of collection and instrument."""
        ...


@app.command()
def selection(
    config: ConfigOption = None,
    *,
    test: Annotated[
        bool, typer.Option("--test", help="Ask the archive, and count what each rule keeps and drops.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the rules by which frames are followed; with --test, what each of them does to the archive's listing.

    Counted are all science files of the collection and instrument: each rule alone, and one behind the other.
    Exit code 0: frames are kept; 3: none is; 2: the settings are wrong; 75: the archive does not answer now.
    """
    settings = settings_of(config)
    try:
        names = Names.of(load_instrument(settings.snooppix.instrument), products=settings.archive.offers == "products")
        if not test:
            _show(rules(settings.selection, RULED, names=names), as_json=as_json)
            return
        place, tally = asyncio.run(_ask(settings, names))
    except TerapixError as problem:
        ended = wrong(problem)
        if problem.retryable:
            ended.exit_code = TRY_AGAIN
        raise ended from problem
    if as_json:
        counts = {"listed": tally.listed, "kept": tally.kept, "sentence": tally.sentence}
        print_json({"archive": place, **counts, "rules": list(tally.rows())})
    else:
        _tell(place, tally)
    raise typer.Exit(0 if tally.kept else NOT_ALL)


async def _ask(settings: Settings, names: Names) -> tuple[str, Tally]:
    """Hold all that the archive lists against the rules; its name and the counts."""
    async with Wire(settings.archive, settings.snooppix) as wire:
        archive = archive_of(settings, wire, names=names, clock=SystemClock())
        if not isinstance(archive, Surveyed):
            raise ArchiveError(f"{archive.name} tells nothing about its files that rules could be held against")
        tally = Tally(await archive.rules_of(names))
        with _Counter(archive.name) as counted:
            async for some in archive.candidates():
                for row in some:
                    tally.add(row)
                counted(tally.listed)
    return archive.name, tally


class _Counter:
    """Shows on a terminal how many rows came so far: a listing may take a minute."""

    def __init__(self, place: str) -> None:
        self._status = err.status(f"{place}: asks for the listing") if err.is_terminal else None
        self._place = place

    def __enter__(self) -> Callable[[int], None]:
        if self._status is not None:
            self._status.start()
        return self._show

    def __exit__(self, *problem: object) -> None:
        if self._status is not None:
            self._status.stop()

    def _show(self, listed: int) -> None:
        if self._status is not None:
            self._status.update(f"{self._place}: {listed} files listed")


def _show(chosen: tuple[Rule, ...], *, as_json: bool) -> None:
    if as_json:
        print_json([{"rule": rule.name, "keeps": rule.sentence} for rule in chosen])
        return
    for rule in chosen:
        out.print(f"{rule.name}: {rule.sentence}", highlight=False, soft_wrap=True, markup=False)


def _tell(place: str, tally: Tally) -> None:
    out.print(f"{place}: {tally.listed} files listed", highlight=False, soft_wrap=True, markup=False)
    table = Table("rule", "keeps", "alone drops", "in sequence drops", "dropped, for example", box=None)
    for rule in tally.rules:
        alone, dropped = tally.alone[rule.name], tally.in_sequence[rule.name]
        examples = ", ".join(tally.dropped.get(rule.name, []))
        table.add_row(rule.name, rule.sentence, str(alone), str(dropped), examples)
    out.print(table, highlight=False, markup=False)
    out.print(tally.sentence, highlight=False, soft_wrap=True, markup=False)
