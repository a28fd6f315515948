"""Rows as BINARY2 of VOTable: a mask of nulls, then the values, big-endian; in base64."""

import base64
import struct
from collections.abc import Callable, Iterator
from typing import Any

from snooppix.protocol.tables import Answer

_SIZES = {"long": struct.Struct(">q"), "int": struct.Struct(">i"), "double": struct.Struct(">d")}


def encoded(answer: Answer) -> Iterator[str]:
    """Encode the rows of an answer piece by piece."""
    writers = [_writer(column.attributes) for column in answer.columns]
    left = b""
    for block in answer.blocks():
        left += b"".join([_row(row, writers) for row in block])
        whole = len(left) - len(left) % 3  # base64 takes three bytes at a time
        yield base64.b64encode(left[:whole]).decode()
        left = left[whole:]
    yield base64.b64encode(left).decode() + "\n"


def _row(row: tuple[Any, ...], writers: list[Callable[[Any], bytes]]) -> bytes:
    nulls = "".join("1" if value is None else "0" for value in row)
    nulls += "0" * (-len(nulls) % 8)
    mask = int(nulls, 2).to_bytes(len(nulls) // 8)
    return mask + b"".join([write(value) for write, value in zip(writers, row, strict=True)])


def _writer(attributes: dict[str, str]) -> Callable[[Any], bytes]:
    """Give what writes a value of a FIELD; a null is written as zero or as an empty text."""
    number = _SIZES.get(attributes["datatype"])
    if number is not None:
        return lambda value: number.pack(value or 0)
    size = attributes.get("arraysize", "*")
    if size.endswith("*"):
        return lambda value: _text(value, None)
    return lambda value: _text(value, int(size))


def _text(value: Any, size: int | None) -> bytes:
    text = ("" if value is None else str(value)).encode("ascii", errors="replace")
    return struct.pack(">I", len(text)) + text if size is None else text[:size].ljust(size, b"\0")
