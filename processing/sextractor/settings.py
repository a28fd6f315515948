"""Settings of one run of SExtractor, by the names of the original's keywords.

The keywords with their texts, choices and comments stand in command.py; here is
what they become, so that the engine can be called without any file.
"""

from dataclasses import dataclass, field

from processing.sextractor.point_spread import PointSpread
from processing.sextractor.retina import Retina


@dataclass(frozen=True, slots=True)
class Settings:
    """What is done to every extension; defaults are those of SExtractor 2.25.

    Pairs (…, …) are of the detection and the measurement image, or of width and height.
    """

    columns: tuple[str, ...] = ("NUMBER", "X_IMAGE", "Y_IMAGE", "MAG_AUTO", "MAGERR_AUTO", "FLAGS")
    """What the catalogue holds, as lines of a .param file: ``FLUX_APER(3)``, ``VIGNET(45,45)``."""
    detect_type: str = "CCD"
    detect_minarea: int = 5
    """Pixels."""
    detect_maxarea: int = 0
    """Pixels; 0: any number."""
    thresh_type: str = "RELATIVE"
    analysis_thresh_type: str | None = None
    """That of the analysis; None: the same."""
    detect_thresh: tuple[float, ...] = (1.5,)
    """Standard deviations, ADU, or a surface brightness and a zero point."""
    analysis_thresh: tuple[float, ...] = (1.5,)
    filter: tuple[tuple[float, ...], ...] | None = ((1.0, 2.0, 1.0), (2.0, 4.0, 2.0), (1.0, 2.0, 1.0))
    """Rows of the detection filter; None: no filter."""
    filter_normalised: bool = True
    """Whether the filter is divided by its sum (CONV NORM)."""
    filter_name: str = "default.conv"
    retina: Retina | None = field(default=None, repr=False)
    """A network that filters the image of detection; `filter` is None with it."""
    filter_thresh: tuple[float, ...] = ()
    """Of a retina: the least and the largest pixel that it filters, standard deviations of the background."""
    deblend_nthresh: int = 32
    deblend_mincont: float = 0.005
    clean: bool = True
    clean_param: float = 1.0
    mask_type: str = "CORRECT"
    weight_type: tuple[str, str] = ("NONE", "NONE")
    rescale_weights: tuple[bool, bool] = (True, True)
    weights_given: int = 0
    """2: weights of detection and measurement, 1: those of the detection for both; 0: 2 where they differ."""
    weight_gain: bool = True
    weight_thresh: tuple[float | None, float | None] = (None, None)
    """In the unit of the maps; None: 0 of weights, 1e30 of variances."""
    flag_type: tuple[str, ...] = ("OR",)
    """One a flag map."""
    phot_apertures: tuple[float, ...] = (5.0,)
    """Diameters, pixels."""
    phot_autoparams: tuple[float, float] = (2.5, 3.5)
    phot_petroparams: tuple[float, float] = (2.0, 3.5)
    phot_autoapers: tuple[float, float] = (0.0, 0.0)
    phot_fluxfrac: tuple[float, ...] = (0.5,)
    satur_level: float = 50000.0
    """ADU; the keyword `satur_key` of the header goes before it."""
    satur_key: str = "SATURATE"
    mag_zeropoint: float = 0.0
    mag_gamma: float = 4.0
    gain: float = 0.0
    """Electrons a unit; the keyword `gain_key` of the header goes before it."""
    gain_key: str = "GAIN"
    pixel_scale: float = 1.0
    """Arcseconds; 0: from the header."""
    seeing_fwhm: float = 1.2
    """Arcseconds."""
    starnnw_name: str = "default.nnw"
    """File of the network; where it lies nowhere, that which the original installed is taken."""
    back_type: tuple[str, str] = ("AUTO", "AUTO")
    back_value: tuple[float, float] = (0.0, 0.0)
    back_size: tuple[int, int] = (64, 64)
    """Width and height of a mesh, pixels."""
    back_filtersize: tuple[int, int] = (3, 3)
    back_filtthresh: float = 0.0
    backphoto_type: str = "GLOBAL"
    backphoto_thick: int = 24
    memory_objstack: int = 3000
    memory_pixstack: int = 300000
    memory_bufsize: int = 1024
    """Rows of a band."""
    interp_maxxlag: int = 16
    interp_maxylag: int = 16
    interp_type: tuple[str, str] = ("ALL", "NONE")
    fits_unsigned: bool = False
    psf_name: tuple[str, ...] = ("default.psf",)
    psf_nmax: int = 1
    psf: PointSpread | None = field(default=None, repr=False)
    """The PSF over the measured image; None: that of `psf_name`, where a column needs it."""
    assoc_name: str = "sky.list"
    assoc_data: tuple[int, ...] = (2, 3, 4)
    assoc_params: tuple[int, ...] = (2, 3, 4)
    assoccoord_type: str = "PIXEL"
    assoc_radius: float = 2.0
    assoc_type: str = "NEAREST"
    assocselec_type: str = "MATCHED"
    threads: int = 1
    """Threads of one process; their number changes no bit."""
