"""Fixtures of the tests against DaCHS."""

from tests.dachs.centre import data_centre
from tests.dachs.site import site

__all__ = ["data_centre", "site"]
