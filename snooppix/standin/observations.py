"""How files become observations, planes and artifacts: the rules of the archive's own cfht2caom2, from the headers."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from snooppix.protocol.cards import Value
from snooppix.protocol.schema import ARTIFACT, OBSERVATION, PLANE
from snooppix.protocol.sealing import identity, sealed, stamp
from snooppix.protocol.tables import Row
from snooppix.standin.inventory import StoredFile, ending

EXPOSURE = re.compile(r"(?P<number>\d{1,9})(?P<kind>[a-z])(?P<rest>_.+)?")
PREVIEW = re.compile(r"(?P<plane>.+)_preview_(?P<size>256|1024|zoom_1024)")
PROCESSED = {"p", "s"}
"""Kinds of exposures that Elixir has processed (calibration level 2); all others are raw (level 1)."""
STAMP = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(\.\d{1,3})?\d*)?Z?")

SEXAGESIMAL = re.compile(r"([-+]?)(\d{1,3}):(\d\d?):(\d\d?(?:\.\d*)?)")

BANDS = {
    "u.MP9301": (374.3, 75.8),
    "g.MP9401": (487.2, 145.5),
    "r.MP9601": (628.2, 121.9),
    "i.MP9701": (777.6, 150.8),
    "i.MP9702": (764.0, 146.0),
    "z.MP9801": (1170.0, 687.0),
}
"""Centre and width of MegaCam filters in nm, as the instrument's pages give them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file belongs."""

    observation: str
    plane: str
    role: str
    """Empty for the plane's own data; auxiliary, preview or thumbnail beside it."""


def place(name: str) -> Place:
    """Find observation and plane of a file from its name: ``979412p.fits.fz`` is plane 979412p of 979412."""
    identity = name.removesuffix(ending(name))
    role = ""
    if found := PREVIEW.fullmatch(identity):
        identity = found["plane"]
        role = "thumbnail" if found["size"] == "256" else "preview"
    exposure = EXPOSURE.fullmatch(identity)
    if exposure is None:
        return Place(identity, identity, role)
    rest = exposure["rest"] or ""
    if rest.startswith("_diag"):
        identity, role = identity.removesuffix(rest), role or "auxiliary"
    return Place(exposure["number"], identity, role)


def observation_identity(name: str) -> str:
    """Give the obsID of an observation."""
    return identity(f"caom:CFHT/{name}")


