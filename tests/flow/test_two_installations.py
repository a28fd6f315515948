"""Both sides of the way back, in real processes: frames go out, products come back, and both ledgers agree."""

import contextlib
import hashlib
import os
import random
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomlkit

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.stores import Acknowledgements, Events, Publications
from snooppix.publisher.comparison import compare, lines_of, received_line
from snooppix.publisher.ledger import entry
from snooppix.standin.access import Access
from snooppix.standin.server import StandIn
from spica.demo import Night
from spica.supervisor import DAEMONS, Supervisor
from terapix.clock import SystemClock
from terapix.sections import Settings
from terapix.settings import load
from terapix.steps import WAY_BACK
from tests.flow.conftest import CCDS, served
from tests.flow.test_killed import dying
from tests.support.host import AT_ONCE, IN_A_HURRY, KERNELS, Host, free_port, host
from tests.support.publishing import digest, put_products
from tests.support.zygote import ForkingSupervisor

pytestmark = [pytest.mark.flow, pytest.mark.timeout(500), pytest.mark.xdist_group("flow")]

OUT = [step for step in WAY_BACK if step.startswith("publish.")]
PUT = [step for step in WAY_BACK if step.startswith("put.")]
MAPS = ("weight", "flag")
IN = ["fetch.half", "fetch.renamed", *(step for step in WAY_BACK if step.startswith("acknowledge."))]
"""Those of the fetch alone are killed at in test_killed."""


@dataclass(slots=True)
class Clone:
    """The other installation: snooppix alone, with a configuration."""

    settings: Settings
    database: Database
    supervisor: Supervisor

    async def held(self) -> list[FrameRecord]:
        async with self.database.read() as session:
            return await Acknowledgements().held(session)


@contextlib.asynccontextmanager
async def clone(directory: Path, port: int, *, environment: Mapping[str, str] | None = None) -> AsyncIterator[Clone]:
    """Install a clone that follows the publisher on a port."""
    directory.mkdir()
    config = directory / "terapix.toml"
    publisher = f"http://127.0.0.1:{port}"
    archive = {"registry": f"{publisher}/reg/resource-caps", "acknowledge": f"{publisher}/acknowledge"}
    told = {
        "paths": {"directory": str(directory)},
        "archive": archive | {"offers": "products"},
        "snooppix": {"reserve": 0, "instrument": f"megacam:{CCDS}"},
    }
    config.write_text(tomlkit.dumps(told))
    around = {**IN_A_HURRY, "TERAPIX_PATHS__CACHE": str(KERNELS), **(environment or {})}
    settings = load(config, environment=around).settings
    database = await Database.open(settings.database_url, create=True)
    supervisor = ForkingSupervisor(
        config, logs=directory / "log", environment=around, restart=AT_ONCE,
        daemons={"snooppix": DAEMONS["snooppix"]},
    )  # fmt: skip
    await supervisor.start()
    try:
        yield Clone(settings, database, supervisor)
    finally:
        await supervisor.stop()
        await database.close()


async def differences(ours: Host, theirs: Clone) -> list[str]:
    """Compare both ledgers, and every file byte for byte with its publication."""
    async with ours.database.read() as session:
        published = await Publications().ledger(session)
    held = await theirs.held()
    found = [
        f"{item.name}: {item.sentence}"
        for item in compare(lines_of(map(entry, published)), lines_of(map(received_line, held)))
    ]
    for frame in held:
        content = (theirs.settings.reception / str(frame.path)).read_bytes()
        if f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}" != frame.wire_digest:
            found.append(f"{frame.path} is not what it was acknowledged to be")
    return found


async def until_all_back(ours: Host, theirs: Clone, files: int, *, seconds: float) -> None:
    """Wait until so many files are acknowledged, and both sides say the same."""
    told = ["nothing was published"]

    async def agreed() -> bool | None:
        async with ours.database.read() as session:
            rows = await Publications().ledger(session)
        safe = [row for row in rows if row.acknowledged_at is not None]
        told[:] = await differences(ours, theirs)
        return True if len(safe) == files and not told else None

    try:
        await ours.until(agreed, seconds=seconds)
    except AssertionError as late:
        logs = sorted((theirs.settings.paths.directory / "log").glob("*.log"))
        tails = [line for log in logs for line in log.read_text(errors="replace").splitlines()[-15:]]
        raise AssertionError("\n".join([*told, "--- clone", *tails, str(late)])) from None
    async with ours.database.read() as session:
        events = await Events().latest(session, limit=10_000)
    counted = [event.message for event in events if event.kind == "acknowledged"]
    assert len(counted) == len(set(counted)) == files


async def test_frames_go_out_and_products_come_back_although_each_side_is_killed(tmp_path: Path, painted: Path) -> None:
    """The whole chain, with one death on each side; deaths at every other step are those of the next test."""
    night, port = served(tmp_path, painted, 1), free_port()
    here, there = tmp_path / "died-here", tmp_path / "died-there"
    environment = dying(["publish.recorded"], here) | {"TERAPIX_PUBLISHER__PORT": str(port)}
    async with (
        host(night, environment=environment) as ours,
        clone(tmp_path / "theirs", port, environment=dying(["acknowledge.sent"], there)) as theirs,
    ):
        await ours.until_weighted(1)
        await until_all_back(ours, theirs, 2, seconds=200)
        await ours.until_in_order()
        assert len([*here.iterdir(), *there.iterdir()]) == 2


