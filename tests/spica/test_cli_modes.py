"""`terapix modes` and `terapix rules`: transfers are paused, run at once, and ruled from the command line."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dbclient.database import Database
from dbclient.schema import TransferMode
from dbclient.stores import Events, Frames, Modes, Nodes
from dbclient.stores.frames import Sighting
from spica.cli.application import app
from spica.cli.modes import left

NOW = datetime(2008, 3, 30, 6, 23, tzinfo=UTC)


@pytest.fixture
async def config(tmp_path: Path) -> str:
    file = tmp_path / "terapix.toml"
    file.write_text(f'[paths]\ndirectory = "{tmp_path}"\n')
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    async with database.write() as session:
        await Nodes().upsert(session, name="node2", directory="/n2", capacity=10**9, reserve=0, now=NOW)
        for name, runid, band in (("1p", "08AC14", "r.MP9601"), ("2p", "08AC14", "g.MP9401"), ("3p", "03AL03", None)):
            sighting = Sighting(name=name, uri=f"cadc:CFHT/{name}.fits.fz", size=7000, runid=runid, filter=band)
            await Frames().sight(session, sighting, now=NOW, source="test")
    await database.close()
    return str(file)


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, " ".join((done.stdout + done.stderr).split())


def test_modes_are_listed_paused_and_resumed(config: str) -> None:
    assert "at the start" in call("modes", "-c", config)[1]
    assert call("modes", "pause", "automatic", "-c", config) == (0, "Automatic transfers are paused.")
    assert call("modes", "pause", "automatic", "-c", config) == (0, "Automatic transfers are paused already.")
    code, said = call("modes", "run", "automatic", "-c", config)
    assert (code, "are paused by" in said) == (1, True)
    told = {fact["mode"]["name"]: fact for fact in json.loads(call("modes", "-c", config, "--json")[1])}
    assert told["automatic"]["mode"]["paused"] is True
    assert (told["automatic"]["every"], told["immediate"]["every"]) == (600.0, 60.0)
    assert call("modes", "resume", "automatic", "-c", config) == (0, "Automatic transfers are on.")
    assert call("modes", "run", "automatic", "-c", config) == (0, "Automatic transfers run now.")
    assert call("modes", "run", "sometimes", "-c", config)[0] == 2


async def test_the_countdown_is_that_of_the_database(config: str, tmp_path: Path) -> None:
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}")
    async with database.write() as session:
        await Modes().ran(
            session, TransferMode.AUTOMATIC, every=600, next_at=NOW.replace(minute=33), said="well", now=NOW
        )
        held = (await Modes().all(session))[TransferMode.AUTOMATIC]
    await database.close()
    assert left(held, NOW) == 600.0
    assert left(held, NOW.replace(hour=9)) == 0.0


def test_rules_are_added_moved_changed_and_removed_and_each_change_is_told(config: str, tmp_path: Path) -> None:
    assert "There is no rule" in call("rules", "-c", config)[1]
    added = call("rules", "add", "--runid", "08A*", "--filter", "r.*", "--node", "node2", "-c", config)
    assert added == (0, "Rule 1: runid 08A*, filter r.* go to node2.")
    assert call("rules", "add", "--program", "L", "--policy", "hold", "--priority", "3", "-c", config) == (
        0,
        "Rule 2: program L stay at reception with priority 3.",
    )
    assert call("rules", "move", "2", "1", "-c", config)[0] == 0
    assert call("rules", "change", "2", "--off", "--node", "", "--policy", "balance", "-c", config) == (
        0,
        "Rule 2: runid 08A*, filter r.* go by balance (off).",
    )
    told = json.loads(call("rules", "list", "-c", config, "--json")[1])
    assert [(rule["position"], rule["program"], rule["enabled"]) for rule in told] == [(1, "L", True), (2, "*", False)]
    assert call("rules", "remove", "1", "-c", config)[0] == 0
    assert call("rules", "remove", "7", "-c", config) == (4, "There is no rule 7: see terapix rules.")
    assert asyncio.run(told_of_rules(tmp_path)) == [
        "rule-removed",
        "rule-changed",
        "rule-moved",
        "rule-added",
        "rule-added",
    ]


async def told_of_rules(directory: Path) -> list[str]:
    database = await Database.open(f"sqlite+aiosqlite:///{directory / 'terapix.sqlite'}")
    async with database.read() as session:
        kinds = [event.kind for event in await Events().latest(session) if event.kind.startswith("rule-")]
    await database.close()
    return kinds


def test_a_rule_that_cannot_hold_is_refused(config: str) -> None:
    assert call("rules", "add", "-c", config)[0] == 2
    code, said = call("rules", "add", "--policy", "fair", "-c", config)
    assert (code, "policies are: together, most-room, balance" in said) == (2, True)
    assert call("rules", "add", "--node", "node9", "-c", config) == (4, "There is no node node9; nodes are: node2.")


def test_what_each_rule_would_take_is_counted(config: str) -> None:
    call("rules", "add", "--filter", "r.*", "--node", "node2", "-c", config)
    call("rules", "add", "--runid", "08*", "--priority", "2", "-c", config)
    found = json.loads(call("rules", "test", "-c", config, "--json")[1])
    assert [(share["fitting"], share["frames"], share["bytes"]) for share in found] == [
        (1, 1, 7000),
        (2, 1, 7000),
        (1, 1, 7000),
    ]
    assert [share["names"] for share in found] == [["1p"], ["2p"], ["3p"]]
