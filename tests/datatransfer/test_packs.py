"""What a pack holds: each file behind its length, and all ones where there is none to give."""

import os
from pathlib import Path

import pytest

from datatransfer.agent.packs import ABSENT, HEAD, SMALL, packed
from datatransfer.agent.roots import NODE_ROOMS, Root

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
