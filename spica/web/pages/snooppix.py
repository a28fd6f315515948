"""What is new at the archive, what comes and goes, and whether SNOOPPIX is well: asked for and read back."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import FrameRecord, FrameRow
from dbclient.schema import FrameState, PublicationState, RequestKind, TransferKind, Wish
from dbclient.stores import Configurations, Controls, Differences, Events, Exchange, Frames, Nodes, Requests, Transfers
from dbclient.stores.exchange import PublishedRun, Tally
from snooppix.completeness import HELD, at_a_glance
from snooppix.watcher import FOLLOWED
from spica.follower import NAME, START, Facts, judge
from spica.web import charts
from spica.web.console import Console, console_of, render, who_is
from spica.web.gate import Access, access
from spica.web.pages.actions import readback

PUBLISHER: Final = "publisher"
"""The daemon for the way back."""
OBEYING: Final = (NAME, PUBLISHER)
"""Daemons that obey wishes."""
SHOWN: Final = 8
"""Rows of each list on the page."""
PAGE: Final = 100
"""Rows of a list that is shown whole, page by page."""
HOSTS: Final = 50
VERIFIED_BY: Final = {
    "caom2": "every file verified by its digest",
    "obscore": "which lists no digest: verified by the server's if it tells one, size, FITS structure, checksums",
    "ftp": "which knows no digest: verified by size, FITS structure and checksums",
}
"""How files of each kind of archive are verified; the story of each frame tells its own."""
DAY, MONTH = 24, 31
"""Hours and days of throughput drawn."""
OURS: Final = (RequestKind.FETCH, RequestKind.RETRY, RequestKind.RELOAD, RequestKind.ACCEPT, RequestKind.LOOK,
               RequestKind.DIFFERENCE)  # fmt: skip
"""Requests that SNOOPPIX answers."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A frame that was set aside."""

    frame: FrameRow
    word: str
    """Its room below from_CADC/rejected/."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """A run, counted by the rules of the proof that its own page gives frame by frame."""

    runid: str | None
    expected: int
    """Frames that the archive is known to list."""
    held: int
    """Of these, verified and here."""
    coming: int
    rejected: int
    failed: int
    extra: int
    """Held, and listed no more."""

    @property
    def whole(self) -> bool:
        return bool(self.expected) and self.held == self.expected

    @property
    def missing(self) -> int:
        return self.expected - self.held


def completeness(tallies: Sequence[Tally]) -> list[Completeness]:
    """Say of each run how whole it is; those that lack something first."""
    listed: dict[str | None, Counter[FrameState]] = defaultdict(Counter)
    extra: Counter[str | None] = Counter()
    for tally in tallies:
        if tally.kind in FOLLOWED:
            listed[tally.runid][tally.state] += tally.frames - tally.withdrawn
            extra[tally.runid] += tally.withdrawn if tally.state in HELD else 0
    found = [
        Completeness(
            runid=runid,
            expected=states.total(),
            held=sum(states[one] for one in HELD),
            coming=states[FrameState.SPOTTED] + states[FrameState.FETCHED] + states[FrameState.SUPERSEDED],
            rejected=states[FrameState.REJECTED],
            failed=states[FrameState.FAILED],
            extra=extra[runid],
        )
        for runid, states in listed.items()
    ]
    return sorted(found, key=lambda run: (run.missing == 0, run.runid or ""))


def word_of(frame: FrameRecord) -> str:
    """Give the reason's word, which is the room where a rejected file lies: ``from_CADC/rejected/WORD/…``."""
    parts = (frame.path or "").split("/")
    return parts[2] if len(parts) > 3 and parts[1] == "rejected" else ""


async def least_whole(session: AsyncSession, *, limit: int, skip: int = 0) -> list[Completeness]:
    """Say of some runs how whole they are, those that lack something first."""
    exchange = Exchange()
    names = await exchange.least_whole(session, kinds=FOLLOWED, held=HELD, limit=limit, skip=skip)
    return completeness(await exchange.tallies(session, runids=names))


async def heard(session: AsyncSession, now: datetime, name: str = NAME) -> Facts:
    """Look up what was asked of a daemon and what it says, and nothing of the frames."""
    return Facts(
        now=now,
        heart=next((one for one in await Nodes().daemons(session) if one.name == name), None),
        control=await Controls().of(session, name),
        newest=await Configurations().newest(session, name),
    )


