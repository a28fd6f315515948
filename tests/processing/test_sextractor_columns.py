"""Columns and lists of wanted columns of SExtractor."""

from pathlib import Path

import pytest
from astropy.io.votable.ucd import parse_ucd

from processing.errors import BadSetting
from processing.sextractor.columns import column, measured, not_measured
from processing.sextractor.deriving import base_columns, rules
from processing.sextractor.parameters import read_parameters, wanted


def test_units_follow_the_standard() -> None:
    assert column("FLUX_AUTO").vounit == "ct"
    assert column("X2_IMAGE").vounit == "pix2"
    assert column("CXX_WORLD").vounit == "deg-2"
    assert column("MU_MAX").vounit == "mag.arcsec-2"
    assert column("NUMBER").vounit == ""


def test_every_column_is_declared_whole() -> None:
    assert len(measured()) > 240
    for each in measured().values():
        assert each.type in "IJED", each
        assert each.display[0] in "FGEI", each
        assert each.meaning, each
        parse_ucd(each.ucd, check_controlled_vocabulary=True)
    assert not set(measured()) & not_measured()


def test_derived_columns_need_columns_that_are_declared() -> None:
    needed = base_columns(rules())
    assert needed - set(measured()) == {"ANALYSIS_THRESHOLD", "FLUX_OF_MAG_GROWTH", "FLUX_OF_MAG_GROWTHSTEP"}
    assert not needed & set(rules())
    assert base_columns(["MAG_AUTO", "THETA_J2000"]) == {
        "FLUX_AUTO", "X_IMAGE_DBL", "Y_IMAGE_DBL", "X2_IMAGE", "Y2_IMAGE", "XY_IMAGE",
    }  # fmt: skip


def test_a_list_has_sizes_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "default.param"
    path.write_text("# wanted\nNUMBER\n\n  VIGNET(45,35)  # pixels\nFLUX_APER(3)\nMAG_APER\n#FLAGS\nNUMBER\n")
    lines = read_parameters(path)
    assert lines == ("NUMBER", "VIGNET(45,35)", "FLUX_APER(3)", "MAG_APER")
    assert [each.shape for each in wanted(lines)] == [(), (35, 45), (3,), ()]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("FLUX_AUT0", "did you mean FLUX_AUTO"),
        ("FLUX_MODEL", "not measured here"),
        ("X_IMAGE(3)", "no size"),
        ("VIGNET(0,5)", "numbers in all"),
        ("VIGNET(100000,100000)", "numbers in all"),
        ("NUMBER NUMBER", "NAME, NAME"),
        ("", "no column"),
    ],
)
def test_a_bad_line_is_named(line: str, told: str) -> None:
    with pytest.raises(BadSetting, match=told):
        wanted([line], where="default.param")


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="PARAMETERS_NAME"):
        read_parameters(tmp_path / "default.param")


def test_what_stands_behind_a_column_is_a_comment() -> None:
    lines = (
        "NUMBER   Running object number",
        "FLUX_APER(2) Flux [count]",
        "POLAR_IMAGE\t(A2 - B2)",
        "VIGNET( 3 , 5 ) # n",
    )
    assert [(each.name, each.shape) for each in wanted(lines)] == [
        ("NUMBER", ()), ("FLUX_APER", (2,)), ("POLAR_IMAGE", ()), ("VIGNET", (5, 3)),
    ]  # fmt: skip


@pytest.mark.parametrize("line", ["NUMBER X_IMAGE", "VIGNET (a)", "FLUX_APER*2", "NUMBER,X_IMAGE"])
def test_a_line_that_may_mean_more_is_refused(line: str) -> None:
    with pytest.raises(BadSetting, match="was expected"):
        wanted((line,))
