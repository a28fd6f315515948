"""What operators may set on the page, and in what words the rest is refused."""

from pathlib import Path
from typing import get_args

import pytest

from terapix.overlay import KNOWN, LONGEST, Overlay, settable
from terapix.sections import declared
from terapix.settings import Loaded, SettingsError, load

FILE = """[archive]
registry = "https://reg.example/caps"
credential = "/etc/terapix/token"
[snooppix]
poll = 20
downloads = 2
[[snooppix.limits]]
host = "slow.example"
connections = 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "terapix.toml"
    path.write_text(FILE)
    return path


def over(file: Path, text: str, **environment: str) -> Loaded:
    return load(file, environment=environment, overlay=Overlay(text, 4))


def refused(file: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        over(file, text)
    return [problem.removeprefix("version 4 of the console:") for problem in refusal.value.problems]


def test_a_version_wins_over_the_file_and_the_environment_over_the_version(file: Path) -> None:
    loaded = over(file, "[snooppix]\npoll = 7\nsegments = 2\n", TERAPIX_SNOOPPIX__SEGMENTS="8")
    section = loaded.settings.snooppix
    assert (section.poll, section.downloads, section.segments) == (7.0, 2, 8)
    assert loaded.origins["snooppix.poll"] == "version 4 of the console:2"
    assert loaded.origins["snooppix.downloads"] == f"file {file}:6"
    assert loaded.origins["snooppix.segments"] == "environment TERAPIX_SNOOPPIX__SEGMENTS"


def test_a_list_of_tables_is_replaced_whole(file: Path) -> None:
    loaded = over(file, '[[snooppix.limits]]\nhost = "fast.example"\nrate = 5\n')
    assert [(limit.host, limit.connections, limit.rate) for limit in loaded.settings.snooppix.limits] == [
        ("fast.example", 0, 5)
    ]
    assert loaded.origins["snooppix.limits"] == "version 4 of the console:1"


def test_every_problem_is_told_with_its_line_and_the_nearest_key(file: Path) -> None:
    text = '[snooppix]\npol = 7\nattempts = 0\n[archive]\nregistry = "http://evil.example"\ncolection = "x"\n'
    assert refused(file, text) == [
        "2: snooppix.pol is no setting; did you mean snooppix.poll?",
        "3: snooppix.attempts = 0: expected 1 or more",
        "5: archive.registry is not set here: it says whom we ask and with which rights; it comes from the file "
        + str(file),
        "6: archive.colection is no setting; did you mean archive.collection?",
    ]


@pytest.mark.parametrize("key", sorted(key for key in KNOWN if key.startswith("archive.") and not settable(key)))
def test_nothing_that_leads_out_of_the_house_is_set_on_the_page(file: Path, key: str) -> None:
    (problem,) = refused(file, f'[archive]\n{key.partition(".")[2]} = "x"\n')
    assert problem.startswith(f"2: {key} is not set here")


def test_the_keys_named_in_the_rule_are_among_those_kept_back() -> None:
    words = ("credential", "authority", "hosts", "registry", "login", "proxy", "address", "acknowledge", "sign_in")
    assert not any(settable(f"archive.{word}") for word in words)


def test_no_settable_key_is_a_path_or_an_address() -> None:
    for key, field in declared():
        if settable(key):
            assert field.annotation is not Path, key
            assert Path not in get_args(field.annotation), key
            assert "ddress" not in (field.description or ""), key


@pytest.mark.parametrize(
    "text", ["[spica]\nport = 1\n", "[nodes]\na = 1\n", "[a.b]\nc = 1\n", '"a.b" = 1\n', "x = 1\n"]
)
def test_other_sections_are_not_set_on_the_page(file: Path, text: str) -> None:
    (problem,) = refused(file, text)
    assert "is not set here, only [archive], [selection], [snooppix] are" in problem


@pytest.mark.parametrize("name", ["/etc/x.toml", "../megacam", "x.toml", "x.toml:4", "a\\\\b"])
def test_an_instrument_is_a_name_and_no_path(file: Path, name: str) -> None:
    assert "expected a name in etc/instruments" in refused(file, f'[snooppix]\ninstrument = "{name}"\n')[0]


@pytest.mark.parametrize("text", ["[snooppix\n", "poll = = 2", "\x00", "a = " + "[" * 3000, "snooppix = 3\n"])
def test_what_is_no_settings_at_all_is_told(file: Path, text: str) -> None:
    assert len(refused(file, text)) == 1


def test_a_version_is_no_book(file: Path) -> None:
    assert f"{LONGEST} are the most" in refused(file, "#" * (LONGEST + 1))[0]