async def gather(session: AsyncSession, console: Console) -> tuple[Facts, dict[str, Any]]:
    """Look up everything that the page shows."""
    now, exchange = console.now(), Exchange()
    moving = await Transfers().running(session, TransferKind.FETCH)
    newest = await Events().newest_id(session)
    runs = await console.kept.get("runs", newest, partial(least_whole, session, limit=SHOWN))
    hour = now.replace(minute=0, second=0, microsecond=0)
    drawn = await console.kept.get("drawn", (newest, hour), partial(_drawn, session, now))
    published = await exchange.published(session)
    differences = await exchange.differences(session, limit=SHOWN)
    bookmarks = await exchange.bookmarks(session, limit=SHOWN)
    facts = replace(
        await heard(session, now),
        states=await exchange.states(session),
        waiting=await exchange.waiting_count(session, now=now),
        moving=moving,
        hosts=await exchange.hosts(session, limit=HOSTS),
        difference=next((one for one in differences if one.ended_at), None),
        bookmark_looked_at=bookmarks[0].looked_at if bookmarks else None,
        unpublished=sum(run.states.get(PublicationState.FAILED, 0) for run in published),
    )
    rejected = await Frames().search(session, state=FrameState.REJECTED, kind=None, limit=SHOWN)
    lists = {
        "found": await Frames().search(session, kind=None, limit=SHOWN, superseded=True),
        "waits": await exchange.waiting(session, now=now, limit=SHOWN),
        "queued": await exchange.queued(session, now=now, limit=SHOWN),
        "arrived": await exchange.arrived(session, limit=SHOWN),
        "rejected": [Rejected(frame, word_of(frame)) for frame in rejected],
        "failed": await Frames().search(session, state=FrameState.FAILED, kind=None, limit=SHOWN),
        "differences": differences,
        "bookmarks": [mark for mark in bookmarks if mark.archive == facts.figures.get("archive")] or bookmarks[:2],
        "released": await exchange.next_released(session, now=now, limit=SHOWN),
        "open_requests": await Requests().open(session, *OURS),
        "published": published,
        "publications": await exchange.publications(session, limit=SHOWN),
        "publisher": await heard(session, now, PUBLISHER),
        "runs": runs,
        "proof": await Differences().last_done(session),
    }
    return facts, lists | drawn


async def _drawn(session: AsyncSession, now: datetime) -> dict[str, Any]:
    """Look up and draw what is counted over time."""
    exchange = Exchange()
    hours, days = charts.hours(now, DAY), charts.days(now, MONTH)
    by_hour = await exchange.flow(session, begins=hours)
    by_day = await exchange.flow(session, begins=days)
    months = charts.months_ahead(now, charts.MONTHS + 1)  # the last one only ends the one before
    ahead = {begin: (float(count), count) for begin, count in await exchange.releases(session, now=now, begins=months)}
    return {
        "day": charts.over_time({one.begin: (one.bytes, one.files) for one in by_hour}, begins=hours, marks=5),
        "month": charts.over_time({one.begin: (one.bytes, one.files) for one in by_day}, begins=days, marks=5),
        "ahead": charts.over_time(ahead, begins=months[:-1], marks=charts.MONTHS, value=1),
    }


def tiles(facts: Facts, *, queued: int) -> list[tuple[str, str, str, int, str, str]]:
    """Give the steps of the way in: key, tone, icon, number, words, and where they are listed."""
    states, moving = facts.states, len(facts.moving)
    held = sum(states.get(state, 0) for state in HELD)
    return [
        ("queued", "waiting", "clock", queued, "found, fetched next", "/snooppix/lists/queued"),
        ("moving", "moving", "arrow", moving, "on the line now", "#downloading"),
        ("fetched", "moving", "tick", states.get(FrameState.FETCHED, 0), "being verified", "/frames?state=fetched"),
        ("verified", "done", "filled-tick", held, "verified", "/snooppix/lists/arrived"),
        ("waits", "warning", "clock", facts.waiting, "wait, each says why", "/snooppix/lists/waiting"),
        ("rejected", "warning", "slash", states.get(FrameState.REJECTED, 0), "set aside", "/frames?state=rejected"),
        ("failed", "failed", "cross", states.get(FrameState.FAILED, 0), "given up", "/frames?state=failed"),
    ]  # fmt: skip


def run_sums(published: Sequence[PublishedRun]) -> Mapping[PublicationState, int]:
    """Sum the publications of all runs by state."""
    return Counter({state: sum(run.states.get(state, 0) for run in published) for state in PublicationState})


