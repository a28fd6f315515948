"""A dry run says in a line what would come of a transfer, and changes nothing."""

import sqlite3
from datetime import timedelta

import pytest

from datatransfer.forecast import Forecast, ahead_of, at, forecast, held_back, rate_of
from datatransfer.growth import Need
from datatransfer.placement import Room, Wanted, place
from datatransfer.preview import Preview, preview_transfer
from dbclient.engines import file_of
from dbclient.records import TransferRecord
from dbclient.schema import RequestKind, TransferKind, TransferState
from dbclient.stores import Growths, Requests, Rules, Transfers
from tests.support.site import MB, NIGHT, Site


def move(
    number: int, begun: float | None, ended: float | None, *, size: int = 100, node: str = "node1", **facts: object
) -> TransferRecord:
    moments = {
        "created_at": NIGHT,
        "started_at": None if begun is None else NIGHT + timedelta(seconds=begun),
        "ended_at": None if ended is None else NIGHT + timedelta(seconds=ended),
    }
    rest = {"reason": None, "headers": None, "origin_id": None, "mode": None, "priority": 0, "rate": None}
    known = {"bytes_total": size, "bytes_done": size if ended is not None else 0, "frame": f"{number}p", "node": node}
    way = {"node_id": 1, "kind": TransferKind.MOVE, "state": TransferState.DONE, "source": "x"}
    pause = dict.fromkeys(("paused_at", "paused_by", "paused_because", "kept"))
    return TransferRecord(**{"id": number, "frame_id": number, **pause, **way, **rest, **moments, **known, **facts})  # type: ignore[arg-type]


async def preview(site: Site, **wanted: object) -> Preview:
    await site.coordinator.start()
    await site.coordinator.roster.look()
    asked = {"runid": "03AL03", "node": "node1", "filter_": None, "now": site.clock.now()} | wanted
    async with site.database.read() as session:
        return await preview_transfer(session, **asked)  # type: ignore[arg-type]


def rows(site: Site) -> list[str]:
    """Give all that the database holds."""
    with sqlite3.connect(str(file_of(site.settings.database_url))) as line:
        return list(line.iterdump())


def needs(size: int) -> dict[str, int]:
    """Needs of a frame without maps."""
    return {"frame": 6000, "unpacked": 0, "weight": 0, "flag": 0, "scratch": size}


def test_the_rate_counts_time_in_which_something_moved_once():
    side_by_side = [move(1, 0, 10), move(2, 0, 10), move(3, 100, 110)]

    assert rate_of(side_by_side, "node1") == 300 / 20
    assert rate_of([], "node1") is None
    assert rate_of([move(1, 0, 0)], "node1") is None, "renamed at once"


def test_the_rate_of_a_node_is_its_own_once_it_is_known():
    fast = [move(n, 10 * n, 10 * n + 1) for n in range(5)]
    slow = [move(9, 500, 600, node="node2")]

    assert rate_of([*fast, *slow], "node1") == 100
    assert rate_of([*fast, *slow], "node2") == pytest.approx(600 / 105), "too few of its own"


def test_what_moves_before_is_what_runs_and_what_has_its_turn_sooner():
    waiting = [
        move(1, 0, None, size=1000, bytes_done=400),
        move(2, None, None, size=50, priority=200),
        move(3, None, None, size=70, created_at=NIGHT - timedelta(hours=3)),
        move(4, None, None, size=5000),
        move(5, None, None, size=90, priority=200),
    ]

    assert ahead_of(waiting, [5], priority=100, now=NIGHT) == 600 + 50 + 70


def test_a_forecast_needs_bytes_and_a_rate():
    assert forecast(1000, ahead=200, rate=100.0, now=NIGHT) == Forecast(200, 100.0, NIGHT + timedelta(seconds=12))
    assert forecast(1000, ahead=0, rate=None, now=NIGHT).done_at is None
    assert forecast(0, ahead=200, rate=100.0, now=NIGHT).done_at is None
    assert forecast(10**18, ahead=0, rate=0.001, now=NIGHT).done_at is None
    assert at(NIGHT + timedelta(minutes=30), NIGHT) == "23:30"
    assert at(NIGHT + timedelta(hours=5), NIGHT) == "2003-12-21 04:00"


