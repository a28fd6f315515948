"""``terapix snooppix check``: what is this file, and would it be accepted."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from dbclient.schema import FrameKind
from snooppix.acceptance import FileKind
from snooppix.cli.answers import NOT_ALL, ConfigOption, JsonOption, out, print_json, settings_of, wrong
from snooppix.errors import Rejection
from snooppix.pixels import pixel_digest
from snooppix.verification import Verifier
from terapix.errors import TerapixError
from terapix.identity import FrameId, UnsafeName
from terapix.instruments import Instrument, load_instrument

app = typer.Typer()


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="FITS files or header dumps, plain or .gz.")],
    config: ConfigOption = None,
    *,
    instrument: Annotated[
        str | None, typer.Option(help="Instrument description; default: snooppix.instrument.")
    ] = None,
    headers_only: Annotated[bool, typer.Option("--headers-only", help="Do not verify checksums and pixels.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say of each file what it is, whether it would be accepted, and why.

    Exit code 0: all are accepted; 3: some are not; 2: wrong usage.
    """
    settings = settings_of(config)
    try:
        camera = load_instrument(instrument or settings.snooppix.instrument)
    except TerapixError as problem:
        raise wrong(problem) from problem
    compression = settings.datatransfer.compression
    answers = asyncio.run(_check_all(files, camera, compression=compression, pixels=not headers_only))
    if as_json:
        print_json(answers)
    else:
        for answer in answers:
            mark = "[green]accepted[/green]" if answer["accepted"] else "[yellow]not accepted[/yellow]"
            out.print(
                f"{answer['file']}: {answer['kind']}, {mark}: {answer['reason']}", soft_wrap=True, highlight=False
            )
    raise typer.Exit(0 if all(answer["accepted"] for answer in answers) else NOT_ALL)


async def _check_all(
    files: list[Path], instrument: Instrument, *, compression: float, pixels: bool
) -> list[dict[str, Any]]:
    async with Verifier(instrument, compression=compression) as verifier:
        return [await check_file(path, verifier, pixels=pixels) for path in files]


async def check_file(path: Path, verifier: Verifier, *, pixels: bool) -> dict[str, Any]:
    """Return what is known of one file: file, kind, accepted, reason, and the metadata of an accepted one."""
    answer: dict[str, Any] = {"file": str(path), "kind": FileKind.UNKNOWN.value, "accepted": False}
    examined = "its headers"
    try:
        read = await verifier.read(path, kind=FrameKind.OBJECT, name=_name(path))
        answer["kind"] = read.verdict.kind.value
        if read.verdict.rejection is not None:
            raise read.verdict.rejection
        if pixels and not read.headers.is_dump and path.suffix != ".gz":
            answer["pixel_digest"] = str(pixel_digest(await verifier.unpack(path, read.headers)))
            examined = "its headers, checksums and pixels"
    except Rejection as rejection:
        return answer | {"word": rejection.word, "reason": rejection.sentence}
    except OSError as problem:
        return answer | {"word": "unreadable", "reason": f"it cannot be read: {problem.strerror or problem}"}
    return answer | {"accepted": True, "reason": f"{examined} are those of an {read.verdict.kind.value}"} | read.columns


def _name(path: Path) -> str:
    try:
        return FrameId.of_file(path.name.removesuffix(".gz")).name
    except UnsafeName:
        return ""
