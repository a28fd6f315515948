"""Quantities as a person reads them, the same in every answer, reason and story."""

from typing import Final

UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def counted(count: int, word: str) -> str:
    """Write a number of things: ``1 frame``, ``2 frames``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def in_words(count: float) -> str:
    """Write bytes with three digits, in powers of 1000: ``3.1 GB``, ``341 MB``."""
    value, unit = float(count), 0
    while abs(value) >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"
    return f"{digits} {UNITS[unit]}"
