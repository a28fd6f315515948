"""Scratch and what was set aside on another host: listed and removed by its agent, and nothing else is."""

import contextlib
import json
import os

import pytest

from datatransfer.agent.courier import Courier, Silent
from datatransfer.agent.holdings import sweep
from datatransfer.agent.leftovers import Leftover
from tests.support.agents import Agent
from tests.support.keeping import map_of

Pair = tuple[Agent, Agent, Courier]
FRAME = "frames/08AC14/979412p.fits.fz"


async def test_leftovers_are_listed_and_removed_one_by_one(pair: Pair) -> None:
    one, _, asked = pair
    frame = one.put(FRAME, b"pixels")
    one.put("scratch/weigh-1/unpacked.fits", b"scratch")
    one.put("products/08AC14/x.fits.aside-1", b"aside")
    aside = await asked.set_aside(one.address, one.root, FRAME, {"reason": "it was damaged"})
    assert json.loads((one.directory / f"{aside}.why.json").read_text()) == {"reason": "it was damaged"}
    found = await asked.leftovers(one.address, one.root)
    assert sorted(item.path for item in found) == [
        "products/08AC14/x.fits.aside-1",
        "quarantine/frames/08AC14/979412p.fits.fz",
        "quarantine/frames/08AC14/979412p.fits.fz.why.json",
        "scratch/weigh-1/unpacked.fits",
    ]
    assert [item.is_note for item in found].count(True) == 1
    for item in found:
        assert await asked.remove_leftover(one.address, one.root, item)
        assert not await asked.remove_leftover(one.address, one.root, item)
    assert await asked.leftovers(one.address, one.root) == []
    assert not (one.directory / "scratch" / "weigh-1").exists()
    assert (one.directory / "scratch").is_dir()
    assert not frame.exists()


@pytest.mark.parametrize("path", [FRAME, "../outside", "scratch/../frames/08AC14/979412p.fits.fz", "scratch/link/x"])
async def test_what_is_no_leftover_is_not_removed(pair: Pair, path: str) -> None:
    one, _, asked = pair
    frame = one.put(FRAME, b"pixels")
    (one.directory / "scratch" / "link").symlink_to(frame.parent)
    leftover = Leftover(path, 6, 0.0)
    with contextlib.suppress(Silent):
        assert not await asked.remove_leftover(one.address, one.root, leftover)
    assert frame.exists()


async def test_a_leftover_that_was_written_meanwhile_stays(pair: Pair) -> None:
    one, _, asked = pair
    place = one.put("scratch/base", b"old")
    [item] = await asked.leftovers(one.address, one.root)
    place.write_bytes(b"newer")
    with pytest.raises(Silent, match="it is in use"):
        await asked.remove_leftover(one.address, one.root, item)


async def test_a_file_is_read_again_by_its_agent_with_its_own_checksums(pair: Pair) -> None:
    one, _, asked = pair
    damaged = bytearray(map_of())
    damaged[-2880] ^= 1
    one.put("products/08AC14/x_weight.fits", bytes(damaged))
    reading = await asked.read(one.address, one.root, "products/08AC14/x_weight.fits", rate=1e9)
    assert (reading.size, reading.summed) == (len(damaged), 1)
    assert reading.wrong == ("HDU 1 (CCD00): DATASUM does not agree with its pixels",)
    gone = await asked.read(one.address, one.root, "products/08AC14/none.fits", rate=0.0)
    assert (gone.digest, gone.size) == (None, None)


async def test_what_has_come_of_a_paused_file_is_kept_for_longer_when_it_is_asked_for(pair: Pair) -> None:
    one, _, asked = pair
    kept, old = (one.put(f"frames/08AC14/{name}p.fits.fz.part", b"half") for name in ("979412", "979413"))
    for place in (kept, old):
        os.utime(place, (1000.0, 1000.0))

    await asked.keep_parts(one.address, one.root, ["frames/08AC14/979412p.fits.fz", "frames/03AL03/1p.fits.fz"])

    assert sweep(one.roots[one.root], older_than=3600.0, now=1e9, busy=frozenset()) == 1
    assert (kept.exists(), old.exists()) == (True, False)
    with pytest.raises(Silent, match="no path of a file here"):
        await asked.keep_parts(one.address, one.root, ["x"])
