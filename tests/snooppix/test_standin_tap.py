"""The catalogue by TAP, asked by an independent client (pyvo) and by plain HTTP."""

import asyncio
import io
from typing import Any

import aiohttp
import pytest
import pyvo
from astropy.io.votable import parse
from pyvo.dal import DALQueryError
from pyvo.dal.adhoc import DatalinkResults

from snooppix.protocol.schema import Column
from snooppix.protocol.spool import BLOCK, Spool
from snooppix.protocol.tables import Answer
from snooppix.protocol.votable import votable
from snooppix.standin.catalogue import Catalogue
from snooppix.standin.faults import Faults
from snooppix.standin.inventory import Inventory
from snooppix.standin.kinds import DuplicateRows, Listed, QueryError
from terapix.clock import SystemClock
from tests.support.archive import ServedArchive

POLL = """
SELECT o.observationID, o.proposal_id, o.maxLastModified, p.productID, p.calibrationLevel, p.provenance_runID,
       p.provenance_version, p.provenance_lastExecuted, p.dataRelease, p.energy_bandpassName, p.time_bounds_lower,
       p.time_exposure, a.uri, a.contentLength, a.contentChecksum, a.lastModified
FROM caom2.Observation o JOIN caom2.Plane p ON o.obsID = p.obsID JOIN caom2.Artifact a ON p.planeID = a.planeID
WHERE o.collection = 'CFHT' AND o.instrument_name = 'MegaPrime' AND p.calibrationLevel = 2
  AND a.productType = 'science' AND o.maxLastModified >= '{mark}' ORDER BY o.maxLastModified, a.uri
"""

THUMBNAILS = """
SELECT p.productID FROM caom2.Plane p LEFT JOIN caom2.Artifact a ON a.planeID = p.planeID
AND a.productType = 'thumbnail' WHERE a.uri IS NOT NULL
"""
INDEXED = """
SELECT column_name FROM tap_schema.columns WHERE table_name = 'caom2.Artifact' AND indexed = 1 ORDER BY column_index
"""
CALIBRATIONS = ("calibration", 2)
EXPOSURES = ("science", 2)
RAW = [("979412O",)]


@pytest.fixture
def night(served_archive: ServedArchive) -> ServedArchive:
    for name in ("979412p", "979412o", "1257365p", "08Am03.flat.r.36.02", "2003A.mask.0.36.01"):
        served_archive.offer(name, ccds=1)
    served_archive.offer("979412p_preview_256.jpg", content=b"\xff\xd8\xff")
    return served_archive


async def search(archive: ServedArchive, query: str, **options: Any) -> pyvo.dal.TAPResults:
    service = pyvo.dal.TAPService(f"{archive.address}/argus")
    return await asyncio.to_thread(service.search, query, **options)


async def asked(archive: ServedArchive, *, post: bool = False, **parameters: str) -> tuple[int, str, str]:
    """Ask by HTTP; return status, content type and body."""
    sent = {"data": parameters} if post else {"params": parameters}
    async with (
        aiohttp.ClientSession() as session,
        session.request("POST" if post else "GET", f"{archive.address}/argus/sync", **sent) as answer,
    ):
        return answer.status, answer.content_type, await answer.text()


async def test_the_poll_of_the_watcher_finds_the_processed_frames_only(night: ServedArchive) -> None:
    found = await search(night, POLL.format(mark="2000-01-01T00:00:00.000"))
    assert list(found["productID"]) == ["1257365p", "979412p"] or list(found["productID"]) == ["979412p", "1257365p"]
    row = next(row for row in found if row["productID"] == "979412p")
    assert row["uri"] == night.uri("979412p")
    assert row["contentLength"] == (night.directory / "979412p.fits.fz").stat().st_size
    assert (row["proposal_id"], row["provenance_runID"], row["provenance_version"]) == ("08AC14", "08Am03", "2.0")
    assert row["time_exposure"] == pytest.approx(468.332)


