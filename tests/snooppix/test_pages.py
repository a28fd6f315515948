"""Rows that are read by the ten thousand mean what they mean one by one."""

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import text

from dbclient.database import Database
from dbclient.schema import FrameKind
from dbclient.stores import Differences, Frames
from dbclient.stores.sightings import Sighted, Sighting, counted
from snooppix import pages
from snooppix.block import Block
from snooppix.columns import Column, days, decimals, stamps
from snooppix.listing import COLUMNS, ELIXIR, day, moment, told
from snooppix.names import Names
from snooppix.pages import PageReader
from tests.support.memory_archive import NIGHT
from tests.support.table_archive import table

USUAL = dict.fromkeys(COLUMNS, "") | {
    "o.proposal_id": "08AC14",
    "o.target_name": "UrsaMajII_4",
    "o.maxLastModified": "2008-08-04T22:44:54.123",
    "p.productID": "979412p",
    "p.calibrationLevel": "2",
    "p.dataRelease": "2009-08-31T00:00:00.000",
    "p.provenance_version": "2.0",
    "p.provenance_lastExecuted": "2008-08-04T22:44:54",
    "p.energy_bandpassName": "r.MP9601",
    "p.time_bounds_lower": "54555.2608722",
    "p.time_exposure": "468.332",
    "a.uri": "cadc:CFHT/979412p.fits.fz",
    "a.contentLength": "310000000",
    "a.contentChecksum": "md5:" + "0a" * 16,
}
ODD = {
    "a.uri": [
        "",
        "979412p.fits",
        "cadc:CFHT/../979412p.fits",
        "cadc:../979412p.fits.fz",
        "x" * 400,
        "cadc:CFHT/a.fits",
    ],
    "p.productID": ["", "979412o", "08Am03.flat.r.36.02", "979412p\n"],
    "a.contentLength": ["", "-5", "1e9", "٣", "9" * 30, "12.5"],
    "a.contentChecksum": ["", "md5:../../etc", "MD5:" + "0A" * 16, "sha256:" + "0" * 64],
    "o.maxLastModified": ["", "2008-13-01T00:00:00", "2008-08-04", "2008-08-04T22:44:54Z", "yesterday"],
    "p.dataRelease": ["", "2009-08-31", "never"],
    "p.provenance_lastExecuted": ["", "2008-08-04 22:44:54", "2008-02-30T00:00:00"],
    "p.time_bounds_lower": ["", "1e300", "nan", "-1", "inf", "0"],
    "p.time_exposure": ["", "nan", "1e300", "x"],
    "o.proposal_id": ["", "x" * 40],
    "o.target_name": ["", "y" * 200],
    "p.provenance_version": ["", "2.0" * 20],
}
CALLED = [ELIXIR, Names(suffix="s"), Names(pattern="9794*")]
changes = st.dictionaries(st.sampled_from(sorted(ODD)), st.integers(0, 5), max_size=3)


def row(change: dict[str, int]) -> list[str]:
    odd = {name: ODD[name][number % len(ODD[name])] for name, number in change.items()}
    return list((USUAL | odd).values())


@given(
    changed=st.lists(changes, max_size=5), names=st.sampled_from([ELIXIR, Names(suffix="s"), Names(pattern="9794*")])
)
def test_every_row_is_read_as_it_would_be_alone(changed: list[dict[str, int]], names: Names) -> None:
    rows = [row(change) for change in changed]
    batch = PageReader(names, ()).read(rows)
    singly = [told(one, names) for one in rows]
    assert list(batch.sightings) == [seen for seen in singly if isinstance(seen, Sighting)]
    assert list(batch.refused) == [why for why in singly if isinstance(why, str)]
    assert batch.passed_over == len(rows) - len(batch.sightings)


