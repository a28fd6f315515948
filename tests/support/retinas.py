"""Retinas for tests: files as EyE writes them, and their networks worked out with numpy."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """Layers of (neurons, inputs + 1) weights, the last of which is taken off; a window of (height, width) pixels."""

    window: tuple[int, int]
    layers: tuple[NDArray[np.float32], ...]
    linear: bool = True

    def hdu(self) -> fits.BinTableHDU:
        """Return its table."""
        tall, wide = self.window
        neurons = [tall * wide, *(len(layer) for layer in self.layers)]
        columns = [fits.Column("NNEUR_PER_LAYER", f"{len(neurons)}J", array=np.array([neurons], np.int32))]
        for number, layer in enumerate(self.layers, 1):
            shape = f"({layer.shape[1]},{layer.shape[0]})"
            columns.append(fits.Column(f"WEIGHT_LAYER{number}", f"{layer.size}E", dim=shape, array=layer[None]))
        table = fits.BinTableHDU.from_columns(columns, name="BP-ANN")
        table.header["BPTYPE"] = "RETINA"
        table.header["RENAXIS"], table.header["RENAXIS1"], table.header["RENAXIS2"] = 2, wide, tall
        table.header["BPNLAYER"], table.header["BPLINEAR"] = len(neurons), int(self.linear)
        return table

    def written(self, path: Path, **changed: Any) -> Path:
        """Write its file, with other keywords; None takes one out."""
        table = self.hdu()
        for key, value in changed.items():
            if value is None:
                del table.header[key]
            else:
                table.header[key] = value
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
        return path

    def of(self, pixels: NDArray[np.float32], sigma: float) -> Values:
        """Filter a whole image, in double precision."""
        (tall, wide), (ny, nx) = self.window, pixels.shape
        framed = np.pad(pixels.astype(float), ((tall, tall), (wide, wide)), constant_values=-1e30)
        below, left = tall - tall // 2, wide - wide // 2
        seen = np.stack([framed[below + j :, left + i :][:ny, :nx] for j in range(tall) for i in range(wide)], axis=-1)
        answers = np.sign(seen) * np.log1p(np.abs(seen) / sigma)
        for number, layer in enumerate(self.layers, 1):
            sums = answers @ layer[:, :-1].T.astype(float) - layer[:, -1]
            last = number == len(self.layers)
            answers = sums if last and self.linear else 1.0 / (1.0 + np.exp(-np.clip(sums, -700.0, 700.0)))
        filtered: Values = sigma * np.expm1(np.minimum(np.abs(answers[..., 0]), 70.0))
        return filtered


def drawn(window: tuple[int, int], *hidden: int, linear: bool = True, seed: int = 1) -> Network:
    """Return a network with random weights, and layers of `hidden` neurons between its pixels and its answer."""
    draw, sizes = np.random.default_rng(seed), (window[0] * window[1], *hidden, 1)
    layers = [draw.normal(0.0, 0.5 / before**0.5, (n, before + 1)) for before, n in pairwise(sizes)]
    return Network(window, tuple(layer.astype(np.float32) for layer in layers), linear)


def of_stars() -> Network:
    """Return a network that answers where the pixels around are bright: what a filter of detection does."""
    away = np.arange(-2, 3) ** 2
    shares = np.exp(-0.25 * np.add.outer(away, away)).ravel()
    bright = np.append(3.0 * shares / shares.sum(), 2.4)[None].astype(np.float32)
    return Network((5, 5), (bright, np.array([[6.0, 0.1]], np.float32)))
