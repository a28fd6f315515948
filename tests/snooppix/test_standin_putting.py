"""Files are put as minoc takes them: at once, or in a transaction of several requests, and never half."""

import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from snooppix.standin.access import Access
from snooppix.standin.kinds import PutCut, PutDamaged, PutLost
from snooppix.standin.uploads import LIFETIME
from terapix.clock import SetClock
from tests.support.archive import ServedArchive, small_fits

FILE = small_fits("979412p", ccds=2)
HALF = len(FILE) // 2
URI = "cadc:CFHT/979412p.fits"
WRITER = {"Authorization": "Bearer writer"}
READER = {"Authorization": "Bearer reader"}
CLOCK = SetClock(datetime(2026, 11, 25, tzinfo=UTC))


def digest(content: bytes) -> str:
    return f"md5={base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()}"


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[ServedArchive]:
    access = Access({"writer": None, "reader": None}, writers=frozenset({"writer"}))
    served = ServedArchive(tmp_path, clock=CLOCK, access=access)
    async with served.standin:
        yield served


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=WRITER) as client:
        yield client


class Site:
    """The storage site, asked by one who may write."""

    def __init__(self, archive: ServedArchive, session: aiohttp.ClientSession) -> None:
        self.address = f"{archive.address}/minoc/files/{URI}"
        self.session = session

    async def ask(self, method: str, body: bytes | None = None, **headers: str) -> aiohttp.ClientResponse:
        given = {key.replace("_", "-"): text for key, text in headers.items()}
        async with self.session.request(method, self.address, data=body, headers=given) as answer:
            await answer.read()
            return answer

    async def start(self, total: int = len(FILE)) -> str:
        answer = await self.ask("PUT", b"", x_put_txn_op="start", x_total_length=str(total))
        assert answer.status == 202
        return answer.headers["x-put-txn-id"]


@pytest.fixture
def site(archive: ServedArchive, session: aiohttp.ClientSession) -> Site:
    return Site(archive, session)


def left(archive: ServedArchive) -> list[str]:
    return sorted(path.name for path in archive.directory.iterdir())


async def test_a_file_is_put_at_once_and_listed(archive: ServedArchive, site: Site) -> None:
    answer = await site.ask("PUT", FILE, Digest=digest(FILE))
    assert (answer.status, answer.headers["Digest"]) == (201, digest(FILE))
    found = await site.ask("GET")
    assert found.headers["Digest"] == digest(FILE)
    query = {"QUERY": "SELECT uri FROM caom2.Artifact", "FORMAT": "csv"}
    async with site.session.get(f"{archive.address}/argus/sync", params=query) as answer:
        assert URI in await answer.text()


async def test_what_is_not_as_announced_is_not_kept(archive: ServedArchive, site: Site) -> None:
    assert (await site.ask("PUT", FILE, Digest=digest(b"other"))).status == 412
    number = await site.start(total=len(FILE) + 1)
    await site.ask("PUT", FILE, x_put_txn_id=number)
    assert (await site.ask("PUT", b"", x_put_txn_id=number, x_put_txn_op="commit")).status == 412
    assert (await site.ask("PUT", b"")).status == 400
    assert left(archive) == []


async def test_a_transaction_grows_is_told_and_is_committed(archive: ServedArchive, site: Site) -> None:
    number = await site.start()
    state = await site.ask("HEAD", x_put_txn_id=number)
    assert (state.headers["Content-Length"], "Digest" in state.headers) == ("0", False)
    grown = await site.ask("PUT", FILE[:HALF], x_put_txn_id=number)
    assert (grown.status, grown.headers["Digest"]) == (202, digest(FILE[:HALF]))
    state = await site.ask("HEAD", x_put_txn_id=number)
    assert (int(state.headers["Content-Length"]), state.headers["Digest"]) == (HALF, digest(FILE[:HALF]))
    assert int(state.headers["x-put-segment-minbytes"]) <= int(state.headers["x-put-segment-maxbytes"])
    assert (await site.ask("HEAD")).status == 404  # nothing to see before the commit
    await site.ask("PUT", FILE[HALF:], x_put_txn_id=number)
    done = await site.ask("PUT", b"", x_put_txn_id=number, x_put_txn_op="commit")
    assert (done.status, done.headers["Digest"]) == (201, digest(FILE))
    assert left(archive) == ["979412p.fits"]
    assert (archive.directory / "979412p.fits").read_bytes() == FILE
    assert (await site.ask("HEAD", x_put_txn_id=number)).status == 404


