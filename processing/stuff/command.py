"""``terapix stuff``: configuration files and ``-KEY VALUE`` as Stuff takes them."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from processing.astromatic import Key, Kind, Tool, Values
from processing.errors import BadSetting
from processing.stuff.clusters import write_clusters
from processing.stuff.lists import write_lists
from processing.stuff.settings import EQUATORIAL, PIXEL, GalaxyType, Settings, Sizes, Stars
from processing.stuff.sky import Sky, field
from processing.stuff.tables import SUFFIXES, write_table
from processing.stuff.zeropoints import zero_points

_C, _I, _U, _G, _S, _M = "Field", "Instrument", "Cosmology", "Galaxies", "Stars", "Miscellaneous"
_ENERGY, _PHOTONS = "ENERGY", "PHOTONS"
_DETECTORS = (_ENERGY, _PHOTONS)
TOOL = Tool(
    "stuff",
    "default.stuff",
    (
        Key(
            "CATALOG_NAME",
            Kind.TEXT,
            "g.list,r.list,i.list",
            "a list a passband; .fits or .ecsv: a table",
            _C,
            many=True,
        ),
        Key("TABLE_NAME", Kind.TEXT, "NONE", "all passbands in one table, .fits or .ecsv", _C),
        Key("COORD_TYPE", Kind.TEXT, PIXEL, "PIXEL or EQUATORIAL", _C, choices=(PIXEL, EQUATORIAL)),
        Key("COORD_CENTER", Kind.NUMBER, "0.0,0.0", "centre in degrees, where EQUATORIAL", _C, many=True),
        Key("FIELD_SIZE", Kind.NUMBER, "2048,2048", "in pixels; in degrees where EQUATORIAL", _C, many=True),
        Key("PIXEL_SIZE", Kind.NUMBER, "0.2", "arcsec", _C),
        Key("MAG_LIMITS", Kind.NUMBER, "16.0,26.0", "of the reference passband", _C, many=True),
        Key("COLLECT_AREA", Kind.NUMBER, "1.0", "m2, for the zero-points told", _I),
        Key("GAIN", Kind.NUMBER, "1.0", "electrons a unit of the image, for the zero-points told", _I),
        Key("SED_BACKGROUND", Kind.TEXT, "sky/puxley", "taken for compatibility; SkyMaker makes the sky", _I),
        Key("PASSBAND_REF", Kind.TEXT, "couch/Bj", "reference passband", _I),
        Key("CALIBSED_REF", Kind.TEXT, "Vega", "its standard of magnitude 0: AB, Vega", _I),
        Key("REFDETECT_TYPE", Kind.TEXT, _ENERGY, "it weighs ENERGY or PHOTONS", _I, choices=_DETECTORS),
        Key("PASSBAND_OBS", Kind.TEXT, "megaprime/g,megaprime/r,megaprime/i", "observed passbands", _I, many=True),
        Key("CALIBSED_OBS", Kind.TEXT, "AB", "standard of all, or one each", _I, many=True),
        Key("OBSDETECT_TYPE", Kind.TEXT, _PHOTONS, "of all, or one each", _I, many=True, choices=_DETECTORS),
        Key("H_0", Kind.NUMBER, "70.0", "Hubble constant, km/s/Mpc", _U),
        Key("OMEGA_M", Kind.NUMBER, "0.3", "density of matter", _U),
        Key("OMEGA_LAMBDA", Kind.NUMBER, "0.7", "cosmological constant", _U),
        Key("DISTANCE_STEP", Kind.NUMBER, "5.0", "comoving depth of a shell, Mpc/h", _U),
        Key("ADD_GALAXIES", Kind.SWITCH, "Y", "draw galaxies (Y/N)?", _G),
        Key("SED_GALAXIES", Kind.TEXT, "E,Sbc,Scd,Im", "spectra", _G, many=True),
        Key("SEDINDEX_BULGE", Kind.WHOLE, "1,1,1,1,1,1", "spectrum of the bulge, by type, from 1", _G, many=True),
        Key("SEDINDEX_DISK", Kind.WHOLE, "1,1,2,2,3,4", "spectrum of the disc", _G, many=True),
        Key("HUBBLE_TYPE", Kind.NUMBER, "-6.0,-2.0,2.0,4.0,6.0,10.0", "types", _G, many=True),
        Key(
            "BULGE_FRACTION",
            Kind.NUMBER,
            "1.0,0.57,0.32,0.16,0.049,0.0",
            "bulge over all, reference band",
            _G,
            many=True,
        ),
        Key("LF_PHISTAR", Kind.NUMBER, "4.95e-3,4.95e-3,7.2e-3,5.0e-3,1.2e-3,1.2e-3", "phi*, h3/Mpc3", _G, many=True),
        Key("LF_MSTAR", Kind.NUMBER, "-19.58,-19.58,-19.53,-19.17,-19.15,-19.15", "M* - 5 log h", _G, many=True),
        Key("LF_ALPHA", Kind.NUMBER, "-0.54,-0.54,-0.99,-1.24,-1.50,-1.50", "faint slope", _G, many=True),
        Key("LF_MAGLIMITS", Kind.NUMBER, "-27.0,-13.0", "limits of M - 5 log h", _G, many=True),
        Key("LF_PHISTAREVOL", Kind.NUMBER, "-1.7,-1.7,-1.2,-1.2,-1.2,1.9", "phi* goes as (1+z)^this", _G, many=True),
        Key("LF_MSTAREVOL", Kind.NUMBER, "-1.0,-1.0,-1.0,-1.0,-1.0,-1.5", "M* goes as this ln(1+z)", _G, many=True),
        Key("EXTINCT_NAME", Kind.TEXT, "LMC_Gordon03.ext", "extinction law inside galaxies", _G),
        Key("DISK_EXTINCT", Kind.NUMBER, "0.0,0.75,1.23,1.47,1.47,1.23", "mag per -log10 cos(i)", _G, many=True),
        Key("DISK_BETA", Kind.NUMBER, "-0.214", "slope of size against luminosity", _G),
        Key("DISK_RSTAR", Kind.NUMBER, "3.85", "half-light radius at M*, kpc/h", _G),
        Key("DISK_REVOL", Kind.NUMBER, "-0.40", "radii go as (1+z)^this", _G),
        Key("DISK_SIGMAL", Kind.NUMBER, "0.36", "scatter of ln(radius)", _G),
        Key("SPHEROID_MKNEE", Kind.NUMBER, "-20.0", "M - 5 log h where sizes of bulges bend", _G),
        Key("SPHEROID_RKNEE", Kind.NUMBER, "1.58", "effective radius there, kpc/h", _G),
        Key("SPHEROID_REVOL", Kind.NUMBER, "-0.50", "radii go as (1+z)^this", _G),
        Key("CLUSTER_LIST", Kind.TEXT, "NONE", "x y z richness [core radius dispersion early]", _G),
        Key("CLUSTER_LISTOUT", Kind.TEXT, "cluster_out.list", "clusters with their numbers of galaxies", _G),
        Key("IGM_TYPE", Kind.TEXT, "MADAU_AVERAGE", "MADAU_AVERAGE or NONE", _G, choices=("MADAU_AVERAGE", "NONE")),
        Key("LENS_KAPPA", Kind.NUMBER, "0.0", "constant convergence", _G),
        Key("LENS_GAMMA", Kind.NUMBER, "0.0,0.0", "constant shear", _G, many=True),
        Key("ADD_STARS", Kind.SWITCH, "N", "draw stars (Y/N)?", _S),
        Key("SED_STARS", Kind.TEXT, "a5v,f5v,g5v,k5v,m5v", "spectra: black bodies", _S, many=True),
        Key("STARCOUNT_NUMBER", Kind.NUMBER, "3e4", "stars a square degree within MAG_LIMITS", _S),
        Key("STARCOUNT_SLOPE", Kind.NUMBER, "0.2", "log10 of the growth of counts a magnitude", _S),
        Key("STAR_CATALOG", Kind.TEXT, "NONE", "FITS, LDAC or VOTable, with ADD_STARS Y", _S),
        Key("STAR_COLUMNS", Kind.TEXT, "", "its columns: two of position, magnitudes", _S, many=True),
        Key("SEED_STARS", Kind.WHOLE, "0", "0: by the time", _S),
        Key("SEED_GALAXIES", Kind.WHOLE, "0", "0: by the time", _M),
        Key("VERBOSE_TYPE", Kind.TEXT, "NORMAL", "QUIET, NORMAL or FULL", _M, choices=("QUIET", "NORMAL", "FULL")),
        Key("NTHREADS", Kind.WHOLE, "0", "taken for compatibility; one is enough", _M),
    ),
)
_BY_TYPE: tuple[tuple[str, str, Callable[[float], float]], ...] = (
    ("hubble", "HUBBLE_TYPE", float),
    ("bulge_fraction", "BULGE_FRACTION", float),
    ("bulge_sed", "SEDINDEX_BULGE", lambda number: int(number) - 1),
    ("disc_sed", "SEDINDEX_DISK", lambda number: int(number) - 1),
    ("phi_star", "LF_PHISTAR", float),
    ("m_star", "LF_MSTAR", float),
    ("alpha", "LF_ALPHA", float),
    ("phi_evolution", "LF_PHISTAREVOL", float),
    ("m_evolution", "LF_MSTAREVOL", float),
    ("extinction", "DISK_EXTINCT", float),
)


def _pair(values: Values, key: str) -> tuple[float, float]:
    numbers = values.numbers(key)
    if len(numbers) == 1 and key == "FIELD_SIZE":
        numbers *= 2
    if len(numbers) != 2:
        raise BadSetting(f"{key} = {','.join(f'{number:g}' for number in numbers)}: two numbers were expected")
    return numbers[0], numbers[1]


def _above_nought(values: Values, *keys: str) -> None:
    for key in keys:
        if values.number(key) <= 0:
            raise BadSetting(f"{key} = {values.number(key):g}: a number above 0 was expected")


def _file(values: Values, key: str) -> Path | None:
    name = values.text(key)
    return None if not name or name.upper() == "NONE" else Path(name)


def galaxy_types(values: Values) -> tuple[GalaxyType, ...]:
    """Return one record a Hubble type; BadSetting where lists differ in length."""
    count = len(values.numbers("HUBBLE_TYPE"))
    columns = []
    for _, key, kind in _BY_TYPE:
        numbers = values.wholes(key) if key.startswith("SEDINDEX") else values.numbers(key)
        if len(numbers) != count:
            raise BadSetting(
                f"{key}: {len(numbers)} values, but HUBBLE_TYPE has {count} types; one for each was expected"
            )
        columns.append([kind(number) for number in numbers])
    names = [name for name, _, _ in _BY_TYPE]
    return tuple(GalaxyType(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True))


def settings_of(values: Values) -> Settings:
    """Turn keys into settings; seeds of 0 become the time.

    Raises
    ------
    BadSetting
        Names the key, what it was and what was expected.
    """
    now = time.time_ns() % 2**31
    sizes = {
        "disc_beta": "DISK_BETA",
        "disc_radius": "DISK_RSTAR",
        "disc_evolution": "DISK_REVOL",
        "disc_scatter": "DISK_SIGMAL",
        "bulge_magnitude": "SPHEROID_MKNEE",
        "bulge_radius": "SPHEROID_RKNEE",
        "bulge_evolution": "SPHEROID_REVOL",
    }
    for key in ("SEED_STARS", "SEED_GALAXIES"):
        if values.whole(key) < 0:
            raise BadSetting(f"{key} = {values.whole(key)}: 0 or a number above was expected")
    stars = Stars(
        per_square_degree=values.number("STARCOUNT_NUMBER"),
        slope=values.number("STARCOUNT_SLOPE"),
        seds=values.texts("SED_STARS"),
        catalogue=_file(values, "STAR_CATALOG"),
        columns=values.texts("STAR_COLUMNS"),
        seed=values.whole("SEED_STARS") or now,
    )
    return Settings(
        field_size=_pair(values, "FIELD_SIZE"),
        pixel_size=values.number("PIXEL_SIZE"),
        coordinates=values.text("COORD_TYPE"),
        centre=_pair(values, "COORD_CENTER"),
        limits=_pair(values, "MAG_LIMITS"),
        absolute_limits=_pair(values, "LF_MAGLIMITS"),
        reference_passband=values.text("PASSBAND_REF"),
        reference_standard=values.text("CALIBSED_REF"),
        reference_photons=values.text("REFDETECT_TYPE") == _PHOTONS,
        passbands=values.texts("PASSBAND_OBS"),
        standards=values.texts("CALIBSED_OBS"),
        photons=tuple(each == _PHOTONS for each in values.texts("OBSDETECT_TYPE")),
        hubble_constant=values.number("H_0"),
        omega_matter=values.number("OMEGA_M"),
        omega_lambda=values.number("OMEGA_LAMBDA"),
        shell=values.number("DISTANCE_STEP"),
        seds=values.texts("SED_GALAXIES"),
        types=galaxy_types(values),
        sizes=Sizes(**{name: values.number(key) for name, key in sizes.items()}),
        extinction_law=values.text("EXTINCT_NAME"),
        igm=values.text("IGM_TYPE") != "NONE",
        kappa=values.number("LENS_KAPPA"),
        gamma=_pair(values, "LENS_GAMMA"),
        clusters=_file(values, "CLUSTER_LIST"),
        seed=values.whole("SEED_GALAXIES") or now,
        galaxies=values.switch("ADD_GALAXIES"),
        stars=stars if values.switch("ADD_STARS") else None,
    )


def outputs(values: Values) -> tuple[list[Path], Path | None]:
    """Lists, one a passband, and the table; one CATALOG_NAME that ends in .fits or .ecsv is the table."""
    names, table = [Path(name) for name in values.texts("CATALOG_NAME")], _file(values, "TABLE_NAME")
    if len(names) == 1 and names[0].suffix in SUFFIXES:
        names, table = [], names[0]
    if table is not None and table.suffix not in SUFFIXES:
        raise BadSetting(f"TABLE_NAME = {table}: a name that ends in {', '.join(SUFFIXES)} was expected")
    bands = len(values.texts("PASSBAND_OBS"))
    if names and len(names) != bands:
        raise BadSetting(
            f"CATALOG_NAME: {len(names)} names, but PASSBAND_OBS has {bands} passbands; one for each was expected, "
            "or one table that ends in .fits or .ecsv"
        )
    return names, table


def run(values: Values) -> Sky:
    """Do what the settings say."""
    _above_nought(values, "COLLECT_AREA", "GAIN")
    settings = settings_of(values)
    names, table = outputs(values)
    sky = field(settings)
    if names:
        write_lists(sky, names)
    if table is not None:
        write_table(sky, table, values.as_texts() | {"SEED_GALAXIES": str(settings.seed)})
    if settings.clusters:
        write_clusters(Path(values.text("CLUSTER_LISTOUT")), sky.clusters)
    return sky


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; 0 where the lists were made, 1 where a file hindered it, 2 where the settings did."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def do() -> str:
        begin = time.monotonic()
        values = TOOL.read(arguments)
        sky = run(values)
        if values.text("VERBOSE_TYPE") == "QUIET":
            return ""
        area, gain = values.number("COLLECT_AREA"), values.number("GAIN")
        for name, zero_point in zero_points(sky.settings, area=area, gain=gain).items():
            sys.stderr.write(f"stuff: zero-point of {name}: {zero_point:.3f} for a second\n")
        counted = f"{len(sky.galaxies)} galaxies, {len(sky.stars)} stars"
        return f"{counted} with seed {sky.settings.seed} in {time.monotonic() - begin:.2f} s"

    return TOOL.call(arguments, do)


if __name__ == "__main__":
    raise SystemExit(main())
