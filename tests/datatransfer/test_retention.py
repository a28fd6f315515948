"""Retention: what may go goes, and whatever the order, the last verified file of anything wanted remains."""

import os
import random
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datatransfer.clearing import Cleared, Clearing
from datatransfer.retention import Candidate, Filling, Ground, days_of, decide
from dbclient.schema import FrameKind, FrameState, ProductState, ReplicaState
from dbclient.stores import Events, Frames, Holdings, Publications, Replicas, Sighting
from dbclient.stores.publications import Registration
from terapix.hosts import RetentionSection
from tests.support.keeping import BAD, GOOD, copied, digest, map_of, placed, products, scrubbed, weighted
from tests.support.site import NIGHT, Site, open_site

ALL_GOES = {"superseded_days": 1, "acknowledged_days": 1, "scratch_days": 1, "set_aside_days": 1}
DAY = 86400.0


@pytest.fixture
async def site(tmp_path: Path):
    opened = await open_site(tmp_path, retention=ALL_GOES)
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


async def cleared(site: Site, *nodes: str, down_to: float | None = None) -> dict[str, Cleared]:
    clearing = Clearing(site.database, site.settings, site.clock, site.coordinator.depots, source="test")
    wanted = nodes or ("node1", "node2")
    return {name: await clearing.clear(await site.node(name), down_to=down_to) for name in wanted}


def gone(found: dict[str, Cleared]) -> list[str]:
    return sorted(candidate.path for one in found.values() for candidate in one.gone)


def stays(found: dict[str, Cleared]) -> dict[str, str]:
    """Path and reason of what stays."""
    return {made.candidate.path: made.why for one in found.values() for made in one.decisions if not made.goes}


async def superseded(site: Site, name: str = "979412p", content: bytes = GOOD + b"2") -> None:
    """Have a newer generation of a frame verified at reception."""
    sighting = Sighting(
        name=name,
        uri=f"cadc:CFHT/{name}.fits.fz",
        kind=FrameKind.OBJECT,
        size=len(content),
        digest=digest(content),
        runid="08AC14",
    )
    now = site.clock.now()
    path = f"from_CADC/headervalid/{name}.g2.fits.fz"
    (site.settings.reception / path).write_bytes(content)
    async with site.database.write() as session:
        await Frames().sight(session, sighting, now=now, source="test")
        newest = await Frames().named(session, name)
        assert newest is not None
        for state in (FrameState.FETCHED, FrameState.VALID):
            await Frames().advance(session, newest.id, state, now=now, source="test", message=state.value, path=path)
        needs = {"frame": len(content), "unpacked": 2 * len(content), "scratch": len(content)}
        await Frames().describe(session, newest.id, needs=needs)


async def acknowledged(site: Site, *, content: bytes | None = None) -> None:
    """Have the archive acknowledge the weight map."""
    [product] = await products(site)
    now = site.clock.now()
    wanted = Registration(
        name="979412p_weight.fits.fz",
        kind="weight",
        source="/somewhere",
        digest=digest(content) if content else product.digest,
        product_id=product.id,
        frame_id=product.frame_id,
    )
    async with site.database.write() as session:
        row = await Publications().register(session, wanted, now=now, source="test")
        await Publications().offer(session, row.id, disk=None, path="to_CADC/x", now=now, source="test")
        await Publications().acknowledge(session, row.id, by="cadc", now=now, source="test")


async def test_a_generation_that_was_replaced_goes_after_its_days_and_the_history_says_so(site: Site) -> None:
    node, file = await placed(site)
    await superseded(site)
    assert gone(await cleared(site)) == []
    await site.settle()
    site.clock.advance(2 * DAY)
    assert gone(await cleared(site)) == ["frames/08AC14/979412p.fits.fz"]
    assert not file.exists()
    [(_, newer)] = await site.replicas("979412p")
    async with site.database.read() as session:
        older = (await Frames().generations(session, "979412p"))[1]
        [event] = [e for e in await Events().of_frame(session, older.id) if e.kind == "retired"]
        [replica] = await Replicas().of_frame(session, older.id)
    assert (replica.state, newer.state) == (ReplicaState.RETIRED, ReplicaState.HELD)
    assert event.node_id == (await site.node(node)).id
    assert "verified bytes remain: " in event.message


async def test_a_generation_stays_when_the_newer_one_is_damaged_or_gone_from_its_disk(site: Site) -> None:
    _, file = await placed(site)
    await superseded(site)
    await site.settle()
    [(where, newer)] = await site.replicas("979412p")
    site.clock.advance(2 * DAY)
    place = site.directory(where) / newer.path
    kept = place.read_bytes()
    place.unlink()
    assert gone(await cleared(site)) == []
    place.write_bytes(kept[:-1] + b"x")
    site.clock.advance(40 * DAY)  # so long that its size alone is not trusted
    assert gone(await cleared(site)) == []
    await scrubbed(site, where)
    found = await cleared(site)
    assert "last of its kind" in stays(found)["frames/08AC14/979412p.fits.fz"]
    assert file.exists()


