"""Locator and storage site answer as raven and minoc do, quirks included."""

import asyncio
import base64
import hashlib
import io
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import aiohttp
import pytest
from astropy.io import fits
from defusedxml.ElementTree import fromstring

from snooppix.protocol.ranges import Span, Unsatisfiable, span
from snooppix.standin.kinds import Listed, Unlocated
from snooppix.standin.server import StandIn, serve
from snooppix.standin.site import Access
from terapix.clock import SetClock, SystemClock
from tests.support.archive import ServedArchive, small_fits

CONTENT = bytes(range(256)) * 20
SIZE = len(CONTENT)
TRANSFER = """<?xml version="1.0"?>
<vos:transfer xmlns:vos="http://www.ivoa.net/xml/VOSpace/v2.0" version="2.1"><vos:target>{uri}</vos:target>
<vos:direction>{direction}</vos:direction><vos:protocol uri="ivo://ivoa.net/vospace/core#httpsget"/>
<vos:protocol uri="ivo://ivoa.net/vospace/core#httpsput"/></vos:transfer>"""


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        yield client


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, (0, 1000, True)),
        ("bytes=0-", (0, 1000, False)),
        ("bytes=100-199", (100, 100, False)),
        ("bytes=900-5000", (900, 100, False)),
        ("bytes=-500", (0, 501, False)),
        ("bytes=-", (0, 1000, True)),
        ("bytes=0-1,5-6", (0, 1000, True)),
        ("bytes=9-5", (0, 1000, True)),
        ("bytes=a-b", (0, 1000, True)),
        ("bytes=1.5-2", (0, 1000, True)),
        ("lines=0-5", (0, 1000, True)),
        ("", (0, 1000, True)),
    ],
)
def test_ranges_are_read_as_minoc_reads_them(header: str | None, expected: tuple[int, int, bool]) -> None:
    start, count, whole = expected
    assert span(header, 1000) == Span(start, count, whole=whole)


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=99999-5"])
def test_a_range_behind_the_end_can_not_be_satisfied(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        span(header, 1000)


async def test_the_registry_leads_to_the_services(
    served_archive: ServedArchive, session: aiohttp.ClientSession
) -> None:
    async with session.get(served_archive.registry) as answer:
        lines = [line for line in (await answer.text()).splitlines() if line and not line.startswith("#")]
    services = dict(line.split(" = ") for line in lines)
    assert services["ivo://cadc.nrc.ca/argus"] == f"{served_archive.address}/argus/capabilities"
    async with session.get(services["ivo://cadc.nrc.ca/global/raven"]) as answer:
        document = fromstring(await answer.read())
    found = {item.get("standardID"): item.findtext("interface/accessURL") for item in document.findall("capability")}
    assert found["http://www.opencadc.org/std/storage#files-1.0"] == f"{served_archive.address}/raven/files"
    async with session.get(found["ivo://ivoa.net/std/VOSI#availability"]) as answer:
        assert "<vosi:available>true" in await answer.text()


async def test_the_locator_sends_get_on_and_answers_head_itself(
    served_archive: ServedArchive, session: aiohttp.ClientSession
) -> None:
    served_archive.offer("979412p", content=CONTENT)
    address = f"{served_archive.address}/raven/files/cadc:CFHT/979412p.fits.fz"
    async with session.get(f"{address}?META=true", allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == f"{address.replace('raven', 'minoc')}?META=true"
    async with session.head(address, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(SIZE))
    async with session.get(f"{served_archive.address}/raven/files/cadc%3ACFHT%2F979412p.fits.fz") as answer:
        assert await answer.read() == CONTENT
    async with session.get(f"{served_archive.address}/raven/files/cadc:CFHT/979413p.fits.fz") as answer:
        assert answer.status == 404


async def test_a_file_comes_with_its_facts(served_archive: ServedArchive, session: aiohttp.ClientSession) -> None:
    served_archive.offer("979412p", content=CONTENT)
    address = f"{served_archive.address}/minoc/files/{served_archive.uri('979412p')}"
    async with session.get(address) as answer:
        assert await answer.read() == CONTENT
        facts = answer.headers
    digest = base64.b64encode(hashlib.md5(CONTENT, usedforsecurity=False).digest()).decode()
    assert facts["Digest"] == f"md5={digest}"
    assert facts["Accept-Ranges"] == "bytes"
    assert facts["Content-Type"] == "application/fits"
    assert facts["Content-Disposition"] == 'inline; filename="979412p.fits.fz"'
    assert not {"ETag", "Content-MD5", "Content-Encoding"} & set(facts)
    async with session.head(address) as answer:
        assert {name: answer.headers[name] for name in ("x-artifact-id", "Digest", "Last-Modified")} == {
            name: facts[name] for name in ("x-artifact-id", "Digest", "Last-Modified")
        }
    async with session.get(address, headers={"If-Modified-Since": facts["Last-Modified"]}) as answer:
        assert answer.status == 304
    earlier = format_datetime(datetime(2000, 1, 1, tzinfo=UTC), usegmt=True)
    async with session.get(address, headers={"If-Modified-Since": earlier}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("header", "status", "body", "content_range"),
    [
        ("bytes=10-19", 206, CONTENT[10:20], f"bytes 10-19/{SIZE}"),
        (f"bytes={SIZE - 5}-", 206, CONTENT[-5:], f"bytes {SIZE - 5}-{SIZE - 1}/{SIZE}"),
        ("bytes=-5", 206, CONTENT[:6], f"bytes 0-5/{SIZE}"),
        ("bytes=0-1,4-5", 200, CONTENT, None),
        (f"bytes={SIZE}-", 416, b"", f"bytes */{SIZE}"),
    ],
)
async def test_a_range_is_served_with_the_digest_of_the_whole(
    served_archive: ServedArchive,
    session: aiohttp.ClientSession,
    header: str,
    status: int,
    body: bytes,
    content_range: str | None,
) -> None:
    served_archive.offer("979412p", content=CONTENT)
    address = f"{served_archive.address}/minoc/files/{served_archive.uri('979412p')}"
    modified = {"If-Modified-Since": format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)}
    async with session.get(address, headers={"Range": header, **(modified if status == 206 else {})}) as answer:
        assert (answer.status, await answer.read()) == (status, body)
        assert answer.headers.get("Content-Range") == content_range
        assert ("Digest" in answer.headers) is (status < 300)


async def test_meta_gives_the_headers_of_all_hdus(
    served_archive: ServedArchive, session: aiohttp.ClientSession
) -> None:
    served_archive.offer("979412p", ccds=4)
    served_archive.offer("979412p_preview_256.jpg", content=b"\xff\xd8\xff")
    address = f"{served_archive.address}/raven/files/{served_archive.uri('979412p')}"
    async with session.get(f"{address}?META=true") as answer:
        assert (answer.status, answer.content_type) == (200, "text/plain")
        assert answer.headers["Content-Disposition"].endswith('979412p.fits.fz.txt"')
        text = await answer.text()
    theirs = "".join(repr(hdu.header) + "\nEND\n" for hdu in fits.open(io.BytesIO(small_fits("979412p", ccds=4))))
    kept = [line.rstrip() for line in text.splitlines() if line.strip()]
    assert kept == [line.rstrip() for line in theirs.splitlines() if line.strip()]
    async with session.get(f"{address}?META=true&SUB=[1]") as answer:
        assert answer.status == 400
    preview = f"{served_archive.address}/minoc/files/{served_archive.uri('979412p_preview_256.jpg')}"
    async with session.get(f"{preview}?META=true") as answer:
        assert answer.status == 400


async def test_a_transfer_is_negotiated(served_archive: ServedArchive, session: aiohttp.ClientSession) -> None:
    served_archive.offer("979412p", content=CONTENT)
    address = f"{served_archive.address}/raven/locate"
    space = "{http://www.ivoa.net/xml/VOSpace/v2.0}"

    async def places(uri: str) -> list[str]:
        async with session.post(address, data=TRANSFER.format(uri=uri, direction="pullFromVoSpace")) as answer:
            assert (answer.status, answer.content_type) == (200, "text/xml")
            document = fromstring(await answer.read())
        assert document.findtext(f"{space}target") == uri
        return [item.text or "" for item in document.iter(f"{space}endpoint")]

    uri = served_archive.uri("979412p")
    assert await places(uri) == [f"{served_archive.address}/minoc/files/{uri}"]
    assert await places("cadc:CFHT/1p.fits.fz") == []
    served_archive.faults.add(Unlocated())
    assert await places(uri) == []
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    for body in ("no xml", "<a/>", bomb, TRANSFER.format(uri=uri, direction="biDirectional")):
        async with session.post(address, data=body) as answer:
            assert answer.status == 400


async def test_a_replaced_file_is_another_artifact(
    served_archive: ServedArchive, session: aiohttp.ClientSession
) -> None:
    address = f"{served_archive.address}/minoc/files/{served_archive.uri('979412p')}"
    seen = []
    for content in (b"first", b"second"):
        served_archive.offer("979412p", content=content)
        async with session.get(address) as answer:
            assert await answer.read() == content
            seen.append((answer.headers["x-artifact-id"], answer.headers["Digest"]))
    assert len(set(seen)) == 2
    served_archive.withdraw("979412p")
    async with session.get(address) as answer:
        assert answer.status == 404


async def test_no_path_leads_out_of_the_directory(
    served_archive: ServedArchive, session: aiohttp.ClientSession
) -> None:
    served_archive.offer("979412p", content=CONTENT)
    (served_archive.directory.parent / "secret.fits").write_bytes(b"secret")
    for path in ("cadc:CFHT%2F..%2Fsecret.fits", "%2E%2E%2Fsecret.fits", "cadc:CFHT/.979412p.fits.fz.new"):
        async with session.get(f"{served_archive.address}/minoc/files/{path}") as answer:
            assert answer.status == 404
    served_archive.faults.add(Listed(name="979412p*", uri="cadc:CFHT/../secret.fits"))
    async with session.get(f"{served_archive.address}/minoc/files/cadc:CFHT%2F..%2Fsecret.fits") as answer:
        assert await answer.read() == CONTENT


async def test_pixels_wait_for_their_release_and_tokens_open_them(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    access = Access({"all": None, "ours": frozenset({"08AC14"}), "others": frozenset({"10BD90"})})
    clock = SetClock(datetime(2009, 1, 1, tzinfo=UTC))
    archive = ServedArchive(tmp_path, clock=clock, access=access)
    archive.offer("979412p", ccds=1)
    async with archive.standin:
        address = f"{archive.address}/raven/files/{archive.uri('979412p')}"
        expected = {"": 401, "Bearer nonsense": 401, "Bearer others": 403, "Bearer ours": 200, "Bearer all": 200}
        for header, status in expected.items():
            async with session.get(address, headers={"Authorization": header} if header else {}) as answer:
                assert answer.status == status, header
                challenges = answer.headers.getall("WWW-Authenticate", [])
                assert [text.split()[0] for text in challenges] == (
                    ["Bearer", "ivoa_bearer", "ivoa_x509"] if status == 401 else []
                )
        clock.advance(365 * 86400.0)
        async with session.get(address) as answer:
            assert answer.status == 200


async def test_rows_are_hidden_before_their_release(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    clock = SetClock(datetime(2008, 3, 29, tzinfo=UTC))
    archive = ServedArchive(tmp_path, clock=clock, access=Access({"all": None}))
    archive.offer("979412p", ccds=1)

    async def rows(**headers: str) -> int:
        query = {"QUERY": "SELECT productID FROM caom2.Plane", "FORMAT": "csv"}
        async with session.get(f"{archive.address}/argus/sync", params=query, headers=headers) as answer:
            return len((await answer.text()).splitlines()) - 1

    async with archive.standin:
        assert (await rows(), await rows(Authorization="Bearer all")) == (0, 1)
        clock.advance(86400.0)
        assert await rows() == 1


async def test_serve_runs_until_it_is_stopped(tmp_path: Path) -> None:
    stopping = asyncio.Event()
    stopping.set()
    await serve(tmp_path, "127.0.0.1", 0, None, stopping)


async def test_the_archive_comes_back_under_the_same_address(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    archive = StandIn(tmp_path, clock=SystemClock())
    first = await archive.start("127.0.0.1", 0)
    await archive.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(archive.registry)
    assert await archive.start("127.0.0.1", 0) == first
    await archive.close()


async def test_a_caller_who_leaves_and_a_file_that_shrinks_are_no_errors(
    served_archive: ServedArchive, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    path = served_archive.offer("979412p", content=bytes(40_000_000))
    address = f"{served_archive.address}/minoc/files/{served_archive.uri('979412p')}"
    async with session.get(address) as answer:
        await answer.content.readexactly(1000)
    async with session.get(address) as answer:
        os.truncate(path, 30_000_000)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    async with session.get(address) as answer:
        assert len(await answer.read()) == 30_000_000
    assert [record.message for record in caplog.records if record.levelname in {"ERROR", "WARNING"}] == []


async def test_files_go_out_where_there_is_no_sendfile(
    served_archive: ServedArchive, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: object, **__: object) -> int:
        raise asyncio.SendfileNotAvailableError

    monkeypatch.setattr(asyncio.get_running_loop(), "sendfile", none)
    served_archive.offer("979412p", content=CONTENT * 500)
    address = f"{served_archive.address}/minoc/files/{served_archive.uri('979412p')}"
    async with session.get(address, headers={"Range": "bytes=5-"}) as answer:
        assert await answer.read() == (CONTENT * 500)[5:]
