"""The daemon as a process, killed at every named step of a fetch: each file still arrives exactly once."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import tomlkit

from dbclient.database import Database
from dbclient.schema import FrameState, TransferState
from dbclient.stores import Events, Frames, Transfers
from snooppix.standin.kinds import Slow
from terapix.installation import etc_directory
from terapix.settings import load
from terapix.steps import STEPS
from tests.support.archive import ServedArchive, small_fits

pytestmark = [pytest.mark.flow, pytest.mark.timeout(500)]

FRAMES = ("979412p", "979413p", "979414p")
CALIBRATIONS = ("08Am03.flat.r.36.02", "2003A.mask.0.36.01")
STEPS_OF_A_FETCH = tuple(step for step in STEPS if step.startswith("fetch."))


def small_instrument(directory: Path) -> Path:
    """Write MegaCam with CCDs of 32x16 pixels and few required keywords."""
    text = (etc_directory() / "instruments" / "megacam.toml").read_text()
    text = re.sub(r"(?m)^width = \d+", "width = 32", text)
    text = re.sub(r"(?m)^height = \d+", "height = 16", text)
    text = re.sub(r"(?m)^datasec = \[.*?\]", "datasec = [0, 32, 0, 16]", text)
    text = re.sub(r"(?m)^amplifier_boundary = \d+", "amplifier_boundary = 16", text)
    text = re.sub(r"(?ms)^primary = \[.*?^\]", 'primary = ["RUNID", "FILTER", "IMRED_FF", "IMRED_MK"]', text)
    text = re.sub(r"(?ms)^ccd = \[.*?^\]", 'ccd = ["CRPIX1"]', text)
    path = directory / "small.toml"
    path.write_text(text)
    return path


@pytest.fixture
def config(tmp_path: Path, served_archive: ServedArchive) -> Path:
    path = tmp_path / "terapix.toml"
    settings = {
        "paths": {"directory": str(tmp_path / "host")},
        "archive": {"registry": served_archive.registry},
        "snooppix": {"poll": 1.0, "reserve": 0, "instrument": str(small_instrument(tmp_path))},
    }
    path.write_text(tomlkit.dumps(settings))
    (tmp_path / "host").mkdir()
    return path


async def start(config: Path, environment: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    with (config.parent / "log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "snooppix.service",
            "-c",
            str(config),
            env={**os.environ, **(environment or {})},
            stderr=log,
            start_new_session=True,
        )


async def all_valid(database: Database) -> bool:
    async with database.read() as session:
        found = [await Frames().named(session, name) for name in (*FRAMES, *CALIBRATIONS)]
    return all(frame is not None and frame.state is FrameState.VALID for frame in found)


async def test_killed_at_every_step_each_file_arrives_once(
    config: Path, served_archive: ServedArchive, tmp_path: Path
) -> None:
    for number, name in enumerate((*FRAMES, *CALIBRATIONS)):
        served_archive.offer(name, seed=number)
    died = tmp_path / "died"
    died.mkdir()
    armed = {"TERAPIX_DIE_AT": ",".join(STEPS_OF_A_FETCH), "TERAPIX_DIE_ONCE": str(died)}
    settings = load(config, environment={}).settings
    database = await Database.open(settings.database_url, create=True)
    process = await start(config, armed)
    deaths = 0
    try:
        async with asyncio.timeout(400):
            while not await all_valid(database):
                if process.returncode is not None:
                    assert process.returncode == -signal.SIGKILL, (tmp_path / "log").read_text()
                    deaths += 1
                    process = await start(config, armed)
                await database.changed(timeout=0.2)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert sorted(path.name for path in died.iterdir()) == sorted(STEPS_OF_A_FETCH)
    assert deaths == len(STEPS_OF_A_FETCH)
    reception = settings.reception
    held = {str(p.relative_to(reception)): p.read_bytes() for p in reception.rglob("*") if p.is_file()}
    wanted = {f"from_CADC/headervalid/{name}.fits.fz": small_fits(name, seed=n) for n, name in enumerate(FRAMES)}
    wanted |= {
        f"from_CADC/calibrations/{name}.fits.fz": small_fits(name, seed=len(FRAMES) + n)
        for n, name in enumerate(CALIBRATIONS)
    }
    assert held == wanted
    async with database.read() as session:
        assert await Transfers().running(session) == []
        ended = await Transfers().history(session, limit=1000)
        events = await Events().latest(session, limit=1000)
    assert all(transfer.reason for transfer in ended if transfer.state is TransferState.FAILED)
    assert sum(event.kind == "fetched" for event in events) == len(wanted)
    await database.close()


async def test_asked_to_stop_in_the_middle_it_keeps_its_part_and_goes_on_later(
    config: Path, served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("979412p")
    served_archive.faults.add(Slow(name="979412p*", rate=20_000))
    settings = load(config, environment={}).settings
    database = await Database.open(settings.database_url, create=True)
    process = await start(config)
    incoming = settings.reception / "incoming"
    async with asyncio.timeout(60):
        while not any(path.stat().st_size for path in incoming.glob("*.part")):
            await asyncio.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0

    [part] = incoming.glob("*.part")
    before = part.stat().st_size
    async with database.read() as session:
        assert await Transfers().running(session) == []
    served_archive.faults.clear()
    process = await start(config)
    try:
        async with asyncio.timeout(60):
            frame = None
            while frame is None or frame.state is not FrameState.VALID:
                await database.changed(timeout=0.2)
                async with database.read() as session:
                    frame = await Frames().named(session, "979412p")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await database.close()

    assert 0 < before < len(small_fits("979412p"))
    assert list(incoming.iterdir()) == []
