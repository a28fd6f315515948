"""Followers read with the archive's own protocol; whoever is no follower reads nothing."""

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pyvo
from pyvo.utils.http import create_session

from dbclient.schema import FrameKind, PublicationState
from snooppix.cadc import Cadc
from snooppix.names import Names
from snooppix.publisher.followers import Followers, FollowersUnreadable, comes_from_here
from snooppix.wire import Wire
from terapix.clock import SystemClock
from terapix.sections import ArchiveSection, SelectionSection
from tests.support.publishing import Press, at_press, publisher_settings

WEIGHT, FLAG = "979412p_weight.fits.fz", "979412p_flag.fits.fz"
TOKEN, OTHER = "t" * 24, "o" * 24


@pytest.fixture
async def press(tmp_path: Path) -> AsyncIterator[Press]:
    async with at_press(publisher_settings(tmp_path)) as press:
        yield press


@pytest.fixture
def followers(tmp_path: Path) -> Path:
    path = tmp_path / "followers"
    path.write_text(f"# who may read\ncadc {TOKEN}\n\ncds {OTHER}\n")
    path.chmod(0o600)
    return path


async def offered(press: Press, frame: str = "979412p") -> bytes:
    """Make a weight map, wait until it is listed, and give its bytes."""
    (weight,) = await press.make(frame, "weight")
    await press.until(f"{frame}_weight.fits.fz", lambda row: row.state is PublicationState.OFFERED)
    return weight


async def test_an_ordinary_snooppix_sees_products_with_generation_digest_and_place(press: Press) -> None:
    weight = await offered(press)
    section = ArchiveSection(registry=press.registry, offers="products")

    async def listed() -> object:
        batches = [batch async for batch in archive.since(None)]
        return [seen for batch in batches for seen in batch.sightings] or None

    async with Wire(section, press.settings.snooppix) as wire:
        archive = Cadc(
            wire, section, selection=SelectionSection(), names=Names(published=True), page=10, clock=SystemClock()
        )
        (seen,) = await press.until_found(listed, WEIGHT)
        assert (seen.name, seen.kind, seen.offered) == ("979412p_weight", FrameKind.PRODUCT, 1)
        assert seen.digest == f"md5:{hashlib.md5(weight, usedforsecurity=False).hexdigest()}"
        assert (seen.size, seen.runid, seen.filter) == (len(weight), "08AC14", "r.MP9601")
        assert seen.uri == f"terapix:CFHT/{WEIGHT}"
        assert await archive.find("979412p_weight") == seen
        (place,) = await archive.locate(seen.uri)
        async with press.session.get(place) as answer:
            assert await answer.read() == weight
        assert "NEXTEND" in await archive.header(seen.uri)
        assert await archive.locate("terapix:CFHT/979999p_weight.fits.fz") == []


async def test_files_are_given_as_the_archive_gives_them(press: Press) -> None:
    weight = await offered(press)
    row = (await press.rows(WEIGHT))[0]
    async with press.session.head(press.file(WEIGHT)) as answer:
        assert answer.headers["Content-Length"] == str(len(weight))
        digest = base64.b64decode(answer.headers["Digest"].removeprefix("md5="))
        assert f"md5:{digest.hex()}" == row.wire_digest
        artifact = answer.headers["x-artifact-id"]
    async with press.session.get(press.file(WEIGHT), headers={"Range": "bytes=1000-1999"}) as answer:
        assert (answer.status, await answer.read()) == (206, weight[1000:2000])
        assert answer.headers["Content-Range"] == f"bytes 1000-1999/{len(weight)}"
        assert answer.headers["x-artifact-id"] == artifact
    async with press.session.get(press.file(WEIGHT), headers={"Range": "bytes=9999999-"}) as answer:
        assert answer.status == 416
    raven = press.file(WEIGHT).replace("minoc", "raven")
    async with press.session.get(raven, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, press.file(WEIGHT))
    async with press.session.head(raven) as answer:
        assert answer.status == 200
    async with press.session.get(press.file(WEIGHT), params={"META": "true"}) as answer:
        assert "XTENSION= 'IMAGE   '" in await answer.text()


async def test_a_file_is_never_given_with_the_facts_of_another_generation(press: Press) -> None:
    await offered(press)
    first = (await press.session.head(press.file(WEIGHT))).headers["x-artifact-id"]
    (again,) = await press.make("979412p", "weight", seed=2)
    await press.until(WEIGHT, lambda row: row.generation == 2 and row.state is PublicationState.OFFERED)
    async with press.session.get(press.file(WEIGHT)) as answer:
        assert await answer.read() == again
        assert answer.headers["x-artifact-id"] != first


