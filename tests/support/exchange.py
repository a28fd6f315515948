"""A night as SNOOPPIX sees it: what was asked, hosts, differences, releases, publications, throughput, its log."""

import json
import socket
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.database import Database
from dbclient.schema import (
    Difference,
    DifferenceState,
    FrameState,
    Host,
    HostState,
    Publication,
    PublicationState,
    TransferKind,
    TransferState,
    Wish,
)
from dbclient.stores import Bookmarks, Configurations, Controls, Frames, Nodes, Sighting, Transfers
from terapix.logfile import LogFile, place

VERSIONS = (
    ("[snooppix]\npoll = 120.0\ndownloads = 4\n", "Look more often while 08A is observed"),
    (
        '# 08A\n[selection]\nruns = ["08A*"]\n\n[snooppix]\npoll = 60.0\ndownloads = 4\nsegments = 4\n',
        "Follow 08A only; a look a minute",
    ),
    (
        '# 08A\n[selection]\nruns = ["08A*"]\nfilters = ["g.*", "r.*"]\n\n[snooppix]\npoll = 60.0\ndownloads = 6\n',
        "No u band this month: the flat is late",
    ),
)
FIGURES: dict[str, Any] = {
    "archive": "https://reg.example/resource-caps CFHT",
    "archive_answers": True,
    "credential_kind": "certificate",
    "credential_days_left": 5.4,
    "wish_seen": "run",
    "poll": 300.0,
    "settings_problem": None,
}
EVENTS = (
    ("info", "watcher", "archive looked at", {"new": 3, "reprocessed": 1, "known": 214}),
    ("info", "fetcher", "frame fetched", {"frame": "979419p", "size": 341000000, "seconds": 7.4}),
    ("warning", "fetcher", "fetch failed", {"frame": "979423p", "problem": "Busy", "why": "503: asked for a rest"}),
    ("info", "sorting", "frame verified", {"frame": "979419p"}),
    ("error", "wire", "certificate is refused", {"host": "<img src=x onerror=alert(1)>"}),
)  # fmt: skip


async def follow(database: Database, directory: Path, *, now: datetime) -> None:
    """Add to a seeded night what the page of SNOOPPIX shows."""
    async with database.write() as session:
        await _asked(session, now)
        await _heart(session, now)
        await _released(session, now)
        await _waiting(session, now)
        await _rejected(session, now)
        await _hosts(session, now)
        await _differences(session, now)
        await _published(session, now)
        await Bookmarks().set(
            session, FIGURES["archive"], reached=now - timedelta(minutes=9), now=now - timedelta(minutes=2)
        )
        await _received(session, now)
    write_log(directory / "log", now)


async def _asked(session: AsyncSession, now: datetime) -> None:
    over = None
    for number, (text, comment) in enumerate(VERSIONS):
        saved = now - timedelta(days=9 - 4 * number, hours=number)
        over = await Configurations().save(session, "snooppix", text, comment=comment, by="ann", now=saved, over=over)
    await Controls().set_wish(session, "snooppix", Wish.REST, by="ann", now=now - timedelta(hours=9))
    await Controls().set_wish(session, "snooppix", Wish.RUN, by="bob", now=now - timedelta(hours=8))
    await Controls().ask_reload(session, "snooppix", by="ann", now=now - timedelta(minutes=3))


async def _heart(session: AsyncSession, now: datetime, **figures: Any) -> None:
    newest = await Configurations().newest(session, "snooppix")
    asked = await Controls().of(session, "snooppix")
    told = {
        **FIGURES,
        "looked_at": (now - timedelta(minutes=2)).isoformat(),
        "next_look": (now + timedelta(minutes=3)).isoformat(),
        "settings_version": newest.id - 1 if newest else None,
        "reload_seen": asked.reload_at.isoformat() if asked and asked.reload_at else None,
        "reloaded_at": (now - timedelta(minutes=4)).isoformat(),
        **figures,
    }
    await Nodes().heartbeat(
        session, name="snooppix", host=socket.gethostname(), pid=4711, status="fetches 2, verifies 1",
        endpoint=None, started_at=now - timedelta(hours=30), now=now - timedelta(seconds=3), figures=told,
    )  # fmt: skip
    await Nodes().heartbeat(
        session, name="publisher", host=socket.gethostname(), pid=4713,
        status="offers products, 4 not acknowledged yet", endpoint=None, started_at=now - timedelta(hours=30),
        now=now - timedelta(seconds=5), figures={"wish_seen": "run"},
    )  # fmt: skip


async def _waiting(session: AsyncSession, now: datetime) -> None:
    for name, reason, minutes in (
        ("979424p", "503 Service Unavailable of ws-cadc.canfar.net: it asked for a rest", 4),
        ("979425p", "not at the archive yet: listed, and stored at no site", 55),
        ("979426p", "403 Forbidden: proprietary until 2026-12-01", 1440),
    ):
        await _sight(session, name, now=now - timedelta(hours=1))
        frame = await Frames().named(session, name)
        assert frame is not None
        await Frames().wait(
            session, frame.id, reason=reason, retry_at=now + timedelta(minutes=minutes), now=now, source="snooppix"
        )
    for name in ("979427p", "979428p"):
        await _sight(session, name, now=now - timedelta(minutes=6), size=341_000_000)


async def _sight(session: AsyncSession, name: str, *, now: datetime, **more: Any) -> None:
    facts = {"runid": "08AC14", "filter": "r.MP9601"} | more
    await Frames().sight(
        session, Sighting(name=name, uri=f"cadc:CFHT/{name}.fits.fz", **facts), now=now, source="snooppix"
    )


