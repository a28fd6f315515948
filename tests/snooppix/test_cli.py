"""``terapix snooppix check`` and ``rejected``: words for people, JSON for programs, exit codes for scripts."""

import asyncio
import gzip
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dbclient.database import Database
from dbclient.stores import Requests
from snooppix.cli import app
from snooppix.quarantine import set_aside
from snooppix.reception import Reception
from terapix.installation import etc_directory
from terapix.settings import load
from tests.support.archive import small_fits


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings with an instrument of 32x16 pixels a CCD."""
    text = (etc_directory() / "instruments" / "megacam.toml").read_text()
    for keyword, value in (("width", 32), ("height", 16), ("amplifier_boundary", 16)):
        text = re.sub(rf"(?m)^{keyword} = \d+", f"{keyword} = {value}", text)
    text = re.sub(r"(?m)^datasec = \[.*?\]", "datasec = [0, 32, 0, 16]", text)
    text = re.sub(r"(?ms)^primary = \[.*?^\]", 'primary = ["RUNID", "FILTER"]', text)
    text = re.sub(r"(?ms)^ccd = \[.*?^\]", 'ccd = ["CRPIX1"]', text)
    (tmp_path / "small.toml").write_text(text)
    path = tmp_path / "terapix.toml"
    path.write_text(f'[paths]\ndirectory = "{tmp_path}"\n[snooppix]\ninstrument = "{tmp_path / "small.toml"}"\n')
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_good_bad_and_missing_files_in_one_go(config: Path, tmp_path: Path) -> None:
    good, raw, page, packed = (tmp_path / n for n in ("979412p.fits.fz", "979412o.fits", "page.fits", "9.fits.gz"))
    good.write_bytes(small_fits("979412p"))
    raw.write_bytes(small_fits("979412o"))
    page.write_text("<html>sign in</html>")
    packed.write_bytes(gzip.compress(small_fits("979412p")))

    result = run("check", "-c", config, "--json", good, raw, page, packed, tmp_path / "absent.fits")

    answers = json.loads(result.stdout)
    assert result.exit_code == 3
    assert [(a["kind"], a["accepted"], a.get("word")) for a in answers] == [
        ("elixir-processed frame", True, None),
        ("raw frame", False, "raw"),
        ("unknown", False, "not-fits"),
        ("elixir-processed frame", True, None),
        ("unknown", False, "unreadable"),
    ]
    assert answers[0]["pixel_digest"].startswith("sha256:")
    assert answers[0]["reason"] == "its headers, checksums and pixels are those of an elixir-processed frame"
    assert all(a["reason"] for a in answers)


def test_damaged_pixels_are_seen_unless_only_headers_are_asked_for(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "979412p.fits.fz"
    content = bytearray(small_fits("979412p"))
    content[-2000] ^= 1
    path.write_bytes(content)

    whole = run("check", "-c", config, path)
    headers = run("check", "-c", config, "--headers-only", path)

    assert whole.exit_code == 3
    assert "not accepted: HDU 36 (CCD35): DATASUM" in whole.stdout
    assert headers.exit_code == 0
    assert "elixir-processed frame, accepted" in headers.stdout


def test_wrong_usage_is_told(config: Path, tmp_path: Path) -> None:
    assert run("check").exit_code == 2
    assert run("check", "-c", tmp_path / "no.toml", "x").exit_code == 2
    assert run("check", "-c", config, "--instrument", "mega", "x").exit_code == 2


def test_what_was_rejected_is_listed(config: Path, tmp_path: Path) -> None:
    assert "Nothing was rejected" in run("rejected", "-c", config).stdout
    reception = Reception(tmp_path / "reception", reserve=0)
    reception.prepare()
    why = {"reason": "a login page", "again": "terapix snooppix retry 979412p"}
    set_aside(reception, None, Path("from_CADC/rejected/not-fits/979412p.fits.fz"), why, head=b"<html>")
    reception.release()

    [row] = json.loads(run("rejected", "-c", config, "--json").stdout)

    assert (row["word"], row["reason"]) == ("not-fits", "a login page")
    assert "terapix snooppix retry 979412p" in run("rejected", "-c", config).stdout


def ask(config: Path, *arguments: object) -> tuple[int, str, list[tuple[str, dict[str, str]]]]:
    """Run a command that asks the daemon; return exit code, output, and the requests that were written."""
    settings = load(config, environment={}).settings

    async def prepare() -> None:
        await (await Database.open(settings.database_url, create=True)).close()

    async def written() -> list[tuple[str, dict[str, str]]]:
        database = await Database.open(settings.database_url)
        async with database.read() as session:
            found = await Requests().open(session)
        await database.close()
        return [(request.kind.value, request.arguments) for request in found]

    asyncio.run(prepare())
    done = run(*arguments, "-c", config, "--wait", "0")
    return done.exit_code, done.output, asyncio.run(written())


def test_rejected_frames_are_asked_for_again_by_name_by_word_or_all(config: Path, tmp_path: Path) -> None:
    reception = Reception(tmp_path / "reception", reserve=0)
    for name, word in (("1p", "raw"), ("2p", "raw"), ("3p", "wcs"), ("x", "unknown-file")):
        why = {"reason": word} | ({"frame": name} if name != "x" else {})
        set_aside(reception, None, Path(f"from_CADC/rejected/{word}/{name}.fits"), why)

    assert ask(config, "retry", "--word", "raw")[2] == [("retry", {"frame": "1p"}), ("retry", {"frame": "2p"})]
    assert ask(config, "retry", "--all")[2][2:] == [("retry", {"frame": f"{number}p"}) for number in (1, 2, 3)]
    code, said, _ = ask(config, "retry", "9p")
    assert (code, "9p: request 6 is written" in said) == (0, True)
    assert ask(config, "retry", "../9p")[0] == ask(config, "retry")[0] == ask(config, "retry", "1p", "--all")[0] == 2
    assert "Nothing was rejected there" in ask(config, "retry", "--word", "hostile")[1]
    listed = json.loads(run("rejected", "-c", config, "--word", "raw", "--json").stdout)
    assert [(row["frame"], row["kept"]) for row in listed] == [("1p", True), ("2p", True)]


def test_a_frame_is_accepted_with_a_reason_only(config: Path) -> None:
    assert ask(config, "accept", "979412p")[0] == 2
    assert ask(config, "accept", "979412p", "--because", " ")[0] == 2
    assert ask(config, "accept", "a/b", "--because", "so")[0] == 2
    code, _, asked = ask(config, "accept", "979412p", "--because", "the log has its filter")
    assert (code, asked) == (0, [("accept", {"frame": "979412p", "because": "the log has its filter"})])
