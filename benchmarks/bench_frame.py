"""A whole painted frame of MegaCam, from .fz to weight and flag .fz: time, room, and what was found of the truth."""

import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from figures import Row, command_line

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from processing.flags import PixelFlag
from processing.kernels.compile import warm
from processing.mosaic import Mosaic
from processing.recipes import WeightRecipe, load_recipe
from processing.skymaker.survey import main as paint
from processing.weightwatcher import WeighedFrame, weigh_frame

WORKERS = 2
RUNS = 3
"""The quickest counts: others share the machine."""
NAME = "990001p"
OFF = {name: {"on": False} for name in ("cosmics", "trails", "stars")}
CASES = (
    ("saturation, columns and edges", WeightRecipe.model_validate(OFF), "10 s on 2 cores"),
    ("all defects", WeightRecipe(), "25 s on 2 cores"),
    ("all defects, recipe compact", load_recipe("compact"), "25 s; 0.6 of the frame"),
)


def spent() -> tuple[float, float]:
    """CPU seconds of this process and its workers so far, and the largest of them in MB."""
    me = psutil.Process()
    every = (me, *me.children())
    cpu = sum(sum(process.cpu_times()[:2]) for process in every)
    return cpu, max(process.memory_info().rss for process in every[1:] or every) / 1e6


def found(place: Path, made: WeighedFrame) -> str:
    """Share of the pixels that were really touched which have their flag, and pixels without a cause that have it."""
    kinds = (PixelFlag.SATURATED, PixelFlag.COSMIC, PixelFlag.SATELLITE)
    true, hit, false = (dict.fromkeys(kinds, 0) for _ in range(3))
    total = 0
    flags = Mosaic(next(file.path for file in made.products if file.kind == "flag"))
    truth = Mosaic(place / f"{NAME}.truth-mask.fits.fz")
    for ccd in range(len(flags.extensions)):
        seen, real = flags.read(ccd), truth.read(ccd)
        blind = (seen & int(PixelFlag.BAD | PixelFlag.OVERSCAN)) != 0
        total += int(np.count_nonzero(~blind))
        for kind in kinds:
            touched, marked = (real & int(kind) != 0) & ~blind, seen & int(kind) != 0
            explained = seen & int(kind | PixelFlag.SATURATED | PixelFlag.BLEED) != 0
            true[kind] += int(np.count_nonzero(touched))
            hit[kind] += int(np.count_nonzero(touched & explained))
            false[kind] += int(np.count_nonzero(marked & (real == 0) & ~blind))
    return "; ".join(
        f"{kind.name} {100 * hit[kind] / max(true[kind], 1):.1f} % of {true[kind]}, {false[kind]} beside"
        for kind in kinds
    )


def measured(place: Path, part: str, recipe: WeightRecipe, goal: str) -> Row:
    """Weigh the frame some times: the first one makes what the frames of a run share, the quickest other one counts."""
    flat, mask = next(place.glob("*.flat.*")), next(place.glob("*.mask.*"))
    walls, cpus, largest = [], [], 0.0
    for _ in range(RUNS + 1):
        begin, before = time.perf_counter(), spent()[0]
        made = weigh_frame(
            place / f"{NAME}.fits.fz", flat=flat, mask=mask, into=place / "products", scratch=place / "scratch",
            recipe=recipe, workers=WORKERS,
        )  # fmt: skip
        walls.append(time.perf_counter() - begin)
        now, largest = spent()
        cpus.append(now - before)
    best = int(np.argmin(walls[1:])) + 1
    sizes = {file.kind: file.size for file in made.products}
    frame = (place / f"{NAME}.fits.fz").stat().st_size
    room = (sizes["weight"] + sizes["flag"]) / frame
    return Row(
        part=f"frame .fz to weight and flag .fz: {part}",
        input=f"36 CCDs, {WORKERS} workers; weight {sizes['weight'] / 1e6:.0f} MB, flag {sizes['flag'] / 1e6:.0f} MB, "
        f"{room:.2f} of the frame; {largest:.0f} MB a worker",
        ours=walls[best],
        ours_cpu=cpus[best],
        agreement=found(place, made) if recipe.cosmics.on else "",
        goal=goal,
    )


def measure() -> Sequence[Row]:
    warm()
    with tempfile.TemporaryDirectory(prefix="bench-frame-") as name:
        place = Path(name)
        with contextlib.redirect_stdout(io.StringIO()):
            paint(
                ["--instrument", "megacam", "--pointing", "214.9,52.5", "--directory", name, "--workers", str(WORKERS)]
            )
        return [measured(place, *case) for case in CASES]


if __name__ == "__main__":
    command_line(measure)