@access(Access.READER)
async def snooppix(request: web.Request) -> web.Response:
    """``/snooppix``"""
    console = console_of(request)
    async with console.database.read() as session:
        facts, lists = await gather(session, console)
        asked = await readback(session, request)
        newest = await Events().newest_id(session)
    spotted = facts.states.get(FrameState.SPOTTED, 0)
    queued = max(0, spotted - facts.waiting - len(facts.moving))
    return render(
        request,
        "snooppix.html",
        facts=facts,
        health=judge(facts),
        tiles=tiles(facts, queued=queued),
        queued_count=queued,
        protocol="FTP" if console.settings.archive.kind == "ftp" else "HTTP",
        verified_by=VERIFIED_BY[console.settings.archive.kind],
        start=START,
        publication_states=list(PublicationState),
        sums=run_sums(lists["published"]),
        shown=SHOWN,
        readback=asked,
        newest=newest,
        **lists,
    )


@access(Access.OPERATOR)
async def control(request: web.Request) -> web.Response:
    """``POST /snooppix/control``: ask a daemon to work, to rest, or to read its settings again."""
    console, who = console_of(request), who_is(request)
    if who is None:
        raise web.HTTPForbidden(text="Sign in first.")
    form = await request.post()
    ask, daemon = form.get("ask"), form.get("daemon", NAME)
    if daemon not in OBEYING:
        raise web.HTTPBadRequest(text=f"Only {' and '.join(OBEYING)} obey wishes.")
    async with console.database.write() as session:
        if ask == "reload":
            await Controls().ask_reload(session, daemon, by=who.name, now=console.now())
        elif ask in list(Wish):
            await Controls().set_wish(session, daemon, Wish(ask), by=who.name, now=console.now())
        else:
            raise web.HTTPBadRequest(text="A daemon can be asked to run, to rest or to reload.")
    raise web.HTTPSeeOther("/snooppix")


LISTS: Final = {
    "waiting": "Frames that wait for their next try",
    "queued": "Frames that are fetched next",
    "arrived": "Files that arrived",
    "released": "Release dates ahead",
    "differences": "Full differences of archive, database and disk",
    "publications": "Products on their way back",
    "runs": "Completeness of runs",
}
"""Lists that the page shows the beginning of."""


@access(Access.READER)
async def whole_list(request: web.Request) -> web.Response:
    """``/snooppix/lists/{what}``: one of the page's lists, whole, page by page."""
    console, what = console_of(request), request.match_info["what"]
    if what not in LISTS:
        raise web.HTTPNotFound
    said = request.query.get("page", "1")
    page = int(said) if said.isdecimal() and 0 < len(said) < 7 else 1
    state = _publication_state(request.query.get("state", ""))
    more = {"limit": PAGE + 1, "skip": PAGE * (max(1, page) - 1)}
    now, exchange = console.now(), Exchange()
    async with console.database.read() as session:
        found: Sequence[Any]
        match what:
            case "waiting":
                found = await exchange.waiting(session, now=now, **more)
            case "queued":
                found = await exchange.queued(session, now=now, **more)
            case "arrived":
                found = await exchange.arrived(session, **more)
            case "released":
                found = await exchange.next_released(session, now=now, **more)
            case "differences":
                found = await exchange.differences(session, **more)
            case "publications":
                found = await exchange.publications(session, state=state, **more)
            case _:
                found = await least_whole(session, **more)
        newest = await Events().newest_id(session)
        proof = await Differences().last_done(session)
    query = f"&state={state.value}" if state else ""
    address = f"/snooppix/lists/{what}?page="
    return render(
        request,
        "snooppix_list.html",
        what=what,
        title=LISTS[what],
        rows=found[:PAGE],
        proof=proof,
        state=state,
        publication_states=list(PublicationState),
        first=f"{address}1{query}" if page > 1 else None,
        following=f"{address}{page + 1}{query}" if len(found) > PAGE else None,
        newest=newest,
    )


def _publication_state(said: str) -> PublicationState | None:
    try:
        return PublicationState(said) if said else None
    except ValueError:
        raise web.HTTPBadRequest(
            text=f"state={said[:20]!r} makes no sense here: one of {', '.join(PublicationState)} was expected."
        ) from None


@access(Access.READER)
async def run(request: web.Request) -> web.Response:
    """``/snooppix/runs/{runid}``: what the archive is known to list of a run, what is here, and why the rest is not."""
    console, runid = console_of(request), request.match_info["runid"]
    found = await at_a_glance(console.database, runid, most=PAGE)
    if not (found.expected or found.surplus):
        raise web.HTTPNotFound(text=f"No frame of run {runid} is known here.")
    async with console.database.read() as session:
        newest = await Events().newest_id(session)
    return render(request, "run.html", run=found, newest=newest)
