"""An agent gives, fetches and removes files: whole and verified, for those who may ask, and from its rooms alone."""

import asyncio
import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from datatransfer.agent import stretches
from datatransfer.agent.courier import Courier, Silent
from datatransfer.agent.line import Line
from datatransfer.agent.pace import Pace
from datatransfer.errors import (
    Declined,
    DigestMismatch,
    DiskFull,
    LinkBroken,
    MoveError,
    NodeUnreachable,
    SourceGone,
    Stopped,
    facts,
    rebuilt,
)
from datatransfer.mover import Carried, digest_of
from terapix.blocks import BLOCK
from terapix.retry import Backoff
from tests.support.agents import Agent, agent

FRAME = "frames/08AC14/979412p.fits.fz"
BIG = 3 * BLOCK + 12345


async def bring(asked: Courier, to: Agent, *parcels: object) -> list[object]:
    return list(await asked.bring(to.address, parcels, progress=lambda done: None))  # type: ignore[arg-type]


async def test_a_file_goes_from_agent_to_agent_whole_and_verified(pair: tuple[Agent, Agent, Courier]) -> None:
    one, two, asked = pair
    content = os.urandom(BIG)
    one.put(FRAME, content)
    told: list[int] = []
    ended = await asked.bring(two.address, [one.parcel(FRAME, two)], progress=told.append)
    assert ended == [Carried(BIG, "brought")]
    assert (two.directory / FRAME).read_bytes() == content
    assert told[-1] == BIG
    assert [path.name for path in (two.directory / "frames" / "08AC14").iterdir()] == ["979412p.fits.fz"]
    assert await bring(asked, two, one.parcel(FRAME, two)) == [Carried(BIG, "found")]


async def test_many_files_come_with_one_request_and_each_has_its_own_end(pair: tuple[Agent, Agent, Courier]) -> None:
    one, two, asked = pair
    paths = [f"products/08AC14/{number}p_weight.fits.fz" for number in range(20)]
    for path in paths:
        one.put(path, path.encode())
    parcels = [one.parcel(path, two) for path in paths]
    lost = one.parcel(paths[3], two)
    (one.directory / paths[3]).unlink()
    ended = await bring(asked, two, *parcels)
    assert isinstance(ended[3], SourceGone)
    assert [type(end) for number, end in enumerate(ended) if number != 3] == [Carried] * 19
    assert not (two.directory / lost.path).exists()


async def test_an_interrupted_file_goes_on_where_it_stopped(pair: tuple[Agent, Agent, Courier]) -> None:
    one, two, asked = pair
    content = os.urandom(BIG)
    one.put(FRAME, content)
    sent: list[int] = []
    some = asyncio.Event()

    def told(done: int) -> None:
        sent.append(done)
        if done >= BLOCK:
            some.set()

    async with agent(two.directory.parent, "node3", {"token": str(two.settings.agent.token)}, rate=4 * BLOCK) as three:
        parcel = one.parcel(FRAME, three)
        part = three.directory / f"{FRAME}.part"
        asking = asyncio.create_task(asked.bring(three.address, [parcel], progress=told))
        await some.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    there = part.stat().st_size
    assert BLOCK <= there < BIG
    assert not (three.directory / FRAME).exists()
    async with agent(two.directory.parent, "node3", {"token": str(two.settings.agent.token)}) as three:
        assert await bring(asked, three, parcel) == [Carried(BIG, "brought")]
        assert (three.directory / FRAME).read_bytes() == content
    assert not part.exists()