async def test_nothing_is_newer_than_the_newest_row(night: ServedArchive) -> None:
    newest = (await search(night, "SELECT MAX(maxLastModified) AS newest FROM caom2.Observation"))[0]["newest"]
    assert len(await search(night, POLL.format(mark=newest))) >= 1
    assert len(await search(night, POLL.format(mark=f"{newest[:-1]}{newest[-1]}9"))) == 0


async def test_calibrations_are_found_by_their_product(night: ServedArchive) -> None:
    found = await search(
        night,
        "SELECT o.type, o.intent, a.uri FROM caom2.Observation AS o JOIN caom2.Plane AS p ON o.obsID = p.obsID "
        "JOIN caom2.Artifact AS a ON a.planeID = p.planeID "
        "WHERE p.productID IN ('08Am03.flat.r.36.02', '2003A.mask.0.36.01') ORDER BY o.type",
    )
    assert [(row["type"], row["intent"], row["uri"]) for row in found] == [
        ("FLAT", "calibration", "cadc:CFHT/08Am03.flat.r.36.02.fits.fz"),
        ("MASK", "calibration", "cadc:CFHT/2003A.mask.0.36.01.fits.fz"),
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT COUNT(*) AS n FROM CAOM2.ARTIFACT", [(6,)]),
        ("SELECT COUNT(*) AS n FROM (SELECT planeID FROM Artifact) AS x", [(6,)]),
        ("SELECT intent, COUNT(*) n FROM caom2.Observation GROUP BY intent ORDER BY n", [CALIBRATIONS, EXPOSURES]),
        ("SELECT DISTINCT TOP 1 collection FROM caom2.Observation", [("CFHT",)]),
        ("SELECT productID FROM caom2.Plane WHERE productID LIKE '979%' ORDER BY 1 DESC", [("979412p",), ("979412o",)]),
        ("SELECT productID FROM caom2.Plane WHERE productID LIKE '%P'", []),
        ("SELECT UPPER(productID) AS u FROM caom2.Plane WHERE time_exposure IS NULL OR calibrationLevel = 1", RAW),
        (THUMBNAILS, [("979412p",)]),
        (INDEXED, [("uri",), ("planeID",)]),
        ("SELECT LOG(EXP(2)) AS l, MOD(7, 4) AS m, CEILING(0.5) AS c FROM caom2.Artifact OFFSET 5", [(2.0, 3.0, 1)]),
    ],
)
async def test_any_reasonable_select_is_answered(
    night: ServedArchive, query: str, expected: list[tuple[Any, ...]]
) -> None:
    found = await search(night, query)
    assert [tuple(row.values()) for row in found] == expected


async def test_columns_have_types_units_and_meaning(night: ServedArchive) -> None:
    _, kind, text = await asked(
        night, QUERY="SELECT time_exposure AS t, planeID, lastModified, COUNT(*) AS n FROM caom2.Plane GROUP BY 1"
    )
    assert kind == "application/x-votable+xml"
    fields = parse(io.BytesIO(text.encode())).get_first_table().fields
    assert [(field.name, field.datatype, str(field.unit or ""), field.xtype) for field in fields] == [
        ("t", "double", "s", None),
        ("planeID", "char", "", "uuid"),
        ("lastModified", "char", "", "timestamp"),
        ("n", "long", "", None),
    ]


async def test_an_overflow_is_told_in_a_votable_and_passed_over_in_silence_in_csv(night: ServedArchive) -> None:
    query = "SELECT uri FROM caom2.Artifact ORDER BY uri"
    _, _, cut = await asked(night, QUERY=query, MAXREC="2")
    assert cut.count("<TR>") == 2
    assert cut.index('value="OK"') < cut.index("<TABLE>") < cut.index("</TABLE>") < cut.index('value="OVERFLOW"')
    _, _, exact = await asked(night, QUERY=query, MAXREC="6")
    assert exact.count("<TR>") == 6
    assert "OVERFLOW" not in exact
    _, kind, text = await asked(night, query=query, maxrec="2", format="csv")
    assert (kind, len(text.splitlines())) == ("text/csv", 3)


