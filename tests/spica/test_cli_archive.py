"""`terapix archive` and `terapix history --archived`: what lies in files is told, and read from there."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dbclient.database import Database
from dbclient.sealing import seal
from dbclient.stores import Frames
from dbclient.stores.frames import Sighting
from spica.cli.application import app

THEN = datetime(2008, 3, 30, 6, 23, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "terapix.toml"
    file.write_text(f'[paths]\ndirectory = "{tmp_path}"\n[retention]\nevents_days = 30\n')

    async def fill() -> None:
        database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
        for name in ("1p", "2p"):
            async with database.write() as session:
                sighting = Sighting(name=name, uri=f"cadc:CFHT/{name}.fits.fz", size=7000, runid="08AC14")
                await Frames().sight(session, sighting, now=THEN, source="test")
        await seal(database, now=THEN)
        await database.close()

    asyncio.run(fill())
    return str(file)


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, " ".join((done.stdout + done.stderr).split())


def test_history_is_archived_when_told_and_read_from_there(config: str, tmp_path: Path) -> None:
    code, said = call("archive", "-c", config)
    assert code == 0
    assert "Events: 2 of 2008-03-30 to 2008-03-30 would go into archives." in said
    assert "Transfers stay in their table for ever: retention.transfers_days is 0." in said
    assert not (tmp_path / "history").exists()
    assert call("archive", "--now", "--dry-run", "-c", config)[0] == 2

    assert "2 of 2008-03-30 to 2008-03-30 went into archives." in call("archive", "--now", "-c", config)[1]

    [held] = json.loads(call("archive", "-c", config, "--json")[1])["archives"]
    assert (held["rows"], held["kind"]) == (2, "events")
    assert held["cleared_at"]
    assert (tmp_path / "history" / held["path"]).is_file()
    assert json.loads(call("history", "2p", "-c", config, "--json")[1]) == []
    [told] = json.loads(call("history", "2p", "--archived", "-c", config, "--json")[1])
    assert told["message"].startswith("2p spotted")
    assert len(json.loads(call("history", "--archived", "-c", config, "--json")[1])) == 3
    later = (THEN + timedelta(days=1)).date().isoformat()
    assert len(json.loads(call("history", "--archived", "--since", later, "-c", config, "--json")[1])) == 1
    assert "lies in archives: terapix history 2p --archived" in call("why", "2p", "-c", config)[1]
    assert "The history fits: 2 events" in call("history", "--verify", "-c", config)[1]
    (tmp_path / "history" / held["path"]).unlink()
    code, said = call("history", "--verify", "-c", config)
    assert (code, "2 older events were not compared: their archives are not here" in said) == (0, True)
