"""What columns do to values that come from headers."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import sqlite

from dbclient.schema import FrameState
from dbclient.schema.base import Document, Figure, Instant, Text, Word
from dbclient.stores.events import about
from dbclient.stores.listings import beginning_with

DIALECT = sqlite.dialect()


def test_a_moment_is_kept_in_utc():
    hawaii = timezone(timedelta(hours=-10))
    kept = Instant().process_bind_param(datetime(2008, 3, 29, 20, 23, tzinfo=hawaii), DIALECT)
    assert kept == datetime(2008, 3, 30, 6, 23, tzinfo=UTC)
    assert kept.tzinfo is UTC
    assert Instant().process_result_value(datetime(2008, 3, 30, 6, 23), DIALECT).tzinfo is UTC  # noqa: DTZ001
    with pytest.raises(ValueError, match="no time zone"):
        Instant().process_bind_param(datetime(2008, 3, 30), DIALECT)  # noqa: DTZ001


@pytest.mark.parametrize(("value", "kept"), [("a\0b", "ab"), ("\ud800", "?"), ("x" * 20, "x" * 8), (None, None)])
def test_text_is_cleaned_and_cut(value, kept):
    assert Text(8).process_bind_param(value, DIALECT) == kept


@pytest.mark.parametrize(("value", "kept"), [(1.5, 1.5), (3, 3.0), (float("nan"), None), (float("inf"), None)])
def test_a_figure_is_finite_or_unknown(value, kept):
    assert Figure().process_bind_param(value, DIALECT) == kept


def test_a_word_is_one_of_its_enumeration():
    column = Word(FrameState, 12)
    assert column.process_bind_param("valid", DIALECT) == "valid"
    assert column.process_result_value("valid", DIALECT) is FrameState.VALID
    with pytest.raises(ValueError, match="vlid"):
        column.process_bind_param("vlid", DIALECT)


def test_a_document_holds_what_json_can():
    given = {"a": float("nan"), 2: [1.5, float("-inf"), "x\0"], "c": (None, True)}
    assert Document().process_bind_param(given, DIALECT) == {"a": None, "2": [1.5, None, "x"], "c": [None, True]}
    with pytest.raises(TypeError):
        Document().process_bind_param({"a": object()}, DIALECT)


def test_a_sentence_names_its_frame_once():
    assert about("1p", "arrived") == "1p arrived"
    assert about("1p", "1p arrived") == "1p arrived"
    assert about("1p", "It is here.") == "1p: It is here."


def test_the_range_of_names_with_one_beginning():
    low, high = beginning_with("979")
    assert (low.right.value, high.right.value) == ("979", "97:")
