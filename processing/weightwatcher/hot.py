"""``terapix weightwatcher hot``: what is hot or dead in most frames of a run, though no mask shows it."""

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from processing.areas import Area
from processing.astromatic import Key, Kind, Tool, Values, files_and_settings
from processing.bar import Bar
from processing.cards import CardValues
from processing.crew import cores, crew
from processing.defects.background import Background
from processing.defects.columns import HotCandidates, hot_candidates, hot_of_run, write_hot
from processing.defects.image import CcdImage
from processing.defects.saturation import mark_saturated
from processing.defects.settings import ColumnSettings, SaturationSettings
from processing.errors import BadSetting, ShapeMismatch
from processing.flags import PixelFlag
from processing.reading import Extension, read_pixels
from processing.weightwatcher import inputs
from processing.weightwatcher.base import Calibration
from processing.weightwatcher.detectors import Detector, detector_of

_I, _H, _M = "Input", "What lasts", "Miscellaneous"
_KNOWN = ColumnSettings()
TOOL = Tool(
    "hot",
    "default.hot",
    (
        Key("MASK_NAME", Kind.TEXT, "", "mask of the detector, 0 where bad; none: nothing is known", _I),
        Key("HOT_NAME", Kind.TEXT, "hot.fits.fz", "mask to write: 1 good, 0 hot or dead", _H),
        Key("COLUMN_MIN", Kind.NUMBER, f"{_KNOWN.column}", "excess of a column over its neighbours (sigma)", _H),
        Key("PIXEL_MIN", Kind.NUMBER, f"{_KNOWN.pixel}", "excess of a lone pixel over the sky (sigma)", _H),
        Key("SHARE_MIN", Kind.NUMBER, f"{_KNOWN.share}", "share of the frames in which it has to stand", _H),
        Key("FRAMES_MIN", Kind.WHOLE, f"{_KNOWN.exposures}", "frames without which nothing lasts", _H),
        Key("NTHREADS", Kind.WHOLE, "0", "processes; 0: one a core", _M),
        Key("VERBOSE_TYPE", Kind.TEXT, "NORMAL", "QUIET or NORMAL", _M, choices=("QUIET", "NORMAL")),
    ),
)
USAGE = "weightwatcher hot FRAME FRAME FRAME… [-c FILE] [-KEY VALUE]…"


@dataclass(frozen=True, slots=True)
class _CcdOfFrame:
    """One CCD of one frame, as a worker is given it."""

    frame: Path
    run: str
    """RUNID."""
    extension: Extension
    inside: Area
    detector: Detector
    mask: Calibration | None
    settings: ColumnSettings


def candidates_on(work: _CcdOfFrame) -> HotCandidates:
    """Find what stands out on one CCD of one frame."""
    pixels = read_pixels(work.frame, work.extension).astype(np.float32)
    inside, detector = work.inside, work.detector
    flags = np.full(pixels.shape, int(PixelFlag.OVERSCAN), np.int16)
    flags[inside.y0 : inside.y1, inside.x0 : inside.x1] = 0
    if work.mask is not None:
        flags[work.mask.pixels() == 0] |= int(PixelFlag.BAD)
    name = f"{work.frame}[{work.extension.hdu}]"
    image = CcdImage(pixels, inside, detector.amplifiers, detector.saturation, detector.pixel_scale, name)
    background = Background.of(image, flags)
    mark_saturated(image, flags, background, SaturationSettings())
    return hot_candidates(image, flags, background, work.settings)


def run(frames: Sequence[Path], values: Values) -> str:
    """Do what the settings say; return a line about it."""
    try:
        settings = ColumnSettings(
            column=values.number("COLUMN_MIN"), pixel=values.number("PIXEL_MIN"),
            share=values.number("SHARE_MIN"), exposures=values.whole("FRAMES_MIN"),
        )  # fmt: skip
    except ValueError as problem:
        raise BadSetting(f"COLUMN_MIN, PIXEL_MIN, SHARE_MIN or FRAMES_MIN: {problem}") from problem
    if len(frames) < settings.exposures:
        raise BadSetting(f"{len(frames)} frames given: at least FRAMES_MIN = {settings.exposures} were expected")
    with tempfile.TemporaryDirectory(prefix="hot-") as place:
        return _run(frames, _mask(values.text("MASK_NAME"), Path(place)), settings, values)


def _mask(name: str, place: Path) -> tuple[Path, Path] | None:
    """The mask as it can be read, and as it is called; none where no name is given."""
    if not name:
        return None
    path = Path(name)
    return inputs.unzipped(path, place) if path.is_file() else path, path


def _run(frames: Sequence[Path], mask: tuple[Path, Path] | None, settings: ColumnSettings, values: Values) -> str:
    """Find, write, and return a line about it."""
    opened = {str(frame): _ccds(frame, mask, settings) for frame in frames}
    names = list(opened[str(frames[0])])
    for frame, ccds in opened.items():
        if list(ccds) != names:
            found = f"has CCDs {', '.join(list(ccds)[:3])}… where {frames[0]} has {', '.join(names[:3])}…"
            raise ShapeMismatch(Path(frame), found, remedy="give frames of one camera and one run")
    tasks = (opened[frame][name] for name in names for frame in opened)
    workers = values.whole("NTHREADS") or cores()
    with crew(workers) as hands, contextlib.closing(hands.map(candidates_on, tasks)) as results:
        said = (lambda _: None) if values.text("VERBOSE_TYPE") == "QUIET" else Bar()
        lasting = hot_of_run(names, list(opened), lambda _frame, _name: next(results), settings, said)
    first = opened[str(frames[0])][names[0]]
    written = write_hot(Path(values.text("HOT_NAME")), lasting, run=first.run)
    count = sum(each.good.size - int(np.count_nonzero(each.good)) for _, each in lasting)
    return f"{count} pixels of {len(names)} CCDs are hot or dead in {len(frames)} frames: {written.path}"


def _ccds(frame: Path, mask: tuple[Path, Path] | None, settings: ColumnSettings) -> dict[str, _CcdOfFrame]:
    """CCDs of a frame by name."""
    primary, extensions = inputs.open_frame(frame)
    values = CardValues(primary)
    masks = inputs.matched(mask[0], extensions, mask[1]) if mask else [None] * len(extensions)
    found = {}
    for number, (extension, known) in enumerate(zip(extensions, masks, strict=True)):
        inside = inputs.illuminated(frame, extension)
        name = extension.name or f"{number}"
        found[name] = _CcdOfFrame(
            frame, values.text("RUNID") or extension.values.text("RUNID"), extension, inside,
            detector_of(extension, values, inside), known, settings,
        )  # fmt: skip
    return found


def main(arguments: Sequence[str]) -> int:
    """Run the tool; 0 where the mask was made, 1 where a file hindered it, 2 where the settings did."""

    def do() -> str:
        frames, settings = files_and_settings(arguments)
        values = TOOL.read(settings)
        said = run([Path(frame) for frame in frames], values)
        return "" if values.text("VERBOSE_TYPE") == "QUIET" else said

    return TOOL.call(arguments, do, usage=USAGE)
