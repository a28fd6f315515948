"""Files become observations, planes and artifacts as in the archive's own records."""

import gzip
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring

from snooppix.protocol.cards import Value, data_size, headers, value, values
from snooppix.standin.inventory import TOLD, StoredFile
from snooppix.standin.observations import Place, describe, place, release
from tests.support.archive import small_fits

SEEN = datetime(2026, 11, 24, 2, 0, 0, 123999, UTC)
SPACE = "{http://www.opencadc.org/caom2/xml/v2.4}"


def stored(name: str, cards: list[str] | tuple[str, ...] = (), *, seen: datetime = SEEN) -> StoredFile:
    return StoredFile(Path(name), f"cadc:CFHT/{name}", 2880, "0" * 32, seen, values(cards), (2880, 0, 0))


def dumped(folder: Path, name: str) -> StoredFile:
    """Make a stored file of the primary header in a header dump."""
    lines = gzip.decompress((folder / f"{name}.fits.header.gz").read_bytes()).decode("ascii").splitlines()
    cards = [line.ljust(80)[:80] for line in lines if not line.startswith("# ")]
    first = next(index for index, card in enumerate(cards) if card.rstrip() == "END")
    return stored(f"{name}.fits.fz", cards[: first + 1])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("979412p.fits.fz", Place("979412", "979412p", "")),
        ("979412o.fits", Place("979412", "979412o", "")),
        ("695816p_diag.fits", Place("695816", "695816p", "auxiliary")),
        ("1013552p_flag.fits.fz", Place("1013552", "1013552p_flag", "")),
        ("979412p_preview_256.jpg", Place("979412", "979412p", "thumbnail")),
        ("979412p_preview_zoom_1024.jpg", Place("979412", "979412p", "preview")),
        ("08Am03.flat.r.36.02.fits.fz", Place("08Am03.flat.r.36.02", "08Am03.flat.r.36.02", "")),
        ("2003A.mask.0.36.01.fits.gz", Place("2003A.mask.0.36.01", "2003A.mask.0.36.01", "")),
    ],
)
def test_the_name_of_a_file_says_where_it_belongs(name: str, expected: Place) -> None:
    assert place(name) == expected


OBSERVATION = {
    "observationID": "observationID",
    "metaRelease": "metaRelease",
    "sequenceNumber": "sequenceNumber",
    "algorithm/name": "algorithm_name",
    "type": "type",
    "intent": "intent",
    "proposal/id": "proposal_id",
    "proposal/pi": "proposal_pi",
    "target/name": "target_name",
    "targetPosition/coordinates/cval1": "targetPosition_coordinates_cval1",
    "targetPosition/coordinates/cval2": "targetPosition_coordinates_cval2",
    "telescope/name": "telescope_name",
    "instrument/name": "instrument_name",
    "instrument/keywords/keyword": "instrument_keywords",
    "environment/humidity": "environment_humidity",
    "environment/elevation": "environment_elevation",
    "environment/ambientTemp": "environment_ambientTemp",
}
PLANE = {
    "productID": "productID",
    "metaRelease": "metaRelease",
    "dataRelease": "dataRelease",
    "dataProductType": "dataProductType",
    "calibrationLevel": "calibrationLevel",
    "provenance/name": "provenance_name",
    "provenance/version": "provenance_version",
    "provenance/producer": "provenance_producer",
    "provenance/runID": "provenance_runID",
    "provenance/lastExecuted": "provenance_lastExecuted",
    "provenance/inputs/planeURI": "provenance_inputs",
}


