"""What a pack holds: each file behind its length, and all ones where there is none to give."""

import asyncio
import os
from pathlib import Path

import pytest

from datatransfer.agent.packs import ABSENT, HEAD, SMALL, packed
from datatransfer.agent.roots import NODE_ROOMS, Root
from datatransfer.errors import MoveError
from datatransfer.mover import Carried
from tests.support.agents import Agent, agent, courier, shared_token

HERE = "nodes/node1/frames"


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Root]:
    for run in ("08AC14", "08AD90"):
        (tmp_path / "frames" / run).mkdir(parents=True)
    return {"nodes/node1": Root("nodes/node1", tmp_path, NODE_ROOMS)}


def unpacked(content: bytes) -> list[bytes | None]:
    found: list[bytes | None] = []
    while content:
        (length,) = HEAD.unpack(content[: HEAD.size])
        content = content[HEAD.size :]
        found.append(None if length == ABSENT else content[:length])
        content = content if length == ABSENT else content[length:]
    return found


def put(roots: dict[str, Root], path: str, content: bytes) -> str:
    (roots["nodes/node1"].directory / "frames" / path).write_bytes(content)
    return f"{HERE}/{path}"


def test_a_directory_that_is_gone_spoils_no_file_before_or_behind_it(roots: dict[str, Root]) -> None:
    one, two = put(roots, "08AC14/1p.fits", b"one"), put(roots, "08AC14/2p.fits", b"two")
    other = put(roots, "08AD90/1p.fits", b"other")
    asked = [one, f"{HERE}/03AL03/1p.fits", two, other, f"{HERE}/08AD90/9p.fits", f"{HERE}/../1p.fits", two]
    assert unpacked(b"".join(packed(roots, asked))) == [b"one", None, b"two", b"other", None, None, b"two"]


def test_what_is_no_small_plain_file_is_not_given(roots: dict[str, Root]) -> None:
    largest, larger = put(roots, "08AC14/1p.fits", b"x" * SMALL), put(roots, "08AC14/2p.fits", b"x" * (SMALL + 1))
    room = roots["nodes/node1"].directory / "frames" / "08AC14"
    (room / "3p.fits").symlink_to("/etc/hostname")
    os.mkfifo(room / "4p.fits")
    found = unpacked(b"".join(packed(roots, [largest, larger, f"{HERE}/08AC14/3p.fits", f"{HERE}/08AC14/4p.fits"])))
    assert found == [b"x" * SMALL, None, None, None]


async def test_what_comes_slowly_from_one_host_holds_up_nothing_from_another(tmp_path: Path) -> None:
    token = shared_token(tmp_path)
    async with (
        agent(tmp_path, "node1", token) as slow,
        agent(tmp_path, "node2", token) as fast,
        agent(tmp_path, "node3", token) as target,
        courier(target.trust) as asked,
    ):
        paths = [f"products/08AC14/{number}p_weight.fits.fz" for number in range(40)]
        for source in (slow, fast):
            for path in paths:
                source.put(path.replace("08AC14", source.name), os.urandom(100_000))

        def begin(source: Agent) -> asyncio.Task[list[Carried | MoveError]]:
            parcels = [source.parcel(path.replace("08AC14", source.name), target) for path in paths]
            return asyncio.create_task(asked.bring(target.address, parcels, progress=lambda _: None))

        await asked.pace(target.address, {("nodes/node1", "nodes/node3"): 50_000})
        waiting = [begin(slow) for _ in range(2)]
        async with asyncio.timeout(60):
            assert await begin(fast) == [Carried(100_000, "brought")] * len(paths)
            assert not any(task.done() for task in waiting)
            await asked.pace(target.address, {})
            assert [await task for task in waiting] == [[Carried(100_000, "brought")] * len(paths)] * 2
