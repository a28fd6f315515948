"""Published names are those of the agreement of 2007, and nothing else is one."""

import pytest

from dbclient.schema import FrameKind
from snooppix.names import Names
from snooppix.publisher.names import NoPublishedName, Published, Sort, map_name, radec, read_name, stack_name

D1 = {"prog": "D1", "band": "r", "ra": 36.4958333, "dec": -4.4944444, "release": "T0003"}


def test_maps_are_named_after_their_exposure() -> None:
    assert map_name("979412p", Sort.WEIGHT) == "979412p_weight.fits.fz"
    assert map_name("979412p", Sort.FLAG) == "979412p_flag.fits.fz"


@pytest.mark.parametrize(
    ("sort", "name"),
    [
        (Sort.STACK, "CFHTLS_D1_r_022559-042940_T0003.fits.fz"),
        (Sort.STACK_WEIGHT, "CFHTLS_D1_r_022559-042940_T0003_weight.fits.fz"),
        (Sort.CATALOGUE, "CFHTLS_D1_r_022559-042940_T0003.cat"),
        (Sort.REGIONS, "CFHTLS_D1_r_022559-042940_T0003.reg"),
    ],
)
def test_a_stack_and_what_belongs_to_it_carry_programme_filter_centre_and_release(sort: Sort, name: str) -> None:
    assert stack_name(sort, **D1) == name
    read = read_name(name)
    assert read is not None
    assert (read.sort, read.observation, read.filter, read.release) == (sort, "CFHTLS_D1_022559-042940", "r", "T0003")
    assert read_name(read.plane) == read


@pytest.mark.parametrize(
    ("ra", "dec", "written"),
    [
        (214.8625, 52.6822222, "141927+524056"),  # D3
        (150.1166667, 2.3916667, "100028+022330"),  # D2
        (333.8791667, -17.7322222, "221531-174356"),  # D4
        (0.0, 0.0, "000000+000000"),
        (0.0, -0.0001, "000000+000000"),
        (359.9999, -0.9999, "000000-010000"),
        (214.86249999, 52.68222221, "141927+524056"),
        (0.0, -90.0, "000000-900000"),
        (360.0, 90.0, "000000+900000"),
    ],
)
def test_a_place_is_written_to_the_nearest_second(ra: float, dec: float, written: str) -> None:
    assert radec(ra, dec) == written


@pytest.mark.parametrize(
    "wrong",
    [{"prog": "../D1"}, {"prog": ""}, {"band": "r/x"}, {"band": "r.MP9601"}, {"release": "3"}, {"ra": 400.0}],
)
def test_parts_that_cannot_stand_in_a_name_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(NoPublishedName):
        stack_name(Sort.STACK, **(D1 | wrong))


def test_only_maps_of_exposures_have_names_of_maps() -> None:
    for frame, sort in (("08Am03.flat.r.36.02", Sort.WEIGHT), ("979412p", Sort.STACK)):
        with pytest.raises(NoPublishedName):
            map_name(frame, sort)
    with pytest.raises(NoPublishedName):
        stack_name(Sort.FLAG, **D1)


@pytest.mark.parametrize(
    "name", ["979412p.fits.fz", "979412p", "979412p_weight.fits", "x_weight.fits.fz", "CFHTLS_D1_r_T0003.cat", ""]
)
def test_other_names_are_none(name: str) -> None:
    assert read_name(name) is None


def test_a_clone_takes_products_and_nothing_else() -> None:
    clone = Names(published=True)
    assert clone.kind("979412p_weight") is FrameKind.PRODUCT
    assert clone.kind("CFHTLS_D1_r_022559-042940_T0003.cat") is FrameKind.PRODUCT
    assert clone.kind("979412p") is None
    assert clone.kind("08Am03.flat.r.36.02") is None
    assert Names().kind("979412p_weight") is None
    assert read_name("979412p_weight") == Published(Sort.WEIGHT, "979412", "979412p_weight")


@pytest.mark.parametrize(
    "name",
    [
        "\u0669\u0667\u0669p_weight.fits.fz",
        "CFHTLS_D1_r_022559-042940_T\u0660\u0660\u0660\u0661.fits.fz",
        "979412p_weight.fits.fz\n",
    ],
)
def test_digits_of_other_scripts_and_ends_of_lines_make_no_published_name(name: str) -> None:
    assert read_name(name) is None
