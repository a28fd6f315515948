"""Fixtures of the tests around the archive."""

from tests.support.archive import served_archive

__all__ = ["served_archive"]