async def test_responseformat_wins_over_format_and_post_works_like_get(night: ServedArchive) -> None:
    query = "SELECT observationID, sequenceNumber, proposal_title FROM caom2.Observation WHERE observationID='979412'"
    status, kind, text = await asked(
        night, post=True, LANG="ADQL-2.0", QUERY=query, FORMAT="votable", RESPONSEFORMAT="tsv"
    )
    assert (status, kind) == (200, "text/tab-separated-values")
    assert text == "observationID\tsequenceNumber\tproposal_title\n979412\t979412\t\n"


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"QUERY": "SELECT nothing FROM caom2.Plane"}, "no such column: nothing"),
        ({"QUERY": 'SELECT "nothing" FROM caom2.Plane'}, "no such column: nothing"),
        ({"QUERY": "SELECT * FROM sqlite_master"}, "only the tables of caom2"),
        ({"QUERY": "SELECT * FROM caom2.sqlite_master"}, "only the tables of caom2"),
        ({"QUERY": "SELECT load_extension('x') FROM caom2.Plane"}, "not authorized"),
        ({"QUERY": "SELECT 1 FROM caom2.Plane UNION SELECT name FROM pragma_table_list"}, "only the tables|no such"),
        ({"QUERY": "DROP TABLE caom2.Plane"}, "only SELECT"),
        ({"QUERY": "SELECT 1", "LANG": "SQL"}, "LANG=SQL"),
        ({"QUERY": "SELECT 1", "MAXREC": "-1"}, "MAXREC=-1"),
        ({"QUERY": "SELECT 1", "FORMAT": "fits"}, "RESPONSEFORMAT=fits"),
        ({"QUERY": "SELECT 1", "REQUEST": "drop"}, "REQUEST=drop"),
        ({}, "no QUERY"),
    ],
)
async def test_a_bad_query_is_refused_in_a_votable(
    night: ServedArchive, parameters: dict[str, str], reason: str
) -> None:
    status, _, text = await asked(night, **parameters)
    assert status == 400
    infos = parse(io.BytesIO(text.encode())).resources[0].infos
    assert infos[0].value == "ERROR"
    assert any(part in infos[0].content for part in reason.split("|"))


def test_a_query_without_end_is_stopped(tmp_path: Any) -> None:
    catalogue = Catalogue(Inventory(tmp_path, clock=SystemClock()), Faults(), steps=2)
    tables = ", ".join(f"tap_schema.columns c{n}" for n in range(8))
    with pytest.raises(Exception, match="the query was stopped"):
        catalogue.query(f"SELECT COUNT(*) FROM {tables}", most=None)
    catalogue.close()


async def test_a_bad_query_and_an_error_inside_a_200_reach_pyvo(night: ServedArchive) -> None:
    with pytest.raises(DALQueryError, match="no such table"):
        await search(night, "SELECT * FROM caom2.Nothing")
    night.faults.add(QueryError(message="the database is <away>"))
    status, _, _ = await asked(night, QUERY="SELECT uri FROM caom2.Artifact")
    assert status == 200
    night.faults.add(QueryError(message="the database is <away>"))
    with pytest.raises(DALQueryError, match="the database is <away>"):
        await search(night, "SELECT uri FROM caom2.Artifact")
    assert len(await search(night, "SELECT uri FROM caom2.Artifact")) == 6


async def test_pyvo_finds_tables_and_capabilities(night: ServedArchive) -> None:
    service = pyvo.dal.TAPService(f"{night.address}/argus")
    tables = await asyncio.to_thread(lambda: list(service.tables.keys()))
    assert tables[:3] == ["caom2.Observation", "caom2.Plane", "caom2.Artifact"]
    capabilities = await asyncio.to_thread(lambda: [item.standardid for item in service.capabilities])
    assert "ivo://ivoa.net/std/TAP" in capabilities


async def test_rows_may_come_twice(night: ServedArchive) -> None:
    night.faults.add(DuplicateRows())
    query = "SELECT uri FROM caom2.Artifact"
    assert len(await search(night, query)) == 12
    assert len(await search(night, query)) == 6


