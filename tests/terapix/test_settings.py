"""Settings: what wins, what is refused and in what words."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terapix.sections import Settings
from terapix.settings import KEYS, SettingsError, load, problems, rows

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(text: str) -> Path:
        path = tmp_path / "terapix.toml"
        path.write_text(text)
        return path

    return to_file


def refused(path: Path | None = None, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load(path, environment=environment)
    return refusal.value.problems


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(write: Write) -> None:
    path = write("[snooppix]\npoll = 20\ndownloads = 2\n")
    loaded = load(path, environment={"TERAPIX_SNOOPPIX__POLL": "10"})
    settings = loaded.settings.snooppix
    assert (settings.poll, settings.downloads, settings.page) == (10.0, 2, 50_000)
    assert loaded.origins["snooppix.poll"] == "environment TERAPIX_SNOOPPIX__POLL"
    assert loaded.origins["snooppix.downloads"] == f"file {path}:3"
    assert loaded.origins["snooppix.page"] == "default"
    assert loaded.path == path


def test_overrides_win_over_everything(write: Write) -> None:
    loaded = load(
        write("[snooppix]\npoll = 20\n"),
        environment={"TERAPIX_SNOOPPIX__POLL": "10"},
        overrides={"snooppix.poll": 5, "paths.directory": Path("/data")},
    )
    assert (loaded.settings.snooppix.poll, loaded.origins["snooppix.poll"]) == (5.0, "command line")
    assert loaded.settings.reception == Path("/data/reception")


def test_without_any_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("terapix.settings.SYSTEM_FILE", tmp_path / "etc.toml")
    loaded = load(environment={})
    assert (loaded.settings, loaded.path) == (Settings(), None)
    assert set(loaded.origins.values()) == {"default"}


def test_the_file_is_looked_for_in_the_environment_then_here_then_in_etc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named, here, system = tmp_path / "named.toml", tmp_path / "terapix.toml", tmp_path / "etc.toml"
    monkeypatch.setattr("terapix.settings.SYSTEM_FILE", system)
    system.touch()
    assert load(environment={}).path == system
    here.touch()
    assert load(environment={}).path == Path("terapix.toml")
    named.touch()
    assert load(environment={"TERAPIX_CONFIG": str(named)}).path == named


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("TERAPIX_SELECTION__RUNS", "08AC14, 03BF02", "runs", ("08AC14", "03BF02")),
        ("TERAPIX_SELECTION__RUNS", '["08AC14"]', "runs", ("08AC14",)),
        ("TERAPIX_SELECTION__RUNS", "", "runs", ()),
        ("TERAPIX_ARCHIVE__CREDENTIAL", "/run/token", "credential", Path("/run/token")),
        ("TERAPIX_ARCHIVE__CREDENTIAL", "", "credential", None),
        ("TERAPIX_ARCHIVE__COLLECTION", "12", "collection", "12"),
    ],
)
def test_the_environment_says_lists_paths_and_nothing(name: str, text: str, key: str, value: object) -> None:
    settings = load(Path("/dev/null"), environment={name: text}).settings
    section = name.removeprefix("TERAPIX_").partition("__")[0].lower()
    assert getattr(getattr(settings, section), key) == value


@pytest.mark.parametrize(("text", "meant"), [("no", False), ("OFF", False), ("1", True), ("true", True)])
def test_the_environment_says_yes_and_no(text: str, meant: bool) -> None:
    loaded = load(Path("/dev/null"), environment={"TERAPIX_SPICA__PORT_SEARCH": text})
    assert loaded.settings.spica.port_search is meant


def test_nodes_come_from_tables_or_from_the_environment_as_json(write: Write) -> None:
    path = write('[[nodes]]\nname = "n1"\ndirectory = "/n1"\n\n[[nodes]]\nname = "n2"\ndirectory = "/n2"\n')
    loaded = load(path, environment={})
    assert [node.name for node in loaded.settings.nodes] == ["n1", "n2"]
    assert loaded.origins["nodes"] == f"file {path}:1"

    nodes = json.dumps([{"name": "far", "directory": "/far", "capacity": 10}])
    loaded = load(path, environment={"TERAPIX_NODES": nodes})
    assert [(node.name, node.capacity) for node in loaded.settings.nodes] == [("far", 10)]
    assert loaded.origins["nodes"] == "environment TERAPIX_NODES"


def test_everything_wrong_is_told_at_once_with_place_value_expectation_and_nearest_key(write: Write) -> None:
    path = write(
        """poll = 3
[snooppix]
poll = "fast"
downloads = 99
pge = 5
page = 1.5
[[nodes]]
name = "a b"
directory = "/n"
capcity = 3
[[nodes]]
name = "n2"
[spica]
reading = "ajar"
port = true
[archive]
registry = "cadc.example"
hosts = "08AC14"
[zz]
"""
    )
    found = refused(path, TERAPIX_JOURNAL__LEVEL="loud", TERAPIX_SNOOPPIX_POLL="3", TERAPIX_STATUS__SPICA="a")
    known = ", ".join(Settings.model_fields)
    assert (
        "\n".join(found).replace(str(path), "T")
        == f"""\