async def test_a_large_file_comes_over_several_connections(
    pair: tuple[Agent, Agent, Courier], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, asked = pair
    content = os.urandom(9 * BLOCK + 4711)
    one.put(FRAME, content)
    pieces: list[tuple[int, int]] = []
    plain = Line.ask

    def ask(line: Line, origin: str, begin: int, end: int, *, size: int) -> None:
        pieces.append((begin, end))
        plain(line, origin, begin, end, size=size)

    monkeypatch.setattr(Line, "ask", ask)
    monkeypatch.setattr(stretches, "PERIOD", 1e-3)
    monkeypatch.setattr(stretches, "GAIN", 0.0)
    monkeypatch.setattr(stretches, "WORTH", 2 * BLOCK)
    token = {"token": str(two.settings.agent.token)}
    async with agent(two.directory.parent, "node3", token, segments=3, rate=16 * BLOCK) as three:
        assert await bring(asked, three, one.parcel(FRAME, three)) == [Carried(len(content), "brought")]
        assert (three.directory / FRAME).read_bytes() == content
    assert pieces[0] == (0, len(content))
    assert len(pieces) >= 3
    assert all(begin % BLOCK == 0 for begin, _ in pieces)
    assert len({begin for begin, _ in pieces}) == len(pieces), "nothing is asked for twice"


async def test_small_files_keep_to_the_rate_too(
    pair: tuple[Agent, Agent, Courier], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, asked = pair
    paths = [f"products/08AC14/{number}p_weight.fits.fz" for number in range(20)]
    for path in paths:
        one.put(path, path.encode())
    drawn: list[int] = []
    monkeypatch.setattr(Pace, "draw", lambda _, count, stop: drawn.append(count))
    ended = await bring(asked, two, *(one.parcel(path, two) for path in paths))
    assert ended == [Carried(len(path), "brought") for path in paths]
    assert sum(drawn) == sum(map(len, paths))


async def test_a_file_asked_for_twice_at_once_is_fetched_once(pair: tuple[Agent, Agent, Courier]) -> None:
    one, two, asked = pair
    one.put(FRAME, os.urandom(BIG))
    parcel = one.parcel(FRAME, two)
    ended = await asyncio.gather(*(bring(asked, two, parcel) for _ in range(3)))
    assert {end[0].how for end in ended} <= {"brought", "found"}  # type: ignore[attr-defined]
    assert [path.name for path in (two.directory / "frames" / "08AC14").iterdir()] == ["979412p.fits.fz"]


async def test_what_does_not_come_as_it_was_verified_is_not_kept(pair: tuple[Agent, Agent, Courier]) -> None:
    one, two, asked = pair
    place = one.put(FRAME, os.urandom(BIG))
    parcel = one.parcel(FRAME, two)
    with place.open("r+b") as file:
        file.seek(BLOCK)
        file.write(b"damaged")
    (problem,) = await bring(asked, two, parcel)
    assert isinstance(problem, DigestMismatch)
    assert problem.expected == parcel.digest
    assert list((two.directory / "frames" / "08AC14").iterdir()) == []


async def test_what_stands_in_its_place_is_set_aside_and_never_overwritten(
    pair: tuple[Agent, Agent, Courier],
) -> None:
    one, two, asked = pair
    one.put(FRAME, b"pixels")
    two.put(FRAME, b"something else")
    assert await bring(asked, two, one.parcel(FRAME, two)) == [Carried(6, "brought")]
    assert (two.directory / FRAME).read_bytes() == b"pixels"
    assert (two.directory / f"{FRAME}.aside-1").read_bytes() == b"something else"


async def test_a_source_that_is_not_there_is_a_broken_link_and_a_dead_target_is_unreachable(
    pair: tuple[Agent, Agent, Courier], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, asked = pair
    monkeypatch.setattr("datatransfer.agent.receiver.AGAIN", Backoff(first=0.01, factor=1, ceiling=0.01, attempts=2))
    one.put(FRAME, b"pixels")
    (problem,) = await bring(asked, two, one.parcel(FRAME, two, source="http://127.0.0.1:1"))
    assert isinstance(problem, LinkBroken)
    with pytest.raises(NodeUnreachable, match="does not answer"):
        await asked.bring("http://127.0.0.1:1", [one.parcel(FRAME, two)], progress=lambda done: None)


async def test_a_file_is_removed_only_if_it_is_the_one_that_is_known(pair: tuple[Agent, Agent, Courier]) -> None:
    one, _, asked = pair
    one.put(FRAME, b"pixels")
    with pytest.raises(Silent, match="another file"):
        await asked.remove(one.address, f"{one.root}/{FRAME}", size=7)
    assert await asked.remove(one.address, f"{one.root}/{FRAME}", size=6)
    assert not await asked.remove(one.address, f"{one.root}/{FRAME}", size=6)


async def why_ill(asked: Courier, one: Agent) -> str:
    """Say what is wrong with its disk; on a busy machine the look at the disk may outlast its deadline, then again."""
    async with asyncio.timeout(120):
        while True:
            ill = (await asked.status(one.address))["disks"][one.root]["ill"]
            if "does not answer" not in ill:
                return str(ill)


async def test_files_are_listed_measured_and_read_again(pair: tuple[Agent, Agent, Courier]) -> None:
    one, _, asked = pair
    place = one.put(FRAME, b"pixels")
    one.put("frames/08AC14/979413p.fits.fz.part", b"half")
    one.put("scratch/unpacked.fits", b"scratch")
    assert await asked.listing(one.address, one.root) == {FRAME: 6}
    assert await asked.sizes(one.address, one.root, [FRAME, "frames/08AC14/none.fits"]) == {
        FRAME: 6,
        "frames/08AC14/none.fits": None,
    }
    assert await asked.digests(one.address, one.root, [FRAME]) == {FRAME: digest_of(place)}
    disk = (await asked.status(one.address))["disks"][one.root]
    assert 0 < disk["free"] <= disk["total"]
    place.parent.parent.parent.rename(one.directory.with_name("unplugged"))
    assert "is gone" in await why_ill(asked, one)


@pytest.mark.parametrize(
    "place",
    [
        "nodes/node1/frames/..%2F..%2Fterapix.toml",
        "nodes/node1/frames/%2e%2e/%2e%2e/etc/passwd",
        "nodes/node1//etc/passwd",
        "nodes/node1/scratch/unpacked.fits",
        "nodes/node1/frames/.hidden",
        "nodes/node9/frames/08AC14/979412p.fits.fz",
        "elsewhere/node1/frames/979412p.fits.fz",
        "nodes/node1/frames/a%00b",
        "nodes/node1/frames/link/979412p.fits.fz",
        "nodes/node1/frames/link.fits",
        "nodes/node1/frames/pipe.fits",
    ],
)
async def test_nothing_is_given_that_does_not_lie_in_its_rooms(pair: tuple[Agent, Agent, Courier], place: str) -> None:
    one, _, _ = pair
    one.put(FRAME, b"pixels")
    one.put("scratch/unpacked.fits", b"scratch")
    outside = one.directory.parent / "outside"
    outside.mkdir()
    (outside / "979412p.fits.fz").write_bytes(b"secret")
    (one.directory / "frames" / "link").symlink_to(outside)
    (one.directory / "frames" / "link.fits").symlink_to(outside / "979412p.fits.fz")
    os.mkfifo(one.directory / "frames" / "pipe.fits")
    async with aiohttp.ClientSession(headers=one.trust.headers()) as session:
        for method in ("GET", "DELETE"):
            address = URL(f"{one.address}/v1/files/{place}?size=6", encoded=True)
            async with session.request(method, address) as answer:
                assert answer.status in {403, 404} or (method, await answer.json()) == ("DELETE", {"removed": False})
                assert b"secret" not in await answer.read()
    assert (outside / "979412p.fits.fz").exists()


async def test_nothing_is_brought_to_where_a_link_leads(pair: tuple[Agent, Agent, Courier]) -> None:
    one, two, asked = pair
    one.put(FRAME, b"pixels")
    outside = two.directory.parent / "outside"
    outside.mkdir()
    (two.directory / "frames" / "08AC14").symlink_to(outside)
    (problem,) = await bring(asked, two, one.parcel(FRAME, two))
    assert isinstance(problem, MoveError)
    assert list(outside.iterdir()) == []


async def test_ranges_are_given_as_asked(pair: tuple[Agent, Agent, Courier]) -> None:
    one, _, _ = pair
    content = os.urandom(BIG)
    one.put(FRAME, content)
    async with aiohttp.ClientSession(headers=one.trust.headers()) as session:
        for begin, end in ((0, 10), (5, BIG), (BIG - 1, BIG)):
            header = {"Range": f"bytes={begin}-{end - 1}"}
            async with session.get(f"{one.address}/v1/files/{one.root}/{FRAME}", headers=header) as answer:
                assert (answer.status, await answer.read()) == (206, content[begin:end])
        for wrong in (f"bytes={BIG}-{BIG}", "bytes=5-4", "bytes=-5", "bytes=1-2,4-5"):
            async with session.get(f"{one.address}/v1/files/{one.root}/{FRAME}", headers={"Range": wrong}) as answer:
                assert answer.status == 416


async def test_what_another_agent_does_not_give_is_told_in_words(pair: tuple[Agent, Agent, Courier]) -> None:
    one, two, asked = pair
    one.put("scratch/979412p.fits.fz", b"pixels")
    parcel = replace(one.parcel("scratch/979412p.fits.fz", two), path=FRAME)
    (problem,) = await bring(asked, two, parcel)
    assert isinstance(problem, Declined)
    assert "403" in str(problem)


@pytest.mark.parametrize(
    "problem",
    [
        DiskFull(Path("/disk/a.part"), written=1, size=2),
        NodeUnreachable(Path("/disk"), "gone"),
        SourceGone(Path("/disk/a")),
        DigestMismatch(Path("/disk/a"), expected="md5:1", found="md5:2"),
        LinkBroken("http://node5", "cut"),
        Stopped(),
        Declined("no"),
    ],
)
def test_an_error_is_told_from_host_to_host_with_its_facts(problem: MoveError) -> None:
    again = rebuilt(json.loads(json.dumps(facts(problem))))
    assert (type(again), str(again), again.counts) == (type(problem), str(problem), problem.counts)


async def corrupting(source: str, *, times: int) -> tuple[asyncio.Server, str]:
    """Stand between two agents and turn one byte in the middle of a file over, so often."""
    host, _, port = source.removeprefix("http://").partition(":")
    left = times

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        up, down = await asyncio.open_connection(host, int(port))

        async def forward(origin: asyncio.StreamReader, to: asyncio.StreamWriter, *, damage: bool) -> None:
            nonlocal left
            passed = 0
            while block := await origin.read(1 << 16):
                if damage and left and passed > BLOCK:
                    left -= 1
                    damage = False
                    block = bytes([block[0] ^ 1]) + block[1:]
                passed += len(block)
                to.write(block)
                await to.drain()
            to.close()

        with contextlib.closing(writer), contextlib.closing(down):
            await asyncio.gather(
                forward(reader, down, damage=False), forward(up, writer, damage=True), return_exceptions=True
            )

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("times", [1, 1000])
async def test_bytes_that_are_damaged_on_the_wire_are_fetched_again_or_refused(
    pair: tuple[Agent, Agent, Courier], times: int
) -> None:
    one, two, asked = pair
    one.put(FRAME, content := os.urandom(BIG))
    server, between = await corrupting(one.address, times=times)
    (ended,) = await bring(asked, two, one.parcel(FRAME, two, source=between))
    server.close()
    if times == 1:
        assert ended == Carried(BIG, "brought")
        assert (two.directory / FRAME).read_bytes() == content
    else:
        assert isinstance(ended, DigestMismatch)
        assert list((two.directory / "frames" / "08AC14").iterdir()) == []
