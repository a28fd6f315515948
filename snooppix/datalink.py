"""DataLink: what belongs to a dataset, and which of it is the dataset itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from snooppix.votable import TableBroken, TableReader, TableRefused

THIS: Final = "#this"
"""Semantics of the link that leads to the dataset's own bytes."""


@dataclass(frozen=True, slots=True)
class Link:
    """One row."""

    address: str
    semantics: str
    content_type: str = ""


def is_datalink(content_type: str) -> bool:
    """Tell a document of links from a file by its content type."""
    return "content=datalink" in content_type.lower().replace(" ", "").replace('"', "")


def is_fits(content_type: str) -> bool:
    """Tell a FITS file, packed or not, by its content type; one that is not told may be any."""
    return not content_type.strip() or "fits" in content_type.lower()


def links(document: str) -> Iterator[Link]:
    """Read the links that lead somewhere; rows that say why they do not, or name a service, are left out.

    Raises
    ------
    TableBroken, TableRefused
        If it is no such document.
    """
    reader = TableReader(None)
    reader.feed(document.encode())
    rows = list(reader.rows())
    reader.close()
    names = [name.lower() for name in reader.names]
    if "access_url" not in names or "semantics" not in names:
        raise TableBroken("it has no columns access_url and semantics")
    for row in rows:
        cells = dict(zip(names, row, strict=True))
        if cells["access_url"] and not cells.get("error_message"):
            yield Link(cells["access_url"], cells["semantics"], cells.get("content_type", ""))


def own(document: str) -> list[str]:
    """Addresses of the dataset itself: of its links ``#this`` those that lead to FITS files.

    Raises
    ------
    TableBroken
        If it is no such document, or the service refuses.
    """
    try:
        found = list(links(document))
    except TableRefused as problem:
        raise TableBroken(str(problem)) from problem
    return [link.address for link in found if link.semantics.endswith(THIS) and is_fits(link.content_type)]
