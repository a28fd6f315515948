"""The audit: every way in which database, disks and archive can differ is found by its evidence, and mended if told."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from datatransfer.audit import Audit, NoSuchNode
from datatransfer.discrepancies import CASES
from dbclient.findings import AuditFindingRecord
from dbclient.schema import (
    DifferenceState,
    Discrepancy,
    FrameKind,
    FrameState,
    ProductState,
    ReplicaState,
    RequestKind,
)
from dbclient.stores import Audits, Differences, Fate, Frames, Holdings, Replicas, Requests, Sighting
from tests.support.keeping import BAD, GOOD, copied, placed, products, weighted
from tests.support.site import Site


async def audited(site: Site, *, repair: bool = False, **scope: str) -> list[AuditFindingRecord]:
    audit = Audit(site.database, site.settings, site.clock, site.coordinator.depots, source="test")
    report = await audit.run(asked_by="anna", repair=repair, **scope)
    async with site.database.read() as session:
        return await Audits().findings(session, report.id)


async def compared_with_the_archive(site: Site) -> None:
    now = site.clock.now()
    async with site.database.write() as session:
        number = await Differences().begin(session, "CFHT", asked_by="clock", now=now)
        await Differences().end(session, number, DifferenceState.DONE, now=now)


async def lose_file(site: Site) -> None:
    _, file = await placed(site)
    file.unlink()


async def lose_product(site: Site) -> None:
    await placed(site)
    _, weight = await weighted(site)
    weight.unlink()


async def cut_file(site: Site) -> None:
    _, file = await placed(site)
    file.write_bytes(BAD[:100])


async def forget_file(site: Site) -> None:
    """A replica that the database has given up lies there, whole."""
    node, _ = await placed(site)
    [(_, replica)] = await site.replicas("979412p")
    await copied(site, "979412p", node)
    async with site.database.write() as session:
        await Replicas().mark(session, replica.id, ReplicaState.DAMAGED)


async def come_back_while_awaited(site: Site) -> None:
    await placed(site)
    [(_, replica)] = await site.replicas("979412p")
    frame = await site.frame("979412p")
    async with site.database.write() as session:
        await Replicas().mark(session, replica.id, ReplicaState.DAMAGED)
        await Frames().advance(
            session, frame.id, FrameState.SPOTTED, now=site.clock.now(), source="test", message="lost", path=None
        )


async def forget_product(site: Site) -> None:
    await placed(site)
    node, _ = await weighted(site)
    async with site.database.write() as session:
        number = (await site.node(node)).id
        [product] = [h for h in await Holdings().of_node(session, number) if h.sort.value == "product"]
        await Holdings().lose(session, product, Fate.GONE)


async def leave_old_generation(site: Site) -> None:
    node, _ = await placed(site)
    [(_, replica)] = await site.replicas("979412p")
    sighting = Sighting(
        name="979412p", uri="cadc:CFHT/979412p.fits.fz", kind=FrameKind.OBJECT, size=9, digest="md5:" + "0" * 32
    )
    now = site.clock.now()
    async with site.database.write() as session:
        await Frames().sight(session, sighting, now=now, source="test")
        newest = await Frames().named(session, "979412p")
        assert newest is not None
        assert newest.generation == 2
        for state in (FrameState.FETCHED, FrameState.VALID):
            await Frames().advance(session, newest.id, state, now=now, source="test", message=state.value)
        await Frames().fail(session, newest.id, reason="so that it stays away", now=now, source="test")
        await Replicas().mark(session, replica.id, ReplicaState.DAMAGED)
    assert node


async def put_stranger(site: Site) -> None:
    await site.settle(1)
    place = site.directory("node1") / "frames" / "08AC14" / "notes.fits"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"whose?")


async def put_other_bytes_under_a_known_name(site: Site) -> None:
    node, _ = await placed(site)
    other = "node2" if node == "node1" else "node1"
    place = site.directory(other) / "frames" / "08AC14" / "979412p.fits.fz"
    place.parent.mkdir(parents=True)
    place.write_bytes(BAD)


async def hold_nowhere(site: Site) -> None:
    _, file = await placed(site)
    [(_, replica)] = await site.replicas("979412p")
    file.unlink()
    async with site.database.write() as session:
        await Replicas().mark(session, replica.id, ReplicaState.GONE)


async def lose_map_for_good(site: Site) -> None:
    await forget_product(site)
    for place in site.directory("node1").parent.rglob("*_weight.fits"):
        place.unlink()


async def lose_at_reception(site: Site) -> None:
    await site.coordinator.start()
    await site.valid("flat.r", kind=FrameKind.FLAT)
    (site.settings.reception / "from_CADC/calibrations/flat.r.fits.fz").unlink()


async def put_stranger_at_reception(site: Site) -> None:
    await site.coordinator.start()
    await site.valid("flat.r", kind=FrameKind.FLAT)
    (site.settings.reception / "from_CADC/calibrations/holiday.fits").write_bytes(b"beach")


async def withdraw(site: Site) -> None:
    await placed(site)
    async with site.database.write() as session:
        await Frames().describe(session, (await site.frame("979412p")).id, withdrawn_at=site.clock.now())


async def withdraw_and_lose(site: Site) -> None:
    await hold_nowhere(site)
    async with site.database.write() as session:
        await Frames().describe(session, (await site.frame("979412p")).id, withdrawn_at=site.clock.now())


async def compare_too_long_ago(site: Site) -> None:
    await site.settle(1)
    site.clock.advance(timedelta(days=8).total_seconds())


async def take_disk_away(site: Site) -> None:
    node, _ = await placed(site)
    site.directory(node).rename(site.directory(node).with_name("unmounted"))


DAMAGE: dict[Discrepancy, tuple[Callable[[Site], Awaitable[None]], ...]] = {
    Discrepancy.FILE_GONE: (lose_file,),
    Discrepancy.PRODUCT_GONE: (lose_product,),
    Discrepancy.OTHER_SIZE: (cut_file,),
    Discrepancy.KNOWN_FILE: (forget_file, come_back_while_awaited, forget_product),
    Discrepancy.OTHER_GENERATION: (leave_old_generation,),
    Discrepancy.STRANGE_FILE: (put_stranger, put_other_bytes_under_a_known_name),
    Discrepancy.NO_FILE: (hold_nowhere,),
    Discrepancy.NO_PRODUCT: (lose_map_for_good,),
    Discrepancy.LOST_AT_RECEPTION: (lose_at_reception,),
    Discrepancy.STRANGE_AT_RECEPTION: (put_stranger_at_reception,),
    Discrepancy.WITHDRAWN: (withdraw,),
    Discrepancy.WITHDRAWN_LOST: (withdraw_and_lose,),
    Discrepancy.ARCHIVE_UNKNOWN: (compare_too_long_ago,),
    Discrepancy.NODE_SILENT: (take_disk_away,),
}
BESIDE = {lose_map_for_good: set(), forget_product: {Discrepancy.NO_PRODUCT}}
"""What the same damage also shows as."""


def everything(site: Site) -> dict[str, bytes]:
    """Give all files below nodes and reception with their bytes."""
    roots = (site.settings.at(Path("nodes")), site.settings.reception)
    return {str(path): path.read_bytes() for root in roots for path in root.rglob("*") if path.is_file()}


def test_every_discrepancy_has_its_case_and_its_damage_here() -> None:
    assert set(CASES) == set(Discrepancy) == set(DAMAGE)


@pytest.mark.parametrize(("kind", "damage"), [(kind, damage) for kind, damages in DAMAGE.items() for damage in damages])
async def test_a_discrepancy_is_reported_as_what_it_is_and_mended_only_if_told(
    site: Site, kind: Discrepancy, damage: Callable[[Site], Awaitable[None]]
) -> None:
    await compared_with_the_archive(site)
    await damage(site)
    before = everything(site)
    found = await audited(site)
    assert {item.kind for item in found} == {kind} | BESIDE.get(damage, set())
    assert everything(site) == before
    assert not any(item.done for item in found)
    assert all(item.evidence and item.action for item in found)

    mended = [item for item in await audited(site, repair=True) if item.kind is kind]
    assert all(item.done for item in mended) == CASES[kind].repairs
    assert sorted(set(before.values()) - set(everything(site).values())) == []
    if CASES[kind].repairs and kind is not Discrepancy.ARCHIVE_UNKNOWN:
        assert kind not in {item.kind for item in await audited(site)}


async def test_what_agrees_is_told_so(site: Site) -> None:
    await compared_with_the_archive(site)
    await site.valid("flat.r", kind=FrameKind.FLAT)
    await site.valid("979412p", flat="flat.r", mask=None)
    await site.settle()
    await weighted(site)
    assert await audited(site) == []
    async with site.database.read() as session:
        latest = await Audits().latest(session, whole=True)
    assert latest is not None
    assert (latest.files, latest.found) == (4, 0)


async def test_a_lost_frame_is_asked_for_and_a_lost_map_is_made_again(site: Site) -> None:
    await compared_with_the_archive(site)
    await lose_file(site)
    [found] = await audited(site, repair=True)
    assert "is fetched again" in found.action
    assert (await site.frame("979412p")).state is FrameState.SPOTTED


async def test_a_file_of_a_frame_that_is_awaited_is_adopted_and_need_not_be_fetched(site: Site) -> None:
    await compared_with_the_archive(site)
    await come_back_while_awaited(site)
    [found] = await audited(site, repair=True)
    assert found.action == "adopted; it need not be fetched"
    assert (await site.frame("979412p")).state is FrameState.PLACED
    assert len(await site.replicas("979412p")) == 1


async def test_an_adopted_product_is_held_again(site: Site) -> None:
    await forget_product(site)
    await audited(site, repair=True)
    assert [product.state for product in await products(site)] == [ProductState.HELD]


async def test_the_archive_is_asked_to_be_compared_once(site: Site) -> None:
    await site.settle(1)
    for _ in range(2):
        await audited(site, repair=True)
    async with site.database.read() as session:
        assert len(await Requests().open(session, RequestKind.DIFFERENCE)) == 1


async def test_an_audit_can_be_of_one_node_or_one_run(site: Site) -> None:
    await compared_with_the_archive(site)
    node, file = await placed(site)
    file.unlink()
    other = "node2" if node == "node1" else "node1"
    assert await audited(site, node=other) == []
    assert await audited(site, runid="03BQ01") == []
    assert [item.kind for item in await audited(site, node=node)] == [Discrepancy.FILE_GONE]
    assert [item.kind for item in await audited(site, runid="08AC14")] == [Discrepancy.FILE_GONE]
    with pytest.raises(NoSuchNode, match=r"'node9'.*node1, node2"):
        await audited(site, node="node9")


async def test_what_is_on_its_way_is_no_discrepancy(site: Site) -> None:
    await compared_with_the_archive(site)
    await site.valid("979412p", content=GOOD)
    await site.coordinator.start()
    await site.coordinator.roster.look()
    await site.coordinator.assignment.pass_()
    for node in ("node1", "node2"):
        place = site.directory(node) / "frames" / "08AC14" / "979412p.fits.fz"
        place.parent.mkdir(parents=True)
        place.write_bytes(GOOD)
    assert await audited(site, repair=True) == []


async def test_the_findings_of_old_audits_are_forgotten_and_their_counts_kept(site: Site) -> None:
    await lose_file(site)
    first = await audited(site)
    assert first
    for _ in range(5):
        await audited(site)
    async with site.database.read() as session:
        assert await Audits().findings(session, first[0].audit_id) == []
        assert (await Audits().get(session, first[0].audit_id)).found == len(first)


def test_the_page_for_operators_has_the_same_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operators.md").read_text()
    for kind, case in CASES.items():
        assert f"| `{kind.value}` | {case.evidence} | {case.action} |" in page
