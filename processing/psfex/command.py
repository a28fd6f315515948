"""``terapix psfex CATALOGUE… -c FILE -KEY VALUE``: called as PSFEx is."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from processing.astromatic import Values, files_and_settings
from processing.errors import BadSetting
from processing.psfex.keys import TOOL
from processing.psfex.settings import HIDDEN, Basis, Hidden, Homogenisation, Selection, Settings


def _refuse(values: Values) -> None:
    """Raise BadSetting where something is asked for that is not done."""
    texts = values.as_texts()
    if min(values.numbers("PSF_PIXELSIZE"), default=1.0) <= 0.0:
        raise BadSetting(f"PSF_PIXELSIZE = {texts['PSF_PIXELSIZE']}: above 0 was expected")
    kind = values.text("NEWBASIS_TYPE")
    if kind != "NONE" and values.whole("NEWBASIS_NUMBER") < 1:
        raise BadSetting(f"NEWBASIS_TYPE = {kind}: NEWBASIS_NUMBER from 1 was expected")
    if values.whole("BADPIXEL_NMAX") < 0:
        raise BadSetting(f"BADPIXEL_NMAX = {values.whole('BADPIXEL_NMAX')}: 0 or more was expected")
    if values.whole("BASIS_NUMBER") < 1 or values.number("BASIS_SCALE") <= 0.0:
        raise BadSetting("BASIS_NUMBER from 1 and BASIS_SCALE above 0 were expected")


def _homogenisation(values: Values) -> Homogenisation | None:
    if values.text("HOMOBASIS_TYPE") == "NONE":
        return None
    number, scale = values.whole("HOMOBASIS_NUMBER"), values.number("HOMOBASIS_SCALE")
    profile = values.numbers("HOMOPSF_PARAMS")
    if number < 0 or scale <= 0.0:
        raise BadSetting("HOMOBASIS_NUMBER from 0 and HOMOBASIS_SCALE above 0 were expected")
    if len(profile) != 2 or profile[0] <= 0.0 or profile[1] <= 1.0:
        raise BadSetting("HOMOPSF_PARAMS: an FWHM above 0 and a beta above 1 were expected")
    return Homogenisation(number, scale, profile[0], profile[1])


def _visible(
    contexts: tuple[str, ...], groups: tuple[int, ...], degrees: tuple[int, ...]
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]:
    """Return contexts that columns tell, their groups and degrees; groups that are left are numbered anew."""
    kept = [(name, group) for name, group in zip(contexts, groups, strict=True) if not name.startswith(HIDDEN)]
    left = sorted({group for _, group in kept})
    return (
        tuple(name for name, _ in kept),
        tuple(left.index(group) + 1 for _, group in kept),
        tuple(degrees[group - 1] for group in left),
    )


def settings_of(values: Values) -> Settings:
    """Return what is done to every image.

    Raises
    ------
    BadSetting
        Names the key, its value and what was expected.
    """
    _refuse(values)
    size = values.wholes("PSF_SIZE")
    contexts, groups = values.texts("PSFVAR_KEYS"), values.wholes("PSFVAR_GROUPS")
    degrees, centre = values.wholes("PSFVAR_DEGREES"), values.texts("CENTER_KEYS")
    bounds = values.numbers("SAMPLE_FWHMRANGE")
    if degrees[:1] == (0,):
        # as in the original the first group's degree decides for all of them
        contexts, groups, degrees = (), (), ()
    for key, count, least, most in (
        ("PSF_SIZE", len(size), 1, 2), ("CENTER_KEYS", len(centre), 2, 2), ("SAMPLE_FWHMRANGE", len(bounds), 2, 2),
        ("PSFVAR_GROUPS", len(groups), len(contexts), len(contexts)),
        ("PSFVAR_DEGREES", len(degrees), max(groups, default=0), max(groups, default=0)),
    ):  # fmt: skip
        if not least <= count <= most:
            raise BadSetting(f"{key}: {count} values are given; {most} were expected")
    if min(size) < 3 or min(degrees, default=0) < 0 or min(groups, default=1) < 1:
        raise BadSetting("PSF_SIZE from 3, PSFVAR_DEGREES from 0 and PSFVAR_GROUPS from 1 were expected")
    if values.whole("PSFVAR_NSNAP") < 1:
        raise BadSetting(f"PSFVAR_NSNAP = {values.whole('PSFVAR_NSNAP')}: 1 or more was expected")
    if values.number("PSF_SAMPLING") < 0.0 or values.number("SAMPLE_VARIABILITY") <= 0.0:
        raise BadSetting("PSF_SAMPLING from 0 and SAMPLE_VARIABILITY above 0 were expected")
    if not 0.0 <= values.number("SAMPLE_MAXELLIP") < 1.0:
        raise BadSetting(f"SAMPLE_MAXELLIP = {values.number('SAMPLE_MAXELLIP')}: 0 to below 1 was expected")
    selection = Selection(
        automatic=values.switch("SAMPLE_AUTOSELECT"),
        fwhm=(bounds[0], bounds[1]),
        variability=values.number("SAMPLE_VARIABILITY"),
        snr=values.number("SAMPLE_MINSN"),
        ellipticity=values.number("SAMPLE_MAXELLIP"),
        flags=values.whole("SAMPLE_FLAGMASK"),
        weight_flags=values.whole("SAMPLE_WFLAGMASK"),
        image_flags=values.whole("SAMPLE_IMAFLAGMASK"),
        bad_pixels=values.whole("BADPIXEL_NMAX") if values.switch("BADPIXEL_FILTER") else None,
    )
    hidden = Hidden(contexts, groups, degrees, values.text("HIDDENMEF_TYPE") == "INDEPENDENT")
    if hidden.number:
        contexts, groups, degrees = _visible(contexts, groups, degrees)
    return Settings(
        selection=selection,
        step=values.number("PSF_SAMPLING"),
        size=(size[0], size[-1]),
        accuracy=values.number("PSF_ACCURACY"),
        recentred=values.switch("PSF_RECENTER"),
        centre=(centre[0], centre[1]),
        flux=values.text("PHOTFLUX_KEY"),
        contexts=contexts,
        groups=groups,
        degrees=degrees,
        basis=Basis(
            values.text("BASIS_TYPE"),
            values.whole("BASIS_NUMBER"),
            values.number("BASIS_SCALE"),
            Path(values.text("BASIS_NAME")),
        ),
        snapshots=values.whole("PSFVAR_NSNAP"),
        components=values.whole("NEWBASIS_NUMBER") if values.text("NEWBASIS_TYPE") != "NONE" else 0,
        # where all images have one model they have one basis, as in the original
        components_apart=values.text("NEWBASIS_TYPE") == "PCA_INDEPENDENT" and values.text("MEF_TYPE") != "COMMON",
        sequence=values.text("STABILITY_TYPE") == "SEQUENCE",
        hidden=hidden if hidden.number else None,
        by_seeing=values.text("SAMPLEVAR_TYPE") == "SEEING",
        common=values.text("MEF_TYPE") == "COMMON",
        homogenisation=_homogenisation(values),
        distorted=values.switch("PSF_DGEOCORRECT"),
        threads=values.whole("NTHREADS") or len(os.sched_getaffinity(0)),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; 0 where the models were made, 1 where a file hindered it, 2 where the settings did."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # each image has a thread already, and its matrices are too small for more
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    def do() -> str:
        names, pairs = files_and_settings(arguments)
        values = TOOL.read(pairs)
        settings = settings_of(values)
        if not names:
            raise BadSetting("no catalogue is named; psfex CATALOGUE [-c FILE] [-KEY VALUE]… was expected")
        from processing.psfex.run import run  # noqa: PLC0415  numpy comes with it, after its threads are set

        return run([Path(name) for name in names], values, settings, arguments)

    return TOOL.call(arguments, do, usage="psfex CATALOGUE… [-c FILE] [-KEY VALUE]…")


if __name__ == "__main__":
    raise SystemExit(main())
