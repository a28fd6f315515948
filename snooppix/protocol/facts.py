"""What the file service says of a file in the headers of an answer, and what a caller says that it has."""

import base64
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

from aiohttp import web

from snooppix.protocol.cards import headers


def facts_of(name: str, *, identity: str, md5: str, modified: datetime, content_type: str) -> dict[str, str]:
    """Give the headers of a file.

    Parameters
    ----------
    name : of the file
    identity : of its content, another one when the file is replaced
    md5 : 32 hexadecimal digits
    modified : when this content was first listed
    content_type : MIME type
    """
    return {
        "x-artifact-id": identity,
        "Digest": digest_header(bytes.fromhex(md5)),
        "Last-Modified": format_datetime(modified.astimezone(UTC), usegmt=True),
        "Content-Type": content_type,
        "Content-Disposition": f'inline; filename="{name}"',
        "Accept-Ranges": "bytes",
    }


def digest_header(digest: bytes) -> str:
    """Write the value of a Digest header."""
    return f"md5={base64.b64encode(digest).decode()}"


def header_text(path: Path) -> str:
    """Give the headers of all HDUs of a FITS file as they are stored, a card a line."""
    return "\n".join([*(card for cards in headers(path) for card in cards), ""])


def unchanged(request: web.Request, modified: datetime) -> bool:
    """Tell whether a caller has this content already, by the second of its time stamp."""
    given = request.headers.get("If-Modified-Since")
    if not given:
        return False
    try:
        since = parsedate_to_datetime(given)
    except ValueError:
        return False
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return modified.replace(microsecond=0) <= since.astimezone(UTC) <= datetime.max.replace(tzinfo=UTC)
