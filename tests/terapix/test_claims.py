"""Which connection brings what of a file: every byte is claimed, none of them twice."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from datatransfer.agent.stretches import GAIN, PERIOD, Stretches
from terapix.blocks import BLOCK, Bound
from terapix.claims import Claim, next_claim
from terapix.part import Part

SIZE = 40 * BLOCK + 4711


@given(st.lists(st.integers(0, 12), max_size=20), st.sampled_from([BLOCK, 2 * BLOCK, 8 * BLOCK]))
def test_claims_never_overlap_and_cover_what_is_missing(steps: list[int], worth: int) -> None:
    claims: list[Claim] = []
    while not claims or len(claims) <= len(steps):
        new = next_claim([(0, SIZE)], claims, worth=worth)
        if new is None:
            break
        claims.append(new)
        for claim, step in zip(claims, steps, strict=False):
            claim.at = min(claim.end, claim.at + step * BLOCK)
    held = sorted((claim.begin, claim.end) for claim in claims)
    assert held[0][0] == 0
    assert held[-1][1] == SIZE
    assert all(one[1] == two[0] for one, two in pairwise(held))
    assert all(claim.at <= claim.end for claim in claims)


def test_a_gap_that_another_brings_is_left_to_it() -> None:
    others = [Claim(2 * BLOCK, 2 * BLOCK, 3 * BLOCK)]
    first = next_claim([(0, 4 * BLOCK)], others, worth=SIZE)
    assert first is not None
    assert (first.begin, first.end) == (0, 2 * BLOCK)
    second = next_claim([(0, 4 * BLOCK)], [*others, first], worth=SIZE)
    assert second is not None
    assert (second.begin, second.end) == (3 * BLOCK, 4 * BLOCK)


def test_of_a_file_of_unknown_length_nobody_takes_a_part() -> None:
    assert next_claim([(BLOCK, -1)], [Claim(0, BLOCK, -1)], worth=1) is None


def test_a_connection_of_an_agent_that_brings_nothing_is_the_last(tmp_path: Path) -> None:
    part = Part.open(tmp_path / "a.part")
    part.bind(Bound("", "", SIZE))
    moments = [0.0]
    stretches = Stretches(part, most=4, clock=lambda: moments[0])
    assert stretches.take() is not None

    def after(seconds: float, *, rate: float) -> Claim | None:
        moments[0] += seconds
        stretches.received += int(rate * seconds)
        return stretches.grown()

    assert after(PERIOD / 2, rate=1e6) is None, "too early to know a rate"
    assert after(PERIOD, rate=1e6) is not None
    assert after(PERIOD, rate=1.1e6 * GAIN) is not None
    assert after(PERIOD, rate=1.1e6 * GAIN) is None
    assert not stretches.keeps
    part.close()
