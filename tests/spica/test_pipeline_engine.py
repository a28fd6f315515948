"""The engine in real processes: a frame is weighted on its node, a dead worker is replaced, strangers stay out."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from dbclient.schema import FrameKind, FrameState, JobState
from dbclient.stores import Jobs, Products
from processing.skymaker.painter import paint_run
from spica.pipeline import Pipeline
from spica.pipeline.channel import SCHEME, new_key, open_channel
from terapix.clock import SystemClock
from tests.support.site import MB, Site, open_site

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("engine")]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    opened = await open_site(tmp_path, nodes=1, capacity=2000 * MB)
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


@pytest.fixture
async def pipeline(site: Site) -> AsyncIterator[Pipeline]:
    """A pipeline on a node that holds one painted frame of one CCD with its flat and mask."""
    painted = site.settings.paths.directory / "painted"
    paint_run(painted, frames=1, ccds=1, seed=7, workers=1, progress=lambda *_: None)
    names = {kind: _only(painted, pattern) for kind, pattern in PATTERNS.items()}
    for kind, path in names.items():
        calibrations = {"flat": _name(names[FrameKind.FLAT]), "mask": _name(names[FrameKind.MASK])}
        more = calibrations if kind is FrameKind.OBJECT else {}
        await site.valid(_name(path), kind=kind, content=path.read_bytes(), **more)
    shutil.rmtree(painted)
    await site.settle()
    opened = Pipeline(site.database, site.settings, SystemClock())
    await opened.start()
    yield opened
    await opened.close()


PATTERNS = {FrameKind.FLAT: "*.flat.*", FrameKind.MASK: "*.mask.*", FrameKind.OBJECT: "*p.fits.fz"}


def _only(directory: Path, pattern: str) -> Path:
    return min(directory.glob(pattern))


def _name(path: Path) -> str:
    return path.name.removesuffix(".fits.fz")


async def frame_name(site: Site) -> str:
    async with site.database.read() as session:
        [job] = await Jobs().in_state(session, JobState.DUE)
    return job.frame


async def until(site: Site, pipeline: Pipeline, name: str, state: FrameState) -> None:
    while (await site.frame(name)).state is not state:
        await pipeline.pass_()
        await site.database.changed(timeout=0.2, progress=True)


def workers() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [process for process in found if "spica.pipeline.station" in process.cmdline()]


async def test_a_frame_is_weighted_and_catalogued_on_its_node_by_a_worker_process(
    site: Site, pipeline: Pipeline
) -> None:
    await pipeline.pass_()
    name = await frame_name(site)

    await until(site, pipeline, name, FrameState.WEIGHTED)
    while (await site.frame(name)).catalogued_at is None:
        await pipeline.pass_()
        await site.database.changed(timeout=0.2, progress=True)

    frame = await site.frame(name)
    async with site.database.read() as session:
        products = {product.kind: product for product in await Products().of_frame(session, frame.id)}
        job, sources = await Jobs().of_frame(session, frame.id)
    assert {"weight", "flag", "catalogue", "psf"} <= set(products)
    assert (sources.stage, sources.state, sources.node) == ("sources", JobState.DONE, "node1")
    assert products["psf"].provenance["weight"].endswith(products["weight"].digest)
    assert sources.summary is not None
    assert sources.summary["stars"] > 20
    assert sources.summary["by_ccd"]["fwhm"][0] == pytest.approx(sources.summary["seeing"])
    assert frame.state is FrameState.WEIGHTED
    assert all((site.directory("node1") / product.path).stat().st_size == product.size for product in products.values())
    assert products["weight"].provenance["recipe"] == job.recipe
    assert (job.state, job.attempts) == (JobState.DONE, 1)
    assert str(job.worker).startswith("node1:")
    assert await site.open_things() == (0, 0)


async def test_a_worker_that_is_killed_is_replaced_and_its_job_done_again(site: Site, pipeline: Pipeline) -> None:
    await pipeline.pass_()
    name = await frame_name(site)
    async with asyncio.timeout(60):
        while True:
            async with site.database.read() as session:
                running = await Jobs().in_state(session, JobState.RUNNING)
            if running:
                break
            await site.database.changed(timeout=0.1, progress=True)

    [victim] = workers()
    os.kill(victim.pid, signal.SIGKILL)

    await until(site, pipeline, name, FrameState.WEIGHTED)
    async with site.database.read() as session:
        jobs = await Jobs().of_frame(session, (await site.frame(name)).id)
    assert [job.attempts for job in jobs if job.stage == "weight"] == [2]
    assert victim.pid not in [process.pid for process in workers()]


async def test_nothing_is_left_running_after_the_end(site: Site, pipeline: Pipeline) -> None:
    async with asyncio.timeout(60):
        while not pipeline.engine.workers:
            await pipeline.pass_()
            await site.database.changed(timeout=0.1)
    started = workers()

    await pipeline.close()

    assert started != []
    assert workers() == []


async def test_who_does_not_know_the_key_stays_out(site: Site) -> None:
    from distributed import Client, Scheduler

    open_channel(new_key())
    async with Scheduler(
        dashboard=False, dashboard_address="127.0.0.1:0", host=f"{SCHEME}://127.0.0.1", port=0
    ) as ours:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(ours.address.rsplit(":", 1)[1]))
        writer.write(b"\0" * 64)
        assert len(await reader.read(32)) == 32
        await reader.read(32)
        assert await reader.read() == b""
        writer.close()

        open_channel(new_key())
        with pytest.raises(OSError, match="does not know our key"):
            async with Client(ours.address, asynchronous=True, timeout=5):
                pass