async def _rejected(session: AsyncSession, now: datetime) -> None:
    for name, word, reason in (
        ("979430p", "digest", "the digest is md5:5f1d…, and md5:77aa… was promised: three times, from two hosts"),
        ("979431p", "not-elixir", "the primary header lacks IMRED_MK <b>and</b> EL_SYS"),
    ):
        await _sight(session, name, now=now - timedelta(hours=3))
        frame = await Frames().named(session, name)
        assert frame is not None
        await Frames().advance(
            session, frame.id, FrameState.REJECTED, now=now - timedelta(hours=2), source="snooppix",
            message=f"rejected ({word}): {reason}", reason=reason, path=f"from_CADC/rejected/{word}/{name}.fits.fz",
        )  # fmt: skip


async def _hosts(session: AsyncSession, now: datetime) -> None:
    for name, state, failures, reason in (
        ("ws-cadc.canfar.net", HostState.CLOSED, 0, None),
        ("ws-uv.canfar.net", HostState.OPEN, 5, "connection refused five times in a row"),
        ("mirror.example", HostState.PROBING, 6, "no byte for 60 s"),
    ):
        session.add(
            Host(
                name=name, state=state, failures=failures, reason=reason, changed_at=now - timedelta(minutes=3),
                until=now + timedelta(minutes=2) if failures else None, answered_at=now - timedelta(seconds=40),
            )
        )  # fmt: skip
    await session.flush()


async def _differences(session: AsyncSession, now: datetime) -> None:
    for days, state, missed, lost, reason in (
        (2, DifferenceState.DONE, 0, 0, None),
        (1, DifferenceState.FAILED, 0, 0, "the archive cut its listing at 812 004 rows"),
        (0, DifferenceState.DONE, 4, 0, None),
    ):
        begun = now - timedelta(days=days, minutes=100)
        session.add(
            Difference(
                archive=FIGURES["archive"], state=state, asked_by="clock" if days else "ann", reason=reason,
                started_at=begun, ended_at=begun + timedelta(seconds=48), listed=1_204_331, missed=missed, lost=lost,
                withdrawn=1, strange=2,
            )
        )  # fmt: skip
        await session.flush()


async def _published(session: AsyncSession, now: datetime) -> None:
    states = (PublicationState.ACKNOWLEDGED, PublicationState.OFFERED, PublicationState.DUE)
    for number in range(18):
        state = states[0] if number < 11 else states[1] if number < 15 else states[2]
        failed = number == 9
        offered = now - timedelta(minutes=200 - 9 * number)
        session.add(
            Publication(
                name=f"{979400 + number // 2}p_{'flag' if number % 2 else 'weight'}.fits.fz",
                generation=2 if number == 2 else 1, kind="flag" if number % 2 else "weight",
                state=PublicationState.FAILED if failed else state, source="/data/x", size=492_000_000,
                runid="08AC14" if number % 4 < 2 else "08AF02", registered_at=offered - timedelta(minutes=1),
                offered_at=offered if state is not PublicationState.DUE else None,
                acknowledged_at=offered + timedelta(minutes=7) if state is states[0] and not failed else None,
                acknowledged_by="cadc" if state is states[0] and not failed else None,
                reason="the archive computed md5:11…, and md5:ab… was offered" if failed else None,
            )
        )  # fmt: skip
        await session.flush()


async def _released(session: AsyncSession, now: datetime) -> None:
    for number in range(40):
        await _sight(
            session, f"{980000 + number}p", now=now - timedelta(days=3), runid="08BF07",
            release=now + timedelta(days=3 + (number * number) % 300),
        )  # fmt: skip
        frame = await Frames().named(session, f"{980000 + number}p")
        assert frame is not None
        await Frames().wait(session, frame.id, reason="proprietary", retry_at=frame.release, now=now, source="snooppix")


async def _received(session: AsyncSession, now: datetime) -> None:
    """Let files arrive over the last day and month, more by night than by day."""
    frames = [frame for frame in await Frames().search(session, limit=100) if frame.valid_at]
    for hour in (*range(24), *range(24, 31 * 24, 7)):
        at = now - timedelta(hours=hour, minutes=3 + hour % 7)
        for file in range(2 + (hour * 7) % 5 if 4 < at.hour < 17 else hour % 4 == 0):
            size = 341_000_000 + 1_700_000 * (hour % 9)
            frame = frames[(hour + 7 * file) % len(frames)]
            number = await Transfers().begin(
                session, frame_id=frame.id, kind=TransferKind.FETCH, source="ws-cadc.canfar.net", bytes_total=size,
                now=at + timedelta(seconds=20 * file),
            )  # fmt: skip
            await Transfers().progress(session, number, done=size, rate=size / 8.5)
            await Transfers().end(session, number, TransferState.DONE, now=at + timedelta(seconds=20 * file + 8.5))


def write_log(directory: Path, now: datetime) -> None:
    """Write some lines as snooppix would."""
    file = LogFile(place(directory, "snooppix"), keep=1_000_000)
    for number in range(60):
        level, part, event, facts = EVENTS[number % len(EVENTS)]
        at = (now - timedelta(seconds=7 * (60 - number))).isoformat()
        line = {"timestamp": at, "level": level, "daemon": "snooppix", "part": part, "event": event, **facts}
        file.write(json.dumps(line))
