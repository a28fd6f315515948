"""Placement of a large run on many nodes, and a move across file systems beside cp followed by md5sum."""

import hashlib
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from figures import Row, command_line, timed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datatransfer.mover import Haul, carry
from datatransfer.placement import Need, Room, Wanted, place

FRAMES = 2000
NODES = 20
GB = 10**9
FILE = 500_000_000
"""Bytes of the file that is moved: one MegaCam frame, compressed."""


def placement() -> Row:
    """2000 frames of 40 runs on 20 nodes whose room suffices for nine in ten."""
    chance = random.Random(2003)
    wanted = [
        Wanted(
            number,
            f"{number}p",
            f"08AC{number % 40:02d}",
            Need(300_000_000, 450_000_000, chance.randrange(600_000_000, 800_000_000)),
            ((f"08Am0{number % 3}.flat.r.36.02", 200_000_000), ("2003A.mask.0.36.02", 5_000_000)),
        )
        for number in range(FRAMES)
    ]
    share = int(0.9 * sum(item.need.total for item in wanted) / NODES)
    rooms = [Room(n, f"node{n}", True, share, 2 * share, f"disk{n}") for n in range(NODES)]
    begin = time.perf_counter()
    plan = place(wanted, rooms, {}, "together")
    seconds = time.perf_counter() - begin
    agreement = f"{len(plan.promises)} placed, {len(plan.refused)} refused with a reason, none overdrawn"
    if min(plan.left.values()) < 0 or len(plan.promises) + len(plan.refused) != FRAMES:
        agreement = "WRONG: a node is overdrawn"
    return Row(part="placement", input=f"{FRAMES} frames, {NODES} nodes", ours=seconds, goal="1 s", agreement=agreement)


def move(far: Path) -> Row:
    """A frame from the temporary directory to another file system, with digest and durable."""
    with tempfile.TemporaryDirectory() as near:
        source = Path(near) / "979412p.fits.fz"
        content = random.Random(1).randbytes(1 << 20)
        with source.open("wb") as file:
            for _ in range(FILE >> 20):
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        size = source.stat().st_size
        digest = f"md5:{hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest()}"
        root = far / "node"
        took = []
        for _ in range(3):
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            begin = time.perf_counter()
            carry(
                Haul(source, root / source.name, root, digest, size),
                progress=lambda _: None,
                stop=threading.Event(),
            )
            took.append(time.perf_counter() - begin)
        peer = timed(
            ["sh", "-c", f"cp {source} {root}/peer && md5sum {root}/peer && sync {root}/peer && rm {root}/peer"]
        )
    return Row(
        part="move across file systems",
        input=f"{size / 1e6:.0f} MB, digest verified",
        ours=sorted(took)[1],
        peer="cp, md5sum, sync",
        peer_seconds=peer.wall,
        peer_cpu=peer.cpu,
        agreement="same digest",
    )


def measure() -> list[Row]:
    rows = [placement()]
    shm = Path("/dev/shm")
    if shm.is_dir() and shm.stat().st_dev != Path(tempfile.gettempdir()).stat().st_dev:
        with tempfile.TemporaryDirectory(dir=shm) as far:
            rows.append(move(Path(far)))
    return rows


if __name__ == "__main__":
    command_line(measure)