async def test_products_come_back_whatever_step_either_side_is_killed_at_and_at_random(tmp_path: Path) -> None:
    chance, port = random.Random(20070515), free_port()
    here, there = tmp_path / "died-here", tmp_path / "died-there"
    environment = dying(OUT, here) | {"TERAPIX_PUBLISHER__PORT": str(port)}
    async with (
        publishing(tmp_path, environment) as ours,
        clone(tmp_path / "theirs", port, environment=dying(IN, there)) as theirs,
    ):
        await put_products(ours.database, ours.settings, "979410p", "weight", "flag")
        await until_all_back(ours, theirs, 2, seconds=120)
        assert sorted(path.name for path in here.iterdir()) == sorted(OUT)
        assert sorted(path.name for path in there.iterdir()) == sorted(IN)

        for number in range(1, 5):
            await put_products(ours.database, ours.settings, f"97941{number}p", "weight", "flag")
            await ours.pause(chance.uniform(0.1, 0.9))
            kill(chance.choice([ours.supervisor, theirs.supervisor]))
        await put_products(ours.database, ours.settings, "979410p", "weight", "flag", seed=2)
        await until_generations(ours, 12)
        await until_newest_back(ours, theirs)


async def test_products_are_put_whatever_step_the_publisher_is_killed_at_and_at_random(tmp_path: Path) -> None:
    chance, died, received = random.Random(20071015), tmp_path / "died", tmp_path / "received"
    received.mkdir()
    (tmp_path / "token").write_text("w" * 20)
    (tmp_path / "token").chmod(0o600)
    access = Access({"w" * 20: None}, writers=frozenset({"w" * 20}))
    async with StandIn(received, clock=SystemClock(), access=access) as archive:
        environment = dying(PUT, died) | {
            "TERAPIX_ARCHIVE__CREDENTIAL": str(tmp_path / "token"),
            "TERAPIX_PUBLISHER__PUSH": f"{archive.address}/minoc",
            "TERAPIX_PUBLISHER__PUSH_SEGMENT": "4000",
        }
        async with publishing(tmp_path, environment) as ours:
            made = dict(zip(MAPS, await put_products(ours.database, ours.settings, "979410p", *MAPS), strict=True))
            await until_put(ours, received, {f"979410p_{kind}.fits.fz": content for kind, content in made.items()})
            assert sorted(path.name for path in died.iterdir()) == sorted(PUT)
            assert archive.site is not None
            assert archive.site.uploads.open == 0  # what a dead pusher had begun was taken up, or given up

            wanted = {}
            for number, seed in [(1, 1), (2, 1), (0, 2), (1, 2)]:
                frame = f"97941{number}p"
                for kind, content in zip(
                    MAPS, await put_products(ours.database, ours.settings, frame, *MAPS, seed=seed), strict=True
                ):
                    wanted[f"{frame}_{kind}.fits.fz"] = content
                await ours.pause(chance.uniform(0.1, 0.9))
                kill(ours.supervisor)
            await until_put(ours, received, wanted)


async def until_put(ours: Host, received: Path, wanted: Mapping[str, bytes]) -> None:
    """Wait until the newest generation of each file is acknowledged, and look at what lies at the archive."""

    async def acknowledged() -> bool | None:
        async with ours.database.read() as session:
            newest = {row.name: row for row in await Publications().ledger(session)}
        safe = {name for name, row in newest.items() if row.acknowledged_at is not None and digest(wanted[name])
                == row.wire_digest} if newest.keys() >= wanted.keys() else set()  # fmt: skip
        return True if safe >= wanted.keys() else None

    await ours.until(acknowledged, seconds=120)
    assert {name: (received / name).read_bytes() for name in wanted} == dict(wanted)


@contextlib.asynccontextmanager
async def publishing(directory: Path, environment: Mapping[str, str]) -> AsyncIterator[Host]:
    """Let the publisher alone work on a host, in a process of its own."""
    night = Night(directory / "host", 1, CCDS, seed=7)
    async with host(night, environment=environment, daemons=False) as ours:
        ours.supervisor = ForkingSupervisor(
            night.config, logs=night.directory / "log", environment=ours.supervisor.environment, restart=AT_ONCE,
            daemons={"publisher": ours.supervisor.daemons["publisher"]},
        )  # fmt: skip
        await ours.supervisor.start()
        try:
            yield ours
        finally:
            await ours.supervisor.stop()


def kill(supervisor: Supervisor) -> None:
    """Kill the one daemon of a side."""
    for pid in supervisor.pids().values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def until_generations(ours: Host, rows: int) -> None:
    async def entered() -> bool | None:
        async with ours.database.read() as session:
            return True if len(await Publications().ledger(session)) == rows else None

    await ours.until(entered, seconds=60)


async def until_newest_back(ours: Host, theirs: Clone) -> None:
    """Wait until the newest generation of every file is acknowledged, and both sides say the same."""

    async def back() -> bool | None:
        async with ours.database.read() as session:
            newest = {row.name: row for row in await Publications().ledger(session)}
        safe = all(row.acknowledged_at is not None for row in newest.values())
        return True if safe and not await differences(ours, theirs) else None

    try:
        await ours.until(back, seconds=200)
    except AssertionError as late:
        raise AssertionError("\n".join([*await differences(ours, theirs), str(late)])) from None
    assert len(await theirs.held()) == 10
