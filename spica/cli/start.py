"""Commands that start things: the demo night, all daemons of a host, the stand-in archive."""

import asyncio
import os
import signal
import ssl
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from dbclient.database import Database
from dbclient.stages import SOURCES
from spica.accounts import ensure_operator
from spica.cli.answers import ConfigOption, Exit, JsonOption, err, out, say_json, settings, stop
from spica.nightwatch import follow
from spica.password import hand_over
from spica.supervisor import Role, Supervisor, daemons_of
from terapix.clock import SystemClock
from terapix.errors import TerapixError
from terapix.sections import Settings

start = typer.Typer()
FramesOption = Annotated[int, typer.Option("--frames", min=1, max=10000, help="Exposures of the night.")]
CcdsOption = Annotated[int, typer.Option("--ccds", min=1, max=36, help="CCDs of each frame; MegaCam has 36.")]


@start.command()
def demo(
    directory: Annotated[Path, typer.Option("--directory", help="Where everything of the demo lies.")] = Path("demo"),
    frames: FramesOption = 6,
    ccds: CcdsOption = 36,
    nodes: Annotated[
        int, typer.Option("--nodes", min=0, max=9, help="Hosts, each with an agent at 127.0.0.N; 0: one host.")
    ] = 0,
    *,
    once: Annotated[bool, typer.Option("--once", help="End when every frame has come to its end.")] = False,
    as_json: JsonOption = False,
    timeout: Annotated[float, typer.Option("--timeout", help="With --once: give up after so many seconds.")] = 3600.0,
) -> None:
    """Simulate a night: frames are painted, fetched, placed, weighted and catalogued, and a page shows it."""
    cache = os.environ.get("TERAPIX_PATHS__CACHE") or directory.absolute() / "cache"
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(cache) / "numba"))
    from spica.demo import Demo, Night, account, prepare  # noqa: PLC0415 - numba looks for its cache when it is loaded

    async def whole() -> int:
        night = Night(directory, frames, ccds, hosts=nodes)
        begin = time.monotonic()
        async with Demo(night, prepare(night)) as running:
            interrupted = await follow(running, once=once, quiet=as_json, deadline=timeout if once else None)
            if not once:
                return Exit.OK
            catalogues = SOURCES in running.loaded.settings.processing.stages
            summed = await account(running.database, seconds=time.monotonic() - begin, catalogues=catalogues)
        if as_json:
            say_json(summed)
        else:
            seeing = f", seeing {summed['seeing']:.2f} arcsec" if summed["seeing"] else ""
            out.print(
                f"{summed['weighted']} of {summed['frames']} frames weighted and {summed['catalogued']} catalogued in "
                f"{summed['seconds']:.0f} s: {summed['sources']} sources{seeing}."
            )
        if interrupted:
            return 128 + signal.SIGINT
        return Exit.OK if summed["ok"] else Exit.SOME_FAILED

    raise typer.Exit(_run(whole()))


@start.command()
def up(
    config: ConfigOption = None,
    *,
    role: Annotated[
        Role, typer.Option("--role", help="node: agent and workers of a host of nodes; coordinator: all the rest.")
    ] = Role.COORDINATOR,
) -> None:
    """Run all daemons of this host together, until Ctrl-C or SIGTERM."""
    loaded = settings(config)
    if loaded.path is None:
        err.print("No settings file: defaults hold. etc/terapix.toml is one to begin with.", style="yellow")

    async def whole() -> int:
        chosen = loaded.settings
        chosen.paths.directory.mkdir(parents=True, exist_ok=True)
        if role is Role.COORDINATOR:
            await _open_first(chosen)
        supervisor = Supervisor(
            loaded.path or _defaults(chosen.paths.directory), logs=None, daemons=daemons_of(chosen, role)
        )
        await supervisor.start()
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
        await stopping.wait()
        await supervisor.stop()
        return Exit.OK

    raise typer.Exit(_run(whole()))


async def _open_first(chosen: Settings) -> None:
    """See that there is a database and somebody who may sign in."""
    database = await Database.open(chosen.database_url, create=not chosen.database.url)
    async with database.write() as session:
        password = await ensure_operator(session, SystemClock().now())
    await database.close()
    if password:
        hand_over(password, chosen)


