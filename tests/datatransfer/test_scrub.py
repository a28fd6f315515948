"""Bytes damaged behind our back are found within one pass, set aside, and replaced by good ones."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from datatransfer.scrub import Scrub
from dbclient.schema import FrameKind, FrameState, ProductState, ReplicaState, RequestKind
from dbclient.stores import Frames, Inventory, Replicas, Requests
from spica.pipeline.recovery import Recovery
from tests.support.agents import agent, shared_token
from tests.support.keeping import (
    BAD,
    GOOD,
    RECIPE,
    copied,
    digest,
    map_of,
    placed,
    products,
    scrubbed,
    told,
    weighted,
)
from tests.support.site import MB, Site, open_site


async def states(site: Site, name: str) -> list[ReplicaState]:
    async with site.database.read() as session:
        return [r.state for r in await Replicas().of_frame(session, (await site.frame(name)).id)]


def recovery(site: Site) -> Recovery:
    return Recovery(site.database, site.clock, lease=60.0, source="test")


async def test_a_good_file_is_read_once_a_pass_and_a_restart_goes_on_behind_it(site: Site) -> None:
    node, _ = await placed(site, "979412p")
    assert await scrubbed(site, node) == []
    site.restarted()
    scrub = Scrub(site.database, site.clock, site.coordinator.depots, source="test")
    assert await scrub.unread(await site.node(node), since=site.clock.now()) == []
    assert await told(site) == []


async def test_a_damaged_file_is_set_aside_and_the_frame_fetched_again(site: Site) -> None:
    node, file = await placed(site, "979412p")
    file.write_bytes(BAD)
    [finding] = await scrubbed(site, node)
    kept = site.directory(node) / str(finding.aside)
    assert kept.read_bytes() == BAD
    assert json.loads(kept.with_name(f"{kept.name}.why.json").read_text())["found"] == finding.found == digest(BAD)
    assert not file.exists()
    assert (await site.frame("979412p")).state is FrameState.SPOTTED
    assert await states(site, "979412p") == [ReplicaState.DAMAGED]
    assert any(str(finding.found) in said for said in await told(site))
    assert await site.open_things() == (0, 0)


async def test_a_damaged_file_is_repaired_from_another_node(site: Site) -> None:
    node, file = await placed(site, "979412p")
    other, _ = await copied(site, "979412p", node)
    file.write_bytes(BAD)
    [finding] = await scrubbed(site, node)
    assert finding.remedy.endswith(f"was repaired from {other}")
    assert file.read_bytes() == GOOD
    assert await states(site, "979412p") == [ReplicaState.HELD] * 2
    assert (await site.frame("979412p")).state is FrameState.PLACED


async def test_a_copy_that_is_damaged_too_repairs_nothing_and_both_are_kept(site: Site) -> None:
    node, file = await placed(site, "979412p")
    other, second = await copied(site, "979412p", node)
    for place in (file, second):
        place.write_bytes(BAD)
    [finding] = await scrubbed(site, node)
    assert finding.remedy == f"is held by {other}, too"
    assert (await site.frame("979412p")).state is FrameState.PLACED
    assert len(await scrubbed(site, other)) == 1
    assert (await site.frame("979412p")).state is FrameState.SPOTTED
    for name in (node, other):
        assert len(list((site.directory(name) / "quarantine").rglob("*.fits.fz"))) == 1


async def test_a_disk_that_is_not_mounted_has_lost_no_file(site: Site, tmp_path: Path) -> None:
    node, _ = await placed(site, "979412p")
    site.directory(node).rename(tmp_path / "unmounted")
    site.directory(node).mkdir()
    with pytest.raises(Exception, match="is empty"):
        await scrubbed(site, node)
    assert await states(site, "979412p") == [ReplicaState.HELD]


async def test_what_the_archive_has_withdrawn_is_kept_and_not_fetched(site: Site) -> None:
    node, file = await placed(site, "979412p")
    async with site.database.write() as session:
        await Frames().describe(session, (await site.frame("979412p")).id, withdrawn_at=site.clock.now())
    file.write_bytes(BAD)
    [finding] = await scrubbed(site, node)
    assert "withdrawn" in finding.remedy
    assert (site.directory(node) / str(finding.aside)).read_bytes() == BAD
    assert (await site.frame("979412p")).state is FrameState.PLACED


async def test_the_coordinator_reads_again_what_was_not_read_for_its_days(site: Site) -> None:
    _, file = await placed(site, "979412p")
    file.write_bytes(BAD)
    await site.coordinator.pass_()
    await site.coordinator.upkeep.settled()
    assert await states(site, "979412p") == [ReplicaState.HELD]
    site.clock.advance(timedelta(days=31).total_seconds())
    await site.coordinator.pass_()
    await site.coordinator.upkeep.settled()
    assert await states(site, "979412p") == [ReplicaState.DAMAGED]
    assert site.coordinator.upkeep.findings == 1


async def test_a_file_on_its_way_to_another_node_is_left_to_its_move(site: Site) -> None:
    node, file = await placed(site, "979412p")
    other, _ = ("node2", None) if node == "node1" else ("node1", None)
    async with site.database.write() as session:
        await Requests().ask(
            session, RequestKind.TRANSFER, {"runid": "08AC14", "node": other}, by="anna", now=site.clock.now()
        )
    await site.coordinator.roster.look()
    await site.coordinator.orders.pass_()
    async with site.database.read() as session:
        assert await Inventory().open_moves(session)
    file.write_bytes(BAD)
    assert await scrubbed(site, node) == []
    assert await states(site, "979412p") == [ReplicaState.HELD]
    assert file.exists()


async def test_a_weighted_frame_is_fetched_again_and_keeps_its_maps(site: Site) -> None:
    node, file = await placed(site, "979412p")
    await weighted(site)
    file.write_bytes(BAD)
    [finding] = await scrubbed(site, node)
    assert "is fetched again" in finding.remedy
    assert (await site.frame("979412p")).state is FrameState.SPOTTED

    await fetched_again(site)
    assert (await site.frame("979412p")).state is FrameState.PLACED
    assert await recovery(site).take_up(stage="weight", recipe=RECIPE) == 1
    assert (await site.frame("979412p")).state is FrameState.WEIGHTED
    assert [product.state for product in await products(site)] == [ProductState.HELD]
    assert await site.open_things() == (0, 0)


async def fetched_again(site: Site, name: str = "979412p") -> None:
    """Do what SNOOPPIX does, and have the frame placed."""
    frame = await site.frame(name)
    path = f"from_CADC/headervalid/{name}.fits.fz"
    (site.settings.reception / path).write_bytes(GOOD)
    async with site.database.write() as session:
        for state in (FrameState.FETCHED, FrameState.VALID):
            await Frames().advance(
                session, frame.id, state, now=site.clock.now(), source="test", message=state.value, path=path
            )
    await site.settle()


async def test_a_damaged_product_is_set_aside_and_made_again(site: Site) -> None:
    await placed(site, "979412p")
    node, weight = await weighted(site)
    damaged = bytearray(weight.read_bytes())
    damaged[-2880] ^= 1
    weight.write_bytes(damaged)
    [finding] = await scrubbed(site, node)
    assert finding.pixels == ("HDU 1 (CCD00): DATASUM does not agree with its pixels",)
    assert [product.state for product in await products(site)] == [ProductState.DAMAGED]
    assert (site.directory(node) / str(finding.aside)).read_bytes() == damaged
    assert await recovery(site).remake() == 1
    assert (await site.frame("979412p")).state is FrameState.PLACED
    await weighted(site)
    assert [product.state for product in await products(site)] == [ProductState.HELD]
    assert await scrubbed(site, node) == []


async def test_a_product_whose_pixels_were_damaged_before_its_digest_was_taken_is_found(site: Site) -> None:
    await placed(site, "979412p")
    content = bytearray(map_of())
    content[-2880] ^= 1
    node, _ = await weighted(site, content=bytes(content))
    [finding] = await scrubbed(site, node)
    assert finding.found == finding.expected
    assert "DATASUM" in finding.pixels[0]
    assert await recovery(site).remake() == 1


async def test_a_header_that_was_changed_is_told_from_damaged_pixels(site: Site) -> None:
    node, file = await placed(site, "979412p", content=map_of())
    file.write_bytes(map_of().replace(b"CCD00", b"CCD99"))
    [finding] = await scrubbed(site, node)
    assert finding.pixels == ("HDU 1 (CCD99): CHECKSUM does not agree, though its pixels are whole",)


async def test_a_calibration_and_its_second_name_at_reception_are_one_damage(site: Site) -> None:
    await site.valid("979412p", flat="flat.r", mask=None)
    await site.valid("flat.r", kind=FrameKind.FLAT, content=GOOD)
    await site.settle()
    [(node, replica)] = await site.replicas("flat.r")
    (site.directory(node) / replica.path).write_bytes(BAD)  # a link of the file at reception
    [finding] = await scrubbed(site, node)
    assert finding.frame == "flat.r"
    assert (await site.frame("flat.r")).state is FrameState.SPOTTED
    assert list((site.settings.reception / "quarantine").rglob("flat.r.fits.fz"))
    await site.settle()
    assert await site.replicas("flat.r") == []


async def test_a_damaged_calibration_is_replaced_from_the_reception_and_its_maps_are_doubted(site: Site) -> None:
    await site.valid("979412p", flat="flat.r", mask=None)
    await site.valid("flat.r", kind=FrameKind.FLAT, content=GOOD)
    await site.settle()
    [(node, replica)] = await site.replicas("flat.r")
    site.clock.advance(10)
    await weighted(site)
    place = site.directory(node) / replica.path
    place.unlink()
    place.write_bytes(BAD)
    [finding] = await scrubbed(site, node)
    assert finding.remedy.endswith("was repaired from the reception disk")
    assert finding.doubtful == ("979412p",)
    assert place.read_bytes() == GOOD


async def test_no_node_is_given_a_calibration_that_was_damaged_at_reception(site: Site) -> None:
    await site.valid("flat.r", kind=FrameKind.FLAT, content=GOOD)
    (site.settings.reception / "from_CADC" / "calibrations" / "flat.r.fits.fz").write_bytes(BAD)
    await site.valid("979412p", flat="flat.r", mask=None)
    await site.settle()
    assert await site.replicas("flat.r") == []
    assert (await site.frame("flat.r")).state is FrameState.SPOTTED


DYING = """
import asyncio, sys
from pathlib import Path
from tests.support.keeping import scrubbed
from tests.support.site import open_site