def test_held_back_is_what_has_room_now_and_none_afterwards():
    def want(number: int, runid: str | None, size: int = 40) -> Wanted:
        return Wanted(number, f"{number}p", runid, Need(size, 0, 0))

    waits = [want(1, "03AQ97"), want(2, "03AQ97"), want(3, "03AF05"), want(4, None)]
    rooms = [Room(1, "node1", True, 150, 200, "sda")]
    mine = [want(9, "03AL03", 100)]

    before, after = place(waits, rooms, {}, "most-room"), place([*mine, *waits], rooms, {}, "most-room")

    assert held_back(before, after) == ("03AQ97", "03AF05"), "4p had no room before"


async def test_a_dry_run_says_all_in_a_line(site: Site) -> None:
    await site.valid("703010p", runid="03AL03", needs=needs(70 * MB))
    for number in range(5):
        await site.valid(f"70311{number}p", runid="03AQ97", needs=needs(30 * MB))
    other = await site.valid("703200p", runid="03AF05", needs=needs(MB))
    await site.coordinator.start()
    async with site.database.write() as session:
        for second in range(0, 60, 10):
            now = NIGHT - timedelta(seconds=60 - second)
            number = await Transfers().begin(
                session, frame_id=other.id, kind=TransferKind.MOVE, source="x", node_id=1, bytes_total=100, now=now
            )
            await Transfers().end(session, number, TransferState.DONE, now=now + timedelta(seconds=10))

    said = await preview(site)

    assert said.rate == 10.0
    assert said.done_at == site.clock.now() + timedelta(seconds=600)
    assert said.headline == "03AL03 into node1: fits, leaves 30 MB, done 23:10, holds back 03AQ97"
    assert said.holds_back == ("03AQ97",)
    assert (said.needed, said.rule_2003) == (6000 + 70 * MB, 24_000)


async def test_a_dry_run_decides_as_the_order_does_and_changes_nothing(site: Site) -> None:
    await site.valid("703010p", runid="03AL03", needs=needs(70 * MB))
    await site.valid("703011p", runid="03AL03", needs=needs(60 * MB))
    await preview(site)
    before = rows(site)

    said = await preview(site)

    assert rows(site) == before
    assert said.headline == "03AL03 into node1: 1 of 2 frames fit, leaves 30 MB"
    async with site.database.write() as session:
        order = {"runid": "03AL03", "node": "node1", "filter": None}
        number = await Requests().ask(session, RequestKind.TRANSFER, order, by="t", now=NIGHT)
    await site.settle(passes=2)
    async with site.database.read() as session:
        assert (await Requests().get(session, number)).answer == said.sentence


async def test_what_a_rule_keeps_at_reception_is_not_held_back(site: Site) -> None:
    await site.valid("703010p", runid="03AL03", needs=needs(70 * MB))
    for number in range(2):
        await site.valid(f"70311{number}p", runid="03AQ97", needs=needs(90 * MB))
    assert (await preview(site)).holds_back == ("03AQ97",)

    async with site.database.write() as session:
        await Rules().add(session, runid="03AQ*", policy="hold", by="t", now=NIGHT)

    assert (await preview(site)).holds_back == ()


async def test_needs_follow_what_was_written_of_frames_of_that_instrument(site: Site) -> None:
    frame = await site.valid("703010p", runid="03AL03", instrument="MegaPrime")
    guessed = await preview(site)
    written = {"weight": 1200, "flag": 0, "catalogue": 300}
    async with site.database.write() as session:
        await Growths().note(
            session, instrument="MegaPrime", stage="weight", written=written, file=6000, unpacked=12000, now=NIGHT
        )

    measured = await preview(site)

    assert frame.needs is not None
    assert measured.needed == 6000 + 1500 + frame.needs["scratch"]
    assert measured.needed < guessed.needed
    assert measured.rule_2003 == guessed.rule_2003 == 24_000


async def test_a_run_that_is_not_here_moves_nothing(site: Site) -> None:
    said = await preview(site, runid="99ZZ99")
    assert (said.frames, said.headline) == (0, "99ZZ99 into node1: nothing to move")
