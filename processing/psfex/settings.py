"""What PSFEx is asked for, as far as it is done here."""

from dataclasses import dataclass
from pathlib import Path

HIDDEN = "HIDDEN"
"""Names of contexts that begin so are no columns."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which sources are taken for stars."""

    automatic: bool = True
    """Whether the FWHM of stars is looked for."""
    fwhm: tuple[float, float] = (2.0, 10.0)
    """Allowed, image pixels."""
    variability: float = 0.2
    """Allowed of the FWHM, relative."""
    snr: float = 20.0
    """Least ratio of signal to noise."""
    ellipticity: float = 0.3
    """Largest (A-B)/(A+B)."""
    flags: int = 0xFE
    """FLAGS that exclude."""
    weight_flags: int = 0
    """FLAGS_WEIGHT that exclude."""
    image_flags: int = 0
    """IMAFLAGS_ISO that exclude."""
    bad_pixels: int | None = None
    """Largest number of them in a vignette; None: any number."""


@dataclass(frozen=True, slots=True)
class Basis:
    """Vectors that all stars together refine the model with."""

    kind: str = "PIXEL_AUTO"
    """NONE, PIXEL, PIXEL_AUTO (PIXEL for stars narrower than 3 pixels), GAUSS-LAGUERRE or FILE."""
    number: int = 20
    """Pixels are the square of it; of shapelets it is the highest order."""
    scale: float = 1.0
    """Of shapelets: width of the Gaussian over √(number + 1), pixels of the model."""
    path: Path = Path("basis.fits")
    """Cube of vectors."""


@dataclass(frozen=True, slots=True)
class Homogenisation:
    """Kernels that bring the PSF to a Moffat profile."""

    number: int = 10
    """Highest order of shapelets."""
    scale: float = 1.0
    """Width of their Gaussian over √(number + 1), pixels of the model."""
    fwhm: float = 2.0
    """Of the profile, image pixels."""
    beta: float = 3.0


@dataclass(frozen=True, slots=True)
class Hidden:
    """Contexts of a sequence; some are principal components of how the PSF changes between exposures."""

    contexts: tuple[str, ...]
    """All of them; those that are hidden begin with HIDDEN."""
    groups: tuple[int, ...]
    degrees: tuple[int, ...]
    apart: bool = False
    """Whether components are of each extension by itself, or of all at once."""

    @property
    def number(self) -> int:
        """How many are hidden."""
        return sum(name.startswith(HIDDEN) for name in self.contexts)


@dataclass(frozen=True, slots=True)
class Settings:
    """One run; defaults are those of PSFEx 3.21."""

    selection: Selection = Selection()
    step: float = 0.0
    """Image pixels from one pixel of the model to the next; 0: from the FWHM."""
    size: tuple[int, int] = (25, 25)
    """Width and height of the model."""
    accuracy: float = 0.01
    """Expected of pixels of the model, relative."""
    recentred: bool = False
    """Whether stars are moved to where the model fits them best."""
    centre: tuple[str, str] = ("X_IMAGE", "Y_IMAGE")
    """Columns of positions."""
    flux: str = "FLUX_APER(1)"
    """Column that vignettes are divided by."""
    contexts: tuple[str, ...] = ("X_IMAGE", "Y_IMAGE")
    groups: tuple[int, ...] = (1, 1)
    degrees: tuple[int, ...] = (2,)
    snapshots: int = 9
    """Places an axis of contexts at which the model is looked at."""
    basis: Basis = Basis()
    """Of the model's refinement."""
    components: int = 0
    """Principal components, over all images of all catalogues, of which the models are made; 0: they are not."""
    components_apart: bool = False
    """Whether these are of each extension by itself, over all catalogues."""
    sequence: bool = False
    """Whether one model is that of an extension in all catalogues."""
    hidden: Hidden | None = None
    """Contexts that no column tells; they are not among `contexts`, `groups` and `degrees`."""
    by_seeing: bool = True
    """Whether each catalogue has stars of its own FWHM, where several are taken together."""
    common: bool = False
    """Whether all images of a catalogue have one model."""
    homogenisation: Homogenisation | None = None
    """None: no kernels."""
    distorted: bool = False
    """Whether maps of differential geometry are to be used where a catalogue has them."""
    threads: int = 1
