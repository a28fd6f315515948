"""Both sides of the way back, in real processes: frames go out, products come back, and both ledgers agree."""

import contextlib
import hashlib
import os
import random
import signal
import socket
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
from spica.demo import Night
from spica.supervisor import DAEMONS, Supervisor
from terapix.sections import Settings
from terapix.settings import load
from terapix.steps import WAY_BACK
from tests.flow.conftest import CCDS, served
from tests.flow.test_killed import dying
from tests.support.host import AT_ONCE, IN_A_HURRY, KERNELS, Host, host
from tests.support.publishing import put_products

pytestmark = [pytest.mark.flow, pytest.mark.timeout(500), pytest.mark.xdist_group("flow")]

OUT = [step for step in WAY_BACK if step.startswith("publish.")]
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


def free_port() -> int:
    """Find a port that a daemon can take again after it was killed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


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
    supervisor = Supervisor(
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


async def test_frames_go_out_and_products_come_back_whatever_step_either_side_is_killed_at(
    tmp_path: Path, painted: Path
) -> None:
    night, port = served(tmp_path, painted, 1), free_port()
    here, there = tmp_path / "died-here", tmp_path / "died-there"
    environment = dying(OUT, here) | {"TERAPIX_PUBLISHER__PORT": str(port)}
    async with (
        host(night, environment=environment) as ours,
        clone(tmp_path / "theirs", port, environment=dying(IN, there)) as theirs,
    ):
        await ours.until_weighted(1)
        await until_all_back(ours, theirs, 2, seconds=250)
        await ours.until_in_order()
        assert sorted(path.name for path in here.iterdir()) == sorted(OUT)
        assert sorted(path.name for path in there.iterdir()) == sorted(IN)


async def test_products_come_back_although_either_side_is_killed_at_random(tmp_path: Path) -> None:
    chance, port = random.Random(20070515), free_port()
    night = Night(tmp_path / "host", 1, CCDS, seed=7)
    environment = {"TERAPIX_PUBLISHER__PORT": str(port)}
    async with host(night, environment=environment, daemons=False) as ours:
        ours.supervisor = Supervisor(
            night.config, logs=night.directory / "log", environment=ours.supervisor.environment, restart=AT_ONCE,
            daemons={"publisher": ours.supervisor.daemons["publisher"]},
        )  # fmt: skip
        await ours.supervisor.start()
        try:
            async with clone(tmp_path / "theirs", port) as theirs:
                for number in range(6):
                    await put_products(ours.database, ours.settings, f"97941{number}p", "weight", "flag")
                    await ours.pause(chance.uniform(0.2, 1.2))
                    kill(chance.choice([ours.supervisor, theirs.supervisor]))
                await until_generations(ours, 12)
                await put_products(ours.database, ours.settings, "979410p", "weight", "flag", seed=2)
                await until_generations(ours, 14)
                await until_newest_back(ours, theirs)
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
    assert len(await theirs.held()) == 12
