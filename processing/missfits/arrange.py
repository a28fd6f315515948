"""Arranging HDUs anew: split, joined, sliced, stacked. No pixel is looked at; planes of a cube are places of bytes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from processing.cards import CARD
from processing.errors import ShapeMismatch
from processing.missfits.editing import put
from processing.missfits.hdus import Hdu, Stretch, as_extension, as_simple, bare_primary, card_of, comment_of, keyword
from processing.missfits.sets import Layout, Numbering, Source


@dataclass(frozen=True, slots=True)
class SliceKeys:
    """Keywords that differ from plane to plane: AIRM001, AIRM002 … in a cube, AIRM in a slice."""

    names: tuple[str, ...]
    form: str
    """Format of the number, as %03d."""

    def of(self, name: str, number: int) -> str:
        return name + self.form % number


@dataclass(frozen=True, slots=True)
class Product:
    """A file to write."""

    path: Path
    hdus: tuple[Hdu, ...]


@dataclass(frozen=True, slots=True)
class Naming:
    """What the files to write are called."""

    splits: Numbering
    slices: Numbering
    new: str
    """Put before the ending; empty where the old names stay."""

    def single(self, source: Source) -> Path:
        """Name of the file that holds all of a source."""
        return source.stem.with_name(f"{source.stem.name}{self.new}{source.ending}")

    def numbered(self, source: Source, numbering: Numbering, number: int) -> Path:
        """Name of one file of a set."""
        suffix = numbering.of(number)
        ending = next((end for end in (".fits.fz", ".fits") if suffix.endswith(end)), "")
        bare = suffix[: len(suffix) - len(ending)] if ending else suffix
        return source.stem.with_name(f"{source.stem.name}{bare}{self.new}{ending}")

    def inside(self, source: Source, number: int) -> Path:
        """Name of one file of a set that has a directory of its own."""
        directory = source.stem.with_name(f"{source.stem.name}{self.new}")
        return directory / f"{source.stem.name}{self.splits.of(number)}"


def joined(source: Source) -> tuple[Hdu, ...]:
    """Return all HDUs of a file, or of a set as one file would have them; a set of slices is not joined here."""
    if source.layout is Layout.SAME:
        return source.files[0].hdus
    primary: list[Hdu] = []
    extensions: list[Hdu] = []
    for number, scanned in zip(source.numbers, source.files, strict=True):
        if number == 0 and not primary:
            primary = list(scanned.hdus[:1])
            extensions += scanned.hdus[1:]
        elif len(scanned.hdus) > 1 and scanned.hdus[0].is_empty:
            extensions += scanned.hdus[1:]
        else:
            extensions += [as_extension(hdu) for hdu in scanned.hdus]
    return (*(primary or [bare_primary(source.stem)]), *extensions)


def arranged(source: Source, wanted: Layout, naming: Naming, keys: SliceKeys) -> list[Product]:
    """Return the files that hold a source in the wanted layout.

    Raises
    ------
    ShapeMismatch
        Where slices differ in size.
    """
    layout = source.layout if wanted is Layout.SAME else wanted
    if source.layout is Layout.SLICE and layout is Layout.SLICE:
        pairs = zip(source.numbers, source.files, strict=True)
        return [Product(naming.numbered(source, naming.slices, number), scanned.hdus) for number, scanned in pairs]
    if source.layout is Layout.SLICE and layout is Layout.CUBE:
        return [Product(naming.single(source), stacked([scanned.hdus for scanned in source.files], keys))]
    hdus = joined(source)
    if layout is Layout.SAME:
        return [Product(naming.single(source), hdus)]
    if layout is Layout.MULTI:
        alone = len(hdus) == 1 and not hdus[0].is_empty
        whole = (bare_primary(source.stem), as_extension(hdus[0])) if alone else hdus
        return [Product(naming.single(source), whole)]
    if layout is Layout.CUBE:
        return [Product(naming.single(source), tuple(_deep(hdu, hdu.data) for hdu in hdus))]
    if layout is Layout.SLICE:
        planes = sliced(hdus, keys, naming.slices.start)
        return [
            Product(naming.numbered(source, naming.slices, number), plane)
            for number, plane in enumerate(planes, naming.slices.start)
        ]
    return _split(source, layout, hdus, naming)


def _split(source: Source, layout: Layout, hdus: Sequence[Hdu], naming: Naming) -> list[Product]:
    def path(number: int) -> Path:
        if layout is Layout.DIR:
            return naming.inside(source, number)
        return naming.numbered(source, naming.splits, number)

    start = naming.splits.start
    if len(hdus) == 1:
        return [Product(path(start), tuple(hdus))]
    products = [Product(path(start - 1), (hdus[0],))]
    for number, hdu in enumerate(hdus[1:], start):
        is_image = hdu.values.text("XTENSION") == "IMAGE"
        products.append(Product(path(number), (as_simple(hdu),) if is_image else (bare_primary(hdu.path), hdu)))
    return products


def axes(hdu: Hdu) -> tuple[int, ...]:
    """Lengths of the axes, that of the rows first."""
    values = hdu.values
    return tuple(int(values.plain(f"NAXIS{axis}") or 0) for axis in range(1, 1 + int(values.plain("NAXIS") or 0)))


def depth_of(hdus: Sequence[Hdu]) -> int:
    """Planes of the deepest cube; 1 where all are images."""
    return max((axes(hdu)[2] for hdu in hdus if len(axes(hdu)) == 3), default=1)


def sliced(hdus: Sequence[Hdu], keys: SliceKeys, start: int) -> list[tuple[Hdu, ...]]:
    """Return the planes of cubes, each with all HDUs; images of two axes are in every one of them."""
    return [tuple(_plane(hdu, place, keys, start) for hdu in hdus) for place in range(depth_of(hdus))]


def _plane(hdu: Hdu, place: int, keys: SliceKeys, start: int) -> Hdu:
    cards = [_shallow(card, keys, place + start) for card in hdu.cards]
    shape = axes(hdu)
    if len(shape) != 3 or not isinstance(hdu.data[0] if hdu.data else None, Stretch):
        return hdu.with_cards(cards)
    if place >= shape[2]:
        raise ShapeMismatch(hdu.path, f"has {shape[2]} planes", hdu=hdu.number, remedy="all cubes of a file must agree")
    flat = [card for card in cards if keyword(card) != "NAXIS3"]
    put(flat, "NAXIS", 2)
    (stretch,) = hdu.data
    assert isinstance(stretch, Stretch)
    size = stretch.size // shape[2]
    return replace(
        hdu.with_cards(flat), data=(Stretch(stretch.path, stretch.start + place * size, size),), resized=True
    )


def _shallow(card: str, keys: SliceKeys, number: int) -> str:
    for name in keys.names:
        if keyword(card) == keys.of(name, number):
            return name.ljust(8) + card[8:]
    return card


def stacked(files: Sequence[Sequence[Hdu]], keys: SliceKeys) -> tuple[Hdu, ...]:
    """Return cubes of slices: headers of the first slice, planes in the order of the files."""
    made = []
    for place, first in enumerate(files[0]):
        planes = [first]
        for hdus in files[1:]:
            other = hdus[place] if place < len(hdus) else None
            if (
                other is None
                or axes(other) != axes(first)
                or other.values.plain("BITPIX") != first.values.plain("BITPIX")
            ):
                path = hdus[0].path if hdus else first.path
                found = "nothing" if other is None else f"{'x'.join(map(str, axes(other)))} pixels"
                remedy = f"{'x'.join(map(str, axes(first)))} pixels as in {first.path} were expected"
                raise ShapeMismatch(path, f"has {found}", hdu=place, remedy=remedy)
            planes.append(other)
        data = tuple(stretch for plane in planes for stretch in plane.data)
        cube = _deep(first, data, len(planes)) if data else first
        made.append(cube.with_cards(_numbered(list(cube.cards), planes, keys)))
    return tuple(made)


def _numbered(cards: list[str], planes: Sequence[Hdu], keys: SliceKeys) -> list[str]:
    for name in keys.names:
        held = [next((card for card in plane.cards if keyword(card) == name), None) for plane in planes]
        behind: int | None = None
        for number, card in enumerate(held, 1):
            if card is None:
                continue
            full = keys.of(name, number)
            image = full.ljust(8) + card[8:]
            names = [keyword(each) for each in cards]
            old = name if number == 1 else full
            if old in names:
                behind = names.index(old)
                cards[behind] = image
            else:
                behind = len(cards) if behind is None else behind + 1
                cards.insert(behind, image)
    return cards


def _deep(hdu: Hdu, data: Sequence[object], depth: int = 1) -> Hdu:
    """Give an image of two axes a third one; others stay as they are."""
    if len(axes(hdu)) != 2 or hdu.values.text("XTENSION", "IMAGE") != "IMAGE":
        return hdu
    cards = list(hdu.cards)
    put(cards, "NAXIS", 3)
    place = next(place for place, card in enumerate(cards) if keyword(card) == "NAXIS2")
    comment = re.sub(r"2$", "3", comment_of(cards[place]))
    cards.insert(place + 1, card_of("NAXIS3", depth, comment)[:CARD])
    return replace(hdu.with_cards(cards), data=tuple(data), resized=depth > 1)  # type: ignore[arg-type]
