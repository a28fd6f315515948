"""Sets of files: which files belong together, in what order, and what they are called when they are written."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from processing.errors import BadSetting, NotFits
from processing.missfits.findings import Finding, Gravity
from processing.missfits.scan import Scanned, scan

_ENDINGS = (".fits.fz", ".fits", ".fit", ".fts", ".fz")


class Layout(StrEnum):
    """How images lie in files."""

    SAME = "SAME"  #: as they came
    MULTI = "MULTI"  #: extensions of one file
    SPLIT = "SPLIT"  #: a file each, and one for the primary header
    SLICE = "SLICE"  #: a file for each plane of a cube
    CUBE = "CUBE"  #: planes of one file
    DIR = "DIR"  #: a file each, in a directory


@dataclass(frozen=True, slots=True)
class Numbering:
    """Names of the files of a set."""

    suffix: str
    """With one %d, as ``.%03d.fits``."""
    start: int
    """Number of the first one."""

    def __post_init__(self) -> None:
        if len(re.findall(r"%0?\d*d", self.suffix)) != 1 or self.suffix.count("%") != 1:
            raise BadSetting(f"suffix {self.suffix!r}: one %d, as in .%03d.fits, was expected")

    def of(self, number: int) -> str:
        """Return the suffix of a number."""
        return self.suffix % number

    def files(self, stem: Path) -> dict[int, Path]:
        """Return the files there are, by number."""
        before, after = re.split(r"%0?\d*d", self.suffix)
        form = re.compile(re.escape(stem.name + before) + r"(\d+)" + re.escape(after))
        found: dict[int, Path] = {}
        for path in sorted(stem.parent.iterdir()) if stem.parent.is_dir() else []:
            match = form.fullmatch(path.name)
            if match and path.name == stem.name + self.of(int(match[1])):
                found[int(match[1])] = path
        return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class Source:
    """What an argument names."""

    stem: Path
    """Its path without the ending."""
    ending: str
    layout: Layout
    """SAME is a file of its own, of one image or of many."""
    files: tuple[Scanned, ...]
    numbers: tuple[int, ...]
    """Of the files of a set."""
    findings: tuple[Finding, ...]
    """About the set; those about a file are with the file."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files that were read."""
        return tuple(scanned.path for scanned in self.files)

    @property
    def kind(self) -> Layout:
        """Layout as the summary tells it: a file with extensions is MULTI."""
        return Layout.MULTI if self.layout is Layout.SAME and len(self.files[0].hdus) > 1 else self.layout

    @property
    def label(self) -> Path:
        """How people call it."""
        return self.paths[0] if self.layout is Layout.SAME else self.stem


def parts(path: Path) -> tuple[Path, str]:
    """Return a path without its ending, and the ending."""
    for ending in _ENDINGS:
        if path.name.endswith(ending):
            return path.with_name(path.name[: -len(ending)]), ending
    return path, ""


def source_of(name: str, *, splits: Numbering, slices: Numbering, wanted: Layout, mend: bool) -> Source:
    """Find what an argument names: a file, a directory of files, or the beginning of the names of a set.

    Raises
    ------
    NotFits
        Where there is nothing of that name.
    """
    path = Path(name)
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.is_file() and parts(each)[1])
        if not files:
            raise NotFits(path, "is a directory without FITS files", remedy="a file, a set or a full one was expected")
        numbers = [_number(each, place) for place, each in enumerate(files, splits.start)]
        return _source(path, ".fits", Layout.DIR, files, numbers, splits, mend=mend)
    if path.is_file():
        stem, ending = parts(path)
        return Source(stem, ending or ".fits", Layout.SAME, (scan(path, mend=mend),), (0,), ())
    layout, numbering = (Layout.SLICE, slices) if wanted in {Layout.CUBE, Layout.SLICE} else (Layout.SPLIT, splits)
    found = numbering.files(path)
    if not found:
        raise NotFits(path, f"is no file, no directory, and no {path.name}{numbering.of(numbering.start)} is there",
                      remedy="give the name of a file, or what the names of a set begin with")  # fmt: skip
    return _source(path, parts(Path(numbering.suffix))[1], layout, found.values(), found, numbering, mend=mend)


def _number(path: Path, place: int) -> int:
    found = re.findall(r"\d+", parts(path)[0].name)
    return int(found[-1]) if found else place


def _source(stem: Path, ending: str, layout: Layout, files: object, numbers: object, numbering: Numbering, *,
            mend: bool) -> Source:  # fmt: skip
    paths, given = list(files), list(numbers)  # type: ignore[call-overload]
    if len(set(given)) < len(given):
        given = list(range(numbering.start, numbering.start + len(paths)))
    scanned = tuple(scan(path, mend=mend) for path in paths)
    first = numbering.start if given and given[0] >= numbering.start else given[0]
    missing = sorted(set(range(first, max(given) + 1)) - set(given))
    findings = [
        Finding(stem, None, None, "missing file", f"no file has number {number}", "fetch it again", Gravity.ERROR)
        for number in missing
    ]
    return Source(stem, ending, layout, scanned, tuple(given), tuple(findings))