def differences(element: Any, names: dict[str, str], row: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Compare a real record with ours; numbers to the rounding of a float."""
    found = {}
    for path, name in names.items():
        theirs = element.findtext("/".join(f"{SPACE}{part}" for part in path.split("/")))
        ours = row.get(name)
        if isinstance(ours, float) and theirs is not None:
            theirs, ours = round(float(theirs), 6), round(ours, 6)
        if str(theirs) != str(ours):
            found[name] = (theirs, ours)
    return found


@pytest.mark.parametrize("number", ["979412", "1257365", "1265044", "676000"])
def test_real_headers_give_the_real_record(shared_data: Path, number: str) -> None:
    folder = shared_data / "headers" / "mega"
    names = sorted(path.name.removesuffix(".fits.header.gz") for path in folder.glob(f"{number}[op].fits.header.gz"))
    record = fromstring(gzip.decompress((folder / f"{number}.expected.xml.gz").read_bytes()))

    rows = describe([dumped(folder, name) for name in names])

    assert len(rows["Observation"]) == 1
    assert differences(record, OBSERVATION, rows["Observation"][0]) == {}
    planes = record.findall(f"{SPACE}planes/{SPACE}plane")
    assert [plane.findtext(f"{SPACE}productID") for plane in planes] == [row["productID"] for row in rows["Plane"]]
    for plane, row, artifact in zip(planes, rows["Plane"], rows["Artifact"], strict=True):
        assert differences(plane, PLANE, row) == {}
        kind = plane.findtext(f"{SPACE}artifacts/{SPACE}artifact/{SPACE}productType")
        assert artifact["productType"] == kind


@pytest.mark.parametrize("number", ["979412", "1257365", "1265044", "676000"])
def test_what_the_inventory_keeps_of_a_header_is_all_that_the_tables_tell_of(shared_data: Path, number: str) -> None:
    """Of 100,000 files with all their keywords the stand-in took 1.1 GB."""
    folder = shared_data / "headers" / "mega"
    names = sorted(path.name.removesuffix(".fits.header.gz") for path in folder.glob(f"{number}[op].fits.header.gz"))
    whole = [dumped(folder, name) for name in names]
    kept = [
        replace(file, keywords={name: value for name, value in file.keywords.items() if name in TOLD}) for file in whole
    ]

    assert describe(kept) == describe(whole)
    assert all(len(short.keywords) < len(full.keywords) / 3 for short, full in zip(kept, whole, strict=True))


def test_a_real_mask_is_a_calibration_found_by_its_product(shared_data: Path) -> None:
    rows = describe([dumped(shared_data / "headers" / "mega", "2004B.mask.0.36.01")])
    observation, plane, artifact = rows["Observation"][0], rows["Plane"][0], rows["Artifact"][0]
    assert (observation["type"], observation["intent"], observation["proposal_pi"]) == ("MASK", "calibration", "CFHT")
    assert (plane["productID"], plane["calibrationLevel"]) == ("2004B.mask.0.36.01", 2)
    assert plane["dataRelease"] == "2004-08-24T21:20:59.000"
    assert artifact["productType"] == "calibration"


def test_previews_and_diagnostics_stand_beside_the_frame_in_its_plane(tmp_path: Path) -> None:
    path = tmp_path / "f.fits"
    path.write_bytes(small_fits("979412p", ccds=1))
    frame = stored("979412p.fits.fz", next(headers(path)))
    others = [stored(f"979412p_{part}") for part in ("diag.fits", "preview_256.jpg", "preview_1024.jpg")]
    rows = describe([frame, *others, stored("111p_preview_256.jpg")])
    assert [row["productID"] for row in rows["Plane"]] == ["979412p"]
    assert {row["uri"].partition("_")[2]: row["productType"] for row in rows["Artifact"]} == {
        "": "science",
        "diag.fits": "auxiliary",
        "preview_256.jpg": "thumbnail",
        "preview_1024.jpg": "preview",
    }


def test_time_stamps_rise_from_the_files_to_their_observation() -> None:
    later = datetime(2026, 11, 25, tzinfo=UTC)
    rows = describe([stored("979412p.fits.fz"), stored("979412o.fits.fz", seen=later)])
    assert rows["Observation"][0]["maxLastModified"] == "2026-11-25T00:00:00.000"
    assert [row["maxLastModified"] for row in rows["Plane"]] == ["2026-11-25T00:00:00.000", "2026-11-24T02:00:00.123"]


def test_a_file_without_header_is_still_listed() -> None:
    rows = describe([stored("979412p.fits.fz")])
    assert rows["Observation"][0]["instrument_name"] == "MegaPrime"
    assert rows["Artifact"][0]["productType"] == "science"
    assert rows["Plane"][0]["calibrationLevel"] == 2


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"REL_DATE": "2009-08-31T00:00:00", "RUNID": "08AC14"}, "2009-08-31T00:00:00.000"),
        ({"RUNID": "08AC14"}, "2009-08-31T00:00:00.000"),
        ({"RUNID": "10BD90"}, "2012-02-28T00:00:00.000"),
        ({"RUNID": "08AQ99", "DATE-OBS": "2008-03-30"}, "2008-03-30T00:00:00.000"),
        ({"RUNID": "00"}, None),
        ({"REL_DATE": "soon", "RUNID": "10BD90"}, "2012-02-28T00:00:00.000"),
    ],
)
def test_pixels_become_public_by_date_or_by_the_semester_rule(keywords: dict[str, Value], expected: str | None) -> None:
    assert release(keywords) == expected


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("KEY     = 'it''s  '           / text", "it's"),
        ("KEY     =                 -1.5D3 / number", -1500.0),
        ("KEY     =                   36", 36),
        ("KEY     =                    T / logical", True),
        ("KEY     =", None),
        ("KEY     = 'never closed", None),
        ("KEY", None),
    ],
)
def test_values_are_read_from_cards_good_and_bad(card: str, expected: object) -> None:
    assert value([card.ljust(80)], "KEY") == expected
    assert values([card.ljust(80), "KEY     = 'second'"]).get("KEY", expected) in {expected, "second"}


def test_headers_are_read_as_far_as_a_damaged_file_goes(tmp_path: Path) -> None:
    whole = small_fits("979412p", ccds=2)
    path = tmp_path / "frame.fits"
    for content, count in ((whole, 3), (whole[:-2880], 3), (whole[:5760], 1), (whole[:2000], 0), (b"", 0)):
        path.write_bytes(content)
        assert len(list(headers(path))) == count, len(content)


def test_a_hostile_size_ends_the_walk() -> None:
    good = ["BITPIX  =                   16", "NAXIS   =                    1"]
    assert data_size([*good, "NAXIS1  =                 1440"]) == 2880
    assert data_size([*good, "NAXIS1  =                -1440"]) is None
    assert data_size([*good]) is None
    assert data_size(["BITPIX  =                   17", "NAXIS   =                    0"]) is None