async def test_the_catalogue_may_say_something_else_than_is_true(night: ServedArchive) -> None:
    night.faults.add(Listed(name="979412p.*", uri="cadc:CFHT/../../etc/passwd", length=7, lag=7200.0))
    times = "SELECT uri, contentLength, lastModified FROM caom2.Artifact WHERE uri LIKE '%passwd' OR uri LIKE '%412o%'"
    found = await search(night, f"{times} ORDER BY lastModified")
    assert list(found["uri"]) == ["cadc:CFHT/../../etc/passwd", "cadc:CFHT/979412o.fits.fz"]
    assert found["contentLength"][0] == 7
    night.faults.clear()
    assert len(await search(night, times)) == 1


async def test_datalink_lists_the_files_of_a_plane(night: ServedArchive) -> None:
    address = f"{night.address}/caom2ops/datalink?ID=ivo://cadc.nrc.ca/CFHT?979412/979412p&ID=ivo://cadc.nrc.ca/x?1/2"
    found = await asyncio.to_thread(DatalinkResults.from_result_url, address)
    assert list(found["semantics"]) == ["#this", "#thumbnail", "#this"]
    assert found["access_url"][0] == f"{night.address}/raven/files/cadc:CFHT/979412p.fits.fz"
    assert list(found["link_authorized"])[:2] == [True, True]
    assert "NotFound" in found["error_message"][2]


async def test_a_large_answer_comes_in_pieces_and_in_either_serialisation(night: ServedArchive) -> None:
    query = (
        "SELECT a.uri, a.contentLength, a.planeID, b.time_exposure, b.calibrationLevel, b.provenance_version "
        "FROM caom2.Artifact a, caom2.Plane b, caom2.Plane c, caom2.Plane d, caom2.Plane e ORDER BY 1, 3, 4, 5, 6"
    )
    _, _, text = await asked(night, QUERY=query)
    _, _, binary = await asked(night, QUERY=query, RESPONSEFORMAT="application/x-votable+xml;serialization=BINARY2")
    _, _, plain = await asked(night, QUERY=query, FORMAT="csv")
    tables = [parse(io.BytesIO(body.encode())).get_first_table().array for body in (text, binary)]
    assert len(tables[0]) == len(plain.splitlines()) - 1 > 2000
    assert "<STREAM" in binary
    assert tables[0].tolist() == tables[1].tolist()


def test_a_large_answer_lies_on_disk_and_no_cell_is_lost(tmp_path: Any) -> None:
    catalogue = Catalogue(Inventory(tmp_path, clock=SystemClock()), Faults())
    ten = "SELECT 1 AS n" + " UNION ALL SELECT 1" * 9
    numbers = " CROSS JOIN ".join(f"({ten}) AS t{index}" for index in range(4))
    text = f"SELECT 7 AS n, 'a' AS t, 1.5 AS x, NULL AS nothing FROM {numbers}"
    small, large = catalogue.query(text, most=BLOCK), catalogue.query(text, most=None)
    assert isinstance(small.rows, list)
    assert small.overflow
    assert isinstance(large.rows, Spool)
    assert not large.overflow
    assert len(large.rows) == 10_000
    assert set(large.rows) == {(7, "a", 1.5, None)}
    assert {len(block) for block in large.blocks()} == {BLOCK}
    assert [column.type for column in large.columns] == ["long", "char", "double", "char"]
    cut = catalogue.query(text, most=9_999)
    assert (len(cut.rows), cut.overflow) == (9_999, True)
    assert (len(large.first(5).rows), large.first(5).overflow, large.first(10_000) is large) == (5, True, True)
    assert votable(large).count("<TR>") == 10_000
    assert [column.type for column in catalogue.query(text, most=0).columns] == ["long", "char", "double", "char"]
    catalogue.close()


def test_cells_are_escaped_and_keep_to_their_columns() -> None:
    rows: list[tuple[Any, ...]] = [('a<b>&"c"', None, 1.5), ("x\x1fy", "é", 0.1), ("", "plain text", 1e300)]
    answer = Answer((Column("s", "char"), Column("t", "char"), Column("d", "double")), rows, overflow=False)
    found = parse(io.BytesIO(votable(answer).encode())).get_first_table().array
    assert [str(row["s"]) for row in found] == ['a<b>&"c"', "x?y", ""]
    assert [float(row["d"]) for row in found] == [1.5, 0.1, 1e300]
