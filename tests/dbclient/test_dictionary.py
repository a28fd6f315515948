"""The document of the data model says what the schema says."""

from pathlib import Path

from dbclient.dictionary import renewed, tables
from dbclient.schema import FrameState

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "data-model.md"


def test_the_document_is_equal_to_the_schema():
    text = DOCUMENT.read_text()
    assert renewed(text) == text, "run: python -m dbclient.dictionary docs/data-model.md"


def test_every_table_column_and_word_is_explained():
    untold = [table.name for table in tables() if not table.meaning]
    untold += [f"{table.name}.{c.name}" for table in tables() for c in table.columns if not c.meaning]
    untold += [
        f"{table.name}.{column}: {word}"
        for table in tables()
        for column, words in table.words.items()
        for word, meaning in words
        if not meaning
    ]
    assert untold == []


def test_the_document_tells_of_every_state_of_a_frame():
    way = DOCUMENT.read_text().partition("## A frame's way")[2].partition("## Jobs")[0]
    assert [state.value for state in FrameState if f"| `{state.value}` |" not in way] == []
