"""What only the whole of a file or a set shows: names that are there twice, extensions that are missing."""

from collections.abc import Sequence
from pathlib import Path

from processing.missfits.findings import Finding, Gravity
from processing.missfits.hdus import Hdu


def completeness(label: Path, hdus: Sequence[Hdu], least: int) -> list[Finding]:
    """Return what is wrong with HDUs as a whole.

    Parameters
    ----------
    label : how people call the file or the set
    hdus : the primary one first, whether they lie in one file or in many
    least : extensions that have to be there
    """
    findings = _twice(hdus)
    count = max(len(hdus) - 1, 0)
    promised = hdus[0].values.plain("NEXTEND") if hdus else ""
    if count and promised.isdigit() and count != int(promised):
        found = f"NEXTEND = {promised}, and {count} extensions are there"
        if count < int(promised):
            remedy = "fetch it again, or set NEXTEND if it is meant to be a part"
            findings.append(Finding(label, None, None, "missing CCD", found, remedy, Gravity.ERROR))
        else:
            findings.append(Finding(label, None, None, "more CCDs than told", found, "set NEXTEND"))
    images = max(count, 1)
    if images < least:
        found = f"{images} extensions are there, at least {least} were expected (NEXTENSIONS_MIN)"
        findings.append(Finding(label, None, None, "missing CCD", found, "fetch it again", Gravity.ERROR))
    return findings


def _twice(hdus: Sequence[Hdu]) -> list[Finding]:
    findings: list[Finding] = []
    seen: dict[tuple[str, str], Hdu] = {}
    for hdu in hdus[1:]:
        values = hdu.values
        name = (values.text("EXTNAME"), values.plain("EXTVER") or "1")
        if name[0] and name in seen:
            first = seen[name]
            found = f"EXTNAME {name[0]!r}, EXTVER {name[1]} is that of {first.path}[{first.number}] too"
            remedy = "one of them is a copy, or lost its name: give each CCD its own"
            findings.append(Finding(hdu.path, hdu.number, None, "duplicate EXTNAME", found, remedy))
        seen.setdefault(name, hdu)
    return findings
