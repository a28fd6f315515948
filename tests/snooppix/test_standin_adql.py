"""ADQL becomes SQL that means the same in SQLite, and nothing but one SELECT goes through."""

import pytest

from snooppix.protocol.adql import BadQuery, translate


def sql(query: str) -> str:
    """Translate, and leave out the quotes that all names get."""
    return translate(query).sql.replace("`", "")


def test_top_becomes_a_limit_at_the_end_of_its_own_select() -> None:
    query = "SELECT TOP 5 uri FROM caom2.Artifact WHERE planeID IN (SELECT DISTINCT TOP 2 planeID FROM caom2.Plane)"
    assert sql(query) == (
        "SELECT uri FROM caom2.Artifact WHERE planeID IN (SELECT DISTINCT planeID FROM caom2.Plane LIMIT 2) LIMIT 5"
    )


def test_top_stands_behind_order_by_and_takes_an_offset() -> None:
    assert sql("select top 3 uri from a order by uri offset 6") == "select uri from a order by uri LIMIT 3 OFFSET 6"
    assert sql("select uri from a offset 6") == "select uri from a LIMIT -1 OFFSET 6"


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("'2026-11-24 02:00:00'", "'2026-11-24T02:00:00.000'"),
        ("'2026-11-24T02:00'", "'2026-11-24T02:00:00.000'"),
        ("'2026-11-24T02:00:00.5Z'", "'2026-11-24T02:00:00.500'"),
        ("'2026-11-24T02:00:00.123456'", "'2026-11-24T02:00:00.123456'"),
        ("'2026-11-24'", "'2026-11-24'"),
        ("'it''s 02:00'", "'it''s 02:00'"),
    ],
)
def test_time_stamps_are_written_as_the_table_has_them(written: str, compared: str) -> None:
    assert sql(f"SELECT 1 FROM t WHERE m >= {written}") == f"SELECT 1 FROM t WHERE m >= {compared}"


def test_names_stay_names_whatever_sqlite_thinks_of_them() -> None:
    query = 'SELECT "uri", "od`d", index AS nothing FROM t WHERE abs(x) > 1'
    assert translate(query).sql == "SELECT `uri`, `od``d`, `index` AS `nothing` FROM `t` WHERE abs(`x`) > 1"


def test_a_cast_to_timestamp_keeps_the_text() -> None:
    assert sql("SELECT CAST('2026-01-01' AS TIMESTAMP) AS timestamp FROM t") == (
        "SELECT CAST('2026-01-01' AS TEXT) AS timestamp FROM t"
    )


def test_comments_are_left_out_and_a_closing_semicolon_is_allowed() -> None:
    assert sql("SELECT uri -- the address; all of it\nFROM t ; ") == "SELECT uri FROM t"


def test_aliases_remember_which_column_they_rename() -> None:
    query = "SELECT DISTINCT TOP 3 a.uri AS address, p.time_exposure seconds, uri, COUNT(*) AS n FROM t"
    assert translate(query).sources == {"address": "uri", "seconds": "time_exposure"}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "only SELECT"),
        ("DELETE FROM caom2.Plane", "only SELECT"),
        ("PRAGMA case_sensitive_like = OFF", "only SELECT"),
        ("SELECT 1; DROP TABLE caom2.Plane", "one query at a time"),
        ("SELECT uri FROM t LIMIT 5", "TOP n"),
        ("SELECT TOP many uri FROM t", "whole number must follow TOP"),
        ("SELECT (uri FROM t", "1 brackets are not closed"),
        ("SELECT uri) FROM t", "never opened"),
        ("SELECT 'uri FROM t", "no ADQL at character 8"),
        ("SELECT uri FROM t WHERE a @ b", "no ADQL at character 27"),
        ("SELECT " + "a" * 200_000, "characters"),
    ],
)
def test_what_is_not_one_select_is_refused_with_the_reason(query: str, reason: str) -> None:
    with pytest.raises(BadQuery, match=reason):
        translate(query)