@start.command("stand-in")
def stand_in(
    directory: Annotated[
        Path, typer.Option("--directory", help="Files that the archive offers; made if it is not there.")
    ],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on loopback; 0: any free one.")] = 8090,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    frames: Annotated[int, typer.Option("--frames", min=0, max=10000, help="Paint so many frames first.")] = 0,
    ccds: CcdsOption = 36,
    faults: Annotated[Path | None, typer.Option("--faults", help="TOML file of what is to go wrong.")] = None,
    access: Annotated[Path | None, typer.Option("--access", help="TOML file of users; release dates count.")] = None,
    mirrors: Annotated[
        int, typer.Option("--mirrors", min=1, max=9, help="Storage sites; the others take the ports behind --port.")
    ] = 1,
    tls: Annotated[
        tuple[Path, Path] | None, typer.Option("--tls", metavar="CERT KEY", help="Speak HTTPS with this certificate.")
    ] = None,
    client_ca: Annotated[
        Path | None, typer.Option("--client-ca", help="With --tls: authority of certificates that callers may show.")
    ] = None,
    ftp: Annotated[
        int | None, typer.Option("--ftp", min=0, max=65535, help="Offer the directory by FTP too, on this port.")
    ] = None,
    ftps: Annotated[bool, typer.Option("--ftps", help="With --ftp and --tls: demand AUTH TLS.")] = False,
) -> None:
    """Run a stand-in archive that speaks the protocol of CADC: TAP, locator, files, login; with faults on order.

    \b
    Examples:
      terapix stand-in --directory frames --frames 6 --ccds 2
          paint six small frames, and offer them on port 8090
      terapix stand-in --directory frames --faults faults.toml
          let go wrong what the file orders; an order looks like this:
              [[fault]]
              kind = "dropped"        # the connection ends within the body
              after = 1000000         # bytes
              times = 2
      terapix stand-in --directory frames --access access.toml
          hide what is not public yet, and know users

    The kinds of faults, users, and how to point pyvo, astroquery, cadcutils or
    curl at it: docs/stand-in.md. Ctrl-C ends it.
    """  # noqa: D301 - the backspace is for click: it leaves the lines as they are
    from snooppix.standin.access import Access, AccessUnreadable  # noqa: PLC0415 - only this command needs the server
    from snooppix.standin.faults import Faults  # noqa: PLC0415 - only this command needs the server
    from snooppix.standin.ftp import FtpTwin  # noqa: PLC0415 - as above
    from snooppix.standin.orders import FaultsUnreadable  # noqa: PLC0415 - as above
    from snooppix.standin.server import serve  # noqa: PLC0415 - as above

    if ftps and (ftp is None or tls is None):
        stop("--ftps needs --ftp and --tls: a port, and a certificate to show.", Exit.USAGE)
    if client_ca is not None and tls is None:
        stop("--client-ca needs --tls: only HTTPS knows certificates.", Exit.USAGE)
    context = _tls(*tls, client_ca) if tls is not None else None
    try:  # before anything is painted
        wanted = Faults.read(faults) if faults else Faults()
        known = Access.read(access) if access else None
    except (FaultsUnreadable, AccessUnreadable) as problem:
        stop(str(problem), Exit.USAGE)
    directory.mkdir(parents=True, exist_ok=True)
    if frames:
        _paint(directory, frames, ccds)

    async def whole() -> int:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        try:
            if ftp is not None:
                twin = FtpTwin(directory, faults=wanted, tls=context if ftps else None)
                _announce(await twin.begin(host, ftp))
            await serve(
                directory,
                host,
                port,
                wanted,
                stopping,
                announce=_announce,
                access=known,
                mirrors=mirrors,
                tls=context,
            )
        except OSError as problem:
            why = os.strerror(problem.errno) if problem.errno else str(problem)
            stop(f"Port {port} of {host} is not to be had ({why}): take another with --port.", Exit.FAILURE)
        return Exit.OK

    raise typer.Exit(_run(whole()))


def _tls(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except OSError as problem:
        stop(f"Certificate {certificate} with key {key} can not be used: {problem}", Exit.USAGE)
    return context


def _announce(registry: str) -> None:
    err.print(f"The archive answers at {registry} until Ctrl-C.", soft_wrap=True)


def _paint(directory: Path, frames: int, ccds: int) -> None:
    from rich.progress import Progress  # noqa: PLC0415 - painting is rare

    from spica.demo import Night, paint  # noqa: PLC0415 - the demo alone loads the painter

    with Progress(console=err) as bar:
        task = bar.add_task("painting", total=1.0)
        paint(
            Night(directory, frames, ccds, served=directory),
            lambda what, share: bar.update(task, completed=share, description=what),
        )


def _defaults(directory: Path) -> Path:
    """Write an empty settings file, for the daemons to be started with."""
    place = directory / "terapix.toml"
    if not place.exists():
        place.write_text(f'[paths]\ndirectory = "{directory.absolute()}"\n')
    return place


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run to the end; what we know to go wrong is said in plain words."""
    try:
        return int(asyncio.run(work))
    except TerapixError as problem:
        stop(str(problem), Exit.FAILURE)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
