"""What a TAP service is asked, and how it answers: parameters checked, tables and refusals written."""

from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web

from snooppix.protocol.adql import BadQuery
from snooppix.protocol.tables import Answer
from snooppix.protocol.votable import BINARY2, MEDIA, error, separated_parts, votable_parts

LANGUAGES = {"ADQL", "ADQL-2.0", "ADQL-2.1"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as it was asked."""

    query: str
    media: str
    """Content type of the answer."""
    most: int | None
    """Rows that are wanted at most."""
    binary: bool = False
    """The rows of a VOTable are wanted as BINARY2."""


async def parameters(request: web.Request) -> dict[str, str]:
    """Take the parameters from the address and from the form, whatever their case."""
    given = {key.upper(): text for key, text in request.query.items()}
    if request.method == "POST":
        form = await request.post()
        given |= {key.upper(): text for key, text in form.items() if isinstance(text, str)}
    return given


def asked(given: dict[str, str]) -> Asked:
    """Check the parameters of a query.

    Raises
    ------
    BadQuery
        One of them is missing, or makes no sense here.
    """
    if given.get("REQUEST", "doQuery") != "doQuery":
        raise BadQuery(f"REQUEST={given['REQUEST']} is not known here, only doQuery")
    if given.get("LANG", "ADQL").upper() not in LANGUAGES:
        raise BadQuery(f"LANG={given['LANG']} is not known here, only {', '.join(sorted(LANGUAGES))}")
    if "QUERY" not in given:
        raise BadQuery("there is no QUERY")
    name = given.get("RESPONSEFORMAT") or given.get("FORMAT") or "votable"
    wanted = name.lower().replace(" ", "")
    media = MEDIA.get(wanted)
    if media is None:
        raise BadQuery(f"RESPONSEFORMAT={name} is not known here, only {', '.join(MEDIA)}")
    most = given.get("MAXREC", "")
    if most and not most.isdecimal():
        raise BadQuery(f"MAXREC={most} is no number of rows")
    return Asked(given["QUERY"], media, int(most) if most else None, wanted in {BINARY2, "votable/b2"})


def parts(answer: Answer, asked: Asked) -> Iterator[bytes]:
    """Write an answer in the format that was asked for, piece by piece."""
    if asked.media == "text/csv":
        pieces = separated_parts(answer, ",")
    elif asked.media == "text/tab-separated-values":
        pieces = separated_parts(answer, "\t")
    else:
        pieces = votable_parts(answer, query=asked.query, binary=asked.binary)
    return (piece.encode() for piece in pieces)


def written(answer: Answer, asked: Asked) -> bytes:
    """Write an answer in the format that was asked for."""
    return b"".join(parts(answer, asked))


def refused(message: str, *, status: int = 400) -> web.Response:
    """Answer a query that cannot be run, as TAP wants it: a VOTable with the reason."""
    return web.Response(text=error(message), status=status, content_type="application/x-votable+xml")
