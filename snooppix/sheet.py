"""A page of the listing by columns: which of its rows are written as nearly all are, and what those say."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from snooppix.block import Block
from snooppix.columns import Bytes, Column, Holds, column, days, decimals, digests, fractions, stamps, words
from snooppix.listing import COLUMNS
from snooppix.names import Names

USUAL_ADDRESS: Final = r"[a-z]{1,20}:[A-Za-z0-9_-]{1,40}/(\d{1,9}%s)\.fits(?:\.fz|\.gz)?"
"""Of a frame called by number and letter."""
LONGEST_LENGTH: Final = 11
"""Digits of a length in bytes."""
_AT: Final = {name: place for place, name in enumerate(COLUMNS)}
_LONGEST_ADDRESS: Final = 100
_LONGEST_NUMBER: Final = 9
_LONGEST_MOMENT: Final = 26
_DIGEST: Final = 36
_BOUNDS: Final = 4
"""Different beginnings and ends of addresses that are told in one page: the archive has .fits, .fits.gz, .fits.fz."""
_LONGEST: Final = {"runid": 20, "filter": 40, "object": 80, "elixir_version": 20}
_WORDS: Final = {
    "runid": "o.proposal_id",
    "filter": "p.energy_bandpassName",
    "object": "o.target_name",
    "elixir_version": "p.provenance_version",
}
_MOMENTS: Final = {
    "archive_modified": "o.maxLastModified",
    "release": "p.dataRelease",
    "processed_at": "p.provenance_lastExecuted",
}
_MOST_SECONDS: Final = 1e12
_ZERO, _SPACE, _POINT = ord("0"), ord(" "), ord(".")


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """The usual rows of a page."""

    usual: Holds
    """(rows of the page,): which they are."""
    columns: Mapping[str, Bytes]
    """Of each the values, as `dbclient.stores.slab` has them."""
    places: frozenset[str]
    """Beginnings of their addresses: archive and collection."""

    def has(self, names: Iterable[str]) -> bool:
        """Whether any of some names is among them."""
        letters = self.columns["name"]
        known = np.ascontiguousarray(letters).view(f"S{letters.shape[1]}").ravel()
        return any(bool((known == name.encode().ljust(letters.shape[1])).any()) for name in names)


def sheet_of(block: Block, *, names: Names) -> Sheet | None:
    """Read a page by columns; none if no row is usual, or a name comes twice."""
    name = column(block, _AT["p.productID"], width=_LONGEST_NUMBER + len(names.suffix))
    usual = ~block.odd & _numbered(name, suffix=names.suffix)
    uri = column(block, _AT["a.uri"], width=_LONGEST_ADDRESS)
    addressed, places = _addressed(block, name, uri, usual, suffix=names.suffix)
    usual &= addressed
    found = {"name": name.letters, "uri": uri.letters}

    size = column(block, _AT["a.contentLength"], width=LONGEST_LENGTH + 1)
    whole = decimals(size)
    usual &= whole.holds & (size.lengths <= LONGEST_LENGTH) & ~(size.letters == _POINT).any(axis=1)
    digest = column(block, _AT["a.contentChecksum"], width=_DIGEST)
    usual &= digests(digest)
    found |= {"size": size.letters, "wire_digest": digest.letters}
    for said, asked in _MOMENTS.items():
        found[said], holds = stamps(column(block, _AT[asked], width=_LONGEST_MOMENT + 1))
        usual &= holds
    for said, asked in _WORDS.items():
        cells = column(block, _AT[asked], width=_LONGEST[said])
        usual &= words(cells, most=_LONGEST[said])
        found[said] = cells.letters
    found["observed_at"], holds = days(column(block, _AT["p.time_bounds_lower"], width=_LONGEST_MOMENT))
    usual &= holds

    exposure = column(block, _AT["p.time_exposure"], width=_LONGEST_MOMENT)
    seconds, unknown = decimals(exposure), exposure.lengths == 0
    found["exposure"], scale, holds = fractions(seconds.values)
    usual &= unknown | (seconds.holds & (seconds.values < _MOST_SECONDS) & holds)
    found["exposure_scale"] = np.where(unknown[:, None], _ZERO, scale).astype(np.uint8)
    if not usual.any() or _repeated(name, usual, suffix=names.suffix):
        return None
    return Sheet(usual, {said: letters[usual] for said, letters in found.items()}, places)


def _numbered(name: Column, *, suffix: str) -> Holds:
    """(rows,): where a name is a number and the suffix."""
    width, ending = name.letters.shape[1], suffix.encode()
    figures = name.lengths - len(ending)
    holds = (figures >= 1) & (figures <= _LONGEST_NUMBER) & (name.lengths <= width)
    first = np.where(holds, figures, 0)
    for step, letter in enumerate(ending):
        at = np.minimum(first + step, width - 1)
        holds &= name.letters[np.arange(len(at)), at] == letter
    is_figure = (name.letters - _ZERO) < 10
    return np.asarray(holds & (is_figure | (np.arange(width) >= first[:, None])).all(axis=1))


def _addressed(block: Block, name: Column, uri: Column, rows: Holds, *, suffix: str) -> tuple[Holds, frozenset[str]]:
    """(rows,): where an address is one of the usual ones, and leads to the file of the name beside it; its places."""
    pattern = re.compile(USUAL_ADDRESS % re.escape(suffix), re.ASCII)
    holds = np.zeros(len(rows), dtype=bool)
    left = rows.copy()
    places = set()
    for _ in range(_BOUNDS):
        if not left.any():
            break
        row = int(np.argmax(left))
        left[row] = False
        cells = block[row]
        known = pattern.fullmatch(cells[_AT["a.uri"]])
        if known is None or known[1] != cells[_AT["p.productID"]]:
            continue
        begin, end = known.string[: known.start(1)], known.string[known.end(1) :]
        like = _between(begin.encode(), name, end.encode(), uri)
        places.add(begin)
        holds |= rows & like
        left &= ~like
    return holds, frozenset(places)


def _between(begin: bytes, name: Column, end: bytes, uri: Column) -> Holds:
    """(rows,): where an address is a beginning, the name beside it, and an end."""
    width, wide = uri.letters.shape[1], name.letters.shape[1]
    wanted = np.full((len(name.lengths), max(width, len(begin) + wide + len(end))), _SPACE, dtype=np.uint8)
    wanted[:, : len(begin)] = np.frombuffer(begin, dtype=np.uint8)
    wanted[:, len(begin) : len(begin) + wide] = name.letters
    behind = len(begin) + np.minimum(name.lengths, wide)
    for step, letter in enumerate(end):
        wanted[np.arange(len(behind)), behind + step] = letter
    same = (wanted[:, :width] == uri.letters).all(axis=1)
    return np.asarray(same & (uri.lengths == len(begin) + name.lengths + len(end)))


def _repeated(name: Column, usual: Holds, *, suffix: str) -> bool:
    """Whether a number comes twice."""
    figures = name.lengths[usual] - len(suffix)
    letters = np.where(np.arange(name.letters.shape[1]) < figures[:, None], name.letters[usual], _SPACE)
    numbers = decimals(Column(letters, figures)).values
    return not bool((np.diff(numbers) > 0).all()) and len(np.unique(numbers)) < len(numbers)
