"""Changes of headers: keywords removed, renamed and added, .head files baked in, conventions mended."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from processing.cards import CARD
from processing.errors import BadSetting
from processing.missfits.findings import Finding, Gravity
from processing.missfits.hdus import MANDATORY, Hdu, card_of, comment_of, keyword

_HEAD_LINE = re.compile(r"([A-Za-z0-9_-]{1,8}) *= ?(.*)")
_KEPT_BY_HEADS = re.compile(r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|BSCALE|BZERO|END")
_WIPES = {
    "PV": (re.compile(r"PV\d+_\d+"), re.compile(r"PV\d+_\d+")),
    "CD": (re.compile(r"CD\d+_\d+"), re.compile(r"CDELT\d+|PC\d+_\d+|CROTA\d+")),
}
"""What a .head may bring: its keywords, and those of the image that the first of them makes void."""
_WFI_PIXEL = 0.238 / 3600
"""Degrees."""
_WFI = (
    ("CTYPE1", "RA---TAN", "World coordinate type"),
    ("CTYPE2", "DEC--TAN", "World coordinate type"),
    ("CDELT1", -_WFI_PIXEL, "Pixel step in world coordinates"),
    ("CDELT2", _WFI_PIXEL, "Pixel step in world coordinates"),
)


@dataclass(frozen=True, slots=True)
class Edits:
    """What is to be changed in every header."""

    remove: tuple[re.Pattern[str], ...] = ()
    renamed: tuple[tuple[re.Pattern[str], str], ...] = ()
    """Pattern of the old keyword, and the new one with ? and * standing for what they stood for."""
    added: tuple[tuple[str, bool | int | float | str], ...] = ()
    fix_wfi: bool = False
    pv_as_tpv: bool = False


def pattern(text: str) -> re.Pattern[str]:
    """Return what a keyword with wildcards matches: ? one character, * any number of them."""
    parts = {"?": "(.)", "*": "(.*)"}
    return re.compile("".join(parts.get(character, re.escape(character)) for character in text.upper()))


def edits_of(
    remove: Sequence[str], renamed: Sequence[str], added: Sequence[str], *, fix_wfi: bool, pv_as_tpv: bool
) -> Edits:
    """Return the edits that the settings mean; BadSetting where one means nothing."""
    pairs = [_pair("REPLACE_KEYWORD", text, "OLD:NEW") for text in renamed]
    news = [_pair("ADD_KEYWORD", text, "KEY:VALUE") for text in added]
    for key, names in (("REPLACE_KEYWORD", [new for _, new in pairs]), ("ADD_KEYWORD", [name for name, _ in news])):
        for name in names:
            bare = name.upper().replace("?", "X").replace("*", "X")
            if not re.fullmatch(r"[A-Z0-9_-]{1,8}", bare) or MANDATORY.fullmatch(bare):
                expected = "a keyword of at most 8 letters, digits, - or _ that does not tell where the pixels are"
                raise BadSetting(f"{key}: {name}: {expected} was expected")
    return Edits(
        tuple(pattern(text) for text in remove),
        tuple((pattern(old), new.upper()) for old, new in pairs),
        tuple((name.upper(), _typed(value)) for name, value in news),
        fix_wfi,
        pv_as_tpv,
    )


def _pair(key: str, text: str, form: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (name and colon and value):
        raise BadSetting(f"{key}: {text}: {form} was expected")
    return name, value


def _typed(text: str) -> bool | int | float | str:
    if text in {"T", "F"}:
        return text == "T"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def edited(hdu: Hdu, edits: Edits) -> Hdu:
    """Return the HDU with all edits made, in the order: removed, renamed, added, WFI, TPV."""
    cards = [card for card in hdu.cards if not _removed(card, edits)]
    cards = [_renamed(card, edits) for card in cards]
    for name, value in edits.added:
        put(cards, name, value)
    if edits.fix_wfi:
        for name, number, comment in _WFI:
            put(cards, name, number, comment)
    if edits.pv_as_tpv and any(re.fullmatch(r"PV[12]_\d+", keyword(card)) for card in cards):
        cards = [_as_tpv(card) for card in cards]
    return hdu.with_cards(cards)


def put(cards: list[str], name: str, value: bool | float | str, comment: str = "") -> None:
    """Give a keyword a value: in place, with the comment it has, or as the last card."""
    for place, card in enumerate(cards):
        if keyword(card) == name and card[8:10] == "= ":
            cards[place] = card_of(name, value, comment_of(card))
            return
    cards.append(card_of(name, value, comment))


def _removed(card: str, edits: Edits) -> bool:
    name = keyword(card)
    if MANDATORY.fullmatch(name) or not name:
        return False
    return any(each.fullmatch(name) for each in edits.remove)


def _renamed(card: str, edits: Edits) -> str:
    name = keyword(card)
    if MANDATORY.fullmatch(name) or not name:
        return card
    for old, new in edits.renamed:
        found = old.fullmatch(name)
        if found:
            stood = iter(found.groups())
            filled = "".join(next(stood, "") if character in "?*" else character for character in new)
            return filled[:8].ljust(8) + card[8:]
    return card


def _as_tpv(card: str) -> str:
    if re.fullmatch(r"CTYPE[12]", keyword(card)):
        return card.replace("RA---TAN'", "RA---TPV'").replace("DEC--TAN'", "DEC--TPV'")
    return card


@dataclass(frozen=True, slots=True)
class Head:
    """An ASCII file of cards: one block an image."""

    path: Path
    blocks: tuple[tuple[str, ...], ...]
    findings: tuple[Finding, ...]


def read_head(path: Path) -> Head | None:
    """Return the blocks of a .head file, each ended by END; None where there is no such file."""
    try:
        lines = path.read_bytes().decode("latin-1").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        return None
    findings: list[Finding] = []
    blocks: list[tuple[str, ...]] = []
    block: list[str] = []

    def tell(number: int, kind: str, found: str, remedy: str) -> None:
        findings.append(Finding(path, None, number, kind, found, remedy, Gravity.WARNING, mended=True))

    for number, line in enumerate(lines, 1):
        text = line.rstrip()
        if text == "END":
            blocks.append(tuple(block))
            block = []
            continue
        if re.search(r"[^ -~]", text):
            tell(number, "not ASCII", f"line {number} holds another sign", "each becomes '?'")
            text = re.sub(r"[^ -~]", "?", text)
        found = _HEAD_LINE.match(text)
        name = found[1].upper() if found else keyword(text)
        card = f"{name:<8}= {_aligned(found[2].strip())}" if found else text
        if len(card) > CARD:
            tell(number, "card beyond 80 columns", f"{name} takes {len(card)} columns", "cut at column 80")
            card = card[:CARD]
        if text:
            block.append(card.ljust(CARD))
    if any(card.strip() for card in block):
        tell(len(lines), "missing END", "no END behind the last line", "taken as if it were there")
        blocks.append(tuple(block))
    return Head(path, tuple(blocks), tuple(findings))


def _aligned(text: str) -> str:
    """Value and comment on their usual columns; the digits of a number stay as they are."""
    found = re.match(r"('(?:[^']|'')*'|[^/]*)\s*(?:/ ?(.*))?$", text)
    if not found:
        return text
    value = found[1].strip()
    if value.startswith("'"):
        value = "'" + value[1:-1].ljust(8) + "'"
    written = f"{value:<20}" if value.startswith("'") else f"{value:>20}"
    return written + (f" / {found[2]}" if found[2] else "")


def baked(hdu: Hdu, block: Sequence[str]) -> Hdu:
    """Return the HDU with the cards of a .head block over its own, as `under` puts them."""
    cards = under(hdu.cards, block)
    return replace(hdu, cards=tuple(cards), raw=b"") if tuple(cards) != hdu.cards else hdu


def under(own: Sequence[str], block: Sequence[str]) -> list[str]:
    """Return the cards of an image with those of a .head block over them.

    Cards of storage are never taken over. A card without a comment keeps the comment that the image has.
    HISTORY and COMMENT go to the end. The first PV card makes all PV of the image void, the first CD card its
    CDELT, PC and CROTA.
    """
    cards = list(own)
    for brings, void in _WIPES.values():
        if any(brings.fullmatch(keyword(card)) for card in block):
            cards = [card for card in cards if not void.fullmatch(keyword(card))]
    places = {keyword(card): place for place, card in reversed(list(enumerate(cards)))}
    for card in block:
        name = keyword(card)
        if _KEPT_BY_HEADS.fullmatch(name):
            continue
        if name in places and card[8:10] == "= ":
            old = comment_of(cards[places[name]])
            cards[places[name]] = card if comment_of(card) or not old else f"{card.rstrip()} / {old}"[:CARD].ljust(CARD)
        else:
            places.setdefault(name, len(cards))
            cards.append(card)
    return cards
