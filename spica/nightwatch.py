"""The night on a terminal: the chain, what moves now, the latest events, redrawn while it goes on."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dbclient.records import EventRecord, JobRecord, TransferRecord
from dbclient.schema import JobState, Level
from dbclient.stores import Events, Jobs, Transfers
from spica.chain import Summary

if TYPE_CHECKING:
    from spica.demo import Demo

STYLES = {"weighted": "green", "catalogued": "green", "rejected": "yellow", "failed": "red"}
EVENTS = 8
"""Latest events shown."""
REDRAW = 0.5
"""Seconds between two looks at the database."""


async def follow(demo: "Demo", *, once: bool, quiet: bool, deadline: float | None) -> bool:
    """Show the night until Ctrl-C or, with `once`, until every frame has ended; True if interrupted.

    Password and address of the page are told on standard error in any case, with `quiet` nothing else.
    """
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    end = loop.time() + deadline if deadline else None
    console = Console(stderr=True, quiet=quiet)
    told = Console(stderr=True, soft_wrap=True)
    if demo.password:
        told.print(
            f"Sign in to the page as [b]operator[/b] with the password [b]{demo.password}[/b] (shown this once)."
        )
    page = None
    lines = console.is_terminal and not quiet
    said: set[int] = set()
    with Live(console=console, refresh_per_second=4, transient=False) if lines else contextlib.nullcontext() as live:
        while not interrupted.is_set():
            summary = await demo.look()
            if page is None and (page := await demo.page()) is not None and not lines:
                told.print(f"Page: {page}", highlight=False)
            moving, jobs, events = await _now(demo)
            if live:
                live.update(draw(summary, page, moving, jobs, events, painting=demo.painting, painted=demo.painted))
            else:
                _print_new(console, events, said)
            if once and await demo.finished(summary):
                return False
            if end is not None and loop.time() > end:
                console.print("The time given is over; what is not finished stays for the next start.")
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(interrupted.wait(), REDRAW)
    console.print("Stopping: what is being done is finished or undone cleanly …")
    return True


async def _now(demo: "Demo") -> tuple[list[TransferRecord], list[JobRecord], list[EventRecord]]:
    async with demo.database.read() as session:
        return (
            await Transfers().running(session),
            await Jobs().in_state(session, JobState.RUNNING),
            await Events().latest(session, limit=EVENTS),
        )


def _print_new(console: Console, events: Sequence[EventRecord], said: set[int]) -> None:
    for event in reversed(events):
        if event.id not in said:
            said.add(event.id)
            console.print(f"{event.at:%H:%M:%S} {event.message}", markup=False, highlight=False)


def draw(
    summary: Summary,
    page: str | None,
    moving: Sequence[TransferRecord],
    jobs: Sequence[JobRecord],
    events: Sequence[EventRecord],
    *,
    painting: str,
    painted: float,
) -> Group:
    """Draw one look at the night."""
    parts: list[object] = [
        Text(summary.sentence, style="bold"),
        Text(f"Page: {page}" if page else "The page opens …", style="cyan"),
        _chain(summary),
    ]
    now = Table(box=None, pad_edge=False, show_header=False)
    if painting:
        now.add_row(f"painting {painting}", ProgressBar(total=1.0, completed=painted, width=30))
    for transfer in moving:
        total = transfer.bytes_total or 0
        rate = f" at {transfer.rate / 1e6:.0f} MB/s" if transfer.rate else ""
        now.add_row(
            f"{transfer.kind.value} {transfer.frame}{rate}",
            ProgressBar(total=total or 1, completed=transfer.bytes_done, width=30),
        )
    for job in jobs:
        now.add_row(
            f"{job.stage} {job.frame} on {job.worker}", ProgressBar(total=1.0, completed=job.done_share, width=30)
        )
    if now.row_count:
        parts.append(now)
    for event in events:
        style = {Level.INFO: "dim", Level.WARNING: "yellow", Level.ERROR: "red"}[event.level]
        parts.append(Text(f"{event.at:%H:%M:%S} {event.message}", style=style))
    parts += [Text(f"! {warning}", style="yellow") for warning in summary.warnings]
    parts.append(Text("Ctrl-C stops; make run goes on from here.", style="dim"))
    return Group(*parts)  # type: ignore[arg-type]


def _chain(summary: Summary) -> Table:
    grid = Table(box=None, pad_edge=False, show_header=False)
    for step in summary.chain:
        grid.add_row(
            step.name,
            str(step.count),
            ProgressBar(total=1.0, completed=step.share, width=30),
            style=STYLES.get(step.name),
        )
    return grid
