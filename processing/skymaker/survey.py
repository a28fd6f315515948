"""``terapix skymaker --instrument``: whole frames of a camera, the calibrations that they name, and the truth."""

import argparse
import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from processing.errors import BadSetting, ProcessingError
from processing.skymaker.bands import band_named, bands_of
from processing.skymaker.detector import fringe_amplitude
from processing.skymaker.effects import Effects, effects_of, names
from processing.skymaker.exposures import MASK, Band, Exposure
from processing.skymaker.headers import Manner
from processing.skymaker.nights import Night, exposures_of, pointing_of, reach_of
from processing.skymaker.objects import read_objects
from processing.skymaker.painter import paint_all
from processing.skymaker.painting import Kind, Painting
from processing.skymaker.sources import Stock
from terapix.errors import TerapixError
from terapix.instruments import Instrument, known_instruments, load_instrument

FIRST_NUMBER = 990001
"""Exposure number of the first frame, apart from those of the demo."""
MARGIN = 0.03
"""Degrees round mosaic and dithers in which the seed's sky has sources."""


def parser() -> argparse.ArgumentParser:
    """Give the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="terapix skymaker",
        description="Paint whole frames of a camera, the calibrations that their headers name, and the truth.",
        epilog=f"effects: {', '.join(names())}",
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--instrument", required=True, help=f"{', '.join(known_instruments())}, or the path of an instrument's file")
    add("--pointing", required=True, metavar="RA,DEC", help="degrees, or as 14:19:28,+52:40:41")
    add("--exposures", type=int, default=1, metavar="N", help="how many frames (1)")
    add("--dither", default="75", metavar="ARCSEC|E:N,…", help="half side of the square of pointings, or offsets (75)")
    add("--filter", default="", metavar="NAME,…", help="filters, taken in turns (r, or the camera's first)")
    add("--exptime", type=float, metavar="SECONDS", help="exposure time (that of the filter)")
    add("--seeing", type=float, metavar="ARCSEC", help="seeing of all frames (0.65 to 0.95 from frame to frame)")
    add("--transparency", type=float, metavar="SHARE", help="light that clouds let pass (0.9 to 1 from frame to frame)")
    add("--date", default="", metavar="YYYY-MM-DD", help="night (the one in which the field culminates at midnight)")
    add("--directory", type=Path, default=Path(), help="where the files go (here)")
    add("--seed", type=int, default=1, help="everything follows from it, to the bit (1)")
    add("--ccds", type=int, metavar="N", help="paint the first N CCDs only")
    add("--effects", action="append", default=[], metavar="NAME=on|off,NAME.PARAMETER=VALUE,…", help="see below")
    add("--plain", action="store_true", help="sources on an even sky with noise, and nothing else")
    add("--list", action="append", default=[], metavar="[FILTER=]FILE", help="sources: a list or a table of Stuff")
    add(
        "--wcs",
        choices=("elixir", "pv"),
        default="elixir",
        help="linear headers as Elixir's, or with PV terms (elixir)",
    )
    add("--number", type=int, default=FIRST_NUMBER, help=f"exposure number of the first frame ({FIRST_NUMBER})")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (one a core)")
    return made


def run(arguments: argparse.Namespace, progress: Callable[[str, float], None]) -> list[Path]:
    """Paint what the command line asks for; return the files.

    Raises
    ------
    BadSetting
        Names the option, its value and what was expected.
    """
    instrument = _instrument(arguments)
    manner = _manner(arguments, instrument)
    exposures = _exposures(arguments, instrument)
    stock, digest = _stock(arguments, instrument, exposures)
    wanted = frames_of(
        instrument, exposures, camera=arguments.instrument, seed=arguments.seed, manner=manner, stock=stock,
        sources=digest,
    )  # fmt: skip
    return paint_all(
        arguments.directory, wanted, instrument=instrument, workers=max(arguments.workers, 1), progress=progress
    )


def frames_of(
    instrument: Instrument,
    exposures: Sequence[Exposure],
    *,
    camera: str,
    seed: int,
    manner: Manner,
    stock: Stock,
    sources: str = "",
) -> list[Painting]:
    """List the files of a survey: each frame behind the calibrations that its header names."""
    ccds = len(instrument.ccds)
    camera = camera.partition(":")[0]
    listed: dict[str, Painting] = {}
    for exposure in exposures:
        if instrument.weights:
            listed.setdefault(MASK, Painting(Kind.MASK, MASK, ccds, 0, camera=camera, manner=manner))
            flat = Painting(Kind.FLAT, exposure.flat, ccds, seed, exposure, camera=camera, manner=manner)
            listed.setdefault(exposure.flat, flat)
        if manner.fringe and fringe_amplitude(manner.effects.fringes, exposure.band) > 0.0:
            fringe = Painting(Kind.FRINGE, exposure.fringe, ccds, seed, exposure, camera=camera, manner=manner)
            listed.setdefault(exposure.fringe, fringe)
        name = f"{exposure.number}{instrument.acceptance.suffix}"
        listed[name] = Painting(
            Kind.PROCESSED, name, ccds, seed, exposure, camera=camera, manner=manner, stock=stock, truth=True,
            sources=sources,
        )  # fmt: skip
    return list(listed.values())


def _instrument(arguments: argparse.Namespace) -> Instrument:
    instrument = load_instrument(arguments.instrument)
    if arguments.ccds is None:
        return instrument
    try:
        return instrument.with_ccds(arguments.ccds)
    except ValueError as problem:
        raise BadSetting(f"--ccds {arguments.ccds}: 1 to {len(instrument.ccds)} were expected") from problem


def _manner(arguments: argparse.Namespace, instrument: Instrument) -> Manner:
    effects: Effects = effects_of(instrument.painting.get("effects", {}), where=f"instrument {instrument.name}")
    if arguments.plain:
        effects = effects.plain()
    for orders in arguments.effects:
        effects = effects.switched(orders)
    return Manner(effects, distortion=arguments.wcs == "pv", fringe=instrument.weights)


def _bands(arguments: argparse.Namespace, instrument: Instrument) -> list[Band]:
    known = bands_of(instrument)
    chosen = [name.strip() for name in arguments.filter.split(",") if name.strip()]
    if not chosen:
        chosen = ["r"] if any(band.name == "r" for band in known.values()) else [next(iter(known))]
    bands = [band_named(instrument, name, option="--filter") for name in chosen]
    if arguments.exptime is None:
        return bands
    if not 0.0 < arguments.exptime <= 36000.0:
        raise BadSetting(f"--exptime {arguments.exptime}: more than 0 and up to 36000 seconds were expected")
    return [replace(band, exptime=arguments.exptime) for band in bands]


def _exposures(arguments: argparse.Namespace, instrument: Instrument) -> list[Exposure]:
    for option, value, low, high in (
        ("--exposures", arguments.exposures, 1, 100_000),
        ("--seed", arguments.seed, 0, 2**63 - 1),
        ("--number", arguments.number, 1, 99_999_999),
        ("--seeing", arguments.seeing, 0.2, 10.0),
        ("--transparency", arguments.transparency, 0.001, 1.0),
    ):
        if value is not None and not low <= value <= high:
            raise BadSetting(f"{option} {value}: {low} to {high} was expected")
    night = Night(
        instrument=instrument,
        pointing=pointing_of(arguments.pointing),
        dither=arguments.dither,
        bands=tuple(_bands(arguments, instrument)),
        date=arguments.date,
        seeing=arguments.seeing,
        transparency=arguments.transparency,
        first_number=arguments.number,
        seed=arguments.seed,
    )
    return exposures_of(night, arguments.exposures)


def _stock(arguments: argparse.Namespace, instrument: Instrument, exposures: Sequence[Exposure]) -> tuple[Stock, str]:
    """Give the sources of the frames, and the digest of the lists that hold them."""
    ra, dec = exposures[0].field
    side = max(instrument.mosaic) * instrument.pixel_scale / 7200.0 + MARGIN
    side += reach_of(arguments.dither) / 3600.0
    lists, digest = [], hashlib.sha256()
    for order in arguments.list:
        name, equals, path = order.rpartition("=")
        band = band_named(instrument, name, option="--list").filter if equals else ""
        lists.append((band, Path(path)))
        objects = read_objects(Path(path), band or exposures[0].band.filter)
        digest.update(Path(path).read_bytes())
        near = abs(objects.dec - dec) < side
        if not near.any():
            found = f"Dec {objects.dec.min():.3f} to {objects.dec.max():.3f}"
            raise BadSetting(f"--list {path}: its sources ({found}) lie beside the field at {ra:.3f},{dec:.3f}")
    return Stock(round(ra, 9), round(dec, 9), round(side, 4), tuple(lists)), digest.hexdigest() if lists else ""


@contextlib.contextmanager
def _shown() -> Iterator[Callable[[str, float], None]]:
    """Give a progress bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _what, _share: None
        return
    from rich.console import Console  # noqa: PLC0415  on a terminal only
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("painting", total=1.0)
        yield lambda what, share: bar.update(task, completed=share, description=what or "painted")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 where all was painted, 1 where a file or the disk hindered it, 2 where an option did."""
    given = parser().parse_args(arguments)
    try:
        with _shown() as progress:
            files = run(given, progress)
    except (BadSetting, ValueError) as problem:
        sys.stderr.write(f"skymaker: {problem}\n")
        return 2
    except (ProcessingError, TerapixError, OSError) as problem:
        sys.stderr.write(f"skymaker: {problem}\n")
        return 1
    sys.stdout.writelines(f"{path}\n" for path in files)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
