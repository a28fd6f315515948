"""Bounds in time and on the sky as settings write them, and what must not be there twice."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime


def moment(text: str) -> datetime | None:
    """Read a day or a moment, in UTC unless it says otherwise; none if it is empty.

    Raises
    ------
    ValueError
        If it is no such thing.
    """
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"a day as 2008-03-01 or a moment as 2008-03-01T12:00:00 was expected, not {text!r}") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def interval(begin: str, end: str) -> tuple[datetime | None, datetime | None]:
    """Read both bounds of a time.

    Raises
    ------
    ValueError
        If one is no moment, or nothing lies between them.
    """
    first, last = moment(begin), moment(end)
    if first is not None and last is not None and first >= last:
        raise ValueError(f"begin = {begin!r} is not before end = {end!r}: no frame lies between them")
    return first, last


def box(numbers: Sequence[float]) -> tuple[float, ...]:
    """Check a box on the sky, in degrees: from and to right ascension, from and to declination; empty is none.

    Raises
    ------
    ValueError
        If it has not four numbers, or they bound nothing.
    """
    if not numbers:
        return ()
    if len(numbers) != 4:
        raise ValueError(
            "four numbers were expected (least and greatest right ascension, least and greatest declination), "
            f"not {len(numbers)}"
        )
    west, east, south, north = numbers
    if not (0 <= west <= 360 and 0 <= east <= 360):
        raise ValueError(f"right ascensions from 0 to 360 degrees were expected, not {west:g} and {east:g}")
    if not -90 <= south < north <= 90:
        raise ValueError(
            f"declinations from -90 to 90 degrees, the lesser first, were expected, not {south:g} and {north:g}"
        )
    if west == east:
        raise ValueError(f"right ascensions {west:g} to {east:g} bound nothing")
    return tuple(float(number) for number in numbers)


def each_once(values: Iterable[str], sentence: str) -> None:
    """Check that no value is given twice.

    Raises
    ------
    ValueError
        If one is; `sentence` says so of {count} and {value}.
    """
    for value, count in Counter(values).items():
        if count > 1:
            raise ValueError(f"{sentence.format(count=count, value=value)}; each needs its own")
