"""What is wrong with a file: where, what was found, and what is to be done."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Gravity(StrEnum):
    """What a finding means for who wants to use the file."""

    ERROR = "error"  #: pixels are lost or in doubt, or no reader will take the file
    WARNING = "warning"  #: against the standard, or not what was expected; readers may stumble
    NOTE = "note"  #: told for completeness


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    file: Path
    hdu: int | None
    """Number of the HDU, the primary one being 0; None where it concerns the whole file."""
    card: int | None
    """Number of the card in its header, from 1; None where it concerns no card."""
    kind: str
    """In a word or two: "truncated", "wrong checksum", …"""
    found: str
    remedy: str
    gravity: Gravity = Gravity.WARNING
    mended: bool = False
    """It is right in what is written."""

    @property
    def place(self) -> str:
        """File, HDU and card as people write them: ``979412p.fits[3] card 17``."""
        hdu = "" if self.hdu is None else f"[{self.hdu}]"
        return f"{self.file}{hdu}" + ("" if self.card is None else f" card {self.card}")

    def line(self) -> str:
        """Return the finding as a line of the report."""
        outcome = "mended" if self.mended else self.gravity.value
        return f"{outcome:<8} {self.place}: {self.kind}: {self.found}; {self.remedy}"


def report(findings: Sequence[Finding], files: int) -> str:
    """Return the findings as a text for people: one line each, in the order of the files, then the sum."""
    return "\n".join([*(finding.line() for finding in findings), summed(findings, files)])


def summed(findings: Iterable[Finding], files: int) -> str:
    """Return a line like ``3 files: 1 error, 2 mended``."""
    every = list(findings)
    mended = sum(finding.mended for finding in every)
    open_ones = [finding.gravity for finding in every if not finding.mended]
    parts = [
        f"{count} {word}{'s' if count > 1 and word != 'mended' else ''}"
        for count, word in [
            (open_ones.count(Gravity.ERROR), "error"),
            (open_ones.count(Gravity.WARNING), "warning"),
            (open_ones.count(Gravity.NOTE), "note"),
            (mended, "mended"),
        ]
        if count
    ]
    return f"{files} file{'s' if files != 1 else ''}: {', '.join(parts) or 'nothing is wrong'}"


def is_fatal(findings: Iterable[Finding]) -> bool:
    """Tell whether an error stays that was not mended."""
    return any(finding.gravity is Gravity.ERROR and not finding.mended for finding in findings)
