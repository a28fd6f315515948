"""Which frames are followed: the rules by themselves, in the query, and against an archive that reads LIKE its way."""

import sqlite3
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snooppix.errors import RuleNotFollowed
from snooppix.listing import RULED
from snooppix.names import Names, matching
from snooppix.protocol.adql import translate
from snooppix.selection import Candidate, Columns, Tally, conditions, followed, keeps, rules
from terapix.sections import ArchiveSection, SelectionSection

FRAME = Candidate(
    name="979412p",
    run="08AC14",
    camera_run="08Am03",
    investigator="Marla Geha",
    filter="r.MP9601",
    observed_at=datetime(2008, 3, 30, 6, 15, tzinfo=UTC),
    ra=132.8,
    dec=63.1,
    level=2,
)
NOWHERE = Candidate("979413p", level=2)


def kept(row: Candidate = FRAME, **section: object) -> bool:
    return keeps(rules(SelectionSection.model_validate(section), RULED), row)


def test_without_rules_all_that_is_processed_is_followed() -> None:
    assert kept()
    assert kept(NOWHERE)
    assert not kept(Candidate("979412o", level=1))
    assert kept(Candidate("979412o", level=1), level=1)


@pytest.mark.parametrize(
    ("section", "kept_"),
    [
        ({"runs": ["08AC14"]}, True),
        ({"runs": ["08AC*"]}, True),
        ({"runs": ["08AF01", "0?AC14"]}, True),
        ({"runs": ["08AC1"]}, False),
        ({"runs": ["08ac14"]}, False),
        ({"runs": ["08AC1[4]"]}, False),
        ({"camera_runs": ["08Am*"]}, True),
        ({"camera_runs": ["08Bm*"]}, False),
        ({"investigators": ["*Geha"]}, True),
        ({"investigators": ["Geha"]}, False),
        ({"filters": ["r.*", "i.*"]}, True),
        ({"filters": ["r?MP9601"]}, True),
        ({"filters": ["r"]}, False),
        ({"begin": "2008-03-30"}, True),
        ({"begin": "2008-03-31"}, False),
        ({"end": "2008-03-30"}, False),
        ({"end": "2008-03-30T08:00:00+01:00"}, True),
        ({"begin": "2008-03-30T06:15:00", "end": "2008-03-30T06:15:01"}, True),
        ({"box": [130, 135, 60, 65]}, True),
        ({"box": [130, 132, 60, 65]}, False),
        ({"box": [130, 135, 64, 65]}, False),
        ({"box": [350, 135, 60, 65]}, True),
        ({"box": [350, 10, 60, 65]}, False),
        ({"box": [0, 360, -90, 90]}, True),
        ({"runs": ["08AC14"], "filters": ["g*"]}, False),
    ],
)
def test_a_rule_keeps_what_it_says(section: dict[str, object], kept_: bool) -> None:
    assert kept(**section) is kept_


def test_a_box_may_lie_across_right_ascension_0() -> None:
    for ra, inside in ((359.0, True), (0.0, True), (360.0, True), (4.9, True), (6.0, False), (180.0, False)):
        row = Candidate("1p", ra=ra, dec=0.0, level=2)
        assert kept(row, box=[355, 5, -1, 1]) is inside, ra


@pytest.mark.parametrize("section", [{"runs": ["*"]}, {"begin": "1990-01-01"}, {"box": [0, 360, -90, 90]}])
def test_what_a_row_does_not_tell_it_is_not_kept_for(section: dict[str, object]) -> None:
    row = Candidate("979413p", run="", level=2)
    assert kept(row, **section) is ("runs" in section)  # * is any text, the empty one too


def test_the_query_says_what_it_can() -> None:
    section = SelectionSection(
        runs=("08AC14", "it's"), filters=("r.MP*", "i.MP9701"), begin="2008-03-01", box=(350, 10, -5, 5)
    )
    said = conditions(rules(section, RULED))
    ra, dec = "o.targetPosition_coordinates_cval1", "o.targetPosition_coordinates_cval2"
    assert said == [
        "(p.calibrationLevel=2)",
        "(o.proposal_id IN ('08AC14','it''s'))",
        "(p.energy_bandpassName IN ('i.MP9701') OR p.energy_bandpassName LIKE 'r.MP%')",
        "(p.time_bounds_lower>=54525.999988)",
        f"({dec} BETWEEN -5.0 AND 5.0 AND ({ra}>=350.0 OR {ra}<=10.0))",
    ]
    for condition in said:
        translate(f"SELECT o.uri FROM caom2.Plane o WHERE {condition}")


