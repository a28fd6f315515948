"""Products are entered, laid out and offered; what followers say decides when a file may go."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbclient.schema import PublicationState
from dbclient.stores import Publications
from dbclient.stores.publications import Registration
from snooppix.publisher.followers import OpenToAll
from snooppix.publisher.ledger import Ledger, OldContent, UnknownKind
from terapix.clock import SystemClock
from tests.support.publishing import Press, at_press, digest, publisher_settings

WEIGHT = "979412p_weight.fits.fz"
OFFERED, ACKNOWLEDGED = PublicationState.OFFERED, PublicationState.ACKNOWLEDGED


@pytest.fixture
async def press(tmp_path: Path) -> AsyncIterator[Press]:
    async with at_press(publisher_settings(tmp_path)) as press:
        yield press


async def until_offered(press: Press, name: str = WEIGHT, *, generation: int = 1):
    return await press.until(name, lambda row: row.state is OFFERED and row.generation == generation)


async def test_products_are_laid_out_under_the_names_of_the_agreement_as_they_are_made(press: Press) -> None:
    weight, flag = await press.make("979412p", "weight", "flag")

    row = await until_offered(press)
    await until_offered(press, "979412p_flag.fits.fz")

    assert (press.shelf / WEIGHT).read_bytes() == weight
    assert (press.shelf / "979412p_flag.fits.fz").read_bytes() == flag
    assert (row.wire_digest, row.size, row.runid, row.kind) == (digest(weight), len(weight), "08AC14", "weight")
    assert (row.pixel_digest or "").startswith("sha256:")
    assert [path.name for path in press.shelf.iterdir() if path.name.startswith(".")] == []
    assert (press.shelf / WEIGHT).stat().st_nlink == 2  # on one disk a product is not copied


async def test_the_manifest_tells_what_is_offered_with_both_digests(press: Press) -> None:
    await press.make("979412p", "weight", "flag")
    row = await until_offered(press)
    await until_offered(press, "979412p_flag.fits.fz")

    async def lines() -> list[dict[str, object]] | None:
        found = [json.loads(line) for line in (press.shelf / "MANIFEST.jsonl").read_text().splitlines()]
        return found if len(found) == 2 else None

    told = await press.until_found(lines, WEIGHT)
    assert [line["name"] for line in told] == ["979412p_flag.fits.fz", WEIGHT]
    assert told[1] == {
        "name": WEIGHT,
        "generation": 1,
        "kind": "weight",
        "size": row.size,
        "wire_digest": row.wire_digest,
        "pixel_digest": row.pixel_digest,
        "runid": "08AC14",
    }


async def test_pictures_and_kinds_that_are_not_wanted_stay_at_home(tmp_path: Path) -> None:
    async with at_press(publisher_settings(tmp_path, kinds=["flag"])) as press:
        await press.make("979412p", "weight", "flag", "picture-weight")
        await until_offered(press, "979412p_flag.fits.fz")
        assert await press.rows(WEIGHT) == []
    with pytest.raises(UnknownKind, match="picture-weight cannot be published"):
        async with at_press(publisher_settings(tmp_path, kinds=["picture-weight"])):
            pass


async def test_a_frame_processed_again_opens_a_generation_and_the_old_one_gives_way(press: Press) -> None:
    await press.make("979412p", "weight")
    await until_offered(press)
    (again,) = await press.make("979412p", "weight", seed=2)

    row = await until_offered(press, generation=2)

    assert (press.shelf / WEIGHT).read_bytes() == again
    old = (await press.rows(WEIGHT))[1]
    assert (old.state, old.path) == (PublicationState.SUPERSEDED, None)
    assert row.path == f"to_CADC/{WEIGHT}"


async def test_the_right_digests_acknowledge_a_file_and_saying_it_twice_does_no_harm(press: Press) -> None:
    await press.make("979412p", "weight")
    row = await until_offered(press)

    assert (await press.acknowledge(row))[0] == 200
    assert (await press.acknowledge(row))[0] == 200

    kept = (await press.rows(WEIGHT))[0]
    assert (kept.state, kept.acknowledged_by) == (ACKNOWLEDGED, "loopback")
    assert len(await press.events("acknowledged")) == 1


async def test_a_follower_that_keeps_a_file_unpacked_acknowledges_its_pixels(press: Press) -> None:
    await press.make("979412p", "weight")
    row = await until_offered(press)
    assert (await press.acknowledge(row, wire_digest=None))[0] == 200


async def test_another_digest_fails_the_file_and_tells_both(press: Press) -> None:
    await press.make("979412p", "weight")
    row = await until_offered(press)

    status, answer = await press.acknowledge(row, wire_digest="md5:" + "0" * 32)

    assert status == 422
    assert "md5:" + "0" * 32 in answer["reason"]
    assert str(row.wire_digest) in answer["reason"]
    failed = (await press.rows(WEIGHT))[0]
    assert (failed.state, failed.path) == (PublicationState.FAILED, row.path)
    (event,) = await press.events("publication-failed")
    assert str(row.wire_digest) in event.message
    assert (await press.acknowledge(row))[0] == 200  # it was fetched again, and is right now


async def test_an_older_generation_is_refused_with_an_event(press: Press) -> None:
    await press.make("979412p", "weight")
    old = await until_offered(press)
    await press.make("979412p", "weight", seed=2)
    await until_offered(press, generation=2)

    for _ in range(2):
        status, answer = await press.acknowledge(old)
        assert status == 409
        assert "generation 2 is the newest" in answer["reason"]

    assert len(await press.events("acknowledgement-refused")) == 1
    assert (await press.acknowledge(old, generation=7))[0] == 409
    assert (await press.rows(WEIGHT))[0].state is OFFERED


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"name": "979999p_weight.fits.fz"}, 404),
        ({"name": "../../etc/passwd"}, 400),
        ({"generation": "1"}, 400),
        ({"generation": 2**70}, 400),
        ({"wire_digest": "md5:zz"}, 400),
        ({"wire_digest": 5}, 400),
        ({"wire_digest": None, "pixel_digest": None}, 400),
    ],
)
async def test_what_acknowledges_nothing_is_refused(press: Press, told: dict[str, object], status: int) -> None:
    await press.make("979412p", "weight")
    row = await until_offered(press)
    assert (await press.acknowledge(row, **told))[0] == status
    assert (await press.rows(WEIGHT))[0].state is OFFERED


async def test_a_file_goes_only_when_it_was_acknowledged_and_its_days_are_over(press: Press) -> None:
    await press.make("979412p", "weight")
    row = await until_offered(press)
    press.clock.days = 100
    await press.make("979413p", "weight")
    await until_offered(press, "979413p_weight.fits.fz")
    assert (press.shelf / WEIGHT).exists()

    await press.acknowledge(row)
    press.clock.days = 129
    await press.make("979414p", "weight")
    await until_offered(press, "979414p_weight.fits.fz")
    assert (press.shelf / WEIGHT).exists()
    press.clock.days = 131
    await press.make("979415p", "weight")

    gone = await press.until(WEIGHT, lambda row: row.deleted_at is not None)
    await until_offered(press, "979415p_weight.fits.fz")
    assert not (press.shelf / WEIGHT).exists()
    assert (gone.state, gone.path) == (ACKNOWLEDGED, None)
    async with press.session.get(press.file(WEIGHT)) as answer:
        assert answer.status == 404
    assert (press.settings.at(Path("node1")) / "products/08AC14/979412p_weight.1.fits.fz").exists()


async def test_a_product_that_was_damaged_on_its_node_is_not_offered(tmp_path: Path) -> None:
    settings = publisher_settings(tmp_path)
    async with at_press(publisher_settings(tmp_path, kinds=[])) as press:
        await press.make("979412p", "weight")
    path = settings.at(Path("node1")) / "products/08AC14/979412p_weight.1.fits.fz"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    async with at_press(settings) as press:
        row = await press.until(WEIGHT, lambda row: row.state is PublicationState.FAILED)
        assert digest(bytes(content)) in (row.reason or "")
        assert [path.name for path in press.shelf.iterdir()] == ["MANIFEST.jsonl"]


async def test_a_product_whose_disk_is_away_waits_and_says_why(tmp_path: Path) -> None:
    settings = publisher_settings(tmp_path)
    async with at_press(publisher_settings(tmp_path, kinds=[])) as press:
        await press.make("979412p", "weight")
    node = settings.at(Path("node1"))
    node.rename(node.with_name("away"))
    async with at_press(settings) as press:
        row = await press.until(WEIGHT, lambda row: row.retry_at is not None)
        assert "is not on this host" in (row.reason or "")
        node.with_name("away").rename(node)
        press.clock.days = 1
        await press.make("979413p", "weight")
        await until_offered(press)


async def test_generations_do_not_fall_where_the_database_was_lost(tmp_path: Path) -> None:
    settings = publisher_settings(tmp_path)
    async with at_press(settings) as press:
        await press.make("979412p", "weight")
        await until_offered(press)
        await press.make("979412p", "weight", seed=2)
        await until_offered(press, generation=2)
    for file in tmp_path.glob("terapix.sqlite*"):
        file.unlink()
    async with at_press(settings):
        pass  # an empty ledger does not make the manifest forget
    async with at_press(settings) as press:
        await press.make("979412p", "weight", seed=3)
        await until_offered(press, generation=3)


async def test_files_registered_by_hand_are_published_and_an_old_one_never_again(tmp_path: Path, press: Press) -> None:
    name, file = "CFHTLS_D1_r_022559-042940_T0001.cat", tmp_path / "my.cat"
    ledger = Ledger(press.database, clock=SystemClock())

    async def register(content: bytes) -> None:
        file.write_bytes(content)
        await ledger.enter_by_hand(Registration(name=name, kind="catalogue", source=str(file), digest=digest(content)))

    await register(b"1 2 3\n")
    row = await until_offered(press, name)
    assert row.pixel_digest is None
    assert (press.shelf / name).stat().st_nlink == 1  # its owner may write into it
    await register(b"4 5 6\n")
    await until_offered(press, name, generation=2)
    await register(b"4 5 6\n")
    assert len(await press.rows(name)) == 2
    with pytest.raises(OldContent, match="an older file is never published again"):
        await register(b"1 2 3\n")


async def test_a_killed_publisher_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = publisher_settings(tmp_path)
    async with at_press(settings) as press:
        await press.make("979412p", "weight")
        row = await until_offered(press)
        await press.acknowledge(row)
    shelf = settings.reception / "to_CADC"
    (shelf / ".979999p_weight.fits.fz.g1.new").write_bytes(b"half")
    (shelf / "README").write_text("put here by a person")
    async with at_press(settings) as press, press.database.write() as session:
        await Publications().deleted(session, row.id, now=SystemClock().now(), source="test")
    async with at_press(settings) as press:
        assert sorted(path.name for path in shelf.iterdir()) == ["MANIFEST.jsonl", "README"]


async def test_a_network_is_served_only_where_followers_are_named(tmp_path: Path) -> None:
    with pytest.raises(OpenToAll, match="products are not public"):
        async with at_press(publisher_settings(tmp_path, host="0.0.0.0")):
            pass


async def test_one_shelf_has_one_publisher(tmp_path: Path, press: Press) -> None:
    with pytest.raises(Exception, match="another publisher works on"):
        async with at_press(publisher_settings(tmp_path)):
            pass


async def test_a_file_that_was_lost_and_changed_is_offered_again_once_the_right_one_is_registered(
    tmp_path: Path, press: Press
) -> None:
    name, file = "CFHTLS_D1_r_022559-042940_T0001.cat", tmp_path / "my.cat"
    file.write_bytes(b"1 2 3\n")
    ledger = Ledger(press.database, clock=SystemClock())
    wanted = Registration(name=name, kind="catalogue", source=str(file), digest=digest(b"1 2 3\n"))
    await ledger.enter_by_hand(wanted)
    row = await until_offered(press, name)
    file.write_bytes(b"1 2 4\n")
    (press.shelf / name).unlink()
    assert (await press.session.get(press.file(name))).status == 503
    await press.until(name, lambda row: row.state is PublicationState.FAILED)

    file.write_bytes(b"1 2 3\n")
    await ledger.enter_by_hand(wanted)
    again = await until_offered(press, name)
    assert (again.generation, again.reason) == (row.generation, None)
    assert (press.shelf / name).read_bytes() == b"1 2 3\n"


async def test_registering_again_offers_again_what_a_follower_holds_otherwise(press: Press) -> None:
    await press.make("979412p", "weight")
    row = await until_offered(press)
    wrong = {"wire_digest": "md5:" + "0" * 32}
    assert (await press.acknowledge(row, **wrong))[0] == 422
    ledger = Ledger(press.database, clock=SystemClock())
    again = Registration(name=WEIGHT, kind="weight", source=row.source, digest=str(row.wire_digest))
    await ledger.enter_by_hand(again)
    await until_offered(press)  # and waits for what the follower says now
    assert (await press.acknowledge(row, **wrong))[0] == 422
    await press.until(WEIGHT, lambda row: row.state is PublicationState.FAILED)
    await ledger.enter_by_hand(again)
    await until_offered(press)
    assert (await press.acknowledge(row))[0] == 200
    assert (await press.rows(WEIGHT))[0].state is ACKNOWLEDGED
