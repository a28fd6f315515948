"""Lengths of lists in statements: few of them, so that SQLite keeps few statements ready.

Each connection keeps its last 128 statements prepared, as sqlite3 does. One that asks for
600 numbers takes 120 kB there, and one for 601 is another statement: five readers that
ask for lists of every length come to hold 80 MB, which no object of Python shows. So a
list is filled up with its last value to a power of two, which changes nothing of what it
says.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

LONGEST: Final = 1 << 14
"""Values of a list that is filled up; SQLite takes 32766 in a statement."""
_LIST: Final = re.compile(r"(?<= IN \()\?(?:, \?)+(?=\))")


def filled_up(statement: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Fill up the lists of a statement and its values, which stand in their order (``?``).

    A statement without a list of several values is given back as it is.
    """
    if " IN (?, " not in statement:
        return statement, values
    text: list[str] = []
    given: list[Any] = []
    at = used = 0
    for found in _LIST.finditer(statement):
        count = (found.end() - found.start() + 2) // 3
        more = (1 << (count - 1).bit_length()) - count
        if not more or count > LONGEST:
            continue
        before = statement[at : found.end()]
        taken = before.count("?")
        text += (before, ", ?" * more)
        given += values[used : used + taken]
        given += [given[-1]] * more
        at, used = found.end(), used + taken
    if not text:
        return statement, values
    return "".join((*text, statement[at:])), (*given, *values[used:])
