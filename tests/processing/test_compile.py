"""Compiling beforehand: after it, a frame meets no kernel that is not in the cache."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEIGHED = """
import sys
from pathlib import Path
from processing.kernels.compile import warm
from processing.recipes import WeightRecipe
from processing.weightwatcher import weigh_frame
from tests.support.mosaics import make_mosaics

shares = []
warm(shares.append)
assert shares[0] == 0.0 and shares[-1] == 1.0 and shares == sorted(shares)
cache, place = Path(sys.argv[1]), Path(sys.argv[2])
compiled = sorted(cache.rglob("*.nbc"))
assert compiled
made = make_mosaics(place)
for flat, mask in ((made.flat, made.mask), (None, made.mask), (made.flat, None), (None, None)):
    weigh_frame(made.frame, flat=flat, mask=mask, into=place, scratch=place, recipe=WeightRecipe(), workers=1)
assert sorted(cache.rglob("*.nbc")) == compiled, set(cache.rglob("*.nbc")) - set(compiled)
"""
PAINTED = """
import sys
from pathlib import Path
from processing.kernels.compile import PAINTER, warm
from processing.skymaker.painter import paint_run

warm(tasks=PAINTER)
cache = Path(sys.argv[1])
compiled = sorted(cache.rglob("*.nbc"))
assert compiled
paint_run(Path(sys.argv[2]), frames=1, ccds=1, seed=1, workers=1)
assert sorted(cache.rglob("*.nbc")) == compiled, set(cache.rglob("*.nbc")) - set(compiled)
"""

EXTRACTED = """
import sys
from pathlib import Path
import numpy as np
from processing.kernels import compile
from processing.sextractor import compiling
from processing.sextractor.extract import extract
from processing.sextractor.settings import Settings

assert compiling.cold()
compile.warm(tasks=compile.CATALOGUES)
assert not compiling.cold()
cache = Path(sys.argv[1])
compiled = sorted(cache.rglob("*.nbc"))
assert compiled
y, x = np.mgrid[:200, :200]
pixels = np.random.default_rng(1).normal(0.0, 1.0, x.shape)
for at in ((50, 60), (56, 62), (120, 130)):
    pixels += 200.0 * np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / 4.0)
columns = ("X_IMAGE", "FLUX_APER", "MAG_AUTO", "MAG_PETRO", "FLUX_RADIUS", "XWIN_IMAGE", "VIGNET(9,9)", "MAG_ISOCOR")
for weight in (None, np.where(x == 20, 0.0, 1.0).astype(np.float32)):
    found = extract(pixels.astype(np.float32), weight, settings=Settings(columns=columns))
    assert len(found["X_IMAGE"]) == 3
assert sorted(cache.rglob("*.nbc")) == compiled, set(cache.rglob("*.nbc")) - set(compiled)
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("script", [WEIGHED, PAINTED, EXTRACTED], ids=["weighed", "painted", "extracted"])
def test_a_frame_meets_compiled_kernels_only(tmp_path: Path, script: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "cache"), str(tmp_path / "frames")],
        cwd=ROOT,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_the_compiler_starts_without_linear_algebra_which_is_there_later() -> None:
    script = (
        "import sys; from processing.compiler import start_compiler; start_compiler()\n"
        "import numpy as np; from processing.kernels.psf import box_sum\n"
        "summed = np.empty((6, 6), np.float32); box_sum(np.ones((10, 10), np.float32), 5, summed)\n"
        "assert summed[0, 0] == 25.0 and 'scipy.linalg' not in sys.modules\n"
        "import scipy.linalg; assert scipy.linalg.inv(np.eye(2))[0, 0] == 1.0\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=600)