async def test_a_product_goes_that_the_archive_has_acknowledged_and_only_that_one(site: Site) -> None:
    await placed(site)
    _, weight = await weighted(site)
    site.clock.advance(2 * DAY)
    assert gone(await cleared(site)) == []
    await acknowledged(site)
    site.clock.advance(2 * DAY)
    assert gone(await cleared(site)) == ["products/08AC14/979412p_weight.fits"]
    assert not weight.exists()
    assert [product.state for product in await products(site)] == [ProductState.RETIRED]
    assert (await site.frame("979412p")).state is FrameState.WEIGHTED


async def test_a_product_stays_of_which_the_archive_has_other_bytes(site: Site) -> None:
    await placed(site)
    await weighted(site)
    await acknowledged(site, content=BAD)
    site.clock.advance(2 * DAY)
    assert gone(await cleared(site)) == []


async def test_a_product_of_an_older_recipe_whose_place_the_newer_one_took_takes_nothing_with_it(site: Site) -> None:
    await placed(site)
    await weighted(site)
    site.clock.advance(10)
    _, weight = await weighted(site, content=map_of(2.0), recipe="sha256:newer")
    site.clock.advance(2 * DAY)
    assert gone(await cleared(site)) == []
    assert weight.read_bytes() == map_of(2.0)


async def test_scratch_goes_when_no_job_uses_it_and_what_was_set_aside_when_the_good_one_is_held(site: Site) -> None:
    node, file = await placed(site)
    other, _ = await copied(site, "979412p", node)
    file.write_bytes(BAD)
    await scrubbed(site, node)
    root = site.directory(node)
    scratch = root / "scratch" / "weigh-979412p-0123" / "unpacked.fits"
    scratch.parent.mkdir(parents=True)
    scratch.write_bytes(b"pixels")
    stamp = (NIGHT - timedelta(days=2)).timestamp()
    for place in (scratch, scratch.parent, *(root / "quarantine").rglob("*")):
        os.utime(place, (stamp, stamp))
    found = await cleared(site, node)
    assert gone(found) == [
        "quarantine/frames/08AC14/979412p.fits.fz",
        "quarantine/frames/08AC14/979412p.fits.fz.why.json",
        "scratch/weigh-979412p-0123/unpacked.fits",
    ]
    assert not scratch.parent.exists()
    assert sorted(name for name, _ in await site.replicas("979412p")) == sorted([node, other])


async def test_the_last_bytes_of_a_frame_stay_in_quarantine_though_they_are_damaged(site: Site) -> None:
    node, file = await placed(site)
    file.write_bytes(BAD)
    await scrubbed(site, node)
    stamp = (NIGHT - timedelta(days=2)).timestamp()
    for place in (site.directory(node) / "quarantine").rglob("*"):
        os.utime(place, (stamp, stamp))
    found = await cleared(site, node)
    assert gone(found) == []
    assert "last of its kind" in stays(found)["quarantine/frames/08AC14/979412p.fits.fz"]


