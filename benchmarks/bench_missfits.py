"""Files split and joined: ours beside Debian's missfits, on a mosaic of true size."""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from figures import Row, command_line, installed, timed

from processing.missfits.scan import scan
from processing.mosaic import Compression, assemble, hdu_bytes, primary_bytes

SHAPE = (4644, 2112)
CCDS = 36
ROOT = Path(__file__).resolve().parents[1]
QUIET = ["-WRITE_XML", "N", "-VERBOSE_TYPE", "QUIET", "-SAVE_TYPE", "NEW"]
CASES = (
    ("mosaic split", "m.fits", ["-OUTFILE_TYPE", "SPLIT"]),
    ("set joined", "s", ["-OUTFILE_TYPE", "MULTI"]),
    ("checksums computed", "m.fits", ["-CHECKSUM_TYPE", "COMPUTE"]),
    ("keywords edited", "m.fits", ["-REMOVE_KEYWORD", "SATURATE"]),
)


def paint(place: Path) -> None:
    """Noise in 36 CCDs of 16 bits, as one file and as a set."""
    sky = np.random.default_rng(20031220).normal(1000, 30, SHAPE).astype(np.int16)
    parts = (
        hdu_bytes(np.roll(sky, number, axis=1), {"EXTVER": number, "SATURATE": 65535}, name=f"ccd{number:02d}",
                  compression=Compression.NONE)
        for number in range(CCDS)
    )  # fmt: skip
    assemble(place / "m.fits", primary_bytes({"NEXTEND": CCDS}), parts)
    split = [*_ours(), "m.fits", "-WRITE_XML", "N", "-VERBOSE_TYPE", "QUIET", "-OUTFILE_TYPE", "SPLIT"]
    timed(split, runs=1, env=installed(ROOT, place), cwd=place)
    for path in place.glob("m.0??.fits"):
        path.rename(place / f"s{path.name[1:]}")


def _ours() -> list[str]:
    return [sys.executable, "-m", "processing.missfits.command"]


def agreement(place: Path) -> str:
    """Compare the data of all files that both wrote."""
    ours, theirs = (sorted(place.glob(f"*{suffix}.fits")) for suffix in (".ours", ".peer"))
    if [path.name.split(".ours")[0] for path in ours] != [path.name.split(".peer")[0] for path in theirs]:
        return f"{len(ours)} files, the peer {len(theirs)}"
    different = 0
    for one, other in zip(ours, theirs, strict=True):
        pairs = zip(scan(one).hdus, scan(other).hdus, strict=True)
        different += sum(b"".join(mine.chunks()) != b"".join(its.chunks()) for mine, its in pairs)
    return f"{different} HDUs differ" if different else f"data of {len(ours)} files identical"


def row(place: Path, part: str, name: str, settings: Sequence[str]) -> Row:
    """Time both as whole processes that make new files and leave it to the kernel to bring them to the disk."""

    def clear(who: str) -> None:
        for path in place.glob(f"*.{who}.fits"):
            path.unlink()

    peer = shutil.which("missfits")
    mine = [*_ours(), name, *QUIET, "-NEW_SUFFIX", ".ours", *settings]
    ours = timed(mine, env=installed(ROOT, place), cwd=place, before=lambda: clear("ours"))
    its = [str(peer), name, *QUIET, "-NEW_SUFFIX", ".peer", *settings]
    theirs = timed(its, cwd=place, before=lambda: clear("peer")) if peer else None
    agreed = agreement(place) if peer else "the peer is not installed"
    clear("ours")
    clear("peer")
    return Row(
        part=part,
        input=f"{CCDS} CCDs of 2112x4644 int16, 706 MB",
        ours=ours.wall,
        ours_cpu=ours.cpu,
        peer="missfits 2.8",
        peer_seconds=theirs.wall if theirs else None,
        peer_cpu=theirs.cpu if theirs else None,
        agreement=agreed,
    )


def measure() -> Sequence[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-missfits-") as name:
        place = Path(name)
        paint(place)
        return [row(place, part, file, settings) for part, file, settings in CASES]


if __name__ == "__main__":
    command_line(measure)
