"""The sources stage: a weighted frame becomes a catalogue of its sources and a model of its PSF, CCD by CCD."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from processing import psf_model
from processing.cards import text_of
from processing.crew import Crew, cores, crew
from processing.mosaic import MosaicWriter, primary_bytes
from processing.products import MadeFile, publish
from processing.provenance import history, software, told
from processing.psf_model import PsfModel, Variation
from processing.recipes import SOURCES_STAGE, SourcesRecipe, WeightRecipe
from processing.sextractor.exposure import Names, of_files
from processing.sources.ccd import CcdSources, CcdWork, find_sources, settings_of
from processing.workplace import workplace
from terapix.identity import FrameId
from terapix.steps import reached


@dataclass(frozen=True, slots=True)
class CataloguedFrame:
    """What the stage made of a frame."""

    products: tuple[MadeFile, ...]
    summary: dict[str, Any]
    """See `_summary`."""


def catalogue_frame(
    frame: Path,
    *,
    weight: Path,
    flag: Path,
    into: Path,
    recipe: SourcesRecipe,
    weights: WeightRecipe,
    scratch: Path,
    workers: int = 0,
    progress: Callable[[float], None] = lambda _: None,
    provenance: Mapping[str, str] | None = None,
) -> CataloguedFrame:
    """Make NAME.ldac (FITS_LDAC) and NAME.psf of a weighted frame.

    Parameters
    ----------
    frame : Path
        Multi-extension FITS, one image a CCD, compressed or not.
    weight, flag : Path
        Its maps, as the weight stage makes them: an image a CCD, in the frame's order.
    into, scratch : Path
        Directory of the products; directory for work. Best on one file system.
    recipe, weights : the recipe of this stage, and the one that its maps were made with
    workers : int
        Processes; 0: one a core. Their number never changes a bit of the products.
    progress : callable
        Called with the share done, from 0 to 1, in the caller's thread.
    provenance : mapping
        More facts for the products; ``frame``, ``weight`` and ``flag`` are taken for their digests.

    Raises
    ------
    FileProblem
        A file is not what it should be; nothing appears in `into`.
    WorkerLost
        A worker process died; retry.

    Notes
    -----
    A CCD without stars is no error: its model is 0 everywhere with ACCEPTED 0, as PSFEx has it, so that models keep the
    order of the CCDs, and the summary says why. Running again replaces the products by the same bytes.
    """
    name = FrameId.of_file(frame.name).name
    files = {"frame": frame, "weight": weight, "flag": flag}
    facts = _facts(files, recipe.digest_with(weights), dict(provenance or {}))
    notes = history(facts)
    exposures = of_files(Names(str(frame), weights=(str(weight),), flags=(str(flag),)), settings_of(recipe))
    tasks = [
        CcdWork(replace(each, cards=each.cards + text_of(notes)), recipe, each.told.text("EXTNAME") or f"CCD {index}")
        for index, each in enumerate(exposures, 1)
    ]
    with workplace(scratch, name, stage="sources") as work, contextlib.ExitStack() as stack:
        catalogue = stack.enter_context(MosaicWriter(work / f"{name}.ldac", primary_bytes(None, notes)))
        with crew(min(workers or cores(), len(tasks))) as hands:
            found = _find_all(tasks, catalogue, hands, progress)
        made = {"catalogue": catalogue.finish()}
        with MosaicWriter(work / f"{name}.psf", primary_bytes(None, notes)) as writer:
            for each in found:
                writer.append(psf_model.model_bytes(each.model or _nothing(recipe)))
            made["psf"] = writer.finish()
        reached("sources.written")
        into.mkdir(parents=True, exist_ok=True)
        products = tuple(publish(kind, file, into, facts) for kind, file in made.items())
        reached("sources.renamed")
    progress(1.0)
    return CataloguedFrame(products, _summary(found))


def _facts(files: Mapping[str, Path], recipe: str, given: dict[str, str]) -> dict[str, Any]:
    """What the products are made of, in the order in which their headers tell it."""
    facts: dict[str, Any] = {"software": software(), "stage": SOURCES_STAGE, "recipe": recipe}
    for kind, path in files.items():
        digest = given.pop(kind, None)
        facts[kind] = f"{path.name} {digest}" if digest else told([path])
    return facts | given


def _find_all(
    tasks: Sequence[CcdWork], catalogue: MosaicWriter, hands: Crew, progress: Callable[[float], None]
) -> list[CcdSources]:
    """Find the sources of all CCDs and write their tables in order; the tables themselves are let go."""
    found: list[CcdSources] = []
    with contextlib.closing(hands.map(find_sources, tasks)) as results:
        for done, each in enumerate(results, 1):
            catalogue.append(each.hdus)
            found.append(replace(each, hdus=b""))
            progress(0.95 * done / len(tasks))
            if done == (len(tasks) + 1) // 2:
                reached("sources.half")
    return found


def _nothing(recipe: SourcesRecipe) -> PsfModel:
    """The model of a CCD of which nothing is known."""
    return psf_model.without_stars((recipe.psf.size, recipe.psf.size), Variation())


def _summary(found: Sequence[CcdSources]) -> dict[str, Any]:
    """Figures of the frame.

    ccds; sources and stars, of all CCDs (stars: those that the PSF was made of and that it fits); seeing, the median
    FWHM (") of CCDs that have a PSF, and ellipticity likewise, absent where none has one; background, its median (ADU);
    extraction, seconds of all CCDs together; by_ccd, the same of each, with names, the angle of the major axis (degrees
    from the CCD's x axis to its y axis) and chi2, the mean reduced one of stars; verdicts, why CCDs have no PSF or a
    simpler one; warnings, what images lacked.
    """
    fwhm = [None if each.shape is None else round(each.shape.fwhm * each.scale, 3) for each in found]
    ellipticity = [None if each.shape is None else round(each.shape.ellipticity, 4) for each in found]
    stars = [each.model.accepted if each.model else 0 for each in found]
    seen, round_ = [each for each in fwhm if each is not None], [each for each in ellipticity if each is not None]
    return {
        "ccds": len(found),
        "sources": sum(each.sources for each in found),
        "stars": sum(stars),
        **({"seeing": round(median(seen), 3), "ellipticity": round(median(round_), 4)} if seen else {}),
        "background": round(median(each.background for each in found), 2),
        "extraction": round(sum(each.seconds for each in found), 2),
        "by_ccd": {
            "name": [each.name for each in found],
            "sources": [each.sources for each in found],
            "stars": stars,
            "fwhm": fwhm,
            "ellipticity": ellipticity,
            "angle": [None if each.shape is None else round(each.shape.angle, 1) for each in found],
            "chi2": [None if each.model is None else round(each.model.chi2, 3) for each in found],
            "background": [round(each.background, 2) for each in found],
            "noise": [round(each.noise, 3) for each in found],
            "seconds": [round(each.seconds, 2) for each in found],
        },
        "verdicts": {each.name: each.verdict for each in found if each.verdict},
        "warnings": [f"{each.name}: {warning}" for each in found for warning in each.warnings],
    }
