"""ADQL 2.0 into the SQL of SQLite: one SELECT, word by word.

The schemas are attached databases, so ``caom2.Plane`` needs no translation;
what does: ``TOP n``, names (SQLite has keywords that ADQL has not, and takes a
misspelt name in quotes for a string), time stamps (compared as text, so they must be written alike) and
casts to TIMESTAMP.
"""

import re
from dataclasses import dataclass, field

from terapix.errors import TerapixError

LONGEST = 100_000
"""Characters of a query."""

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")+")
      | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign><=|>=|<>|!=|\|\||[-+*/%=<>(),.;])""",
    re.VERBOSE,
)
_TIME = re.compile(r"'(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(\.\d+)?Z?'")


KEYWORDS = {
    *("SELECT", "DISTINCT", "ALL", "FROM", "AS", "WHERE", "GROUP", "BY", "HAVING", "ORDER", "ASC", "DESC"),
    *("JOIN", "INNER", "LEFT", "RIGHT", "FULL", "OUTER", "CROSS", "NATURAL", "ON", "USING"),
    *("AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "ESCAPE", "BETWEEN", "EXISTS", "TRUE", "FALSE"),
    *("UNION", "EXCEPT", "INTERSECT", "CASE", "WHEN", "THEN", "ELSE", "END", "CAST"),
}
"""Words of ADQL that mean the same in SQLite; any other word is a name, or a function in front of a bracket."""


class BadQuery(TerapixError):
    """A query that can not be run; the message says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word, sign or literal of a query."""

    kind: str
    text: str
    apart: bool = False
    """A space stood before it; kept, since unnamed columns are called by their text."""

    @property
    def upper(self) -> str:
        """The word in capitals; literals and signs as they are."""
        return self.text.upper() if self.kind == "word" else self.text


@dataclass(frozen=True, slots=True)
class Translated:
    """A query in the words of SQLite."""

    sql: str
    sources: dict[str, str]
    """For each alias in the outermost list of columns: the column that it renames; both in small letters."""


@dataclass(slots=True)
class _Scope:
    """What stands between a pair of brackets."""

    cast: bool = False
    limit: str | None = None
    offset: str | None = None
    words: list[str] = field(default_factory=list)

    def closing(self) -> list[str]:
        """Words that SQLite wants at the end of a SELECT."""
        if self.limit is None and self.offset is None:
            return []
        limited = f" LIMIT {self.limit or '-1'}"
        return [f"{limited} OFFSET {self.offset}"] if self.offset else [limited]


def tokens(query: str) -> list[Token]:
    """Split a query; spaces and comments are left out.

    Raises
    ------
    BadQuery
        A character that has no place in ADQL, or a text that does not end.
    """
    if len(query) > LONGEST:
        raise BadQuery(f"the query has {len(query)} characters, at most {LONGEST} are read")
    found: list[Token] = []
    place = 0
    apart = False
    while place < len(query):
        match = _TOKEN.match(query, place)
        if match is None:
            raise BadQuery(f"no ADQL at character {place + 1}: {query[place : place + 20]!r}")
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(Token(kind, match[0], apart))
        apart = kind == "space"
        place = match.end()
    return found


def translate(query: str) -> Translated:
    """Translate one SELECT.

    Raises
    ------
    BadQuery
        It is not one SELECT, or uses what ADQL does not have.
    """
    words = tokens(query)
    while words and words[-1].text == ";":
        words.pop()
    if not words or words[0].upper != "SELECT":
        raise BadQuery("only SELECT is answered here")
    if any(word.text == ";" for word in words):
        raise BadQuery("one query at a time: there is a ; in the middle")
    return Translated(_sql(words), _sources(words))


def _sql(words: list[Token]) -> str:
    scopes = [_Scope()]
    before = Token("sign", "")
    index = 0
    while index < len(words):
        word = words[index]
        scope = scopes[-1]
        if word.text == "(":
            scopes.append(_Scope(cast=before.upper == "CAST", words=[" (" if word.apart else "("]))
        elif word.text == ")":
            if len(scopes) == 1:
                raise BadQuery("a bracket is closed that was never opened")
            closed = scopes.pop()
            scopes[-1].words += [*closed.words, *closed.closing(), ")"]
        elif word.upper == "TOP" and before.upper in {"SELECT", "DISTINCT", "ALL"}:
            index += 1
            if scope.limit is not None:
                raise BadQuery("TOP twice in one SELECT")
            scope.limit = _whole(words, index, "TOP")
        elif word.upper == "OFFSET" and index + 1 < len(words) and words[index + 1].kind == "number":
            index += 1
            scope.offset = _whole(words, index, "OFFSET")
        elif word.upper == "LIMIT":
            raise BadQuery("LIMIT is no ADQL: write SELECT TOP n")
        else:
            call = index + 1 < len(words) and words[index + 1].text == "("
            name = word.kind == "word" and word.upper not in KEYWORDS and not call
            scope.words.append(" " * word.apart + _word(word, name=name, kind=scope.cast and before.upper == "AS"))
        before = word
        index += 1
    if len(scopes) > 1:
        raise BadQuery(f"{len(scopes) - 1} brackets are not closed")
    return "".join([*scopes[0].words, *scopes[0].closing()])


def _whole(words: list[Token], index: int, after: str) -> str:
    if index >= len(words) or not words[index].text.isdigit():
        raise BadQuery(f"a whole number must follow {after}")
    return words[index].text


def _word(word: Token, *, name: bool, kind: bool) -> str:
    """Write one word; `name` for a name of a column or table, `kind` for a type in a CAST."""
    if kind:
        return "TEXT" if word.upper == "TIMESTAMP" else word.text
    if name:
        return f"`{word.text}`"
    if word.kind == "quoted":
        return "`" + word.text[1:-1].replace('""', '"').replace("`", "``") + "`"
    if word.kind == "text" and (found := _TIME.fullmatch(word.text)):
        return f"'{found[1]}T{found[2]}{found[3] or ':00'}{(found[4] or '.000').ljust(4, '0')}'"
    return word.text


def _sources(words: list[Token]) -> dict[str, str]:
    """Find which columns the outermost SELECT renames: ``a.uri AS address`` makes address a uri."""
    sources: dict[str, str] = {}
    item: list[Token] = []
    depth = 0
    for word in words[1:]:
        depth += (word.text == "(") - (word.text == ")")
        if depth == 0 and (word.text == "," or word.upper == "FROM"):
            _note(item, sources)
            item = []
            if word.upper == "FROM":
                break
        else:
            item.append(word)
    return sources


def _note(item: list[Token], sources: dict[str, str]) -> None:
    while item and (item[0].upper in {"DISTINCT", "ALL", "TOP"} or item[0].kind == "number"):
        item = item[1:]
    names = [word.text.strip('"').lower() for word in item if word.kind in {"word", "quoted"} and word.upper != "AS"]
    dots = sum(word.text == "." for word in item)
    plain = all(word.kind in {"word", "quoted"} or word.text == "." for word in item)
    if plain and len(names) == dots + 2:
        sources[names[-1]] = names[-2]
