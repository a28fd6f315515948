"""The weight stage: a frame, its flat and its mask become a weight map, a flag map and their pictures."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from processing.areas import bounds_of
from processing.cards import CardValues
from processing.crew import Crew, cores, crew
from processing.defects.neighbours import stars_beside
from processing.defects.trail_search import find_trails
from processing.defects.trails import Trail
from processing.flags import PixelFlag
from processing.mosaic import MosaicWriter, primary_bytes
from processing.products import MadeFile, publish
from processing.provenance import history, software, told
from processing.recipes import WEIGHT_STAGE, WeightRecipe
from processing.regions import read_regions
from processing.weightwatcher import focal_plane, inputs
from processing.weightwatcher.base import Calibration
from processing.weightwatcher.bright_stars import catalogue_stars
from processing.weightwatcher.ccd import CcdCoding, CcdFound, CcdMaps, CcdWork, search_ccd, weigh_ccd
from processing.weightwatcher.detectors import detector_of
from processing.weightwatcher.outlines import Outlines
from processing.weightwatcher.workplace import bases_of
from processing.workplace import workplace
from terapix.identity import FrameId
from terapix.steps import reached

_SEARCH = 0.6
"""Share of the work that is done when all CCDs were searched."""


@dataclass(frozen=True, slots=True)
class WeighedFrame:
    """What the stage made of a frame."""

    products: tuple[MadeFile, ...]
    summary: dict[str, Any]
    """ccds, area, pixels, flags, bases_made, side, names, counts, notes; see `_summary`."""


def weigh_frame(
    frame: Path,
    *,
    flat: Path | None,
    mask: Path | None,
    into: Path,
    recipe: WeightRecipe,
    scratch: Path,
    hot: Path | None = None,
    regions: Sequence[Path] = (),
    star_catalogues: Sequence[Path] = (),
    workers: int = 0,
    progress: Callable[[float], None] = lambda _: None,
    provenance: Mapping[str, str] | None = None,
) -> WeighedFrame:
    """Make weight map, flag map and pictures of a frame.

    Parameters
    ----------
    frame : Path
        Multi-extension FITS, one image a CCD, compressed or not.
    flat, mask : Path
        Of the same CCDs, matched by EXTNAME (by order where names are missing), gzipped or not.
        None: a response of 1; no bad pixels.
    hot : Path
        What is hot all over the run, as `processing.defects.columns.write_hot` writes it.
    regions : sequence of Path
        DS9 regions that people drew: what they cover is marked HAND.
    star_catalogues : sequence of Path
        Tables of stars whose haloes, spikes and ghosts are marked; none: saturated cores tell of the stars.
    into, scratch : Path
        Directory of the products; directory for work and for what frames share. Best on one file system.
    workers : int
        Processes; 0: one a core. Their number never changes a bit of the products.
    progress : callable
        Called with the share done, from 0 to 1, in the caller's thread.
    provenance : mapping
        More facts for the products; ``frame``, ``flat`` and ``mask`` are taken for their digests, which are then
        not computed again.

    Raises
    ------
    FileProblem
        A file is not what it should be; nothing appears in `into`.
    WorkerLost
        A worker process died; retry.

    Notes
    -----
    Weight is the flat's response, 0 where any flag is set; the rule per pixel is WeightWatcher's. Weights are whole
    numbers of the recipe's step. Defects are looked for CCD by CCD, those of the recipe's choice.
    Running again replaces the products by the same bytes.
    """
    name = FrameId.of_file(frame.name).name
    primary, extensions = inputs.open_frame(frame)
    insides = [inputs.illuminated(frame, extension) for extension in extensions]
    places = inputs.places(extensions, insides)
    mosaic = bounds_of(places)
    layout = focal_plane.Layout.of(places, recipe.picture_width)
    drawn = tuple(region for path in regions for region in read_regions(path))
    files = {"frame": frame, "flat": flat, "mask": mask, "hot": hot}
    facts = _facts(files, {"regions": regions, "stars": star_catalogues}, recipe, dict(provenance or {}))
    notes = tuple(history(facts))
    with workplace(scratch, name) as work:
        calibrations: dict[str, Sequence[Calibration | None]] = {
            kind: [None] * len(extensions)
            if path is None
            else inputs.matched(inputs.unzipped(path, work), extensions, path)
            for kind, path in (("flat", flat), ("mask", mask))
        }
        shared = {key: facts.get(key) for key in ("stage", "flat", "mask")}
        shared |= {key: getattr(recipe, key) for key in ("response_min", "response_max", "weight_step")}
        shared |= {"parts": [asdict(inside) for inside in insides], "side": layout.side}
        bases = bases_of(scratch, shared)
        detectors = [
            detector_of(extension, CardValues(primary), inside)
            for extension, inside in zip(extensions, insides, strict=True)
        ]
        stars, said = catalogue_stars(
            star_catalogues if recipe.stars.on else (), frame, primary, extensions, (insides, places, mosaic),
            faintest=recipe.stars.faintest, work=work,
        )  # fmt: skip
        tasks = [
            CcdWork(
                frame, extension, calibrations["flat"][index], calibrations["mask"][index], insides[index],
                detectors[index], layout.side, recipe,
                bases / f"{extension.hdu:03d}.base", work, places[index], mosaic, hot, drawn, index + 1, notes,
                stars[index] if stars else None,
            )
            for index, extension in enumerate(extensions)
        ]  # fmt: skip
        with contextlib.ExitStack() as stack:
            writers = {
                kind: stack.enter_context(MosaicWriter(work / f"{name}_{kind}.fits.fz", primary_bytes(primary, notes)))
                for kind in ("weight", "flag")
            }
            with crew(min(workers or cores(), len(tasks))) as hands:
                found = _search_all(tasks, hands, progress)
                trails = find_trails([each.searched.trails for each in found], places, recipe.trails)
                beside = stars_beside([each.searched.stars for each in found], insides, places, mosaic)
                codings = [
                    CcdCoding(work, each, tuple(s for trail in trails for s in trail.on(ccd)), beside[ccd])
                    for ccd, (work, each) in enumerate(zip(tasks, found, strict=True))
                ]
                outlines = Outlines(recipe.outlines)
                maps = _weigh_all(codings, writers, outlines, hands, progress)
            made = {kind: writer.finish() for kind, writer in writers.items()}
        small = {
            kind: (f"_{kind.removeprefix('picture-')}.png", content)
            for kind, content in _pictures(layout, found, maps).items()
        } | outlines.files([str(value) for _, value, *_ in notes], work)
        for kind, (ending, content) in small.items():
            with MosaicWriter(work / f"{name}{ending}", content) as writer:
                made[kind] = writer.finish()
        reached("job.written")
        into.mkdir(parents=True, exist_ok=True)
        products = tuple(publish(kind, file, into, facts) for kind, file in made.items())
        reached("job.renamed")
    progress(1.0)
    return WeighedFrame(products, _summary(tasks, found, trails, maps, [*said, *outlines.notes]))


def _facts(
    files: Mapping[str, Path | None],
    more: Mapping[str, Sequence[Path]],
    recipe: WeightRecipe,
    given: dict[str, str],
) -> dict[str, Any]:
    """What the products are made of, in the order in which their headers tell it."""
    facts: dict[str, Any] = {"software": software(), "stage": WEIGHT_STAGE, "recipe": recipe.digest}
    for kind, path in files.items():
        digest = given.pop(kind, None)
        if path is not None:
            facts[kind] = f"{path.name} {digest}" if digest else told([path])
    facts |= {kind: told(paths) for kind, paths in more.items() if paths}
    return facts | given


def _search_all(tasks: Sequence[CcdWork], hands: Crew, progress: Callable[[float], None]) -> list[CcdFound]:
    """Look for the defects of all CCDs."""
    found = []
    with contextlib.closing(hands.map(search_ccd, tasks)) as results:
        for done, each in enumerate(results, 1):
            found.append(each)
            progress(_SEARCH * done / len(tasks))
            if done == (len(tasks) + 1) // 2:
                reached("job.half")
    return found


def _weigh_all(
    codings: Sequence[CcdCoding],
    writers: Mapping[str, MosaicWriter],
    outlines: Outlines,
    hands: Crew,
    progress: Callable[[float], None],
) -> list[CcdMaps]:
    """Make the maps of all CCDs and write their extensions in order; the extensions themselves are let go."""
    maps: list[CcdMaps] = []
    with contextlib.closing(hands.map(weigh_ccd, codings)) as results:
        for done, (weight, flag, made) in enumerate(results, 1):
            writers["weight"].append(weight)
            writers["flag"].append(flag)
            outlines.add(codings[done - 1].work.extension, made.outlines)
            maps.append(made)
            progress(_SEARCH + (0.95 - _SEARCH) * done / len(codings))
    return maps


def _pictures(layout: focal_plane.Layout, found: Sequence[CcdFound], maps: Sequence[CcdMaps]) -> dict[str, bytes]:
    return {
        "picture-frame": focal_plane.frame_picture(layout, [each.frame_bins for each in found]),
        "picture-weight": focal_plane.weight_picture(layout, [each.weight_bins for each in maps]),
        "picture-flag": focal_plane.flag_picture(layout, [each.flag_bins for each in maps]),
    }


def _summary(
    tasks: Sequence[CcdWork],
    found: Sequence[CcdFound],
    trails: Sequence[Trail],
    maps: Sequence[CcdMaps],
    said: Sequence[str],
) -> dict[str, Any]:
    """Figures of the frame.

    ccds; area, the share of all pixels that have weight; pixels of the illuminated parts; flags, how many of those
    have each bit; bases_made, CCDs whose maps before any defect were not there from an earlier frame; side, pixels of
    the mosaic across one of the pictures; names of the CCDs; counts, for each flag that occurs, its pixels on each of
    them; trails of satellites and aeroplanes; notes, what headers lacked.
    """
    counts = {str(bit.name): [int(each.flag_bins[bit.bit_length() - 1].sum()) for each in maps] for bit in PixelFlag}
    return {
        "ccds": len(maps),
        "area": sum(each.area for each in maps) / len(maps),
        "pixels": sum(each.pixels for each in maps),
        "flags": {name: sum(each) for name, each in counts.items()},
        "bases_made": sum(not each.cached for each in found),
        "side": tasks[0].side,
        "names": [work.extension.name or f"HDU {work.extension.hdu}" for work in tasks],
        "counts": {name: each for name, each in counts.items() if any(each)},
        "trails": len(trails),
        "notes": list(said)
        + [f"{work.extension.name or work.extension.hdu}: {note}" for work in tasks for note in work.detector.notes],
    }
