"""A move across file systems of one host, with its digest, beside cp followed by md5sum: 400 MB.

Ours is verified and flushed to its disk before it has its name; cp flushes
nothing, so its time is told with a flush of the file, too. The second file
system is made in a file and mounted where that is allowed; else it is /dev/shm.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from figures import Row, command_line

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datatransfer.mover import Haul, carry, digest_of

SIZE = 400_000_000
RUNS = 5
SHARED = Path("/dev/shm")


@contextlib.contextmanager
def disks(root: Path) -> Iterator[list[tuple[str, Path, Path]]]:
    """Give pairs of file systems, with what they are."""
    ways: list[tuple[str, Path, Path]] = []
    with contextlib.ExitStack() as exits:
        shm = Path(exits.enter_context(tempfile.TemporaryDirectory(dir=SHARED, prefix="bench-move-")))
        disk = root / "disk"
        disk.mkdir()
        ways += [("disk to memory", disk, shm), ("memory to disk", shm, disk)]
        image, second = root / "image", root / "second"
        second.mkdir()
        with image.open("wb") as file:
            file.truncate(4 * SIZE)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], capture_output=True, check=False).returncode == 0
        if made and not subprocess.run(["mount", "-o", "loop", str(image), str(second)], check=False).returncode:
            exits.callback(subprocess.run, ["umount", str(second)], check=True)
            ways.append(("disk to a second disk", disk, second))
        yield ways


def measure() -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-move-") as place, disks(Path(place)) as ways:
        for what, source, target in ways:
            file = source / "979412p.fits.fz"
            with file.open("wb") as writing:
                for _ in range(SIZE >> 20):
                    writing.write(os.urandom(1 << 20))
            digest, size = digest_of(file), file.stat().st_size
            room = target / "frames"

            def ours(file: Path = file, room: Path = room, digest: str = digest, size: int = size) -> None:
                haul = Haul(file, room / file.name, room, digest, size)
                carry(haul, progress=lambda _: None, stop=threading.Event())

            def theirs(file: Path = file, room: Path = room, *, flush: bool = False) -> None:
                subprocess.run(["cp", file, room / file.name], check=True)
                if flush:
                    subprocess.run(["sync", room / file.name], check=True)
                subprocess.run(["md5sum", room / file.name], check=True, stdout=subprocess.DEVNULL)

            kinds: dict[str, Callable[[], None]] = {
                "ours": ours,
                "cp + md5sum": theirs,
                "cp + sync + md5sum": lambda work=theirs: work(flush=True),
            }
            measured = dict.fromkeys(kinds, float("inf"))
            for _ in range(RUNS):  # by turns, and the least of each: a machine that is used otherwise only ever adds
                for name, work in kinds.items():
                    shutil.rmtree(room, ignore_errors=True)
                    room.mkdir()
                    os.sync()
                    begin = time.perf_counter()
                    work()
                    measured[name] = min(measured[name], time.perf_counter() - begin)
            rows += [
                Row(
                    part="move across file systems",
                    input=f"{size / 1e6:.0f} MB, {what}",
                    ours=measured["ours"],
                    peer=peer,
                    peer_seconds=measured[peer],
                    agreement="verified and flushed" + ("" if "sync" in peer else "; cp flushes nothing"),
                    goal="0.9 of the peer's time",
                )
                for peer in ("cp + md5sum", "cp + sync + md5sum")
            ]
            file.unlink()
    return rows


if __name__ == "__main__":
    command_line(measure)
