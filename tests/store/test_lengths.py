"""Lists in statements come in few lengths, and say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from dbclient.lengths import LONGEST, filled_up
from dbclient.schema import FrameState
from dbclient.stores import Frames
from tests.support.night import NOW, sight


@pytest.mark.parametrize(("count", "length"), [(2, 2), (3, 4), (5, 8), (8, 8), (600, 1024)])
def test_a_list_is_filled_up_with_its_last_value(count, length):
    marks = ", ".join("?" * count)
    values = tuple(range(count))

    statement, filled = filled_up(f"SELECT a FROM t WHERE b = ? AND a IN ({marks}) AND c = ?", ("b", *values, "c"))

    assert statement == f"SELECT a FROM t WHERE b = ? AND a IN ({', '.join('?' * length)}) AND c = ?"
    assert tuple(filled) == ("b", *values, *[count - 1] * (length - count), "c")


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("SELECT a FROM t WHERE a IN (?)", (1,)),
        ("SELECT a FROM t WHERE a IN (SELECT b FROM u WHERE c = ?)", (1,)),
        ("INSERT INTO t (a, b) VALUES (?, ?)", (1, 2)),
        (f"SELECT a FROM t WHERE a IN ({', '.join('?' * (LONGEST + 1))})", tuple(range(LONGEST + 1))),
    ],
)
def test_what_holds_no_list_or_too_long_a_one_stays(statement, values):
    assert filled_up(statement, values) == (statement, values)


@given(st.lists(st.lists(st.integers(), min_size=1, max_size=40), min_size=1, max_size=4))
def test_every_mark_has_its_value_and_every_list_its_set(lists):
    asked = " OR ".join(f"a = ? AND a IN ({', '.join('?' * len(those))})" for those in lists)
    values = [value for those in lists for value in ("before", *those)]

    statement, filled = filled_up(asked, values)

    assert statement.count("?") == len(filled)
    left = list(filled)
    for part, those in zip(statement.split(" OR "), lists, strict=True):
        taken = [left.pop(0) for _ in range(part.count("?"))]
        assert taken[0] == "before"
        assert set(taken[1:]) == set(those)
        assert len(taken[1:]).bit_count() == 1


async def test_lists_of_every_length_are_few_statements_and_find_the_same(database):
    asked: set[str] = set()
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *told: asked.add(told[2]))
    names = [f"{number}p" for number in range(1, 41)]
    async with database.write() as session:
        for name in names:
            await sight(session, name)

    for count in range(1, len(names) + 1):
        async with database.read() as session:
            due = await Frames().due(session, FrameState.SPOTTED, now=NOW, limit=count)
            of_names = await Frames().of_names(session, names[:count])
        assert [frame.name for frame in due] == names[:count]
        assert {frame.name for frame in of_names} == set(names[:count])

    lists = {statement for statement in asked if " IN (?" in statement and "ORDER BY frames.name" in statement}
    # of 1, 2, 4, 8, 16, 32 and 64 names; PostgreSQL marks values otherwise, and its server keeps what is prepared
    assert len(lists) == (7 if database.sqlite else 0)
