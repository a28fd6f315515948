"""Which of the archive's frames are followed: each rule of the settings as a question to a row, and as ADQL.

A rule is asked twice. Its condition in the query spares the archive and the
line; it may let too much through (LIKE has no escapes in ADQL, and clocks and
floats end somewhere), never too little. What comes is then held against the
rule itself, so that the answer does not depend on how an archive reads LIKE.
A row that does not tell what a rule asks for is dropped by that rule; a table
that has no such column at all cannot be followed by it, which is an error.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from snooppix.errors import RuleNotFollowed
from snooppix.names import Names, matching
from terapix.bounds import box, interval
from terapix.sections import ArchiveSection, SelectionSection

LONGEST_NAME: Final = 120
"""Characters of a bookmark's name."""
EXAMPLES: Final = 5
"""Names shown of those that a rule drops."""
MARGIN: Final = 1.0 / 86_400
"""Days by which the query's bounds are wider than the rule's: one second, for floats that end early."""
_MJD_0: Final = datetime(1858, 11, 17, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the rules look at: one listed file; none and empty where the archive does not say."""

    name: str
    run: str = ""
    """RUNID."""
    camera_run: str = ""
    """CRUNID."""
    investigator: str = ""
    filter: str = ""
    observed_at: datetime | None = None
    ra: float | None = None
    """Degrees."""
    dec: float | None = None
    """Degrees."""
    level: int | None = None
    """Calibration level."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a table tells what the rules ask for; empty where it does not."""

    run: str = ""
    camera_run: str = ""
    investigator: str = ""
    filter: str = ""
    observed: str = ""
    """Modified Julian date of the beginning."""
    ra: str = ""
    dec: str = ""
    level: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    name: str
    """The setting that it comes from."""
    sentence: str
    """What it keeps, as a person says it."""
    keeps: Callable[[Candidate], bool]
    """Whether it lets a row through."""
    needs: tuple[str, ...] = ()
    """Fields of `Candidate`, and of `Columns`, that it looks at."""
    condition: str = ""
    """The same in ADQL, or somewhat wider; empty if ADQL cannot say it."""
    exact: bool = False
    """Whether the condition says all, so that rows need not be asked again."""


def quoted(text: str) -> str:
    """Write a text constant of ADQL."""
    return "'" + text.replace("'", "''") + "'"


def rules(
    section: SelectionSection, columns: Columns, *, names: Names | None = None, table: str = "the table"
) -> tuple[Rule, ...]:
    """Make the rules that the settings ask for, in the order in which they are counted.

    Parameters
    ----------
    section : the settings
    columns : of the table that is asked
    names : what frames are called; none: no rule about names
    table : its name, for errors

    Raises
    ------
    RuleNotFollowed
        If the table does not tell what a rule looks at.
    """
    found = list(_rules(section, columns))
    for rule in found:
        for needed in rule.needs:
            if not getattr(columns, needed):
                raise RuleNotFollowed(rule.name, table=table, lacks=needed.replace("_", " "))
    if names is not None:
        called = Rule("name", f"frames {names.sentence}", lambda row: names.kind(row.name) is not None)
        found.insert(0, called)
    return tuple(found)


def _rules(section: SelectionSection, columns: Columns) -> Iterator[Rule]:
    level = section.level
    yield Rule(
        "level",
        f"calibration level {level}",
        lambda row: row.level == level,
        ("level",),
        f"{columns.level}={level}",
        exact=True,
    )
    for name, wanted in (
        ("run", section.runs),
        ("camera_run", section.camera_runs),
        ("investigator", section.investigators),
        ("filter", section.filters),
    ):
        if wanted:
            yield _listed(f"{name}s", name, wanted, getattr(columns, name))
    begin, end = interval(section.begin, section.end)
    if begin is not None:
        condition = f"{columns.observed}>={_days(begin) - MARGIN:.6f}"
        yield Rule("begin", f"observed on {section.begin} or later", _from(begin), ("observed",), condition)
    if end is not None:
        condition = f"{columns.observed}<{_days(end) + MARGIN:.6f}"
        yield Rule("end", f"observed before {section.end}", _before(end), ("observed",), condition)
    if bounds := box(section.box):
        west, east, south, north = bounds
        ra = f"{columns.ra}>={west!r} {'AND' if west < east else 'OR'} {columns.ra}<={east!r}"
        sentence = f"right ascension {west:g} to {east:g}, declination {south:g} to {north:g} degrees"
        condition = f"{columns.dec} BETWEEN {south!r} AND {north!r} AND ({ra})"
        yield Rule("box", sentence, lambda row: _inside(row, bounds), ("ra", "dec"), condition)


def _listed(name: str, asked: str, wanted: Sequence[str], column: str) -> Rule:
    """Make the rule that one text is among some, or like one of them."""
    patterns = tuple(matching(one) for one in wanted)
    exact = [one for one in wanted if not set(one) & set("*?")]
    likes = [f"{column} LIKE {quoted(_like(one))}" for one in wanted if one not in exact]
    known = [f"{column} IN ({','.join(map(quoted, exact))})"] if exact else []
    return Rule(
        name,
        f"{asked.replace('_', ' ')} {' or '.join(wanted)}",
        lambda row: any(pattern.fullmatch(getattr(row, asked)) for pattern in patterns),
        (asked,),
        " OR ".join([*known, *likes]),
    )


def within(text: str) -> str:
    """Write a text for LIKE, which has no escape in ADQL: what means something there becomes any one letter."""
    return "".join("_" if letter in r"%\[]^" else letter for letter in text)


def _like(pattern: str) -> str:
    """Write a pattern for LIKE."""
    return within(pattern).replace("*", "%").replace("?", "_")


def _days(moment: datetime) -> float:
    return (moment - _MJD_0).total_seconds() / 86_400


def _from(begin: datetime) -> Callable[[Candidate], bool]:
    return lambda row: row.observed_at is not None and row.observed_at >= begin


def _before(end: datetime) -> Callable[[Candidate], bool]:
    return lambda row: row.observed_at is not None and row.observed_at < end


def _inside(row: Candidate, bounds: Sequence[float]) -> bool:
    west, east, south, north = bounds
    if row.ra is None or row.dec is None or not south <= row.dec <= north:
        return False
    ra = row.ra % 360
    return west <= ra <= east if west < east else ra >= west or ra <= east


def conditions(chosen: Sequence[Rule]) -> list[str]:
    """Give what the query can say of the rules: conditions that all have to hold."""
    return [f"({rule.condition})" for rule in chosen if rule.condition]


def followed(place: str, section: ArchiveSection, selection: SelectionSection, names: Names) -> str:
    """Name what is followed, for its bookmark: archive, collection, instrument, and a mark of rules other than default.

    Other rules have a bookmark of their own, which stands at the beginning: what they let through now
    was passed over before, and no change of the archive would bring it again.
    """
    kind = f"{section.table} " if section.kind == "obscore" else ""
    words = f"{kind}{section.collection} {section.instrument}"
    if (selection, names) != (SelectionSection(), Names()):
        mark = hashlib.sha256(repr((selection.model_dump(), names)).encode()).hexdigest()[:8]
        words = f"{words} {mark}"
    return f"{place[: max(0, LONGEST_NAME - len(words) - 1)]} {words}"[-LONGEST_NAME:].strip()


def unsaid(chosen: Sequence[Rule]) -> tuple[Rule, ...]:
    """Give the rules that rows have to be asked, since the query has not said all of them."""
    return tuple(rule for rule in chosen if not rule.exact)


def keeps(chosen: Sequence[Rule], row: Candidate) -> bool:
    """Whether all rules let a row through."""
    return all(rule.keeps(row) for rule in chosen)


@dataclass(slots=True)
class Tally:
    """Counts what each rule keeps and drops, alone and one behind the other; of any number of rows, in no memory."""

    rules: tuple[Rule, ...]
    listed: int = 0
    """Rows that were counted."""
    kept: int = 0
    """Rows that all rules keep."""
    alone: Counter[str] = field(default_factory=Counter)
    """Rows that a rule would drop if it were the only one, by its name."""
    in_sequence: Counter[str] = field(default_factory=Counter)
    """Rows that pass all rules before it, and that it drops."""
    dropped: dict[str, list[str]] = field(default_factory=dict)
    """Names of some of the latter."""

    def add(self, row: Candidate) -> None:
        """Count one row."""
        self.listed += 1
        first = None
        for rule in self.rules:
            if not rule.keeps(row):
                self.alone[rule.name] += 1
                first = first or rule
        if first is None:
            self.kept += 1
            return
        self.in_sequence[first.name] += 1
        names = self.dropped.setdefault(first.name, [])
        if len(names) < EXAMPLES:
            names.append(row.name)

    @property
    def sentence(self) -> str:
        """All in one line: ``level 9000, runs 212; kept 3120``."""
        dropped = ", ".join(f"{rule.name} {self.in_sequence[rule.name]}" for rule in self.rules)
        return f"{dropped or 'no rule'}; kept {self.kept}"

    def rows(self) -> Iterator[Mapping[str, object]]:
        """Give what is known of each rule."""
        for rule in self.rules:
            yield {
                "rule": rule.name,
                "keeps": rule.sentence,
                "drops_alone": self.alone[rule.name],
                "drops_in_sequence": self.in_sequence[rule.name],
                "examples": self.dropped.get(rule.name, []),
                "asked_of_the_archive": bool(rule.condition),
            }
