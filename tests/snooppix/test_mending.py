"""Damage is found and it alone is fetched again: what a damaged byte costs is counted at the servers."""

import hashlib
import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snooppix.carrier import Arrived, Progress, Wanted
from snooppix.download import Downloader
from snooppix.errors import Damaged, Unreachable
from snooppix.mending import damaged_hdus
from snooppix.wire import Wire
from terapix.blocks import BLOCK
from terapix.identity import Digest
from terapix.part import LITTLE, Bound, Part
from terapix.sections import ArchiveSection, SnooppixSection
from tests.support.mirror import Mirror, mirrors
from tests.support.patience import PATIENCE


def mosaic(*, checksum: bool = True) -> bytes:
    """A file of 9 HDUs of 5 MB."""
    pixels = np.random.default_rng(3).integers(0, 2**15, (9, 1250, 2000)).astype(np.int16)
    hdus = fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(plane, name=f"ccd{i}") for i, plane in enumerate(pixels))])
    file = io.BytesIO()
    hdus.writeto(file, checksum=checksum)
    return file.getvalue()


MOSAIC = mosaic()
PLAIN = mosaic(checksum=False)
HDU = 5_000_000


def wanted(part: Path, content: bytes = MOSAIC) -> Wanted:
    return Wanted("979412p", part, len(content), Digest("md5", hashlib.md5(content, usedforsecurity=False).hexdigest()))


Fetch = Callable[..., AbstractAsyncContextManager[tuple[Arrived, Progress]]]


@asynccontextmanager
async def fetched(part: Path, *served: Mirror, content: bytes = MOSAIC) -> AsyncIterator[tuple[Arrived, Progress]]:
    async with mirrors(*served) as addresses:
        section = ArchiveSection(registry=addresses[0], hosts=("127.0.0.1",))
        hosts = tuple(address.split("/")[2] for address in addresses)
        section = section.model_copy(update={"hosts": hosts})
        progress, file = Progress(), replace(wanted(part, content), mirrors=tuple(addresses[1:]))
        async with Wire(section, SnooppixSection(read_timeout=PATIENCE)) as wire:
            yield await Downloader(wire).fetch(file, addresses[0], progress), progress


async def test_a_block_damaged_on_our_disk_is_fetched_again_alone(tmp_path: Path) -> None:
    part, server = tmp_path / "a.part", Mirror(MOSAIC, cut_after=10 * BLOCK)
    with pytest.raises(Unreachable):
        async with fetched(part, server):
            pass
    with part.open("r+b") as file:
        file.seek(3 * BLOCK + 77)
        file.write(b"damage")
    server.cut_after, server.given = None, 0
    held = part.stat().st_size // BLOCK

    async with fetched(part, server) as (arrived, _):
        assert arrived.size == len(MOSAIC)

    assert part.read_bytes() == MOSAIC
    assert server.given <= len(MOSAIC) - held * BLOCK + BLOCK
    assert server.asked[-2] == f"bytes={3 * BLOCK}-{4 * BLOCK - 1}"


async def test_a_byte_that_a_server_gives_wrong_costs_its_hdu_from_a_mirror(tmp_path: Path) -> None:
    bad, good = Mirror(MOSAIC, flips=(17_000_000,)), Mirror(MOSAIC)

    async with fetched(tmp_path / "a.part", bad, good) as (_, progress):
        assert (tmp_path / "a.part").read_bytes() == MOSAIC

    assert bad.given == len(MOSAIC)
    assert good.given == progress.repaired <= HDU + 2 * BLOCK


async def test_damage_in_a_header_is_found_too(tmp_path: Path) -> None:
    begin = MOSAIC.index(b"XTENSION", 12_000_000)
    bad, good = Mirror(MOSAIC, flips=(begin + 3,)), Mirror(MOSAIC)
    async with fetched(tmp_path / "a.part", bad, good):
        assert (tmp_path / "a.part").read_bytes() == MOSAIC
    assert good.given <= 2 * BLOCK


