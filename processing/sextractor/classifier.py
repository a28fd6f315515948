"""CLASS_STAR: the neural network of Bertin & Arnouts (1996, A&AS 117, 393), read from the original's file of weights.

The network came with the original and stays with it: its file is looked for where STARNNW_NAME says, then where
distributions install it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadSetting
from processing.sextractor.records import Band, Detections, Group, Table
from processing.sextractor.settings import Settings

Floats = NDArray[np.float64]
INSTALLED = (Path("/usr/share/source-extractor"), Path("/usr/share/sextractor"))
"""Directories where distributions put the files of the original."""
INPUTS = 10
"""Eight isophotal areas, the peak and the seeing."""
NO_AREA = -2.0
NO_PEAK = -1.0
"""Logarithms that stand for none."""
_AREAS = tuple(f"ISO{level}" for level in range(8))
_REMEDY = "STARNNW_NAME names a default.nnw of the original; or take CLASS_STAR out"


@dataclass(frozen=True, slots=True)
class Network:
    """A perceptron of three layers with one output."""

    bias: Floats
    """(inputs,) added to each scaled input."""
    scale: Floats
    """(inputs,)."""
    hidden: Floats
    """(neurons, inputs + 1): weights, and last the threshold of each."""
    output: Floats
    """(neurons + 1,)."""
    bias_out: float
    scale_out: float

    def __call__(self, inputs: Floats) -> Floats:
        """Return answers, (n,), to `inputs`, (n, inputs); 1 for stars."""
        # Term by term: a product of matrices would round differently with the number of rows.
        signal = inputs * self.scale + self.bias
        inner = _sigmoid((signal[:, None, :] * self.hidden[None, :, :-1]).sum(axis=2) + self.hidden[:, -1])
        outer: Floats = _sigmoid((inner * self.output[:-1]).sum(axis=1) + self.output[-1])
        return outer * self.scale_out + self.bias_out


def _sigmoid(value: Floats) -> Floats:
    answer: Floats = 1.0 / (1.0 + np.exp(-np.clip(value, -700.0, 700.0)))
    return answer


def find(name: str) -> Path:
    """Return the file of weights; BadSetting where it is nowhere."""
    path = Path(name)
    for each in (path, *(directory / path.name for directory in INSTALLED)):
        if each.is_file():
            return each
    raise BadSetting(f"STARNNW_NAME = {name}: no such file here or in {INSTALLED[0]}; {_REMEDY}")


@lru_cache(maxsize=4)
def read_network(path: Path) -> Network:
    """Read a file of weights: sizes of the layers, inputs' biases and scales, layers, the output's bias and scale.

    Raises
    ------
    BadSetting
        Names the file and what was expected.
    """
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as problem:
        raise BadSetting(f"{path}: cannot be read ({problem.strerror}); {_REMEDY}") from problem
    if not lines or lines[0].strip() != "NNW":
        raise BadSetting(f"{path}: NNW was expected in its first line; {_REMEDY}")
    try:
        told = [float(word) for line in lines[1:] for word in line.split("#")[0].split()]
    except ValueError as problem:
        raise BadSetting(f"{path}: {problem}; {_REMEDY}") from None
    if told[:2] != [3.0, INPUTS] or len(told) < 4 or told[2] < 1 or told[3] != 1.0:
        raise BadSetting(f"{path}: layers {told[:4]}: 3 layers with {INPUTS} inputs and 1 output were expected")
    neurons = int(told[2])
    ends = np.cumsum([4, INPUTS, INPUTS, neurons * (INPUTS + 1), neurons + 1, 2])
    if len(told) != ends[-1] or not np.isfinite(told).all():
        raise BadSetting(f"{path}: {len(told)} numbers, where its layers ask for {ends[-1]}; {_REMEDY}")
    bias, scale, hidden, output, out = (np.array(part) for part in np.split(np.array(told), ends[:-1])[1:])
    return Network(bias, scale, hidden.reshape(neurons, -1), output, float(out[0]), float(out[1]))


def inputs(areas: Floats, peak: Floats, threshold: float, *, seeing: float, scale: float) -> Floats:
    """Return what the network looks at, (n, 10).

    Parameters
    ----------
    areas : (n, 8) pixels above levels that rise by equal factors from the threshold to the peak; 0 where none is
    peak : (n,) ADU above the background
    threshold : of the analysis of the whole image, also where areas start from one that follows the weights
    seeing : FWHM, arcseconds
    scale : arcseconds a pixel

    Notes
    -----
    Areas are in squares of the seeing, while the seeing itself is in arcseconds: so the original feeds it.
    """
    size = (seeing / scale) ** 2
    told = np.empty((len(areas), INPUTS))
    with np.errstate(divide="ignore", invalid="ignore"):
        light = np.where(areas > 0.0, np.log10(areas / size), NO_AREA)
        told[:, 1] = np.where(peak > 0.0, np.log10(peak / threshold), NO_PEAK)
    told[:, 0], told[:, 2:9], told[:, 9] = light[:, 0], light[:, 1:], np.log10(seeing)
    return told


def measure(band: Band, _: Detections, rows: NDArray[np.int64], settings: Settings, table: Table) -> None:
    """Fill in CLASS_STAR."""
    network = read_network(find(settings.starnnw_name))
    areas = np.stack([table[name][rows] for name in _AREAS], axis=1).astype(np.float64)
    peak, noise = table["FLUX_MAX"][rows].astype(np.float64), band.noise
    told = inputs(areas, peak, noise.threshold, seeing=settings.seeing_fwhm, scale=noise.pixel_scale)
    table["CLASS_STAR"][rows] = network(told)


def _gives(_: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return {"CLASS_STAR": ("f4", ())}


GROUPS = (Group("classifier", _gives, (*_AREAS, "FLUX_MAX"), measure),)
