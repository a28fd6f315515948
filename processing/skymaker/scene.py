"""Sources of light on an image, and their painting."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from processing.skymaker.profiles import LARGEST_INDEX, SMALLEST_INDEX
from processing.skymaker.psf import Psf
from processing.skymaker.render import Painter

Floats = NDArray[np.float64]


def _none() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Scene:
    """Sources; each field is an array over them, and what is left out is filled in: point sources."""

    x: Floats
    """Pixels from 0: the centre of the first pixel is at 0."""
    y: Floats
    flux: Floats
    """In the unit of the image, within infinity."""
    bulge_share: Floats = field(default_factory=_none)
    """Share of the light in the bulge, 0 to 1."""
    bulge_radius: Floats = field(default_factory=_none)
    """Arcsec along the major axis; half of the bulge's light lies within that ellipse."""
    bulge_ratio: Floats = field(default_factory=_none)
    """Minor over major axis."""
    bulge_angle: Floats = field(default_factory=_none)
    """Degrees counter-clockwise from x."""
    disc_radius: Floats = field(default_factory=_none)
    """Arcsec along the major axis over which an exponential disc falls by e. A star has radii 0."""
    disc_ratio: Floats = field(default_factory=_none)
    disc_angle: Floats = field(default_factory=_none)
    index: Floats = field(default_factory=_none)
    """Sersic index of the bulge; 4 is de Vaucouleurs'."""

    def __post_init__(self) -> None:
        """Fill in what was left out.

        Raises
        ------
        ValueError
            Names the field and the first source that it is wrong for.
        """
        defaults = {
            "bulge_share": 0.0, "bulge_radius": 0.0, "bulge_ratio": 1.0, "bulge_angle": 0.0,
            "disc_radius": 0.0, "disc_ratio": 1.0, "disc_angle": 0.0, "index": 4.0,
        }  # fmt: skip
        count = np.asarray(self.x).size
        for name in self.__dataclass_fields__:
            values = np.asarray(getattr(self, name), np.float64)
            if values.size == 0 and name in defaults:
                values = np.full(count, defaults[name])
            if values.shape != (count,):
                raise ValueError(f"{name} has shape {values.shape}, {(count,)} was expected")
            object.__setattr__(self, name, values)
        for name, good, expected in (
            ("flux", np.isfinite(self.flux), "a finite number"),
            ("x", np.isfinite(self.x) & np.isfinite(self.y), "a finite position"),
            ("bulge_share", (self.bulge_share >= 0.0) & (self.bulge_share <= 1.0), "0 to 1"),
            ("bulge_radius", self.bulge_radius >= 0.0, "0 or more"),
            ("disc_radius", self.disc_radius >= 0.0, "0 or more"),
            ("bulge_ratio", (self.bulge_ratio > 0.0) & (self.bulge_ratio <= 1.0), "above 0, up to 1"),
            ("disc_ratio", (self.disc_ratio > 0.0) & (self.disc_ratio <= 1.0), "above 0, up to 1"),
            (
                "index",
                (self.index >= SMALLEST_INDEX) & (self.index <= LARGEST_INDEX),
                f"{SMALLEST_INDEX} to {LARGEST_INDEX}",
            ),
        ):
            if not good.all():
                first = int(np.argmin(good))
                raise ValueError(f"source {first}: {name} = {getattr(self, name)[first]}: {expected} was expected")

    def __len__(self) -> int:
        return int(self.x.size)

    @property
    def points(self) -> NDArray[np.bool_]:
        """Sources without size."""
        size = self.bulge_radius * self.bulge_share + self.disc_radius * (1.0 - self.bulge_share)
        return np.asarray(size == 0.0)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        return type(self)(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def paint_scene(
    light: NDArray[np.float32], scene: Scene, psf: Psf, *, pixel_scale: float, faint: float, threads: int = 1
) -> None:
    """Add the light of all sources to an image.

    Parameters
    ----------
    light : (ny, nx) float32, changed in place
    scene : Scene
        Sources may lie outside of the image; their wings still fall on it.
    psf : Psf
    pixel_scale : float
        Arcsec a pixel.
    faint : float
        Light of a pixel, in the unit of the image, below which a source is painted coarsely. No flux is lost.
    threads : int
        Does not change a bit of the result.

    Raises
    ------
    ValueError
        If `light` is not float32 with two axes, or `faint` is not above 0.
    """
    paint_and_measure(light, scene, psf, pixel_scale=pixel_scale, faint=faint, threads=threads)


def paint_and_measure(
    light: NDArray[np.float32], scene: Scene, psf: Psf, *, pixel_scale: float, faint: float, threads: int = 1
) -> Floats:
    """Paint as `paint_scene` does, and return the noise-equivalent area (n,) of galaxies in pixels; 0 of stars."""
    if light.dtype != np.float32 or light.ndim != 2:
        raise ValueError(f"light is {light.dtype} with {light.ndim} axes: float32 with 2 was expected")
    if not faint > 0.0:
        raise ValueError(f"faint = {faint}: a number above 0 was expected")
    painter = Painter(psf, (light.shape[0], light.shape[1]), faint=faint, threads=threads)
    points = scene.points
    painter.points(light, scene.x[points], scene.y[points], scene.flux[points])
    extended = scene[~points]
    area = np.zeros(len(scene))
    area[~points] = painter.galaxies(light, _in_pixels(extended, pixel_scale), extended.index)
    painter.finish(light)
    return area


def _in_pixels(scene: Scene, pixel_scale: float) -> Floats:
    """Columns as `Painter.galaxies` takes them; a component without radius is kept as one of a thousandth pixel."""
    least = 1e-3
    return np.stack(
        [
            scene.x, scene.y, scene.flux, scene.bulge_share,
            np.maximum(scene.bulge_radius / pixel_scale, least), scene.bulge_ratio, np.radians(scene.bulge_angle),
            np.zeros(len(scene)),
            np.maximum(scene.disc_radius / pixel_scale, least), scene.disc_ratio, np.radians(scene.disc_angle),
        ],
        axis=1,
    )  # fmt: skip
