"""Answers that no honest server gives: none of them is more than trouble with one file, or with one archive."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snooppix import mending
from snooppix.carrier import Progress, Wanted
from snooppix.download import Downloader
from snooppix.errors import ArchiveError, Damaged, FetchError, NotFits
from snooppix.segments import Growth
from snooppix.wire import Wire, seconds_of
from terapix.blocks import BLOCK
from terapix.identity import Digest
from terapix.sections import ArchiveSection, SnooppixSection
from tests.support.mirror import Mirror, mirrors

CONTENT = b"SIMPLE  =" + os.urandom(100_000)


@contextlib.asynccontextmanager
async def saying(*answers: str | bytes) -> AsyncIterator[tuple[Wire, str]]:
    """Answer one connection after the other with just these bytes; the last one again and again."""
    left = [answer.encode("latin-1") if isinstance(answer, str) else answer for answer in answers]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, OSError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Wire(ArchiveSection(registry=address), SnooppixSection(read_timeout=0.5)) as wire:
        yield wire, address


def wanted(part: Path, content: bytes = CONTENT, *, listed: bool = True) -> Wanted:
    digest = Digest("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())
    return Wanted("979412p", part, len(content) if listed else None, digest if listed else None)


@pytest.mark.parametrize(
    "place", ["http://[bad/", "http://host:999999999/", "//[::1", "http://\xb2\xb3:80x/", "ftp://127.0.0.1/", "\x7f:%%"]
)
async def test_a_redirect_to_no_address_is_trouble_of_the_archive(place: str) -> None:
    async with saying(f"HTTP/1.1 303 See\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n") as (wire, address):
        with pytest.raises(ArchiveError):
            await wire.text("GET", address)


@given(st.one_of(st.text(max_size=40), st.sampled_from(["²", "٣", "9" * 400, "Sun, 30 Mar 99999 06:30:00 GMT"])))
def test_whatever_retry_after_says_it_is_seconds_or_nothing(text: str) -> None:
    found = seconds_of(text, "Sun, 30 Mar 2008 06:00:00 GMT")
    assert found is None or found >= 0


@pytest.mark.parametrize(
    "header",
    ["Content-Range: bytes \xb2-5/\xb9", "Content-Range: bytes 0-1/2/3", "Digest: md5=\xff\xfe", "Digest: md5=="],
)
async def test_headers_that_mean_nothing_are_trouble_with_one_file(header: str, tmp_path: Path) -> None:
    answer = f"HTTP/1.1 206 Partial Content\r\n{header}\r\nContent-Length: 9\r\n\r\nSIMPLE  ="
    async with saying(answer) as (wire, address):
        with pytest.raises(FetchError):
            await Downloader(wire).fetch(wanted(tmp_path / "a.part"), address, Progress())


async def test_of_a_page_in_place_of_a_file_the_begin_and_the_headers_are_evidence(tmp_path: Path) -> None:
    page, progress = "<html>sign in, please</html>", Progress()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Site: west\r\nContent-Length: {len(page)}\r\n\r\n"
    async with saying(head + page) as (wire, address):
        with pytest.raises(NotFits) as problem:
            await Downloader(wire).fetch(wanted(tmp_path / "a.part"), address, progress)
    assert problem.value.head == page.encode()
    assert progress.headers["X-Site"] == "west"


@pytest.mark.parametrize("tag", ["ETag", "Last-Modified"])
async def test_where_no_digest_is_known_two_versions_of_a_file_are_told_apart_all_the_same(
    tag: str, tmp_path: Path
) -> None:
    """An archive that lists no digest and sends none, and a file that is replaced by another of the same length."""
    new = b"SIMPLE  =" + os.urandom(len(CONTENT) - 9)
    half = len(CONTENT) // 2

    def answer(status: str, content: bytes, sent: bytes, version: str, more: str = "") -> bytes:
        head = f"HTTP/1.1 {status}\r\n{tag}: {version}\r\nContent-Length: {len(content)}\r\n{more}\r\n"
        return head.encode() + sent

    rest = f"Content-Range: bytes {half}-{len(new) - 1}/{len(new)}\r\n"
    answers = (
        answer("200 OK", CONTENT, CONTENT[:half], '"one"'),
        answer("206 Partial Content", new[half:], new[half:], '"two"', rest),
        answer("200 OK", new, new, '"two"'),
    )
    async with saying(*answers) as (wire, address):
        await Downloader(wire).fetch(wanted(tmp_path / "a.part", listed=False), address, Progress())
    assert (tmp_path / "a.part").read_bytes() == new


async def test_segments_that_are_sent_elsewhere_are_left_to_the_first_connection(tmp_path: Path) -> None:
    content = b"SIMPLE  =" + os.urandom(6 * BLOCK)
    server = Mirror(content, pause=0.02, ranges_to="http://foreign.invalid/")
    lost: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    async with mirrors(server) as [address], Wire(ArchiveSection(registry=address), SnooppixSection()) as wire:
        growth = Growth(most=4, period=0.05, gain=1.2, worth=2 * BLOCK)
        await Downloader(wire, growth=growth).fetch(wanted(tmp_path / "a.part", content), address, Progress())
    assert (tmp_path / "a.part").read_bytes() == content
    assert len(server.asked) == 2
    assert lost == []


async def test_of_a_second_copy_that_is_another_file_little_is_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"SIMPLE  =" + os.urandom(8 * BLOCK)
    monkeypatch.setattr(mending, "MOST_HELD", 2)
    first = Mirror(content, flips=(5 * BLOCK // 2,), digest=False)
    other = Mirror(b"SIMPLE  =" + os.urandom(8 * BLOCK), digest=False)
    async with mirrors(first, other) as [one, two]:
        section = ArchiveSection(registry=one, hosts=("127.0.0.1",))
        async with Wire(section, SnooppixSection()) as wire:
            file = replace(wanted(tmp_path / "a.part", content), mirrors=(two,))
            with pytest.raises(Damaged):
                await Downloader(wire).fetch(file, one, Progress())
    assert sum(asked.startswith("bytes=") for asked in other.asked) <= 6


async def test_downloads_with_all_their_segments_leave_connections_for_the_listing() -> None:
    section = SnooppixSection(downloads=3, segments=5)
    async with Wire(ArchiveSection(registry="http://127.0.0.1/"), section) as wire:
        assert wire._session is not None
        assert wire._session.connector is not None
        assert wire._session.connector.limit > 3 * 5
