"""Compiling beforehand: after it, a frame meets no kernel that is not in the cache."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SEEN = """
import sys
from pathlib import Path
from processing.compiler import Kernel
from processing.crew import Crew
from processing.kernels import compile

Crew.__init__ = lambda crew, size: vars(crew).update(_free=[], size=size, since=0.0)
Crew._one = lambda crew, function, work: function(work)

def kinds():
    modules = [each for name, each in sys.modules.items() if name.startswith("processing.")]
    kernels = {id(k): k for each in modules for k in vars(each).values() if isinstance(k, Kernel)}
    return {(k.__module__, k.__name__, str(kind)) for k in kernels.values() for kind in k.kinds}
"""
"""What each kernel was called with by now, be it compiled or taken from the cache that all tests share.

A crew's work is done in this process, where it is seen.
"""
WEIGHED = """
from processing.recipes import WeightRecipe
from processing.weightwatcher import weigh_frame
from tests.support.mosaics import make_mosaics

shares = []
compile.warm(shares.append)
assert shares[0] == 0.0 and shares[-1] == 1.0 and shares == sorted(shares)
compiled, place = kinds(), Path(sys.argv[1])
made = make_mosaics(place)
for flat, mask in ((made.flat, made.mask), (None, made.mask), (made.flat, None), (None, None)):
    weigh_frame(made.frame, flat=flat, mask=mask, into=place, scratch=place, recipe=WeightRecipe(), workers=1)
"""
PAINTED = """
from processing.skymaker.painter import paint_run

compile.warm(tasks=compile.PAINTER)
compiled = kinds()
paint_run(Path(sys.argv[1]), frames=1, ccds=1, seed=1, workers=1)
"""
EXTRACTED = """
import numpy as np
from processing import psf_model
from processing.cards import CardValues
from processing.sextractor import compiling
from processing.sextractor.columns import measured
from processing.sextractor.extract import extract
from processing.sextractor.deriving import base_columns
from processing.sextractor.groups import given
from processing.sextractor.psf_choice import point_spread
from processing.sextractor.settings import Settings

assert compiling.TASKS == compile.CATALOGUES
compiling.warm(lambda _: None)
assert not compiling.cold()
compiled = kinds()
y, x = np.mgrid[:200, :200]
pixels = np.random.default_rng(1).normal(0.0, 1.0, x.shape)
for at in ((50, 60), (56, 62), (120, 130)):
    pixels += 200.0 * np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / 4.0)
psf = np.exp(-0.5 * ((x[:25, :25] - 12) ** 2 + (y[:25, :25] - 12) ** 2) / 4.0)
psf = psf_model.PsfModel((psf / psf.sum())[None].astype(np.float32), 1.0, 4.7)
psf = point_spread(psf, CardValues(""), where="memory")
there = given(Settings(columns=("VIGNET(1,1)", "FLUX_GROWTH(1)")))
alone = [each for each in measured() if not base_columns([each]) - there and each[:6] != "VIGNET"]
alone = [each for each in alone if "ASSOC" not in each]
columns = (*alone, "VIGNET(9,9)")
flat = np.where(x == 20, 0.0, 1.0).astype(np.float32)
flags = [np.zeros(x.shape, np.int32)]
for weight in (None, flat):
    for threads in (1, 2):
        settings = Settings(columns=columns, psf=psf, threads=threads)
        found = extract(pixels.astype(np.float32), weight, flags, settings=settings)
        assert len(found["X_IMAGE"]) == 3
extract(pixels, settings=Settings(columns=("X_IMAGE", "FLUX_AUTO", "BACKGROUND"), backphoto_type="LOCAL"))
"""
HELD = """
assert compiled
assert kinds() <= compiled, sorted(kinds() - compiled)
"""


def ended(script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("script", [WEIGHED, PAINTED, EXTRACTED], ids=["weighed", "painted", "extracted"])
def test_a_frame_meets_compiled_kernels_only(tmp_path: Path, script: str) -> None:
    run = ended(SEEN + script + HELD, str(tmp_path))
    assert run.returncode == 0, run.stderr


def test_a_cache_without_kernels_is_cold(tmp_path: Path) -> None:
    run = ended("from processing.sextractor import compiling; assert compiling.cold()", NUMBA_CACHE_DIR=str(tmp_path))
    assert run.returncode == 0, run.stderr
