"""What all tables share: how columns hold moments, words and figures."""

import enum
import json
import math
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Double, Integer, MetaData, String, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Instant(TypeDecorator[datetime]):
    """A moment in UTC; a naive one is refused, and what comes back always knows its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Text(TypeDecorator[str]):
    """Text that may come from a hostile header: cut to its column's length, without what databases refuse."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        del dialect
        if value is None:
            return None
        clean = value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
        return clean[: getattr(self.impl, "length", None)]


class Word(TypeDecorator[enum.StrEnum]):
    """One word of an enumeration, stored as itself."""

    impl = String
    cache_ok = True

    def __init__(self, words: type[enum.StrEnum], length: int) -> None:
        super().__init__(length)
        self.words = words

    def process_bind_param(self, value: enum.StrEnum | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else self.words(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> enum.StrEnum | None:
        del dialect
        return None if value is None else self.words(value)


class Figure(TypeDecorator[float]):
    """A number; what is not finite is unknown."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        del dialect
        return float(value) if value is not None and math.isfinite(value) else None


class Document(TypeDecorator[Any]):
    """A JSON document; none is stored as no value, and numbers that JSON does not know as null."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> Any | None:
        del dialect
        return None if value is None else plain(value)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        return self.impl_instance.coerce_compared_value(op, value)


def plain(value: Any) -> Any:
    """Give `value` as JSON can hold it on every database: no NaN, no infinity, no NUL; keys are text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {str(plain(str(key))): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    json.dumps(value)
    return value


BigKey = BigInteger().with_variant(Integer(), "sqlite")
"""Row number; SQLite counts only plain INTEGER keys up by itself."""
Name = Text(80).with_variant(Text(80, collation="C"), "postgresql")
"""Name of a frame; ordered byte by byte everywhere, so that its beginning can be looked up in the index."""


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=CONVENTION)
    type_annotation_map: ClassVar = {
        datetime: Instant(),
        dict[str, Any]: Document(),
        list[Any]: Document(),
        int: BigKey,
        str: Text(),
        float: Figure(),
    }
