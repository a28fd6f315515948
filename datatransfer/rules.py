"""Rules: which of them decides on a frame, and what it says. Pure.

Of the rules that are on, the first that fits decides; a frame that none fits
goes by ``datatransfer.policy``, in the order of its own priority.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Protocol, cast, get_args

from datatransfer.placement import Policy
from dbclient.rulebook import RuleRecord

HOLD: Final = "hold"
"""Policy of a rule whose frames stay at reception until an operator sends them."""
POLICIES: Final = (*get_args(Policy), HOLD)
"""What a rule may say."""
_RUNID: Final = re.compile(r"\d\d[AB]([A-Z])", re.IGNORECASE)


class Described(Protocol):
    """What rules look at of a frame."""

    @property
    def runid(self) -> str | None: ...

    @property
    def filter(self) -> str | None: ...

    @property
    def instrument(self) -> str | None: ...

    @property
    def priority(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is decided on a frame."""

    rule: RuleRecord | None
    """The rule that decided; none: the settings did."""
    priority: int
    """Its lane, the higher the sooner: the rule's, or its own where that is higher."""
    policy: Policy | None
    """How its node is found; none: as the settings say."""
    node: str | None
    """The only node that will do; none: any."""
    holds: bool = False
    """Whether it stays at reception."""

    @property
    def by(self) -> str:
        """Who decided, in words."""
        return f"rule {self.rule.position}" if self.rule else "the settings"


def program_of(runid: str | None) -> str:
    """Give the program of a run: the agency's letter behind the semester, as L in 03AL03; empty where there is none."""
    found = _RUNID.match(runid or "")
    return found[1].upper() if found else ""


def fits(rule: RuleRecord, frame: Described) -> bool:
    """Tell whether a rule is about a frame; a lone * takes what is not known, too."""
    pairs = (
        (rule.runid, frame.runid),
        (rule.filter, frame.filter),
        (rule.instrument, frame.instrument),
        (rule.program, program_of(frame.runid)),
    )
    return all(pattern == "*" or fnmatchcase((value or "").lower(), pattern.lower()) for pattern, value in pairs)


def decide(rules: Sequence[RuleRecord], frame: Described) -> Ruling:
    """Say what becomes of a frame.

    Parameters
    ----------
    rules : in their order
    """
    rule = next((rule for rule in rules if rule.enabled and fits(rule, frame)), None)
    if rule is None:
        return Ruling(None, frame.priority, None, None)
    holds = rule.policy == HOLD
    policy = None if holds else cast("Policy | None", rule.policy)
    return Ruling(rule, max(rule.priority, frame.priority), policy, rule.node, holds)


@dataclass(frozen=True, slots=True)
class Share:
    """What a rule would take of some frames."""

    rule: RuleRecord | None
    """None: what no rule takes."""
    frames: int
    """Frames on which it decides."""
    bytes: int
    """Bytes of them."""
    fitting: int
    """Frames that it fits, though an earlier rule may decide on them."""
    names: tuple[str, ...]
    """The first few on which it decides."""


class Weighed(Described, Protocol):
    """A frame as it is counted."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int | None: ...


NAMED: Final = 3
"""Frames that a share names."""


def shares(rules: Sequence[RuleRecord], frames: Sequence[Weighed]) -> list[Share]:
    """Say what each rule would take, alone and in sequence; the last one is what no rule takes."""
    taken: dict[int | None, list[Weighed]] = {rule.id: [] for rule in rules} | {None: []}
    for frame in frames:
        ruling = decide(rules, frame)
        taken[ruling.rule.id if ruling.rule else None].append(frame)
    return [
        Share(
            rule,
            len(mine := taken[rule.id if rule else None]),
            sum(frame.size or 0 for frame in mine),
            sum(fits(rule, frame) for frame in frames) if rule else len(mine),
            tuple(frame.name for frame in mine[:NAMED]),
        )
        for rule in (*rules, None)
    ]