async def test_room_is_made_down_to_the_low_water_and_measured_again_after_each_batch(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.settle(1)
    root = site.directory("node1")
    stamp = (NIGHT - timedelta(days=2)).timestamp()
    for number in range(120):
        place = root / "scratch" / f"old-{number:03}"
        place.write_bytes(b"x")
        os.utime(place, (stamp, stamp))
    os.utime(root / "scratch", (stamp, stamp))
    shares = iter([0.95, 0.95, 0.92, 0.92, 0.79])

    async def measured(*_: object) -> Filling:
        share = next(shares)
        return Filling(held=0, capacity=0, free=int(1e9 * (1 - share)), total=int(1e9))

    monkeypatch.setattr(Clearing, "filling", measured)
    found = (await cleared(site, "node1", down_to=0.8))["node1"]
    assert len(found.gone) == 100
    assert (found.before.share, found.after.share) == (pytest.approx(0.95), pytest.approx(0.79))


async def test_nothing_is_allowed_by_default_but_what_was_replaced_and_scratch(tmp_path: Path) -> None:
    policy = RetentionSection()
    assert not policy.automatic
    assert (policy.acknowledged_days, policy.set_aside_days) == (0.0, 0.0)
    with pytest.raises(ValueError, match=r"low_water is 0\.95 and must be below high_water, which is 0\.9"):
        RetentionSection(low_water=0.95)


DYING = """
import asyncio, sys
from pathlib import Path
from terapix.clock import SetClock
from tests.datatransfer.test_retention import ALL_GOES, cleared
from tests.support.site import NIGHT, open_site

async def main():
    site = await open_site(Path(sys.argv[1]), retention=ALL_GOES)
    site.clock.advance(3 * 86400.0)
    await site.coordinator.start()
    await cleared(site)

asyncio.run(main())
"""


async def test_one_that_is_killed_between_word_and_deed_has_lost_nothing_wanted(site: Site, tmp_path: Path) -> None:
    _, file = await placed(site)
    await superseded(site)
    await site.settle()
    (tmp_path / "once").mkdir()
    environment = os.environ | {"TERAPIX_DIE_AT": "retention.recorded", "TERAPIX_DIE_ONCE": str(tmp_path / "once")}
    died = subprocess.run(  # noqa: ASYNC221 - nothing else runs
        [sys.executable, "-c", DYING, str(tmp_path)], env=environment, check=False, capture_output=True
    )
    assert died.returncode == -9, died.stderr.decode()
    assert file.exists()
    assert len(await site.replicas("979412p")) == 1


moments = st.datetimes(min_value=datetime(2003, 1, 1), max_value=datetime(2004, 6, 1), timezones=st.just(NIGHT.tzinfo))  # noqa: DTZ001 - naive bounds are asked for
candidates = st.builds(
    Candidate,
    ground=st.sampled_from(Ground),
    node=st.just("node1"),
    path=st.text(min_size=1, max_size=8),
    size=st.integers(0, 10**9),
    since=moments,
    survivors=st.lists(st.sampled_from(["node2", "the archive"]), max_size=2).map(tuple),
    wanted=st.booleans(),
    busy=st.booleans(),
)
days = st.floats(0, 400)
policies = st.builds(
    RetentionSection, superseded_days=days, acknowledged_days=days, scratch_days=days, set_aside_days=days
)


@given(st.lists(candidates, max_size=20), policies)
def test_nothing_goes_early_nor_in_use_nor_unasked_nor_as_the_last_of_what_is_wanted(found, policy):
    decisions = decide(found, policy, now=NIGHT)
    assert sorted(map(id, (made.candidate for made in decisions))) == sorted(map(id, found))
    assert all(made.why for made in decisions)
    for made in decisions:
        allowed = days_of(made.candidate.ground, policy)
        late = NIGHT - made.candidate.since >= timedelta(days=allowed)
        last = made.candidate.wanted and not made.candidate.survivors
        assert made.goes == (bool(allowed) and late and not last and not made.candidate.busy)
    goes = [made.candidate.since for made in decisions if made.goes]
    assert goes == sorted(goes)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_order_the_last_verified_file_of_anything_wanted_remains(site: Site, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"97941{number}p" for number in range(6)]
    for number, name in enumerate(names):
        node, _ = await placed(site, name, content=GOOD + name.encode())
        if chance.random() < 0.5:
            await weighted(site, name, content=map_of(float(number)))
        if chance.random() < 0.4:
            await copied(site, name, node)
        if chance.random() < 0.7:
            await superseded(site, name, content=GOOD + name.encode() + b"2")
    await site.settle()
    went = 0
    for _ in range(4):
        site.clock.advance(chance.choice([0.5, 2, 40]) * DAY)
        for node in chance.sample(["node1", "node2"], 2):
            if chance.random() < 0.7:
                await damage_something(site, node, chance)
            if chance.random() < 0.7:
                await scrubbed(site, node)
            before = await good_names(site, names)
            went += len(gone(await cleared(site, node)))
            assert before == await good_names(site, names)
    assert went


async def damage_something(site: Site, node: str, chance: random.Random) -> None:
    files = [path for path in sorted((site.directory(node) / "frames").rglob("*.fz")) if path.is_file()]
    if files:
        chance.choice(files).write_bytes(BAD)


async def good_names(site: Site, names: list[str]) -> set[str]:
    """Names of which whole bytes of some generation stand on a disk, and kinds of products likewise."""
    good = set()
    async with site.database.read() as session:
        generations = {row.wire_digest: name for name in names for row in await Frames().generations(session, name)}
        held = [h for n in ("node1", "node2") for h in await Holdings().of_node(session, (await site.node(n)).id)]
    for root in (site.settings.at(Path("nodes")), site.settings.reception):
        for path in root.rglob("*.f*"):
            if path.is_file() and (found := digest(path.read_bytes())) in generations:
                good.add(generations[found])
    for holding in held:
        if holding.sort.value == "product":
            good.add(holding.path)
    return good
