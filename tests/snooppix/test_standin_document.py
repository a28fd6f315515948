"""What docs/stand-in.md says can be done is done here, word for word."""

import asyncio
import re
import shlex
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import pyvo
from typer.testing import CliRunner

from snooppix.standin.access import Access
from snooppix.standin.faults import Faults
from spica.cli.application import app
from tests.support.archive import small_fits

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "stand-in.md").read_text()
BLOCKS = ["\n".join(line[4:] for line in block.splitlines()) for block in re.findall(r"(?m)(?:^    .*\n?)+", DOCUMENT)]
"""Indented blocks of the document."""


def commands() -> list[str]:
    """Give the command lines of the document, without their comments."""
    return [
        line.partition("  #")[0].strip()
        for block in BLOCKS
        for line in block.splitlines()
        if line.startswith("terapix stand-in")
    ] + re.findall(r"`(terapix stand-in [^`…]+)`", DOCUMENT)


@asynccontextmanager
async def running(command: str, directory: Path) -> AsyncIterator[str]:
    """Run a documented command on a free port; give the address that it tells."""
    main = "import sys; from spica.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", main, *shlex.split(command)[1:]]
    words = [word for at, word in enumerate(words) if word != "--port" and words[at - 1] != "--port"]
    process = await asyncio.create_subprocess_exec(
        *words, "--port", "0", cwd=directory, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    assert process.stderr is not None
    said = ""
    try:
        async with asyncio.timeout(60):
            while not (found := re.search(r"answers at (http\S+)/reg/resource-caps", said)):
                line = await process.stderr.readline()
                assert line, said
                said += line.decode()
        yield found[1]
    finally:
        process.terminate()
        assert await process.wait() == 0


def test_the_commands_of_the_document_are_found() -> None:
    assert len(commands()) >= 3
    assert any("--frames 6 --ccds 2" in command for command in commands())


async def test_a_directory_is_served_and_an_ordered_fault_happens_as_written(tmp_path: Path) -> None:
    order = next(block for block in BLOCKS if "# faults.toml" in block)
    (tmp_path / "faults.toml").write_text(order)
    (tmp_path / "frames").mkdir()
    content = small_fits("979412p", ccds=36, shape=(256, 256))
    (tmp_path / "frames" / "979412p.fits.fz").write_bytes(content)
    command = next(command for command in commands() if "--faults faults.toml" in command)
    async with running(command, tmp_path) as address:
        table = await asyncio.to_thread(
            pyvo.dal.TAPService(f"{address}/argus").search, "SELECT uri FROM caom2.Artifact"
        )
        assert [str(row["uri"]) for row in table] == ["cadc:CFHT/979412p.fits.fz"]
        sizes = []
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                sizes.append(0)
                try:
                    async with session.get(f"{address}/raven/files/cadc:CFHT/979412p.fits.fz") as answer:
                        async for chunk in answer.content.iter_any():
                            sizes[-1] += len(chunk)
                except aiohttp.ClientPayloadError:
                    continue
    assert sizes == [1_000_000, 1_000_000, len(content)]


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.startswith("[[")])
def test_each_example_of_orders_and_users_is_read(tmp_path: Path, block: str) -> None:
    path = tmp_path / "example.toml"
    path.write_text(block)
    reader = Access if "user" in tomllib.loads(block) else Faults
    assert reader.read(path)


def test_each_option_of_the_document_is_one_and_the_other_way_round() -> None:
    said = CliRunner().invoke(app, ["stand-in", "--help"], env={"COLUMNS": "200"}).output
    options = set(re.findall(r"^  (--[a-z-]+)", said, re.MULTILINE)) - {"--help"}
    told = set(re.findall(r"`?(--[a-z-]+)", DOCUMENT))
    assert options <= told
    assert {option for option in told if f"stand-in … {option}" in DOCUMENT} <= options
