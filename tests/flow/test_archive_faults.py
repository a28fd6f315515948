"""An archive on a bad night: each frame ends in a clear state with its reason, and the others are weighted."""

import hashlib
from pathlib import Path

import pytest

from dbclient.records import FrameRecord
from dbclient.schema import FrameState, ProductState
from dbclient.stores import Events, Frames, Jobs, Products
from snooppix.standin.faults import Faults
from snooppix.standin.kinds import (
    Down,
    Dropped,
    Flipped,
    Listed,
    LoginPage,
    Short,
    Slow,
    Stalled,
    WrongDigest,
)
from spica.demo import Night
from tests.flow.conftest import PAINTED, names, served
from tests.support.damage import negative_axis, processed_again, truncated, without_end
from tests.support.host import Host, host

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300), pytest.mark.xdist_group("flow")]

LONG_HEADER = 32 * 1024**2
"""Bytes: ten times what is read of a header that does not end."""


async def test_each_trouble_of_the_archive_has_its_end_and_the_others_go_on(tmp_path: Path, painted: Path) -> None:
    night = served(tmp_path, painted, PAINTED)
    cut, slow, stalled, short, login, digest, flipped, lost = names(painted)
    faults = Faults(
        Down(times=3),
        Dropped(name=f"{cut}*", after=1_000_000, times=2),
        Slow(name=f"{slow}*", rate=4_000_000),
        Stalled(name=f"{stalled}*", after=100_000),
        Short(name=f"{short}*", missing=1000),
        LoginPage(name=f"{login}*"),
        WrongDigest(name=f"{digest}*"),
        Flipped(name=f"{flipped}*", byte=5000),
        Flipped(name=f"{lost}*", byte=5000, times=0),
    )
    async with host(night, faults=faults) as running:
        await running.until_frame(digest, FrameState.SPOTTED, because="its next listing decides")
        await running.ask(digest)
        await running.until_frame(lost, FrameState.REJECTED, because="3 tries gave no better copy")
        await running.until_weighted(PAINTED - 1)
        await running.until_in_order(apart_from="from_CADC/rejected/damaged")
        async with running.database.read() as session:
            told = [event.kind for event in await Events().latest(session, limit=1000)]
        assert "resumed 2 times" in await running.story(cut)
        assert "resumed" not in await running.story(slow)
        assert "resumed once" in await running.story(stalled)
        assert "resumed once" in await running.story(short)
        assert "a web page came in its place" in await running.story(login)
        assert "fetched again for damage" in await running.story(flipped)
        arrivals = [(await running.story(name)).count(" arrived in ") for name in names(painted)[:-1]]
        assert set(arrivals) == {1}
        assert "3 tries gave no better copy" in await running.story(lost)
    assert told.count("archive-down") == told.count("archive-up") == 1
    assert {type(fault) for fault, _ in faults.committed} == {
        *(Down, Dropped, Slow, Stalled, Short, LoginPage, WrongDigest, Flipped)
    }


async def test_hostile_files_are_set_aside_with_a_reason_and_the_others_go_on(night: Night, tmp_path: Path) -> None:
    good, *bad = names(night.archive)
    below, endless = bad
    cut = "980104p"
    outside = tmp_path / "host" / "outside"
    for name, damage in ((below, negative_axis), (cut, truncated)):
        damage(night.archive / f"{good}.fits.fz", tmp_path / "damaged")
        (tmp_path / "damaged").replace(night.archive / f"{name}.fits.fz")
    without_end(night.archive / f"{good}.fits.fz", tmp_path / "damaged", size=LONG_HEADER)
    (tmp_path / "damaged").replace(night.archive / f"{endless}.fits.fz")
    climbing = "980105p"
    (night.archive / f"{climbing}.fits.fz").hardlink_to(night.archive / f"{good}.fits.fz")
    faults = Faults(Listed(name=f"{climbing}*", uri=f"cadc:CFHT/../../{outside.name}/{climbing}/../x.fits.fz"))

    async with host(night, faults=faults) as running:
        await running.until_frame(below, FrameState.REJECTED, because="NAXIS2 = -4644 is no length of an axis")
        await running.until_frame(endless, FrameState.REJECTED, because="has no END within")
        await running.until_frame(cut, FrameState.REJECTED)
        await running.until_weighted(1)
        await running.until_in_order(apart_from="from_CADC/rejected")
        for name, word in ((below, "hostile"), (endless, "hostile"), (cut, "truncated")):
            assert f"rejected ({word})" in await running.story(name)
            assert (running.settings.reception / "from_CADC" / "rejected" / word / f"{name}.fits.fz.why.json").exists()
        async with running.database.read() as session:
            refused = [event for event in await Events().latest(session, limit=1000) if event.kind == "listing-refused"]
        assert len(refused) == 1
        assert "980105p" in refused[0].message
    assert not outside.exists()
    assert not list(tmp_path.rglob("x.fits*"))


async def test_a_frame_that_was_processed_again_takes_the_place_of_the_old_one(night: Night, tmp_path: Path) -> None:
    name, *others = names(night.archive)
    for other in others:
        (night.archive / f"{other}.fits.fz").unlink()
    file = night.archive / f"{name}.fits.fz"
    async with host(night) as running:
        await running.until_weighted(1)
        await running.until_in_order()
        first = await running.until_frame(name, FrameState.WEIGHTED)

        processed_again(file, tmp_path / "again")
        (tmp_path / "again").replace(file)
        wanted = f"md5:{hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()}"
        second = await _until_generation(running, name, 2)
        await running.until_in_order()

        assert second.wire_digest == wanted
        async with running.database.read() as session:
            old = await Frames().get(session, first.id)
            jobs = [job.state.value for job in await Jobs().of_frame(session, old.id)]
            products = await Products().of_frame(session, old.id)
        assert old.state is FrameState.SUPERSEDED
        assert second.supersedes == old.id
        assert jobs == ["done"]
        assert {product.state for product in products} == {ProductState.SUPERSEDED}
        story = await running.story(name)
    assert "generation 2" in story


async def _until_generation(running: Host, name: str, generation: int) -> FrameRecord:
    async def there() -> FrameRecord | None:
        frame = await running.frame(name)
        return frame if frame and (frame.generation, frame.state) == (generation, FrameState.WEIGHTED) else None

    return await running.until(there, seconds=120)
