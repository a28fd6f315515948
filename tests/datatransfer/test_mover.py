"""The mover on real file systems: one, and across two."""

import errno
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from datatransfer import copying, mover
from datatransfer.copying import PIECE, Copied, copy
from datatransfer.errors import DigestMismatch, DiskFull, NodeUnreachable, SourceGone, Stopped
from datatransfer.mover import Carried, Haul, carry, digest_of

CONTENT = bytes(range(256)) * ((3 * PIECE + 1000) // 256) + b"odd"
DIGEST = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Path]:
    """Directory on another file system than tmp_path."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system: /dev/shm is missing or the same as the temporary directory")
    place = shm / f"terapix-{uuid4().hex}"
    place.mkdir()
    yield place
    shutil.rmtree(place)


@pytest.fixture(params=["near", "far"])
def haul(request: pytest.FixtureRequest, tmp_path: Path) -> Haul:
    """A file to be moved within one file system, and across two."""
    source = tmp_path / "reception" / "979412p.fits.fz"
    source.parent.mkdir()
    source.write_bytes(CONTENT)
    root = (tmp_path / "node1") if request.param == "near" else request.getfixturevalue("far")
    root.mkdir(exist_ok=True)
    return Haul(source, root / "frames" / "08AC14" / source.name, root, DIGEST, len(CONTENT))


def run(haul: Haul, stop: threading.Event | None = None) -> Carried:
    return carry(haul, progress=lambda done: None, stop=stop or threading.Event())


def left(haul: Haul) -> list[Path]:
    """Files below the node."""
    return sorted(path.relative_to(haul.root) for path in haul.root.rglob("*") if path.is_file())


def test_the_file_arrives_whole_and_the_source_stays(haul: Haul) -> None:
    told: list[int] = []

    carried = carry(haul, progress=told.append, stop=threading.Event())

    near = haul.source.stat().st_dev == haul.root.stat().st_dev
    assert carried == Carried(len(CONTENT), "linked" if near else "copied")
    assert haul.target.read_bytes() == CONTENT
    assert haul.source.read_bytes() == CONTENT
    assert told[-1] == len(CONTENT)
    assert told == sorted(told)
    assert left(haul) == [haul.target.relative_to(haul.root)]


def test_the_steps_come_in_their_order(haul: Haul, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, bool]] = []
    monkeypatch.setattr(mover, "reached", lambda step: steps.append((step, haul.target.exists())))

    run(haul)

    assert steps == [("move.half", False), ("move.copied", False), ("move.renamed", True)]


def test_moving_again_finds_what_an_earlier_attempt_brought(haul: Haul) -> None:
    run(haul)
    haul.part.write_bytes(b"half")

    assert run(haul) == Carried(len(CONTENT), "found")
    haul.source.unlink()
    assert run(haul) == Carried(len(CONTENT), "found")
    assert left(haul) == [haul.target.relative_to(haul.root)]


def test_a_part_of_a_killed_mover_is_begun_anew(haul: Haul) -> None:
    haul.part.parent.mkdir(parents=True)
    haul.part.write_bytes(CONTENT[: PIECE + 5])

    run(haul)

    assert haul.target.read_bytes() == CONTENT
    assert not haul.part.exists()


def test_another_file_under_the_final_name_is_set_aside(haul: Haul) -> None:
    haul.target.parent.mkdir(parents=True)
    haul.target.write_bytes(b"something else")

    run(haul)

    assert haul.target.read_bytes() == CONTENT
    assert haul.target.with_name(f"{haul.target.name}.aside-1").read_bytes() == b"something else"


def test_a_source_that_is_gone_is_told(haul: Haul) -> None:
    haul.source.unlink()

    with pytest.raises(SourceGone, match=r"979412p\.fits\.fz is not there"):
        run(haul)
    assert left(haul) == []


def test_a_node_that_is_gone_is_not_made_anew(haul: Haul) -> None:
    gone = replace(haul, root=haul.root / "unmounted", target=haul.root / "unmounted" / "frames" / "979412p.fits.fz")

    with pytest.raises(NodeUnreachable, match="is gone"):
        run(gone)
    assert not gone.root.exists()


def test_a_wrong_digest_leaves_nothing(haul: Haul) -> None:
    wrong = replace(haul, digest=f"md5:{'0' * 32}", size=haul.size + 1)

    with pytest.raises(DigestMismatch, match="was verified at reception"):
        run(wrong)
    assert left(haul) == []


def test_a_stopped_copy_keeps_its_part_and_goes_on_behind_it(tmp_path: Path, far: Path) -> None:
    source = tmp_path / "979412p.fits.fz"
    content = os.urandom((copying.AHEAD + 4) * PIECE + 5)
    source.write_bytes(content)
    digest = f"md5:{hashlib.md5(content).hexdigest()}"
    haul = Haul(source, far / "frames" / source.name, far, digest, len(content))
    stop, told = threading.Event(), list[int]()

    with pytest.raises(Stopped):
        carry(haul, progress=lambda done: (told.append(done), stop.set()), stop=stop)  # type: ignore[func-returns-value]

    assert haul.part.read_bytes() == content[: told[-1]]
    assert 0 < told[-1] < len(content)
    source.write_bytes(b"other" + content[5:])  # begun anew, it would not have the digest
    assert carry(replace(haul, kept=told[-1]), progress=told.append, stop=threading.Event()).how == "copied"
    assert haul.target.read_bytes() == content
    assert told == sorted(told)
    assert left(haul) == [haul.target.relative_to(haul.root)]


def test_a_part_of_another_length_than_was_kept_is_begun_anew(tmp_path: Path, far: Path) -> None:
    source = tmp_path / "979412p.fits.fz"
    source.write_bytes(CONTENT)
    haul = Haul(source, far / "frames" / source.name, far, DIGEST, len(CONTENT), kept=PIECE)
    haul.part.parent.mkdir()
    haul.part.write_bytes(b"x" * (PIECE - 1))

    assert run(haul).how == "copied"
    assert haul.target.read_bytes() == CONTENT


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_is_told_with_what_was_written(
    tmp_path: Path, far: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    source = tmp_path / "979412p.fits.fz"
    source.write_bytes(CONTENT)
    haul = Haul(source, far / "frames" / source.name, far, DIGEST, len(CONTENT))
    written: list[int] = []

    def write(handle: int, block: memoryview, at: int) -> int:
        if at:
            raise OSError(code, os.strerror(code))
        written.append(len(block))
        return len(block)

    monkeypatch.setattr(copying.os, "pwrite", write)

    with pytest.raises(DiskFull) as told:
        run(haul)
    assert told.value.written == PIECE
    assert not told.value.counts
    assert left(haul) == []


def test_a_file_system_without_second_names_is_copied_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "979412p.fits.fz"
    source.write_bytes(CONTENT)
    haul = Haul(source, tmp_path / "node" / "f", tmp_path, DIGEST, len(CONTENT))

    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(mover.os, "link", link)

    assert run(haul).how == "copied"


def test_a_symbolic_link_in_the_reception_is_not_followed_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"private")
    source = tmp_path / "979412p.fits.fz"
    source.symlink_to(secret)
    haul = Haul(source, tmp_path / "node" / "f", tmp_path, digest_of(secret), 7)

    with pytest.raises(SourceGone):
        run(haul)
    assert left(haul) == [Path("979412p.fits.fz"), Path("secret")]


@pytest.mark.parametrize("refuses", ["open", "write", "neither"])
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, PIECE - 1, PIECE, PIECE + 1, 9 * PIECE + 7])
def test_a_copy_has_every_byte_whether_or_not_the_disk_is_written_past_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, refuses: str
) -> None:
    content = os.urandom(size)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    opens, writes = os.open, os.pwrite

    def open_(path: Path, flags: int, mode: int = 0o777) -> int:
        if refuses == "open" and flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return opens(path, flags, mode)

    def write(handle: int, block: memoryview, at: int) -> int:
        if refuses == "write" and fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return writes(handle, block, at)

    monkeypatch.setattr(copying.os, "open", open_)
    monkeypatch.setattr(copying.os, "pwrite", write)
    copied, told = Copied(), list[int]()

    copy(source, target, size, copied=copied, progress=told.append, stop=threading.Event())

    assert target.read_bytes() == content
    assert copied == Copied(size, f"md5:{hashlib.md5(content).hexdigest()}")
    assert told == sorted(told)
    assert told[-1:] == ([size] if size else [])


def test_a_file_that_is_longer_or_shorter_than_thought_is_copied_as_it_is(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for size, thought in ((3 * PIECE, 100), (100, 3 * PIECE)):
        source.write_bytes(os.urandom(size))
        copied = Copied()
        copy(source, target, thought, copied=copied, progress=lambda _: None, stop=threading.Event())
        assert (copied.size, target.read_bytes()) == (size, source.read_bytes())
