"""Configuration files and command lines as the AstrOmatic tools take them."""

from pathlib import Path

import pytest

from processing.astromatic import Key, Kind, Tool
from processing.errors import BadSetting

TOOL = Tool(
    "little",
    "default.little",
    (
        Key("NAMES", Kind.TEXT, "a.fits", "files", "Input", many=True),
        Key("LEVEL", Kind.NUMBER, "1.5", "level", "Input"),
        Key("MASKS", Kind.WHOLE, "0xff", "bits", "Input", many=True),
        Key("LOUD", Kind.SWITCH, "N", "talk (Y/N)?", "Other"),
        Key("MODE", Kind.TEXT, "FAST", "how", "Other", choices=("FAST", "EXACT")),
        Key("SECRET", Kind.TEXT, "", "seldom changed", "Other", extended=True),
    ),
    obsolete=frozenset({"GONE_TYPE"}),
)


def test_defaults_file_and_command_line_lie_over_each_other(tmp_path: Path) -> None:
    (tmp_path / "default.little").write_text(
        "# a comment\n\nNAMES  b.fits, 'c d.fits' \"e#f.fits\"   # three\nlevel\t2.5\nMASKS 0x0F,16 3\nLOUD y\nSECRET\n"
    )
    values = TOOL.read(["-LEVEL", "3e0", "-MODE", "exact"], directory=tmp_path)
    assert values.texts("NAMES") == ("b.fits", "c d.fits", "e#f.fits")
    assert values.number("LEVEL") == 3.0
    assert values.wholes("MASKS") == (15, 16, 3)
    assert values.switch("LOUD") is True
    assert values.text("MODE") == "EXACT"
    assert values.text("SECRET") == ""
    assert values.as_texts()["MASKS"] == "15,16,3"
    assert TOOL.read(["-NAMES", ""], directory=tmp_path).texts("NAMES") == ()


def test_lines_are_spelled_as_the_peers_spell_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FRAMES", "/data")
    (tmp_path / "mine").write_text(
        "names = $FRAMES/a.fits; ${FRAMES}_2/b#1.fits\r\nLEVEL=2.5#sigmas and more\nMASKS 8. , 4.0;\nLOUD\tYes\n"
        "GONE_TYPE SPLIT # of older releases\n"
    )
    values = TOOL.read(["-c", "mine", "-gone_type", "x"], directory=tmp_path)
    assert values.texts("NAMES") == ("/data/a.fits", "/data_2/b#1.fits")
    assert values.number("LEVEL") == 2.5
    assert values.wholes("MASKS") == (8, 4)
    assert values.switch("LOUD") is True
    told = capsys.readouterr().err
    assert "mine:5: GONE_TYPE does nothing" in told
    assert "argument -gone_type does nothing" in told


def test_a_named_file_takes_the_place_of_the_default_one(tmp_path: Path) -> None:
    (tmp_path / "default.little").write_text("LEVEL 2\n")
    (tmp_path / "mine").write_text("LOUD Y\n")
    assert TOOL.read(["-c", "mine"], directory=tmp_path).number("LEVEL") == 1.5


def test_the_dumped_file_gives_the_defaults_back(tmp_path: Path) -> None:
    (tmp_path / "default.little").write_text(TOOL.dump(extended=True))
    assert TOOL.read([], directory=tmp_path).as_texts() == TOOL.read([], directory=tmp_path / "none").as_texts()
    assert "SECRET" not in TOOL.dump(extended=False)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["-LEVLE", "1"], "no key LEVLE; did you mean LEVEL?"),
        (["-LEVEL", "high"], "LEVEL = high: a number was expected"),
        (["-LEVEL", "1,2"], "one value was expected"),
        (["-LEVEL", ""], "a number was expected"),
        (["-LEVEL"], "its value is missing"),
        (["-LEVEL", "nan"], "LEVEL = nan: a number was expected"),
        (["-LEVEL", "1_0"], "LEVEL = 1_0: a number was expected"),
        (["-MASKS", "1.5"], "a whole number"),
        (["-NAMES", "$NOT_THERE_AT_ALL/a"], "there is no variable NOT_THERE_AT_ALL in the environment"),
        (["-LOUD", "maybe"], "Y or N was expected"),
        (["-MODE", "EXCAT"], "did you mean EXACT?"),
        (["a.fits"], "'a.fits'"),
        (["-c", "missing"], "missing: cannot be read"),
    ],
)
def test_what_is_wrong_is_named(argv: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(BadSetting) as caught:
        TOOL.read(argv, directory=tmp_path)
    assert told in str(caught.value)


def test_an_error_in_a_file_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("LEVEL 1\n\nNAME x\n")
    with pytest.raises(BadSetting, match=r"mine:3: little has no key NAME; did you mean NAMES\?"):
        TOOL.read(["-c", "mine"], directory=tmp_path)
