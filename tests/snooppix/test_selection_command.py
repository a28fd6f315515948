"""``terapix snooppix selection``: the rules in words, and what they do to a listing."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from snooppix.cli import app
from tests.support.archive import ServedArchive


@pytest.fixture
def config(tmp_path: Path, served_archive: ServedArchive) -> Path:
    for number in range(979410, 979416):
        served_archive.offer(f"{number}p", seed=number, FILTER="r.MP9601" if number % 2 else "g.MP9401")
    served_archive.offer("979410o")
    path = tmp_path / "terapix.toml"
    path.write_text(
        f'[archive]\nregistry = "{served_archive.registry}"\n[snooppix]\npage = 3\n'
        '[selection]\nruns = ["08AC*"]\nfilters = ["r.*"]\n'
    )
    return path


async def run(*arguments: object) -> Result:
    """Run the command in a thread: the archive is served by this one's loop."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["selection", *map(str, arguments)])


async def test_without_test_the_rules_are_shown_and_nobody_is_asked(config: Path) -> None:
    result = await run("-c", config)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "name: frames called by a number and the letter p",
        "level: calibration level 2",
        "runs: run 08AC*",
        "filters: filter r.*",
    ]
    shown = json.loads((await run("-c", config, "--json")).stdout)
    assert shown[3] == {"rule": "filters", "keeps": "filter r.*"}


async def test_each_rule_is_counted_alone_and_in_sequence(config: Path) -> None:
    result = await run("-c", config, "--test", "--json")
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert (answer["listed"], answer["kept"]) == (7, 3)
    assert answer["sentence"] == "name 1, level 0, runs 0, filters 3; kept 3"
    by_rule = {row["rule"]: row for row in answer["rules"]}
    assert (by_rule["level"]["drops_alone"], by_rule["level"]["drops_in_sequence"]) == (1, 0)
    assert by_rule["name"]["examples"] == ["979410o"]
    assert by_rule["filters"]["examples"] == ["979410p", "979412p", "979414p"]


async def test_people_read_the_same_in_a_table(config: Path) -> None:
    result = await run("-c", config, "--test")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert re.fullmatch(r"http://.* CFHT MegaPrime [0-9a-f]{8}: 7 files listed", lines[0])
    assert lines[-1] == "name 1, level 0, runs 0, filters 3; kept 3"


async def test_rules_that_keep_nothing_end_with_3(config: Path) -> None:
    config.write_text(config.read_text().replace("08AC*", "09*"))
    result = await run("-c", config, "--test")
    assert result.exit_code == 3
    assert result.stdout.splitlines()[-1].endswith("kept 0")


async def test_wrong_bounds_end_with_2_and_a_silent_archive_with_75(
    config: Path, served_archive: ServedArchive, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[selection]\nbox = [1, 2, 3]\n")
    result = await run("-c", wrong, "--test")
    assert result.exit_code == 2
    assert "selection.box: four numbers were expected" in result.stderr

    await served_archive.standin.close()
    result = await run("-c", config, "--test")
    assert result.exit_code == 75
    assert "the archive does not answer" in result.stderr
    assert "takes no connection (" in result.stderr
    assert "SSLContext" not in result.stderr