environment TERAPIX_JOURNAL__LEVEL: journal.level = "loud": expected 'debug', 'info', 'warning' or 'error'
environment TERAPIX_SNOOPPIX_POLL: is no setting; did you mean TERAPIX_SNOOPPIX__POLL?
environment TERAPIX_STATUS__SPICA: status.spica = "a": expected a whole number
file T:1: poll is no setting; did you mean snooppix.poll?
file T:3: snooppix.poll = "fast": expected a number
file T:4: snooppix.downloads = 99: expected 64 or less
file T:5: snooppix.pge is no setting; did you mean snooppix.page?
file T:6: snooppix.page = 1.5: expected a whole number
file T:8: nodes.0.name = "a b": expected 1 to 32 letters, digits, _ or -, beginning with a letter or digit
file T:10: nodes.0.capcity is no setting; did you mean capacity?
file T:11: nodes.1.directory is missing; every node needs it
file T:14: spica.reading = "ajar": expected 'open' or 'closed'
file T:15: spica.port = true: expected a whole number
file T:17: archive.registry = "cadc.example": expected an address that begins with https:// or http://
file T:18: archive.hosts = "08AC14": expected a list in [ ]
file T:19: zz is no setting; known: {known}"""
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("poll 3", ": is no TOML: Expected '=' after a key"),
        ("snooppix = 3", ":1: snooppix = 3: expected "),
        ("snooppix = { poll = -1 }", ":1: snooppix.poll = -1: expected more than 0"),
        ("snooppix.poll = 0", ":1: snooppix.poll = 0: expected more than 0"),
        ("[snooppix]\npoll = inf", "snooppix.poll = inf: expected a number"),
        ("[snooppix]\npoll = nan", ":2: snooppix.poll = nan: expected "),
        ("[snooppix]\npoll = 2026-11-24", ":2: snooppix.poll = "),
        ('["snooppix"]\n"poll" = -1', ":2: snooppix.poll = -1: expected more than 0"),
        ("nodes = 3", ":1: nodes = 3: expected a list in [ ]"),
    ],
)
def test_any_way_of_writing_toml_leads_to_the_line(write: Write, text: str, said: str) -> None:
    (found,) = refused(write(text))
    assert said in found


def test_two_nodes_may_not_share_a_name_or_a_directory(write: Write) -> None:
    node = '[[nodes]]\nname = "{}"\ndirectory = "{}"\n'
    path = write(node.format("n", "/a") + node.format("n", "/b"))
    assert refused(path) == [f"file {path}:1: nodes: 2 nodes are named n; each needs its own"]
    path = write(node.format("n", "/a") + node.format("m", "/a/"))
    assert refused(path) == [f"file {path}:1: nodes: 2 nodes are in directory /a; each needs its own"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert problems(missing, environment={}) == [f"{missing}: cannot be read: No such file or directory"]
    missing.write_bytes(b"# \xff\n")
    assert problems(missing, environment={}) == [f"{missing}: is no text in UTF-8: byte 2 is invalid start byte"]


def test_a_file_that_holds_has_no_problems(write: Write) -> None:
    assert problems(write("\ufeff[snooppix]\npoll = 3\n"), environment={"TERAPIX_ETC": "x", "TERAPIX_X": "y"}) == []


def test_passwords_are_never_shown(write: Write) -> None:
    good = write('[database]\nurl = "postgresql+asyncpg://terapix:ge/h@im@db/terapix?password=geheim"\n')
    listed = {row.key: row for row in rows(load(good, environment={}))}
    assert listed["database.url"].value == '"postgresql+asyncpg://terapix:***@db/terapix?password=***"'
    bad = write('[database]\nurl = "postgres://terapix:geheim@db/terapix"\n')
    (found,) = refused(bad)
    assert "geheim" not in found
    assert "terapix:***@db" in found


def test_every_setting_has_one_row(write: Write) -> None:
    listed = rows(load(write("[snooppix]\npoll = 3\n"), environment={}))
    assert [row.key for row in listed] == list(KEYS)
    assert {row.origin.split()[0] for row in listed} == {"default", "file"}


@given(
    key=st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=12),
    value=st.one_of(st.text(max_size=5), st.integers(), st.lists(st.integers(), max_size=2)),
)
def test_whatever_is_given_is_taken_or_refused_with_its_origin(key: str, value: object) -> None:
    name = f"TERAPIX_SNOOPPIX__{key.upper()}"
    for found in problems(Path("/dev/null"), environment={name: str(value)}):
        assert found.startswith(f"environment {name}: snooppix.{key} ")
