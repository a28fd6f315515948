"""Cards of a header as they should be: what is against the standard is told, and mended where that needs no guess."""

import re
from functools import lru_cache
from pathlib import Path

from processing.cards import CARD, RECORD
from processing.missfits.findings import Finding, Gravity

_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8} *$")
_COMMENTARY = ("COMMENT", "HISTORY", "CONTINUE", "HIERARCH", "")
_UNCLOSED = re.compile(r".{8}= *'(?:[^']|'')*$")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?$|\(.*\)$|[TF]$")
_STARTS = re.compile(rb"(?:[A-Z0-9_-]{1,8} *= |COMMENT |HISTORY |END {5})")


class _Teller:
    """Findings of one header."""

    def __init__(self, path: Path, number: int, *, mend: bool) -> None:
        self.path = path
        self.number = number
        self.mend = mend
        self.findings: list[Finding] = []

    def tell(
        self, card: int | None, kind: str, found: str, remedy: str, otherwise: str, *, can: bool = True,
        gravity: Gravity = Gravity.WARNING,
    ) -> None:  # fmt: skip
        """Say what is wrong; `remedy` is what was done, `otherwise` what is to be done where nothing was."""
        mended = self.mend and can
        text = remedy if mended else otherwise
        self.findings.append(Finding(self.path, self.number, card, kind, found, text, gravity, mended))


def mended_cards(
    raw: bytes, path: Path, number: int, *, ended: bool, mend: bool
) -> tuple[tuple[str, ...], list[Finding], bool]:
    """Return the cards of a header up to END, what is wrong with them, and whether `raw` is good as it is."""
    teller = _Teller(path, number, mend=mend)
    if len(raw) % RECORD:
        teller.tell(None, "truncated", "the file ends inside a header", "", "fetch it again", can=False,
                    gravity=Gravity.ERROR)  # fmt: skip
    straight = _straightened(raw, teller) if mend else raw
    text = straight.decode("latin-1")
    images = [text[place : place + CARD].ljust(CARD) for place in range(0, len(text), CARD)]
    last = next((place for place, image in enumerate(images) if image.rstrip() == "END"), None)
    if last is None:
        last = max((place + 1 for place, image in enumerate(images) if image.strip()), default=0)
        if not ended or straight is raw:
            found = f"card {last} is the last one with a text, and no END follows"
            teller.tell(None, "missing END", found, "END goes behind it", "let it be put there", gravity=Gravity.ERROR)
    elif "".join(images[last + 1 :]).strip():
        teller.tell(None, "text behind END", "the rest of the record is not blank", "it is blanked", "blank it")
    cards = tuple(_mended(image, place, teller) for place, image in enumerate(images[:last], 1))
    same = cards == tuple(images[:last]) and straight is raw and not any(f.mended for f in teller.findings)
    return cards, teller.findings, same and ended


@lru_cache(maxsize=4096)
def _is_keyword(name: str) -> bool:
    """Whether eight characters are a keyword, or blank; a mosaic asks for the same ones CCD after CCD."""
    return not name.strip() or bool(_KEYWORD.match(name))


def _mended(image: str, place: int, teller: _Teller) -> str:
    card = image
    if not (card.isascii() and card.isprintable()):
        odd = [character for character in card if not " " <= character <= "~"]
        found = f"{card[:8].strip() or 'a card'} holds {', '.join(sorted({repr(each) for each in odd}))}"
        teller.tell(place, "not ASCII", found, "each becomes '?'", "only printable ASCII may stand in a header")
        if teller.mend:
            card = "".join(character if " " <= character <= "~" else "?" for character in card)
    name = card[:8]
    if not _is_keyword(name):
        upper = name.upper()
        can = _is_keyword(upper) and card[8:10] == "= "
        found = f"keyword {name.rstrip()!r}"
        teller.tell(place, "bad keyword", found, "it takes capitals", "capitals, digits, - and _ are allowed", can=can)
        if teller.mend and can:
            card = upper + card[8:]
    if card[8:10] == "= " and name.rstrip() not in _COMMENTARY:
        card = _value(card, place, teller)
    return card


def _value(card: str, place: int, teller: _Teller) -> str:
    name, text = card[:8].rstrip(), card[10:]
    if _UNCLOSED.match(card):
        found = f"the text of {name} is not closed before column 80"
        teller.tell(place, "text without end", found, "it is closed at the end of the card", "close it with a quote")
        if teller.mend:
            kept = card.rstrip()[: CARD - 1]
            if (len(kept) - len(kept.rstrip("'"))) % 2 and kept[10:].strip() != "'":
                kept = kept[:-1]
            return (kept + "'").ljust(CARD)
        return card
    value = text.split("/")[0].strip()
    if value and not text.lstrip().startswith("'") and not _NUMBER.match(value):
        teller.tell(place, "bad value", f"{name} = {value}", "", "a number, T, F or a 'text' was expected", can=False)
    return card


def _straightened(raw: bytes, teller: _Teller) -> bytes:
    """Put cards back on their columns that a card of more than 80 columns has shifted; `raw` where none has."""
    out: list[bytes] = []
    at, changed = 0, False
    while at < len(raw):
        card = raw[at : at + CARD]
        extra = _overlong(raw, at) if len(card) == CARD else 0
        if extra:
            changed = True
            long = raw[at : at + CARD + extra]
            found = f"{long[:8].decode('latin-1').rstrip()} takes {len(long)} columns: {long.decode('latin-1')!r}"
            whole = long[10:].lstrip().startswith(b"'") is False or long[:CARD].count(b"'") % 2 == 0
            cut = "its comment is cut at column 80" if whole else "its text is cut at column 80"
            teller.tell(len(out) + 1, "card beyond 80 columns", found, cut, "shorten it", gravity=Gravity.ERROR)
        out.append(card)
        at += CARD + extra
        if card.rstrip() == b"END":
            break
    if not changed:
        return raw
    text = b"".join(out)
    return text + b" " * (-len(text) % RECORD)


def _overlong(raw: bytes, at: int) -> int:
    """Columns by which the card at `at` is too long, so that those behind it stand shifted; 0 where it is not."""
    begin = raw[at + CARD : at + 2 * CARD]
    if _STARTS.match(begin) or not begin.strip() or not _STARTS.match(raw[at : at + CARD]):
        return 0
    if begin.startswith((b" ", b"CONTINUE", b"HIERARCH")) and _STARTS.match(raw[at + 2 * CARD :]):
        return 0
    for extra in range(1, CARD):
        here = at + CARD + extra
        following = [raw[here + CARD * step : here + CARD * step + 10] for step in range(3)]
        ends = following[0].startswith(b"END  ")
        if _STARTS.match(following[0]) and (ends or _STARTS.match(following[1]) or following[1].startswith(b"END ")):
            return extra
    return 0