def row_of(number: int, change: dict[str, int]) -> list[str]:
    """Write a row of a frame that no other row is of."""
    name = f"{979000 + number}p"
    cells = dict(zip(COLUMNS, row({}), strict=True)) | {"p.productID": name, "a.uri": f"cadc:CFHT/{name}.fits.fz"}
    return list((cells | {key: ODD[key][at % len(ODD[key])] for key, at in change.items()}).values())


def by_columns(rows: list[list[str]], names: Names = ELIXIR) -> pages.Batch:
    block = Block.of(table(rows), len(COLUMNS))
    assert block is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "MANY", 1)
        return PageReader(names, ()).read(block)


@given(changed=st.lists(changes, min_size=1, max_size=5), names=st.sampled_from(CALLED), twice=st.booleans())
def test_a_page_by_columns_lists_what_its_rows_list_one_by_one(
    changed: list[dict[str, int]], names: Names, *, twice: bool
) -> None:
    rows = [row_of(0 if twice else number, change) for number, change in enumerate(changed)]
    batch, stripped = by_columns(rows, names), [[cell.strip() for cell in one] for one in rows]
    singly = [told(one, names) for one in stripped]
    listed = [seen for seen in singly if isinstance(seen, Sighting)]
    assert list(batch.sightings) == listed
    assert len(batch.sightings) == len(listed)
    assert list(batch.refused) == [why for why in singly if isinstance(why, str)]
    assert batch.passed_over == len(rows) - len(listed)
    assert batch.reached == moment(stripped[-1][COLUMNS.index("o.maxLastModified")])
    if batch.slab is not None:
        assert sorted([*batch.slab.sightings(), *batch.others]) == sorted(listed)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Database, Database]]:
    """Two databases: one for each way."""
    opened = [
        await Database.open(f"sqlite+aiosqlite:///{tmp_path / name}.sqlite", create=True) for name in ("one", "other")
    ]
    yield opened[0], opened[1]
    for database in opened:
        await database.close()


def every_change() -> list[dict[str, int]]:
    """Each odd cell alone, and some of them in pairs with the next column's."""
    keys = sorted(ODD)
    alone = [{key: at} for key in keys for at in range(len(ODD[key]))]
    pairs = [{key: at, after: at} for key, after in pairwise(keys) for at in range(6)]
    return [{}, *alone, *pairs, {}]


async def all_rows(database: Database) -> list[tuple[object, ...]]:
    async with database.read() as session:
        columns = [one[1] for one in await session.execute(text("PRAGMA table_info(frames)")) if one[1] != "id"]
        found = await session.execute(text(f"SELECT {','.join(columns)} FROM frames ORDER BY name"))
        return [tuple(one) for one in found]


async def test_a_slab_writes_the_rows_that_its_sightings_write_one_by_one(two: tuple[Database, Database]) -> None:
    usual = [dict(zip(COLUMNS, row_of(2000 + n, {}), strict=True)) for n in range(200)]
    for number, cells in enumerate(usual):
        cells["p.time_exposure"] = ["468.332", "", "0.1", "1", "123456789.123456", ".5", "0.30000001192092896", "0"][
            number % 8
        ]
        cells["p.time_bounds_lower"] = repr(54_555 + number / 7)
        cells["o.target_name"] = ["D1", "", "a long name, is it not", "x" * 80][number % 4]
        cells["o.maxLastModified"] = ["2008-02-29T23:59:59.999", "2008-08-04T22:44:54", ""][number % 3]
        cells["a.contentLength"] = str(number * 7**9 % 10**11)
    rows = [list(cells.values()) for cells in usual] + [row_of(n, change) for n, change in enumerate(every_change())]
    batch = by_columns([[cell.strip() for cell in one] for one in rows])
    assert batch.slab is not None
    assert batch.slab.count > 200
    for database, slab in zip(two, (batch.slab, None), strict=True):
        async with database.write() as session:
            if slab is not None:
                counts = await Frames().sight_slab(session, slab, now=NIGHT, source="t")
                assert counts == counted([Sighted.NEW] * slab.count)
            for seen in batch.sightings if slab is None else batch.others:
                await Frames().sight(session, seen, now=NIGHT, source="t")
    assert await all_rows(two[0]) == await all_rows(two[1])


