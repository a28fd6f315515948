"""Until when a certificate holds, read from its PEM text: the few fields of DER that lie before that date."""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from terapix.errors import TerapixError

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
SEQUENCE: Final = 0x30
VERSION: Final = 0xA0
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
REMINDERS: Final = (14.0, 7.0, 3.0, 1.0, 0.0)
"""Days left at which there is a warning, the last of them being an error."""


class CertificateBroken(TerapixError):
    """A text that holds no certificate, or one that cannot be read."""


class Countdown:
    """Says when people are to be reminded of an end: once at each of `REMINDERS`, after a start at that which holds."""

    def __init__(self) -> None:
        self._reminded: float | None = None
        """The last reminder that was given."""

    def due(self, left: float | None) -> float | None:
        """Give the reminder that is due with so many days left; none if there is none, or the end is unknown."""
        if left is None or left > REMINDERS[0]:
            self._reminded = None
            return None
        due = min(day for day in REMINDERS if left <= day)
        if self._reminded is not None and due >= self._reminded:
            return None
        self._reminded = due
        return due


def not_after(text: str) -> datetime:
    """Return the moment at which the first certificate of a chain ends: from then on none of it holds.

    A proxy certificate comes with that of its owner, and the shorter life counts.

    Raises
    ------
    CertificateBroken
        If there is no certificate, or one that is not as RFC 5280 has it.
    """
    found = _PEM.findall(text)
    if not found:
        raise CertificateBroken("there is no certificate in it")
    try:
        return min([_end(ssl.PEM_cert_to_DER_cert(pem)) for pem in found])
    except (ValueError, IndexError, StopIteration) as problem:
        raise CertificateBroken(f"its certificate cannot be read: {problem}") from problem


def _end(der: bytes) -> datetime:
    """Certificate → to be signed → (version), serial number, algorithm, issuer, validity → notBefore, notAfter."""
    signed = _inside(_inside(der, SEQUENCE), SEQUENCE)
    fields = _fields(signed)
    first = next(fields)
    for _ in range(3 if first[0] == VERSION else 2):
        next(fields)
    tag, validity = next(fields)
    if tag != SEQUENCE:
        raise ValueError("no validity where it should be")
    times = _fields(validity)
    next(times)
    tag, text = next(times)
    written = text.decode("ascii")
    if tag == UTC_TIME:
        year = int(written[:2])
        written = f"{2000 + year if year < 50 else 1900 + year}{written[2:]}"
    elif tag != GENERALIZED_TIME:
        raise ValueError("an end that is no time")
    return datetime.strptime(written, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _inside(der: bytes, expected: int) -> bytes:
    tag, content = next(_fields(der))
    if tag != expected:
        raise ValueError(f"tag {tag:#x} where {expected:#x} should be")
    return content


def _fields(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the tag and the content of each field in a row."""
    place = 0
    while place < len(der):
        tag, length, begin = der[place], der[place + 1], place + 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(der[begin : begin + count], "big")
            begin += count
        if begin + length > len(der):
            raise ValueError("a field that is longer than the whole")
        yield tag, der[begin : begin + length]
        place = begin + length