async def test_two_copies_with_different_damage_make_a_right_one(tmp_path: Path) -> None:
    """Without checksums: one is wrong in block 1, the other in block 7."""
    one, two = Mirror(PLAIN, flips=(BLOCK + 5,)), Mirror(PLAIN, flips=(7 * BLOCK + 5,))
    async with fetched(tmp_path / "a.part", one, two, content=PLAIN):
        assert (tmp_path / "a.part").read_bytes() == PLAIN
    assert one.given == two.given == len(PLAIN)


async def test_what_no_server_gives_right_is_damaged_and_kept_as_evidence(tmp_path: Path) -> None:
    one, two = Mirror(MOSAIC, flips=(17_000_000,)), Mirror(MOSAIC, flips=(17_000_000,))
    with pytest.raises(Damaged):
        async with fetched(tmp_path / "a.part", one, two):
            pass
    assert (tmp_path / "a.bad").exists()


def test_hdus_are_judged_by_their_checksums(tmp_path: Path) -> None:
    part = Part.open(tmp_path / "a.part")
    part.bind(Bound("", "", len(MOSAIC)))
    part.append([MOSAIC])
    assert damaged_hdus(part) == []
    part.write([b"x"], 17_000_000)
    [(begin, end)] = damaged_hdus(part)
    part.close()

    assert begin <= 17_000_000 < end
    assert MOSAIC[begin : begin + 8] == b"XTENSION"
    assert end == len(MOSAIC) or MOSAIC[end : end + 8] == b"XTENSION"


def test_of_a_killed_download_each_whole_block_is_known(tmp_path: Path) -> None:
    content = os.urandom(3 * BLOCK + 100)
    part = Part.open(tmp_path / "a.part")
    part.bind(Bound("", "", len(content)))
    part.append([content[: 2 * BLOCK + 50]])
    with part.sidecar.path.open("ab") as torn:
        torn.write(b"\n2 0123")
    part.close()

    again = Part.open(tmp_path / "a.part")
    assert again.front == 2 * BLOCK + 50
    assert sorted(again.blocks) == [0, 1]
    again.append([content[2 * BLOCK + 50 :]])
    assert again.complete
    assert again.digest.hexadecimal == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert sorted(again.blocks) == [0, 1, 2, 3]
    again.close()


def test_a_file_of_one_block_has_no_journal(tmp_path: Path) -> None:
    part = Part.open(tmp_path / "a.part")
    part.bind(Bound("", "", 2 * LITTLE))
    part.append([b"x" * 2 * LITTLE])
    part.close()
    assert part.sidecar.path.read_text().count("\n") == 1


def test_of_a_little_file_it_is_noted_what_it_belongs_to_only_when_it_breaks_off(tmp_path: Path) -> None:
    part = Part.open(tmp_path / "a.part")
    part.bind(Bound("md5:1", "", 1000))
    part.append([b"x" * 400])
    assert not part.sidecar.path.exists()
    part.close()
    part = Part.open(tmp_path / "a.part")
    assert (part.bound, part.front) == (Bound("md5:1", "", 1000), 400)
    part.append([b"x" * 600])
    part.close()
    assert part.complete


@pytest.mark.parametrize(("total", "came"), [(1000, 400), (2 * LITTLE, 0)], ids=["little", "large, not a byte came"])
def test_a_little_file_is_never_mixed_with_an_older_version_that_broke_off(
    tmp_path: Path, total: int, came: int
) -> None:
    part = Part.open(tmp_path / "a.part")
    part.bind(Bound("md5:1", "", total))
    part.append([b"x" * came])
    part.close()
    newer = Part.open(tmp_path / "a.part")
    newer.bind(Bound("md5:2", "", 1000))
    newer.append([b"y" * 10])  # and here the power is cut
    after = Part.open(tmp_path / "a.part")
    assert (after.bound, after.front) == (None, 0)
    newer.discard()
    after.discard()
