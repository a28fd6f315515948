"""The bar of progress."""

import io
import sys

import pytest

from processing.bar import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "shown", "told"), [(Terminal(), True, "##########"), (Terminal(), False, ""), (io.StringIO(), True, "")]
)
def test_a_bar_is_shown_on_terminals_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, *, shown: bool, told: str
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    bar = Bar(shown=shown)
    bar(0.25)
    bar(1.0)
    found = stream.getvalue()
    assert found.count("\r") == (2 if told else 0)
    assert (f"[{told}{'.' * 30}]  25 %" in found) is bool(told)
    assert found.endswith("100 %\n") is bool(told)