def cells_of(*texts: str) -> Column:
    width = max(1, *map(len, texts))
    letters = np.frombuffer("".join(one.ljust(width) for one in texts).encode(), dtype=np.uint8)
    return Column(letters.reshape(-1, width), np.array(list(map(len, texts))))


@given(
    st.floats(0, 110_000).map(lambda one: repr(round(one, 9)))
    | st.from_regex(r"[0-9]{0,6}\.?[0-9]{0,9}", fullmatch=True)
)
@example("54555.5000000000058")
@example("54555.000000000005787")
def test_days_are_the_moments_that_they_are_alone(written: str) -> None:
    letters, holds = days(cells_of(written, "54555.25"))
    assert bool(holds[1])
    if holds[0]:
        assert datetime.fromisoformat(letters[0].tobytes().decode() + "+00:00") == day(written)


@given(st.from_regex(r"[0-9]{0,12}\.?[0-9]{0,12}", fullmatch=True))
def test_numbers_are_the_floats_that_they_are_alone(written: str) -> None:
    found = decimals(cells_of(written, "1.5"))
    assert found.values[1] == 1.5
    assert not found.holds[0] or found.values[0] == float(written)
    assert found.holds[0] or not written.strip(".")


@given(
    st.datetimes().map(lambda one: one.isoformat(timespec="milliseconds"))
    | st.from_regex(
        r"[012][0-9]{3}-[0-3][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{3}([0-9]{3})?)?", fullmatch=True
    )
)
@example("")
@example("2008-02-30T00:00:00")
@example("1900-02-29T00:00:00")
@example("2000-02-29T00:00:00.123456")
def test_stamps_are_the_moments_that_they_are_alone(written: str) -> None:
    letters, holds = stamps(cells_of(written, "2008-08-04T22:44:54.123"))
    assert bool(holds[1])
    said = letters[0].tobytes().decode().strip()
    assert bool(holds[0]) == (moment(written) is not None or not written)
    assert not holds[0] or (datetime.fromisoformat(said + "+00:00") if said else None) == moment(written)


async def test_of_a_slab_that_is_known_only_what_differs_is_looked_at(two: tuple[Database, Database]) -> None:
    database = two[0]
    batch = by_columns([row_of(n, {}) for n in range(20)])
    assert batch.slab is not None
    async with database.write() as session:
        await Frames().sight_slab(session, batch.slab, now=NIGHT, source="t")
    for change, differs in (
        ({}, False),
        ({"a.contentChecksum": "md5:" + "1" * 32}, True),
        ({"p.provenance_version": "2.1"}, True),
        ({"p.provenance_lastExecuted": "2009-08-04T22:44:54"}, True),
        ({"p.dataRelease": "2010-01-01T00:00:00"}, True),
        ({"o.maxLastModified": "2009-01-01T00:00:00"}, True),
        ({"a.uri": "cadc:CFHT/979003p.fits.gz"}, True),
        ({"p.provenance_version": "", "p.dataRelease": "", "o.proposal_id": "", "p.time_exposure": ""}, False),
        ({"o.target_name": "D1", "o.proposal_id": "09AC1", "p.time_exposure": "1.5", "a.contentLength": "1"}, False),
    ):
        rows = [row_of(n, {}) for n in range(20)]
        rows[3] = list((dict(zip(COLUMNS, rows[3], strict=True)) | change).values())
        slab = by_columns(rows).slab
        assert slab is not None
        async with database.read() as session:
            beside = await Differences().beside(session, slab, after="", up_to="999999p", kinds=[FrameKind.OBJECT])
        assert beside is not None
        assert beside == ([3] if differs else [], [], 20)