async def main():
    site = await open_site(Path(sys.argv[1]))
    await site.coordinator.start()
    await scrubbed(site, sys.argv[2])

asyncio.run(main())
"""


@pytest.mark.parametrize("step", ["scrub.recorded", "scrub.set-aside", "scrub.brought"])
async def test_a_scrub_that_is_killed_loses_no_good_file_and_no_word(site: Site, tmp_path: Path, step: str) -> None:
    node, file = await placed(site, "979412p")
    other, second = await copied(site, "979412p", node)
    lone = await placed(site, "979413p", content=GOOD + b"!")
    for place in (file, lone[1]):
        place.write_bytes(BAD)
    (tmp_path / "once").mkdir()
    environment = os.environ | {"TERAPIX_DIE_AT": step, "TERAPIX_DIE_ONCE": str(tmp_path / "once")}
    died = subprocess.run(  # noqa: ASYNC221 - nothing else runs
        [sys.executable, "-c", DYING, str(tmp_path), node], env=environment, check=False, capture_output=True
    )
    assert died.returncode == -9, died.stderr.decode()
    await scrubbed(site, node, lone[0])
    await site.settle()
    assert second.read_bytes() == GOOD
    assert other in [name for name, _ in await site.replicas("979412p")]
    assert (await site.frame("979412p")).state is FrameState.PLACED
    assert (await site.frame("979413p")).state is FrameState.SPOTTED
    assert [said for said in await told(site, "979413p") if "was expected" in said]


async def test_damage_on_another_host_is_found_and_set_aside_by_its_agent(tmp_path: Path) -> None:
    token = shared_token(tmp_path)
    async with agent(tmp_path / "far", "node2", token) as far:
        there = {"name": "node2", "directory": str(far.directory), "address": far.address, "capacity": 100 * MB}
        site = await open_site(tmp_path / "site", nodes_are=[{**there, "reserve": 0}], agent={**token, "port": 1})
        try:
            await site.coordinator.start()
            frame = await site.valid("979412p", content=GOOD)
            file = far.put("frames/08AC14/979412p.fits.fz", GOOD)
            now = site.clock.now()
            async with site.database.write() as session:
                await Frames().advance(
                    session, frame.id, FrameState.PLACED, now=now, source="test", message="placed", path=None
                )
                await Replicas().hold(
                    session,
                    frame_id=frame.id,
                    node_id=(await site.node("node2")).id,
                    path="frames/08AC14/979412p.fits.fz",
                    size=len(GOOD),
                    digest=str(frame.wire_digest),
                    now=now,
                )
            assert await scrubbed(site, "node2") == []
            file.write_bytes(BAD)
            [finding] = await scrubbed(site, "node2")
            assert (far.directory / str(finding.aside)).read_bytes() == BAD
            assert not file.exists()
            assert (await site.frame("979412p")).state is FrameState.SPOTTED
        finally:
            await site.coordinator.close()
            await site.database.close()
