"""Rules decide in their order on what automatic transfers do with a frame."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datatransfer.rules import decide, fits, program_of, shares
from dbclient.rulebook import RuleRecord
from dbclient.schema import FrameState, TransferMode
from dbclient.stores import Events, Rules, Transfers
from tests.support.site import Site

THEN = datetime(2003, 12, 20, tzinfo=UTC)


@dataclass(frozen=True)
class Plain:
    name: str = "979412p"
    runid: str | None = "03AL03"
    filter: str | None = "r.MP9601"
    instrument: str | None = "MegaPrime"
    priority: int = 0
    size: int | None = 100


def rule(number: int = 1, **says: Any) -> RuleRecord:
    says = {"runid": "*", "filter": "*", "instrument": "*", "program": "*", "priority": 0} | says
    says = {"policy": None, "node": None, "enabled": True, "comment": ""} | says
    return RuleRecord(id=number, position=number, changed_by="night", changed_at=THEN, **says)


@pytest.mark.parametrize(
    ("says", "taken"),
    [
        ({}, True),
        ({"runid": "03A*"}, True),
        ({"runid": "03a*"}, True),
        ({"runid": "08A*"}, False),
        ({"filter": "r.*", "instrument": "Mega*"}, True),
        ({"filter": "r.*", "instrument": "WIRCam"}, False),
        ({"program": "L"}, True),
        ({"program": "F"}, False),
    ],
)
def test_a_rule_is_about_frames_that_all_its_patterns_fit(says: dict[str, str], taken: bool) -> None:
    assert fits(rule(**says), Plain()) is taken


def test_what_is_not_known_of_a_frame_only_a_star_takes() -> None:
    unknown = Plain(runid=None, filter=None, instrument=None)
    assert fits(rule(), unknown)
    for name in ("runid", "filter", "instrument", "program"):
        assert not fits(rule(**{name: "?*"}), unknown)


@pytest.mark.parametrize(
    ("runid", "program"), [("03AL03", "L"), ("08bf05", "F"), ("10BD90", "D"), ("TERATEST", ""), (None, "")]
)
def test_the_program_is_the_letter_behind_the_semester(runid: str | None, program: str) -> None:
    assert program_of(runid) == program


def test_the_first_rule_that_fits_and_is_on_decides() -> None:
    off = rule(1, node="node1", enabled=False)
    other = rule(2, runid="08A*", node="node2")
    ours = rule(3, program="L", node="node3", priority=5)
    late = rule(4, node="node4")
    ruling = decide([off, other, ours, late], Plain())
    assert (ruling.node, ruling.priority, ruling.by) == ("node3", 5, "rule 3")
    assert decide([ours], Plain(priority=100)).priority == 100
    assert decide([other], Plain()) == replace(ruling, rule=None, priority=0, node=None)
    assert decide([rule(policy="hold")], Plain()).holds


frames = st.builds(
    Plain, runid=st.sampled_from(["03AL03", "08AF05", None]), filter=st.sampled_from(["r.MP9601", "g.MP9401", None])
)
rulebooks = st.lists(
    st.builds(
        rule,
        number=st.just(0),
        runid=st.sampled_from(["*", "03A*", "08*"]),
        filter=st.sampled_from(["*", "r.*"]),
        enabled=st.booleans(),
    ),
    max_size=5,
).map(lambda rules: [replace(item, id=n, position=n) for n, item in enumerate(rules, start=1)])


@given(rulebooks, st.lists(frames, max_size=10))
def test_every_frame_is_taken_by_one_rule_or_by_none(rules: list[RuleRecord], listed: list[Plain]) -> None:
    found = shares(rules, listed)
    assert [share.rule for share in found] == [*rules, None]
    assert sum(share.frames for share in found) == len(listed)
    for share in found:
        assert share.rule is None or share.frames <= share.fitting
        assert share.rule is None or share.rule.enabled or not share.frames


async def laid_down(site: Site, **says: Any) -> RuleRecord:
    async with site.database.write() as session:
        return await Rules().add(session, by="night", now=site.clock.now(), **says)


async def test_automatic_transfers_go_by_the_rules(site: Site) -> None:
    await laid_down(site, filter="r.*", node="node2")
    await laid_down(site, filter="g.*", node="node1")
    for name, band in (("979412p", "r.MP9601"), ("979413p", "g.MP9401"), ("979414p", "r.MP9601")):
        await site.valid(name, filter=band)

    await site.settle()

    assert [[node for node, _ in await site.replicas(name)] for name in ("979412p", "979413p", "979414p")] == [
        ["node2"],
        ["node1"],
        ["node2"],
    ]
    async with site.database.read() as session:
        said = [event.message for event in await Events().latest(session) if event.kind == "promised"]
        history = await Transfers().history(session)
    assert any("asked for by rule 1" in message for message in said)
    assert {transfer.mode for transfer in history} == {TransferMode.AUTOMATIC}


async def test_a_rule_that_holds_keeps_its_frames_at_reception_and_says_so(site: Site) -> None:
    held = await laid_down(site, runid="08AC14", policy="hold")
    await site.valid("979412p")
    await site.valid("979413p", runid="08AF05")

    await site.settle()

    kept = await site.frame("979412p")
    assert (kept.state, kept.reason) == (
        FrameState.VALID,
        "rule 1 keeps it at reception: terapix transfer sends it to a node",
    )
    assert (await site.frame("979413p")).state is FrameState.PLACED
    async with site.database.write() as session:
        await Rules().remove(session, held.position, by="night", now=site.clock.now())
    await site.settle()
    assert (await site.frame("979412p")).state is FrameState.PLACED


async def test_what_has_the_higher_priority_gets_the_last_room(site: Site) -> None:
    await laid_down(site, runid="08AF05", priority=7)
    big = {"frame": 6000, "unpacked": 2, "scratch": 150_000_000}
    room = {"frame": 6000, "unpacked": 2, "scratch": 90_000_000}
    await site.valid("979411p", needs=big)
    for number in (2, 3):
        await site.valid(f"97941{number}p", needs=room)
    await site.valid("979414p", needs=room, runid="08AF05")

    await site.settle(passes=1)

    assert [(await site.frame(f"97941{n}p")).state is FrameState.PLACED for n in (1, 2, 3, 4)] == [
        False,
        True,
        False,
        True,
    ]
