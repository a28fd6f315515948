"""Sources matched with the entries of a list."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from processing.errors import BadSetting
from processing.sextractor.association import associate, read_entries
from processing.sextractor.extract import extract
from processing.sextractor.settings import Settings

LIST = """# id x y mag
3 11.0 11.5 2.0
1 10.0 9.0 1.0

2 10.5 10.0 3.0
4 50.0 50.0 99.0
"""
SETTINGS = Settings(assoc_data=(1, 4), assoc_params=(2, 3, 4))
LIGHT = {magnitude: 10.0 ** (-0.4 * magnitude) for magnitude in (1.0, 2.0, 3.0)}


@pytest.fixture
def entries(tmp_path: Path) -> Settings:
    """Settings with a list of three entries near (10, 10) and one elsewhere."""
    (tmp_path / "sky.list").write_text(LIST)
    return replace(SETTINGS, assoc_name=str(tmp_path / "sky.list"))


@pytest.mark.parametrize(
    ("how", "expected", "number"),
    [
        ("FIRST", (1.0, 1.0), 1),
        ("NEAREST", (2.0, 3.0), 3),
        ("MIN", (1.0, 1.0), 3),
        ("MAX", (2.0, 3.0), 3),
        ("SUM", (6.0, 6.0), 3),
        ("MEAN", ((1 * 1 + 2 * 3 + 3 * 2) / 6, (1 + 9 + 4) / 6), 3),
        ("MAG_SUM", (-2.5 * np.log10(sum(LIGHT.values())),) * 2, 3),
        (
            "MAG_MEAN",
            (
                (1 * LIGHT[1.0] + 2 * LIGHT[3.0] + 3 * LIGHT[2.0]) / sum(LIGHT.values()),
                sum(magnitude * light for magnitude, light in LIGHT.items()) / sum(LIGHT.values()),
            ),
            3,
        ),
    ],
)
def test_entries_are_combined(entries: Settings, how: str, expected: tuple[float, float], number: int) -> None:
    settings = replace(entries, assoc_type=how)
    found, counts = associate(np.array([10.0, 30.0]), np.array([10.0, 30.0]), read_entries(settings), settings)
    assert found[0] == pytest.approx(expected, rel=1e-12)
    assert counts.tolist() == [number, 0]
    assert not found[1].any()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"assoc_params": (2, 9)}, "ASSOC_PARAMS = 9"),
        ({"assoc_data": (5,)}, "ASSOC_DATA = 5"),
        ({"assoc_name": "nowhere.list"}, "nowhere.list"),
        ({"assoccoord_type": "WORLD"}, "ASSOCCOORD_TYPE = WORLD: the image has no"),
    ],
)
def test_what_a_list_lacks_is_named(entries: Settings, change: dict[str, object], told: str) -> None:
    with pytest.raises(BadSetting, match=told):
        read_entries(replace(entries, **change))  # type: ignore[arg-type]  # one field of any type


def test_a_line_that_is_no_row_is_named(entries: Settings) -> None:
    with Path(entries.assoc_name).open("a") as file:
        file.write("5 here 1 2\n")
    with pytest.raises(BadSetting, match=r"sky\.list:7"):
        read_entries(entries)


@pytest.mark.parametrize(("choice", "rows"), [("ALL", 2), ("MATCHED", 1), ("-MATCHED", 1)])
def test_sources_are_chosen_and_numbered_again(entries: Settings, choice: str, rows: int) -> None:
    y, x = np.mgrid[:64, :64]
    image = np.random.default_rng(4).normal(100.0, 1.0, (64, 64))
    for centre in (9.0, 40.0):
        image += 500.0 * np.exp(-0.5 * ((x - centre) ** 2 + (y - centre) ** 2) / 4.0)
    columns = ("NUMBER", "X_IMAGE", "NUMBER_ASSOC", "VECTOR_ASSOC(3)")
    settings = replace(entries, columns=columns, assocselec_type=choice, back_size=(32, 32), detect_thresh=(5.0,))
    table = extract(image.astype(np.float32), settings=settings)
    assert table["NUMBER"].tolist() == list(range(1, rows + 1))
    near = np.abs(np.asarray(table["X_IMAGE"]) - 10.0) < 1.0
    assert near.sum() == (choice != "-MATCHED")
    assert np.array_equal(np.asarray(table["NUMBER_ASSOC"]), np.where(near, 3, 0))
    # as the original, a vector longer than the list's columns ends in zeros
    assert np.array_equal(np.asarray(table["VECTOR_ASSOC"]), np.where(near[:, None], [2.0, 3.0, 0.0], 0.0))


def test_names_in_a_list_do_no_harm_where_they_are_not_wanted(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a 10 20 18.5\nb 30 40 19.5\n")
    settings = Settings(assoc_name=str(tmp_path / "list"), assoc_params=(2, 3), assoc_data=(4,))
    assert read_entries(settings).data.tolist() == [[18.5], [19.5]]
    with pytest.raises(BadSetting, match=r"list:1: numbers were expected"):
        read_entries(replace(settings, assoc_data=(1,)))