@pytest.mark.parametrize(
    "uri",
    [
        "terapix:CFHT/../../../etc/passwd",
        "terapix:CFHT/MANIFEST.jsonl",
        "terapix:OTHER/979412p_weight.fits.fz",
        "cadc:CFHT/979412p_weight.fits.fz",
        "979412p_weight.fits.fz",
        "terapix:CFHT/" + "x" * 2000,
        "terapix:CFHT/a%00b",
    ],
)
async def test_hostile_names_lead_nowhere(press: Press, uri: str) -> None:
    await offered(press)
    for service in ("minoc", "raven"):
        async with press.session.get(f"{press.publisher.address}/{service}/files/{uri}") as answer:
            assert answer.status == 404


async def test_queries_are_read_only_and_of_these_tables_only(press: Press) -> None:
    await offered(press)
    for query in ("DROP TABLE caom2.Plane", "SELECT * FROM sqlite_master", "SELECT 1; SELECT 2"):
        async with press.session.post(
            f"{press.publisher.address}/argus/sync", data={"LANG": "ADQL", "QUERY": query}
        ) as answer:
            assert answer.status == 400
            assert 'value="ERROR"' in await answer.text()


async def test_nobody_reads_without_a_token_where_followers_are_named(tmp_path: Path, followers: Path) -> None:
    async with at_press(publisher_settings(tmp_path, followers=str(followers), host="0.0.0.0")) as press:
        await offered(press)
        row = (await press.rows(WEIGHT))[0]
        address = press.publisher.address
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}):
            for path in (f"/minoc/files/terapix:CFHT/{WEIGHT}", "/ledger", "/argus/sync?QUERY=SELECT+1&LANG=ADQL"):
                async with press.session.get(f"{address}{path}", headers=headers) as answer:
                    assert answer.status == 401
        assert (await press.session.post(f"{address}/raven/locate")).status == 401
        assert (await press.session.post(f"{address}/acknowledge")).status == 401
        assert (await press.session.get(f"{address}/reg/resource-caps")).status == 200
        press.headers = {"Authorization": f"Bearer {OTHER}"}
        assert (await press.session.get(press.file(WEIGHT), headers=press.headers)).status == 200
        assert (await press.acknowledge(row))[0] == 200
        assert (await press.rows(WEIGHT))[0].reason == "cds has it; not acknowledged by cadc yet"


async def test_without_followers_this_host_reads_and_no_proxy_for_others(press: Press) -> None:
    await offered(press)
    for headers in ({"X-Forwarded-For": "192.0.2.1"}, {"Host": "evil.example"}):
        async with press.session.get(press.file(WEIGHT), headers=headers) as answer:
            assert answer.status == 403
    assert comes_from_here("127.0.0.1", "localhost:80", forwarded=False)
    assert not comes_from_here("192.0.2.1", "localhost:80", forwarded=False)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cadc", "line 1"),
        ("cadc short", "at least 20 characters"),
        (f"a {TOKEN}\nb {TOKEN}", "repeats"),
        (f"a {TOKEN}\na {OTHER}", "repeats"),
        (f"../x {TOKEN}", "is not 'name token'"),
    ],
)
def test_a_file_of_followers_that_makes_no_sense_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "followers"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(FollowersUnreadable, match=why):
        Followers.read(path)


def test_a_file_of_followers_that_others_can_read_is_refused(tmp_path: Path, followers: Path) -> None:
    followers.chmod(0o644)
    with pytest.raises(FollowersUnreadable, match="chmod 600"):
        Followers.read(followers)
    with pytest.raises(FollowersUnreadable, match="cannot be read"):
        Followers.read(tmp_path / "nobody")


async def test_the_ledger_is_told_line_by_line(press: Press) -> None:
    await offered(press)
    async with press.session.get(f"{press.publisher.address}/ledger") as answer:
        (line,) = (await answer.text()).splitlines()
        assert f'"name": "{WEIGHT}"' in line


async def test_an_independent_client_reads_the_tables(press: Press) -> None:
    import asyncio

    await offered(press)

    def query() -> list[str]:
        with create_session() as session:
            service = pyvo.dal.TAPService(f"{press.publisher.address}/argus", session=session)
            found = service.search("SELECT uri, provenance_version FROM caom2.Artifact a JOIN caom2.Plane p "
                                   "ON a.planeID=p.planeID")  # fmt: skip
            return [f"{row['uri']} {row['provenance_version']}" for row in found]

    async def rows() -> list[str] | None:
        return await asyncio.to_thread(query) or None

    assert await press.until_found(rows, WEIGHT) == [f"terapix:CFHT/{WEIGHT} 1"]
