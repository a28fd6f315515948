"""Weight and flag maps: ours beside Debian's weightwatcher; whole frames with their defects are bench_frame's."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from figures import Row, command_line, installed, timed

from processing.mosaic import Compression, Mosaic, assemble, hdu_bytes, primary_bytes

SHAPE = (4644, 2112)
PEER_CCDS = (8, 36)
"""CCDs in a file: the goal's figure is of 8; a frame has 36."""


def flats(ccds: int) -> Iterator[np.ndarray]:
    """Normalised flats with 3 % of noise, as the goal's figure has them; the overscan is 0."""
    flat = np.random.default_rng(20031220).normal(1, 0.03, SHAPE).astype(np.float32)
    flat[:, :32] = flat[:, 2080:] = flat[4612:] = 0
    for index in range(ccds):
        yield np.roll(flat, 7 * index, axis=1) if index else flat


def masks(ccds: int) -> Iterator[np.ndarray]:
    """Elixir's kind of mask: bad columns and edges, 0 where bad."""
    for index in range(ccds):
        mask = np.ones(SHAPE, np.int16)
        mask[:, :32] = mask[:, 2080:] = mask[4612:] = mask[:, 900 + index] = 0
        mask[1000:, 1500:1503] = 0
        yield mask


def header(index: int) -> dict[str, object]:
    return {"EXTVER": index, "DATASEC": "[33:2080,1:4612]", "SATURATE": 65435}


def paint(place: Path, ccds: int) -> None:
    for name, images in (("flat", flats), ("mask", masks)):
        parts = (
            hdu_bytes(image, header(index), name=f"ccd{index:02d}", compression=Compression.NONE)
            for index, image in enumerate(images(ccds))
        )
        assemble(place / f"{name}.fits", primary_bytes({"NEXTEND": ccds}), parts)


def draw(place: Path, ccds: int) -> None:
    """Sixty polygons a CCD, as a person, or a catalogue of bright stars, leaves them behind."""
    chance = np.random.default_rng(20070614)
    lines = ["# Region file format: DS9 version 4.1\n"]
    for tile in range(1, ccds + 1):
        for _ in range(60):
            turn = np.sort(chance.uniform(0, 2 * np.pi, 8))
            radii, centre = chance.uniform(5, 120, 8), chance.uniform((40, 40), (2040, 4500))
            corners = centre + radii[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
            lines.append(f"tile {tile};image;polygon({','.join(f'{value:.2f}' for value in corners.ravel())})\n")
    (place / "hand.reg").write_text("".join(lines))


def agreement(place: Path) -> str:
    """Compare every pixel of both maps."""
    different = 0
    for kind in ("weight", "flag"):
        ours, theirs = Mosaic(place / f"ours_{kind}.fits"), Mosaic(place / f"peer_{kind}.fits")
        for index in range(len(theirs.extensions)):
            different += int(np.count_nonzero(ours.read(index) != theirs.read(index)))
    return "bit-identical" if not different else f"{different} pixels differ"


def beside_the_peer(place: Path, ccds: int) -> list[Row]:
    """Uncompressed in and out, XML off, each as a whole process that makes new files; then with regions."""
    paint(place, ccds)
    draw(place, ccds)
    return [_row(place, ccds, ""), _row(place, ccds, "hand.reg")]


def _row(place: Path, ccds: int, regions: str) -> Row:
    settings = ["-WEIGHT_NAMES", "flat.fits", "-FLAG_NAMES", "mask.fits", "-FLAG_WMASKS", "0x01", "-FLAG_MASKS", "0x01"]
    settings += ["-FLAG_OUTFLAGS", "2", "-WRITE_XML", "N", "-VERBOSE_TYPE", "QUIET"]
    settings += ["-POLY_NAMES", regions, "-POLY_OUTFLAGS", "4"]

    def named(who: str) -> list[str]:
        return [*settings, "-OUTWEIGHT_NAME", f"{who}_weight.fits", "-OUTFLAG_NAME", f"{who}_flag.fits"]

    def clear(who: str) -> None:
        for kind in ("weight", "flag"):
            (place / f"{who}_{kind}.fits").unlink(missing_ok=True)

    root = Path(__file__).resolve().parents[1]
    mine = [sys.executable, "-m", "processing.weightwatcher.command", *named("ours")]
    timed(mine, runs=1, env=installed(root, place), cwd=place)
    ours = timed(mine, env=installed(root, place), cwd=place, before=lambda: clear("ours"))
    peer = None
    if shutil.which("weightwatcher"):
        peer = timed(["weightwatcher", *named("peer")], cwd=place, before=lambda: clear("peer"))
    return Row(
        part="weight + flag maps, uncompressed output" + (", with regions" if regions else ""),
        input=f"{ccds} MegaCam CCDs, flat and mask" + (", 60 polygons a CCD" if regions else ""),
        ours=ours.wall,
        ours_cpu=ours.cpu,
        peer="weightwatcher 1.12",
        peer_seconds=peer.wall if peer else None,
        peer_cpu=peer.cpu if peer else None,
        agreement=agreement(place) if peer else "the peer is not installed",
        goal="2x faster, CPU not above",
    )


def measure() -> Sequence[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-weightwatcher-") as name:
        place = Path(name)
        rows = []
        for ccds in PEER_CCDS:
            (place / "peer").mkdir()
            rows += beside_the_peer(place / "peer", ccds)
            shutil.rmtree(place / "peer")
        return rows


if __name__ == "__main__":
    command_line(measure)