def describe(
    files: Iterable[StoredFile], *, lag: Callable[[StoredFile], float] = lambda _: 0.0
) -> dict[str, list[Row]]:
    """Make the rows of the three tables, keyed by table name, from the files and their headers.

    `lag` says by how many seconds the time stamp of a file is older than it should be.
    """
    planes: dict[str, dict[str, list[tuple[Place, StoredFile]]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        where = place(file.name)
        planes[where.observation][where.plane].append((where, file))
    rows: dict[str, list[Row]] = {table.name: [] for table in (OBSERVATION, PLANE, ARTIFACT)}
    for name, parts in sorted(planes.items()):
        headed = {
            plane: main.keywords
            for plane, held in parts.items()
            if (main := next((file for where, file in held if not where.role), None)) is not None
        }
        if headed:
            _describe(name, {plane: parts[plane] for plane in headed}, headed, rows, lag)
    return rows


def _describe(
    name: str,
    parts: dict[str, list[tuple[Place, StoredFile]]],
    headed: dict[str, Mapping[str, Value]],
    rows: dict[str, list[Row]],
    lag: Callable[[StoredFile], float],
) -> None:
    first = min(headed, key=_precedence)
    observation = _observation(name, first, headed[first])
    changed = []
    sums = []
    for plane, held in sorted(parts.items()):
        row = _plane(observation, plane, headed[plane])
        artifacts = [_artifact(row, observation, where, file, lag(file)) for where, file in held]
        rows[ARTIFACT.name] += artifacts
        times = [artifact["lastModified"] for artifact in artifacts]
        rows[PLANE.name].append(sealed(PLANE, row, times, [artifact["metaChecksum"] for artifact in artifacts]))
        changed += times
        sums.append(row["accMetaChecksum"])
    rows[OBSERVATION.name].append(sealed(OBSERVATION, observation, changed, sums))


def _precedence(plane: str) -> tuple[int, str]:
    """Order in which planes describe their observation: the processed frame, the raw one, others."""
    kind = found["kind"] if (found := EXPOSURE.fullmatch(plane)) and not found["rest"] else ""
    return {"p": 0, "o": 1}.get(kind, 2), plane


def _observation(name: str, plane: str, keywords: Mapping[str, Value]) -> Row:
    number = int(name) if name.isdigit() else None
    part = name.split(".")[1].upper() if name.count(".") > 1 else "OBJECT"
    flag = plane.endswith("_flag")
    kind = _text(keywords, "OBSTYPE") or ("MASK" if flag else part)
    science = kind == "OBJECT" and not flag
    master = number is None and kind != "MASK"
    run = _text(keywords, "RUNID")
    released = stamp_of(_text(keywords, "MET_DATE") or _text(keywords, "DATE-OBS") or _text(keywords, "REL_DATE"))
    mode = _text(keywords, "INSTMODE")
    return {
        "observationURI": f"caom:CFHT/{name}",
        "obsID": observation_identity(name),
        "collection": "CFHT",
        "observationID": name,
        "algorithm_name": "master_detrend" if master else "exposure",
        "typeCode": "D" if master else "S",
        "type": kind,
        "intent": "science" if science else "calibration",
        "sequenceNumber": number,
        "metaRelease": released,
        "proposal_id": run,
        "proposal_pi": (_text(keywords, "PI_NAME") or "CFHT") if run else None,
        "target_name": _text(keywords, "OBJECT"),
        "target_standard": 0,
        "targetPosition_coordinates_cval1": _degrees(keywords, "OBJRA", hours=True) if science else None,
        "targetPosition_coordinates_cval2": _degrees(keywords, "OBJDEC") if science else None,
        "telescope_name": "CFHT 3.6m",
        "instrument_name": _text(keywords, "INSTRUME") or "MegaPrime",
        "instrument_keywords": f"INSTMODE={mode}" if mode else None,
        "environment_humidity": _number(keywords, "RELHUMID"),
        "environment_elevation": _number(keywords, "TELALT"),
        "environment_ambientTemp": _number(keywords, "TEMPERAT"),
        "metaProducer": "terapix stand-in",
    }


def _plane(observation: Row, plane: str, keywords: Mapping[str, Value]) -> Row:
    name = observation["observationID"]
    uri = f"{observation['observationURI']}/{plane}"
    found = EXPOSURE.fullmatch(plane)
    raw = found is not None and not found["rest"] and found["kind"] not in PROCESSED
    band = _text(keywords, "FILTER")
    start, exposure = _number(keywords, "MJD-OBS"), _number(keywords, "EXPTIME")
    centre, width = BANDS.get(band or "", (None, None))
    flag = plane.endswith("_flag")
    done = _text(keywords, "DATEPROC")
    return {
        "publisherID": f"ivo://cadc.nrc.ca/CFHT?{name}/{plane}",
        "obsID": observation["obsID"],
        "planeID": identity(uri),
        "planeURI": uri,
        "productID": plane,
        "metaRelease": observation["metaRelease"],
        "dataRelease": release(keywords) or observation["metaRelease"],
        "dataProductType": "image",
        "calibrationLevel": 1 if raw else 2,
        "provenance_name": "ELIXIR",
        "provenance_version": _text(keywords, "EL_SYS"),
        "provenance_reference": "http://www.cfht.hawaii.edu/Instruments/Elixir/",
        "provenance_producer": "WeightWatcher" if flag else "CFHT",
        "provenance_project": "STANDARD PIPELINE",
        "provenance_runID": _text(keywords, "CRUNID"),
        "provenance_lastExecuted": stamp_of(done),
        "provenance_inputs": f"caom:CFHT/{name}/{name}o" if found and found["kind"] == "p" and not flag else None,
        "position_sampleSize": _number(keywords, "PIXSCAL1"),
        "energy_bounds_lower": (centre - width / 2) * 1e-9 if centre and width else None,
        "energy_bounds_upper": (centre + width / 2) * 1e-9 if centre and width else None,
        "energy_bounds_width": width * 1e-9 if width else None,
        "energy_energyBands": "Optical" if band else None,
        "energy_bandpassName": band,
        "time_bounds_lower": start,
        "time_bounds_upper": start + (exposure or 0.0) / 86400 if start is not None else None,
        "time_exposure": exposure,
        "metaProducer": "terapix stand-in",
    }


def _artifact(plane: Row, observation: Row, where: Place, file: StoredFile, lag: float) -> Row:
    row: Row = {
        "uri": file.uri,
        "planeID": plane["planeID"],
        "artifactID": identity(file.uri),
        "productType": where.role or ("science" if observation["intent"] == "science" else "calibration"),
        "releaseType": "meta" if where.role in {"preview", "thumbnail"} else "data",
        "contentType": file.content_type,
        "contentLength": file.size,
        "contentChecksum": f"md5:{file.md5}",
        "metaProducer": "terapix stand-in",
    }
    return sealed(ARTIFACT, row, [stamp(file.modified, lag=lag)], [])


def release(keywords: Mapping[str, Value]) -> str | None:
    """When pixels become public: REL_DATE, at once for engineering and queue runs, else by the semester's rule."""
    if given := stamp_of(_text(keywords, "REL_DATE")):
        return given
    found = re.match(r"(\d\d)([AB])(.)", _text(keywords, "RUNID") or "")
    if found is None:
        return None
    if found[3] in {"Q", "E"}:
        return stamp_of(_text(keywords, "MET_DATE") or _text(keywords, "DATE-OBS"))
    year = 2000 + int(found[1])
    return f"{year + 1}-08-31T00:00:00.000" if found[2] == "A" else f"{year + 2}-02-28T00:00:00.000"


def stamp_of(text: str | None) -> str | None:
    """Read a date of a header; None if there is none."""
    found = STAMP.fullmatch(text.strip()) if text else None
    return f"{found[1]}T{found[2] or '00:00:00'}{(found[3] or '.000').ljust(4, '0')}" if found else None


def _text(keywords: Mapping[str, Value], keyword: str) -> str | None:
    found = keywords.get(keyword)
    return str(found).strip() or None if found is not None else None


def _number(keywords: Mapping[str, Value], keyword: str) -> float | None:
    found = keywords.get(keyword)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _degrees(keywords: Mapping[str, Value], keyword: str, *, hours: bool = False) -> float | None:
    """Read hours or degrees, minutes and seconds; None unless the header names the system (FK5, as ICRS here)."""
    found = SEXAGESIMAL.fullmatch(_text(keywords, keyword) or "")
    if found is None or _text(keywords, "OBJRADEC") is None:
        return None
    size = int(found[2]) + int(found[3]) / 60 + float(found[4]) / 3600
    return (-size if found[1] == "-" else size) * (15 if hours else 1)
