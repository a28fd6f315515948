"""Rows that are read by the ten thousand mean what they mean one by one."""

from hypothesis import given
from hypothesis import strategies as st

from dbclient.stores.sightings import Sighting
from snooppix.listing import COLUMNS, ELIXIR, told
from snooppix.names import Names
from snooppix.pages import PageReader

USUAL = dict.fromkeys(COLUMNS, "") | {
    "o.proposal_id": "08AC14",
    "o.target_name": "UrsaMajII_4",
    "o.maxLastModified": "2008-08-04T22:44:54.123",
    "p.productID": "979412p",
    "p.calibrationLevel": "2",
    "p.dataRelease": "2009-08-31T00:00:00.000",
    "p.provenance_version": "2.0",
    "p.provenance_lastExecuted": "2008-08-04T22:44:54",
    "p.energy_bandpassName": "r.MP9601",
    "p.time_bounds_lower": "54555.2608722",
    "p.time_exposure": "468.332",
    "a.uri": "cadc:CFHT/979412p.fits.fz",
    "a.contentLength": "310000000",
    "a.contentChecksum": "md5:" + "0a" * 16,
}
ODD = {
    "a.uri": [
        "",
        "979412p.fits",
        "cadc:CFHT/../979412p.fits",
        "cadc:../979412p.fits.fz",
        "x" * 400,
        "cadc:CFHT/a.fits",
    ],
    "p.productID": ["", "979412o", "08Am03.flat.r.36.02", "979412p\n"],
    "a.contentLength": ["", "-5", "1e9", "٣", "9" * 30, "12.5"],
    "a.contentChecksum": ["", "md5:../../etc", "MD5:" + "0A" * 16, "sha256:" + "0" * 64],
    "o.maxLastModified": ["", "2008-13-01T00:00:00", "2008-08-04", "2008-08-04T22:44:54Z", "yesterday"],
    "p.dataRelease": ["", "2009-08-31", "never"],
    "p.provenance_lastExecuted": ["", "2008-08-04 22:44:54", "2008-02-30T00:00:00"],
    "p.time_bounds_lower": ["", "1e300", "nan", "-1", "inf", "0"],
    "p.time_exposure": ["", "nan", "1e300", "x"],
    "o.proposal_id": ["", "x" * 40],
    "o.target_name": ["", "y" * 200],
    "p.provenance_version": ["", "2.0" * 20],
}
CALLED = [ELIXIR, Names(suffix="s"), Names(pattern="9794*")]
changes = st.dictionaries(st.sampled_from(sorted(ODD)), st.integers(0, 5), max_size=3)


def row(change: dict[str, int]) -> list[str]:
    odd = {name: ODD[name][number % len(ODD[name])] for name, number in change.items()}
    return list((USUAL | odd).values())


@given(
    changed=st.lists(changes, max_size=5), names=st.sampled_from([ELIXIR, Names(suffix="s"), Names(pattern="9794*")])
)
def test_every_row_is_read_as_it_would_be_alone(changed: list[dict[str, int]], names: Names) -> None:
    rows = [row(change) for change in changed]
    batch = PageReader(names, ()).read(rows)
    singly = [told(one, names) for one in rows]
    assert list(batch.sightings) == [seen for seen in singly if isinstance(seen, Sighting)]
    assert list(batch.refused) == [why for why in singly if isinstance(why, str)]
    assert batch.passed_over == len(rows) - len(batch.sightings)
