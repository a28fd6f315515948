"""Frames leave the reception disk on which they lie, whichever of several that is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbclient.schema import FrameKind, FrameState
from tests.support.site import Site, open_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A site with two reception disks."""
    disks = [{"name": name, "directory": str(tmp_path / name)} for name in ("fc1", "fc2")]
    opened = await open_site(tmp_path, paths={"directory": str(tmp_path), "disks": disks})
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


async def test_frames_and_calibrations_are_taken_from_their_own_disks(site: Site, tmp_path: Path) -> None:
    flat = "08Am03.flat.r.36.02"
    await site.valid(flat, kind=FrameKind.FLAT, runid=None, disk="fc2")
    await site.valid("979412p", disk="fc2", flat=flat)
    await site.valid("979413p", disk="fc1")

    await site.settle()

    for name in ("979412p", "979413p"):
        frame = await site.frame(name)
        assert (frame.state, frame.path, frame.disk) == (FrameState.PLACED, None, None)
    node = (await site.replicas("979412p"))[0][0]
    assert f"calibrations/{flat}.fits.fz" in site.files(node)
    assert [path for path in tmp_path.glob("fc*/from_CADC/headervalid/*") if path.is_file()] == []


async def test_what_a_dead_mover_left_is_swept_from_every_disk(site: Site, tmp_path: Path) -> None:
    await site.valid("979412p", disk="fc2")
    left = tmp_path / "fc2/from_CADC/headervalid/979412p.fits.fz"
    content = left.read_bytes()
    await site.settle()
    left.write_bytes(content)

    site.restarted()
    await site.settle(passes=1)

    assert not left.exists()


async def test_a_frame_on_a_disk_that_is_gone_waits_and_goes_on_when_it_is_back(site: Site, tmp_path: Path) -> None:
    await site.valid("979412p", disk="fc2")
    await site.valid("979413p", disk="fc1")
    disk = tmp_path / "fc2"
    disk.rename(tmp_path / "unplugged")

    await site.settle()

    waiting = await site.frame("979412p")
    assert (waiting.state, waiting.attempts) == (FrameState.VALID, 0)
    assert "the reception disk fc2 is gone" in (waiting.reason or "")
    assert waiting.retry_at is not None
    assert await site.open_things() == (1, 0), "only the other frame has room, for its maps"
    assert (await site.frame("979413p")).state is FrameState.PLACED

    (tmp_path / "unplugged").rename(disk)
    site.clock.advance(60)
    await site.settle()
    assert (await site.frame("979412p")).state is FrameState.PLACED
