"""`terapix snooppix publish` registers what is made by hand; `ledger` shows what went back, and compares both sides."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from typer.testing import CliRunner, Result

from dbclient.database import Database
from dbclient.records import PublicationRecord
from dbclient.stores import Publications
from snooppix.cli import app
from snooppix.publisher.comparison import compare, lines_of
from terapix.settings import load

STACK = ["--kind", "stack", "--prog", "D1", "--filter", "r", "--centre", "36.4958333,-4.4944444"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a host with a fresh database."""
    path = tmp_path / "terapix.toml"
    path.write_text(tomlkit.dumps({"paths": {"directory": str(tmp_path)}}))

    async def made() -> None:
        await (await Database.open(load(path, environment={}).settings.database_url, create=True)).close()

    asyncio.run(made())
    return path


def run(config: Path, *arguments: str) -> Result:
    command, *rest = arguments
    return CliRunner().invoke(app, [command, "-c", str(config), *rest])


def ledger(config: Path) -> list[PublicationRecord]:
    async def read() -> list[PublicationRecord]:
        database = await Database.open(load(config, environment={}).settings.database_url)
        async with database.read() as session:
            rows = await Publications().ledger(session)
        await database.close()
        return rows

    return asyncio.run(read())


def test_a_stack_is_registered_under_the_name_of_the_agreement(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "d1.fits.fz"
    file.write_bytes(b"SIMPLE  =                    T")
    done = run(config, "publish", str(file), *STACK)
    assert done.exit_code == 0, done.output
    assert "generation 1 of CFHTLS_D1_r_022559-042940_T0001.fits.fz: due" in done.output
    (row,) = ledger(config)
    assert (row.source, row.kind, row.product_id) == (str(file), "stack", None)


def test_a_generation_that_the_shelf_knows_is_not_given_again(config: Path, tmp_path: Path) -> None:
    (tmp_path / "reception" / "to_CADC").mkdir(parents=True)
    told = {"name": "979412p_weight.fits.fz", "generation": 6}
    (tmp_path / "reception" / "to_CADC" / "MANIFEST.jsonl").write_text(f"broken\n{json.dumps(told)}\n")
    file = tmp_path / "w.fits.fz"
    file.write_bytes(b"x")
    done = run(config, "publish", str(file), "--kind", "weight", "--frame", "979412p")
    assert "generation 7 of 979412p_weight.fits.fz" in done.output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--kind", "stack", "--prog", "D1", "--filter", "r"], "degrees were expected"),
        (
            ["--kind", "stack", "--prog", "../x", "--filter", "r", "--centre", "1,2"],
            "no name that the archive agreed to",
        ),
        (["--kind", "weight"], "is no name for a file"),
        (["--kind", "flag", "--frame", "stack"], "only weight and flag maps"),
        ([*STACK, "--release", "final"], "no name that the archive agreed to"),
    ],
)
def test_what_has_no_published_name_is_refused_in_plain_words(
    config: Path, tmp_path: Path, arguments: list[str], why: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    done = run(config, "publish", str(file), *arguments)
    assert (done.exit_code, ledger(config)) == (2, [])
    assert why in done.output + done.stderr


def test_a_file_that_is_not_there_is_told(config: Path, tmp_path: Path) -> None:
    done = run(config, "publish", str(tmp_path / "none"), *STACK)
    assert done.exit_code == 2
    assert "cannot be read" in done.output + done.stderr


def test_the_ledger_is_shown_and_compared_with_a_file_of_the_other_side(config: Path, tmp_path: Path) -> None:
    assert "The ledger is empty" in run(config, "ledger").output
    file = tmp_path / "d1.cat"
    file.write_bytes(b"1 2 3\n")
    run(config, "publish", str(file), *STACK)
    shown = run(config, "ledger", "--json")
    assert json.loads(shown.output)["state"] == "due"
    assert "1 due" in run(config, "ledger").output
    other = tmp_path / "theirs.jsonl"
    other.write_text(shown.output)
    assert run(config, "ledger", "--compare", str(other)).exit_code == 0
    other.write_text('{"name": "x.cat", "generation": 1, "state": "received"}\n')
    differs = run(config, "ledger", "--compare", str(other))
    assert differs.exit_code == 3
    assert "x.cat: generation 1 is there and nothing is here" in differs.output
    assert run(config, "ledger", "--compare", str(tmp_path / "nothing")).exit_code == 2


def test_two_ledgers_differ_in_generation_digest_or_acknowledgement() -> None:
    def line(**changed: object) -> dict[str, object]:
        told: dict[str, object] = {"name": "a", "generation": 2, "state": "received", "wire_digest": "md5:1"}
        return told | {"pixel_digest": None, "acknowledged_at": "now"} | changed

    def differences(ours: dict[str, object], theirs: dict[str, object]) -> list[str]:
        return [item.sentence for item in compare(lines_of([ours]), lines_of([theirs]))]

    assert differences(line(), line(state="acknowledged")) == []
    assert differences(line(), line(generation=3)) == ["generation 2 is here and 3 there"]
    assert differences(line(), line(wire_digest="md5:2")) == ["generation 2: its bytes are md5:1 here and md5:2 there"]
    assert differences(line(), line(acknowledged_at=None)) == ["generation 2 is acknowledged here and not there"]
    assert differences(line(), line(state="due")) == ["generation 2 is here and nothing is there"]
    assert lines_of([line(generation=1), line()])["a"].generation == 2


def test_snooppix_publish_is_a_daemon_of_its_own(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    from snooppix import service

    monkeypatch.setattr("sys.argv", ["snooppix", "publish", "--version"])
    with pytest.raises(SystemExit) as ended:
        service.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("publisher ")


def test_a_host_runs_the_publisher_once_its_settings_speak_of_it() -> None:
    from spica.supervisor import daemons_of

    assert "publisher" not in daemons_of(load(environment={}).settings)
    spoken = load(environment={"TERAPIX_PUBLISHER__PORT": "8200"}).settings
    assert daemons_of(spoken)["publisher"] == "snooppix.publisher.service"


@pytest.mark.parametrize(
    "line",
    [
        "[1]",
        "null",
        '"text"',
        '{"generation": 1, "state": "received"}',
        '{"name": 5, "generation": 1, "state": "received"}',
        '{"name": "a", "generation": "one", "state": "received"}',
        '{"name": "a", "generation": 1e999, "state": "received"}',
        '{"name": "a", "generation": 1, "state": "received", "wire_digest": 7}',
        "[" * 100_000,
        "\xff",
    ],
)
def test_a_ledger_that_makes_no_sense_is_refused_in_plain_words(config: Path, tmp_path: Path, line: str) -> None:
    other = tmp_path / "theirs.jsonl"
    other.write_bytes(f"{line}\n".encode("latin-1"))
    done = run(config, "ledger", "--compare", str(other))
    assert done.exit_code == 2
    assert "cannot be read as a ledger" in (done.output + done.stderr).replace("\n", " ")


def test_names_of_the_other_side_do_nothing_to_the_terminal(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "theirs.jsonl"
    told = {"name": "[red]a[/blue]\x1b[2J\x07.cat", "generation": 1, "state": "received", "wire_digest": "md5:\x1b]0;x"}
    other.write_text(json.dumps(told) + "\n")
    done = run(config, "ledger", "--compare", str(other))
    assert done.exit_code == 3
    assert "[red]a[/blue]" in done.output
    assert "\x1b" not in done.output
    assert "\x07" not in done.output


def test_sizes_and_pixels_are_compared_and_one_follower_of_several_is_asked_for(config: Path) -> None:
    def line(**changed: object) -> dict[str, object]:
        told: dict[str, object] = {"name": "a", "generation": 2, "state": "received", "wire_digest": "md5:1", "size": 3}
        return told | {"pixel_digest": "sha256:1", "acknowledged_at": "now"} | changed

    def differences(ours: dict[str, object], theirs: dict[str, object]) -> list[str]:
        return [item.sentence for item in compare(lines_of([ours]), lines_of([theirs]))]

    assert differences(line(), line(size=4)) == ["generation 2: its size is 3 bytes here and 4 bytes there"]
    assert differences(line(), line(pixel_digest="sha256:2")) == [
        "generation 2: its pixels are sha256:1 here and sha256:2 there"
    ]
    half = line(state="offered", acknowledged_at=None, received_by=["cadc"])
    assert differences(line(), half) == ["generation 2 is acknowledged here and not there"]
    assert [item.sentence for item in compare(lines_of([half], by="cadc"), lines_of([line()]))] == []
    assert [item.sentence for item in compare(lines_of([half], by="cds"), lines_of([line()]))] != []
    withdrawn = line(state="superseded", offered_at="then", acknowledged_at=None)
    assert differences(withdrawn, line()) == ["generation 2 is not offered any more here and held there"]
    assert compare(lines_of([withdrawn]), {}) == []
