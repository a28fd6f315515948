"""What a pack holds, each file behind its length and all ones where there is none to give, and how one is received."""

import asyncio
import hashlib
import os
import threading
from pathlib import Path
from typing import Self

import pytest

from datatransfer.agent import packs
from datatransfer.agent.pace import Pace
from datatransfer.agent.packs import ABSENT, HEAD, SMALL, packed
from datatransfer.agent.receiver import Parcel
from datatransfer.agent.roots import NODE_ROOMS, Root
from datatransfer.agent.trust import Trust
from datatransfer.errors import Declined, DigestMismatch, LinkBroken, MoveError, SourceGone
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


class Wire:
    """A line over which these bytes come, and then no more."""

    def __init__(self, content: bytes) -> None:
        self._left = memoryview(content)

    def __call__(self, address: str, trust: Trust) -> "Wire":
        del address, trust
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        pass

    def pack(self, origins: list[str]) -> None:
        self.origins = origins

    def read_into(self, view: memoryview) -> int:
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def known(path: str, content: bytes) -> Parcel:
    digest = f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"
    return Parcel("http://127.0.0.1:1", f"nodes/node2/{path}", "nodes/node1", path, digest, len(content))


def bring(
    roots: dict[str, Root], parcels: list[Parcel], wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> list[Carried | MoveError | None]:
    monkeypatch.setattr(packs, "Line", wire)
    return packs.receive_pack(
        parcels, roots["nodes/node1"], trust=Trust(), pace=Pace(), stop=threading.Event(), turn=threading.Lock()
    )


def standing(roots: dict[str, Root]) -> dict[str, bytes]:
    top = roots["nodes/node1"].directory
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def paths(count: int) -> list[str]:
    return [f"frames/08AC14/{number}p.fits" for number in range(count)]


def test_what_has_come_of_a_pack_stays_when_the_line_breaks(
    roots: dict[str, Root], monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {path: os.urandom(700_000) for path in paths(9)}  # more than is held in memory at once
    sent = b"".join(HEAD.pack(len(content)) + content for content in contents.values())
    parcels = [known(path, content) for path, content in contents.items()]
    ends = bring(roots, parcels, Wire(sent[:-1]), monkeypatch)
    assert ends[:-1] == [Carried(700_000, "brought")] * 8
    assert isinstance(ends[-1], LinkBroken)
    assert standing(roots) == {path: contents[path] for path in paths(8)}


def test_what_is_not_as_it_is_known_spoils_nothing_else(
    roots: dict[str, Root], monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {path: path.encode() for path in paths(5)}
    parcels = [known(path, content) for path, content in contents.items()]
    one, two, _, four, five = contents.values()
    sent = [one, two[::-1], None, four + b"and more", five]
    wire = Wire(b"".join(HEAD.pack(ABSENT) if c is None else HEAD.pack(len(c)) + c for c in sent))
    ends = bring(roots, parcels, wire, monkeypatch)
    assert [type(end) for end in ends] == [Carried, DigestMismatch, SourceGone, Declined, Carried]
    assert sorted(standing(roots).values()) == [one, five]


def test_what_is_no_pack_is_not_taken_for_one(roots: dict[str, Root], monkeypatch: pytest.MonkeyPatch) -> None:
    parcels = [known(path, b"content") for path in paths(3)]
    ends = bring(roots, parcels, Wire(HEAD.pack(7) + b"content" + HEAD.pack(SMALL + 1) + b"x" * 100), monkeypatch)
    assert [isinstance(end, LinkBroken) for end in ends] == [True] * 3
    assert standing(roots) == {}


def test_what_stands_in_a_place_is_left_alone_and_not_asked_for(
    roots: dict[str, Root], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(roots, "08AC14/1p.fits", b"another one")
    (roots["nodes/node1"].directory / "frames/08AC14/2p.fits").symlink_to("nowhere")
    wire = Wire(HEAD.pack(7) + b"content")
    ends = bring(roots, [known(path, b"content") for path in paths(3)], wire, monkeypatch)
    assert ends == [Carried(7, "brought"), None, None]
    assert wire.origins == ["nodes/node2/frames/08AC14/0p.fits"]
    assert standing(roots)["frames/08AC14/1p.fits"] == b"another one"


def test_every_disk_has_written_all_parts_before_the_first_name_is_given(
    roots: dict[str, Root], monkeypatch: pytest.MonkeyPatch
) -> None:
    stat, flushed = os.fstat, []

    def a_disk_each(handle: int) -> os.stat_result:
        found = stat(handle)
        return os.stat_result((*found[:2], handle, *found[3:]))

    def flush(room: int) -> None:
        flushed.append((Path(f"/proc/self/fd/{room}").readlink().name, sorted(os.listdir(room))))

    monkeypatch.setattr(os, "fstat", a_disk_each)
    monkeypatch.setattr(packs, "_flush", flush)
    parcels = [known(f"frames/{run}/1p.fits", b"content") for run in ("08AC14", "08AD90")]
    wire = Wire(2 * (HEAD.pack(7) + b"content"))
    assert bring(roots, parcels, wire, monkeypatch) == [Carried(7, "brought")] * 2
    assert sorted(flushed) == [("08AC14", ["1p.fits.part"]), ("08AD90", ["1p.fits.part"])]
