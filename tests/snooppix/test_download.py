"""Downloads that go wrong in every way of the fault table still end with the right bytes, or with a clear error."""

import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from snooppix.cadc import Cadc
from snooppix.download import Arrived, Downloader, Progress, Wanted
from snooppix.errors import Busy, Changed, Damaged, NoRoom, NotFits, NotStored, Unreachable
from snooppix.standin.kinds import Busy as BusyFault
from snooppix.standin.kinds import (
    Dropped,
    Flipped,
    Gzip,
    HexDigest,
    LoginPage,
    NoDigest,
    Refused,
    Replaced,
    Short,
    Stalled,
    WholeForRange,
    WrongDigest,
)
from snooppix.wire import Wire
from terapix import part as part_module
from terapix.clock import SystemClock
from terapix.identity import Digest
from terapix.part import Bound, Part, publish
from terapix.sections import ArchiveSection, SnooppixSection
from tests.support.archive import ServedArchive, small_fits
from tests.support.patience import PATIENCE

MB = 1024 * 1024
CONTENT = small_fits("979412p") + b"\0" * 10 * MB + os.urandom(MB)
NEW = small_fits("979412p", seed=2) + b"\1" * 10 * MB


def md5(content: bytes) -> Digest:
    return Digest("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())


@dataclass(slots=True)
class Bench:
    """One file at the archive, and everything to fetch it with."""

    archive: ServedArchive
    downloader: Downloader
    cadc: Cadc
    part: Path
    progress: Progress

    async def fetch(self, *, content: bytes = CONTENT) -> Arrived:
        wanted = Wanted("979412p", self.part, len(content), md5(content))
        return await self.downloader.fetch(wanted, await self.source(), self.progress)

    async def source(self) -> str:
        [source] = await self.cadc.locate(self.archive.uri("979412p"))
        return source


@pytest.fixture
async def bench(request: pytest.FixtureRequest, served_archive: ServedArchive, tmp_path: Path) -> AsyncIterator[Bench]:
    """A downloader; `param`: seconds of silence after which it cuts."""
    served_archive.offer("979412p", content=CONTENT)
    section = ArchiveSection(registry=served_archive.registry)
    async with Wire(section, SnooppixSection(read_timeout=getattr(request, "param", PATIENCE))) as wire:
        cadc = Cadc(wire, section, page=100, clock=SystemClock())
        incoming = tmp_path / "incoming"
        incoming.mkdir()
        part = incoming / f"979412p.{md5(CONTENT).hexadecimal[:16]}.part"
        yield Bench(served_archive, Downloader(wire), cadc, part, Progress())


async def test_a_whole_file_arrives_verified(bench: Bench) -> None:
    arrived = await bench.fetch()

    assert arrived == Arrived(len(CONTENT), md5(CONTENT))
    assert bench.part.read_bytes() == CONTENT
    assert bench.progress.done == len(CONTENT)


async def test_published_under_its_name_nothing_else_is_left(bench: Bench) -> None:
    await bench.fetch()
    publish(bench.part, bench.part.with_name("979412p.fits.fz"))
    assert [path.name for path in bench.part.parent.iterdir()] == ["979412p.fits.fz"]


@pytest.mark.parametrize("cuts", [[1], [5 * MB], [MB, MB, MB], [-1]])
async def test_a_cut_connection_is_resumed_where_it_ended(cuts: list[int], bench: Bench) -> None:
    for after in cuts:
        bench.archive.faults.add(Dropped(after=after))

    await bench.fetch()

    assert bench.part.read_bytes() == CONTENT
    assert bench.progress.interruptions == len(cuts)


@pytest.mark.parametrize("bench", [0.5], indirect=True)
async def test_a_stalled_connection_is_cut_and_resumed(bench: Bench) -> None:
    bench.archive.faults.add(Stalled(after=2 * MB))
    await bench.fetch()
    assert bench.part.read_bytes() == CONTENT


async def test_a_server_that_ignores_the_range_gives_the_whole_file_again(bench: Bench) -> None:
    bench.archive.faults.add(Dropped(after=5 * MB), WholeForRange())
    await bench.fetch()
    assert bench.part.read_bytes() == CONTENT


@pytest.mark.parametrize("fault", [NoDigest(times=0), HexDigest(times=0)])
async def test_the_digest_of_the_listing_is_what_counts(fault: NoDigest | HexDigest, bench: Bench) -> None:
    bench.archive.faults.add(fault)
    assert await bench.fetch() == Arrived(len(CONTENT), md5(CONTENT))


async def test_another_digest_than_listed_waits_for_the_next_listing(bench: Bench) -> None:
    bench.archive.faults.add(WrongDigest())
    with pytest.raises(Changed, match="its next listing decides"):
        await bench.fetch()


async def test_a_short_body_that_claims_to_be_whole_is_completed(bench: Bench) -> None:
    bench.archive.faults.add(Short(missing=1000))
    await bench.fetch()
    assert bench.part.read_bytes() == CONTENT


async def test_a_flipped_byte_is_damage_and_the_next_try_begins_again(bench: Bench) -> None:
    bench.archive.faults.add(Flipped(byte=3 * MB, times=0))

    with pytest.raises(Damaged) as damage:
        await bench.fetch()
    assert damage.value.expected == str(md5(CONTENT))
    assert bench.part.with_suffix(".bad").exists()

    bench.archive.faults.clear()
    await bench.fetch()
    assert bench.part.read_bytes() == CONTENT


async def test_a_damaged_mirror_is_passed_over_for_the_next(bench: Bench) -> None:
    bench.archive.faults.add(Flipped(byte=3 * MB))
    source = await bench.source()
    wanted = Wanted("979412p", bench.part, len(CONTENT), md5(CONTENT), mirrors=(f"{source}?mirror=2",))

    await bench.downloader.fetch(wanted, source, bench.progress)

    assert bench.part.read_bytes() == CONTENT


async def test_a_file_replaced_while_it_came_is_never_mixed(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(NEW)
    bench.archive.faults.add(Replaced(after=2 * MB, source=str(tmp_path / "new")))

    with pytest.raises(Changed):
        await bench.fetch()

    bench.part = bench.part.with_name(f"979412p.{md5(NEW).hexadecimal[:16]}.part")
    await bench.fetch(content=NEW)
    assert bench.part.read_bytes() == NEW


async def test_without_a_listed_digest_a_replaced_file_is_fetched_again_whole(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(NEW)
    bench.archive.faults.add(Replaced(after=2 * MB, source=str(tmp_path / "new")))

    await bench.downloader.fetch(Wanted("979412p", bench.part, None, None), await bench.source(), bench.progress)

    assert bench.part.read_bytes() == NEW


async def test_a_login_page_is_no_frame(bench: Bench) -> None:
    bench.archive.faults.add(LoginPage())
    with pytest.raises(NotFits, match="web page"):
        await bench.fetch()
    assert bench.part.read_bytes() == b""


async def test_bytes_that_are_no_fits_are_kept_as_evidence(bench: Bench) -> None:
    bench.archive.offer("979412p", content=b"%PDF-1.4 what is this")
    with pytest.raises(NotFits) as problem:
        await bench.fetch(content=b"%PDF-1.4 what is this")
    assert problem.value.head.startswith(b"%PDF")


async def test_a_body_packed_against_our_wish_is_not_taken(bench: Bench) -> None:
    bench.archive.faults.add(Gzip())
    with pytest.raises(Unreachable, match="gzip"):
        await bench.fetch()


async def test_a_refused_connection_is_unreachable(bench: Bench) -> None:
    source = await bench.source()
    bench.archive.faults.add(Refused(times=0))
    with pytest.raises(Unreachable):
        await bench.downloader.fetch(Wanted("979412p", bench.part, None, None), source, bench.progress)


async def test_a_busy_host_says_how_long(bench: Bench) -> None:
    bench.archive.faults.add(BusyFault(retry_after="7"))
    with pytest.raises(Busy) as problem:
        await bench.fetch()
    assert problem.value.retry_after == 7


async def test_a_listed_file_that_is_not_stored(bench: Bench) -> None:
    source = await bench.source()
    bench.archive.withdraw("979412p")
    with pytest.raises(NotStored):
        await bench.downloader.fetch(Wanted("979412p", bench.part, None, None), source, bench.progress)


async def test_a_part_of_an_earlier_life_is_gone_on_with(bench: Bench) -> None:
    bench.archive.faults.add(Dropped(after=4 * MB), Dropped(after=0, times=0))
    with pytest.raises(Unreachable):
        await bench.fetch()
    before = bench.part.stat().st_size
    bench.archive.faults.clear()

    await bench.fetch()

    assert before == 4 * MB
    assert bench.part.read_bytes() == CONTENT


async def test_a_part_longer_than_the_file_begins_again(bench: Bench) -> None:
    part = Part.open(bench.part)
    part.bind(Bound(str(md5(CONTENT)), "", len(CONTENT)))
    part.append([CONTENT, b"too much"])
    part.close()

    await bench.fetch()

    assert bench.part.read_bytes() == CONTENT


async def test_a_full_disk_is_a_case_of_its_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(fd: int, pieces: list[memoryview], offset: int) -> int:
        if offset >= 2 * MB:
            raise OSError(28, "No space left on device")
        return os.pwrite(fd, b"".join(pieces)[: 2 * MB - offset], offset)  # as much as fits, as a disk does

    monkeypatch.setattr(part_module.os, "pwritev", limited)
    with pytest.raises(NoRoom) as problem:
        await bench.fetch()
    assert problem.value.missing > 0

    monkeypatch.undo()
    await bench.fetch()
    assert bench.part.read_bytes() == CONTENT


async def test_with_every_byte_here_a_late_error_of_the_client_does_no_harm(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In aiohttp 3.14.0 to 3.14.3 a slow reader raises ContentLengthError with all bytes received (#13348)."""
    from aiohttp import ClientPayloadError, StreamReader

    real = StreamReader.readany

    async def late(self: StreamReader) -> bytes:
        chunk = await real(self)
        if not chunk and self.total_bytes == len(CONTENT):
            raise ClientPayloadError("not enough data to satisfy content length header")
        return chunk

    monkeypatch.setattr(StreamReader, "readany", late)
    assert await bench.fetch() == Arrived(len(CONTENT), md5(CONTENT))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 4 MB, where that is allowed."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system is not allowed here: run as root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def test_on_a_really_full_disk_no_byte_is_asked_for(bench: Bench, small_disk: Path) -> None:
    bench.part = small_disk / bench.part.name
    with pytest.raises(NoRoom) as problem:
        await bench.fetch()
    assert problem.value.needed == len(CONTENT)
    assert bench.progress.done == 0


async def test_a_disk_that_fills_up_while_a_file_of_unknown_length_comes(bench: Bench, small_disk: Path) -> None:
    bench.part = small_disk / bench.part.name
    (small_disk / "filler").write_bytes(b"x" * 2 * MB)
    part = Part.open(bench.part)
    part.bind(Bound("", "", -1))
    part.append([CONTENT[:MB]])
    with pytest.raises(OSError, match="No space left"):
        part.append([CONTENT[MB : 4 * MB]])
    part.close()
    (small_disk / "filler").unlink()
    assert bench.part.read_bytes()[:MB] == CONTENT[:MB]