def test_signs_that_like_gives_a_meaning_to_let_more_through_never_less() -> None:
    [condition] = conditions(rules(SelectionSection(runs=(r"50%\_[a]*",)), Columns(run="run", level="l")))[1:]
    assert condition == "(run LIKE '50____a_%')"
    assert kept(Candidate("1p", run=r"50%\_[a]x", level=2), runs=[r"50%\_[a]*"])
    assert not kept(Candidate("1p", run="50abcdaex", level=2), runs=[r"50%\_[a]*"])


@given(pattern=st.text(alphabet="ab*?.[]%", max_size=8), text=st.text(alphabet="ab.[]%\n", max_size=8))
def test_a_pattern_knows_two_signs_only(pattern: str, text: str) -> None:
    def held(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return held(pattern[1:], text) or (bool(text) and held(pattern, text[1:]))
        return bool(text) and pattern[0] in {"?", text[0]} and held(pattern[1:], text[1:])

    assert bool(matching(pattern).fullmatch(text)) is held(pattern, text)


def test_a_rule_that_the_table_cannot_answer_is_an_error_that_says_so() -> None:
    with pytest.raises(RuleNotFollowed, match=r"selection\.camera_runs .* ivoa\.obscore does not tell the camera run"):
        rules(SelectionSection(camera_runs=("08Am03",)), Columns(run="x", level="y"), table="ivoa.obscore")


def test_cuts_are_counted_alone_and_in_sequence() -> None:
    section = SelectionSection(runs=("08AC14",), filters=("r*",))
    tally = Tally(rules(section, RULED, names=Names()))
    rows = [
        *[FRAME] * 3,
        Candidate("979412o", run="08AC14", filter="r.MP9601", level=1),
        Candidate("979414p", run="08AF01", filter="g.MP9401", level=2),
        Candidate("979415p", run="08AC14", filter="g.MP9401", level=2),
    ]
    for row in rows:
        tally.add(row)

    assert tally.sentence == "name 1, level 0, runs 1, filters 1; kept 3"
    by_name = {row["rule"]: row for row in tally.rows()}
    assert by_name["level"]["drops_alone"] == 1
    assert by_name["filters"]["drops_alone"] == 2
    assert by_name["filters"]["examples"] == ["979415p"]
    assert tally.listed == 6


def test_names_are_those_of_the_camera() -> None:
    assert Names("s").kind("2281792s") == "object"
    assert Names("s").kind("2281792p") is None
    assert Names(pattern="c4d_*_ooi_?_v1").kind("c4d_130101_010203_ooi_g_v1") == "object"
    assert Names(pattern="c4d_*").kind("979412p") is None
    assert Names().kind("../979412p") is None
    assert Names().kind("08Am03.flat.r.36.02") == "flat"


def test_other_rules_have_a_bookmark_of_their_own() -> None:
    """What an added run has was listed long ago: it comes all the same, from a bookmark at the beginning."""
    archive = ArchiveSection()
    plain = followed("https://reg", archive, SelectionSection(), Names())
    assert plain == "https://reg CFHT MegaPrime"
    named = {
        plain,
        followed("https://reg", archive, SelectionSection(runs=("08AC14",)), Names()),
        followed("https://reg", archive, SelectionSection(runs=("08AC14", "08BF14")), Names()),
        followed("https://reg", archive, SelectionSection(), Names("s")),
        followed("https://reg", ArchiveSection(instrument="WIRCam"), SelectionSection(), Names()),
    }
    assert len(named) == 5
    long = [followed("x" * 500, archive, SelectionSection(level=level), Names()) for level in (1, 3)]
    assert [len(name) for name in long] == [120, 120]
    assert long[0] != long[1]


@given(
    pattern=st.text(alphabet=r"aB*?%_\\[]^'", min_size=1, max_size=8),
    text=st.text(alphabet=r"aB%_\\[]^'", max_size=8),
)
def test_what_a_rule_keeps_like_lets_through(pattern: str, text: str) -> None:
    [_, rule] = rules(SelectionSection(runs=(pattern,)), Columns(run="run", level="level"))
    line = sqlite3.connect(":memory:")
    try:
        line.execute("PRAGMA case_sensitive_like = ON")
        [(through,)] = line.execute(f"SELECT {rule.condition} FROM (SELECT ? AS run)", (text,))
    finally:
        line.close()
    if rule.keeps(Candidate("1p", run=text, level=2)):
        assert through