async def test_the_last_segment_is_reverted_and_a_transaction_aborted(archive: ServedArchive, site: Site) -> None:
    number = await site.start()
    await site.ask("PUT", FILE[:HALF], x_put_txn_id=number)
    await site.ask("PUT", b"wrong", x_put_txn_id=number)
    back = await site.ask("POST", x_put_txn_id=number, x_put_txn_op="revert")
    assert (back.status, back.headers["Digest"]) == (202, digest(FILE[:HALF]))
    assert (await site.ask("POST", x_put_txn_id=number, x_put_txn_op="revert")).status == 400
    assert (await site.ask("POST", x_put_txn_id=number, x_put_txn_op="abort")).status == 204
    assert (await site.ask("PUT", b"x", x_put_txn_id=number)).status == 404
    assert left(archive) == []


async def test_segments_keep_to_their_bounds(archive: ServedArchive, site: Site) -> None:
    archive.uploads.smallest, archive.uploads.largest = 1000, len(FILE) - 1
    number = await site.start()
    assert (await site.ask("PUT", FILE[:999], x_put_txn_id=number)).status == 400
    assert (await site.ask("PUT", FILE, x_put_txn_id=number)).status == 413
    assert (await site.ask("PUT", FILE[:-1], x_put_txn_id=number)).status == 202
    assert (await site.ask("PUT", FILE[-1:], x_put_txn_id=number)).status == 202


async def test_old_transactions_and_those_of_an_earlier_life_are_gone(archive: ServedArchive, site: Site) -> None:
    number = await site.start()
    CLOCK.advance(LIFETIME + 1)
    assert (await site.ask("HEAD", x_put_txn_id=number)).status == 404
    await site.start()
    assert len(left(archive)) == 1
    await archive.standin.close()
    await archive.standin.start()
    assert left(archive) == []


async def test_only_who_may_write_writes(archive: ServedArchive, site: Site) -> None:
    async with aiohttp.ClientSession() as nobody:
        for headers, status in (({}, 401), ({"Authorization": "Bearer forged"}, 401), (READER, 403)):
            async with nobody.put(site.address, data=FILE, headers=headers) as answer:
                assert answer.status == status
            async with nobody.delete(site.address, headers=headers) as answer:
                assert answer.status == status
    assert left(archive) == []
    await site.ask("PUT", FILE)
    assert (await site.ask("DELETE")).status == 204
    assert left(archive) == []


@pytest.mark.parametrize(
    "uri", ["cadc:CFHT/..%2Fetc.fits", "cadc:OTHER/1p.fits", "cadc:CFHT/1p.txt", "cadc:CFHT/.1p.fits"]
)
async def test_a_name_that_leads_out_is_refused(archive: ServedArchive, site: Site, uri: str) -> None:
    async with site.session.put(f"{archive.address}/minoc/files/{uri}", data=FILE) as answer:
        assert answer.status == 400
    assert left(archive) == []


async def test_what_is_put_may_be_cut_damaged_and_forgotten(archive: ServedArchive, site: Site) -> None:
    number = await site.start()
    archive.faults.add(PutCut(after=10, times=2), PutLost(skip=3))  # aiohttp tries a PUT twice by itself
    with pytest.raises(aiohttp.ClientError):
        await site.ask("PUT", FILE, x_put_txn_id=number)
    assert (await site.ask("HEAD", x_put_txn_id=number)).headers["Content-Length"] == "0"
    archive.faults.add(PutDamaged(byte=5))
    damaged = await site.ask("PUT", FILE[:HALF], x_put_txn_id=number)
    assert damaged.headers["Digest"] != digest(FILE[:HALF])
    assert (await site.ask("PUT", FILE[HALF:], x_put_txn_id=number)).status == 404


async def test_the_locator_gives_a_place_to_put_to_who_may_write(archive: ServedArchive, site: Site) -> None:
    wanted = f"""<vos:transfer xmlns:vos="http://www.ivoa.net/xml/VOSpace/v2.0" version="2.1">
        <vos:target>{URI}</vos:target><vos:direction>pushToVoSpace</vos:direction>
        <vos:protocol uri="ivo://ivoa.net/vospace/core#httpsput"/></vos:transfer>"""
    async with site.session.post(f"{archive.address}/raven/locate", data=wanted) as answer:
        place = (await answer.text()).partition("<vos:endpoint>")[2].partition("<")[0]
    async with aiohttp.ClientSession() as nobody:  # the address itself carries the right
        async with nobody.put(place, data=FILE) as answer:
            assert answer.status == 201
        async with nobody.post(f"{archive.address}/raven/locate", data=wanted) as answer:
            assert (answer.status, "endpoint" in await answer.text()) == (200, False)
        CLOCK.advance(4000)
        async with nobody.put(place, data=FILE) as answer:
            assert answer.status == 401
