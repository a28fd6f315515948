"""All groups of measured columns, in the order in which they may need each other."""

from processing.sextractor import apertures, classifier, isophotal, local_sky, point_sources, star_locus, windows
from processing.sextractor.records import Group
from processing.sextractor.settings import Settings

GROUPS: tuple[Group, ...] = (
    *local_sky.GROUPS,
    *isophotal.GROUPS,
    *apertures.GROUPS,
    *windows.GROUPS,
    *classifier.GROUPS,
    *point_sources.GROUPS,
)


APART = frozenset(
    {"IMAFLAGS_ISO", "NIMAFLAGS_ISO", "NLOWWEIGHT_ISO", "NLOWDWEIGHT_ISO", "FLAGS_WEIGHT", "VECTOR_ASSOC"}
    | {"NUMBER_ASSOC", "EXT_NUMBER", star_locus.NAME}
)
"""Columns that come from maps, lists or all sources together, beside the groups."""


def given(settings: Settings) -> frozenset[str]:
    """Return the base columns that can be measured."""
    return APART.union(*(group.gives(settings) for group in GROUPS))


def needed(wanted: frozenset[str], columns: dict[str, frozenset[str]]) -> list[Group]:
    """Return the groups that give the columns `wanted`, and those that these groups need.

    Parameters
    ----------
    columns : what each group gives, by its name
    """
    chosen: set[str] = set()
    asked = set(wanted)
    for group in reversed(GROUPS):
        if asked & columns[group.name]:
            chosen.add(group.name)
            asked |= set(group.needs)
    return [group for group in GROUPS if group.name in chosen]
