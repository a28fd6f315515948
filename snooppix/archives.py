"""Which class follows which kind of archive, and which fetches its files."""

from snooppix.archive import Archive
from snooppix.bandwidth import Limits
from snooppix.cadc import Cadc
from snooppix.carrier import Carrier
from snooppix.download import Downloader
from snooppix.ftp.archive import FtpArchive
from snooppix.ftp.carrier import FtpDownloader
from snooppix.ftp.door import KEPT, Door
from snooppix.names import Names
from snooppix.obscore import ObsCore
from snooppix.segments import Growth
from snooppix.wire import Wire
from terapix.clock import Clock, SystemClock
from terapix.instruments import load_instrument
from terapix.sections import Settings


def archive_of(settings: Settings, wire: Wire, *, names: Names, clock: Clock) -> Archive:
    """Give the archive that the settings name.

    Raises
    ------
    ArchiveError
        If the selection asks for what that kind of archive does not tell.
    """
    page, selection = settings.snooppix.page, settings.selection
    match settings.archive.kind:
        case "obscore":
            return ObsCore(wire, settings.archive, selection=selection, names=names, page=page, clock=clock)
        case "ftp":
            door = _door(settings, wire, limits=Limits(settings.snooppix.limits, clock=clock))
            quiet = settings.archive.ftp_quiet
            return FtpArchive(door, selection=selection, names=names, page=page, clock=clock, quiet=quiet)
        case _:
            return Cadc(wire, settings.archive, selection=selection, names=names, page=page, clock=clock)


def prove(settings: Settings) -> None:
    """Raise what would keep SNOOPPIX from working with these settings; no credential is read and nobody is asked.

    Raises
    ------
    ArchiveError
        If the selection asks for what that kind of archive does not tell.
    TerapixError
        If there is no such camera.
    """
    bare = settings.archive.model_copy(update={"credential": None, "authority": None})
    settings = settings.model_copy(update={"archive": bare})
    names = Names.of(load_instrument(settings.snooppix.instrument), products=settings.archive.offers == "products")
    archive_of(settings, Wire(settings.archive, settings.snooppix), names=names, clock=SystemClock())


def carriers_of(settings: Settings, wire: Wire, archive: Archive, *, clock: Clock) -> dict[str, Carrier]:
    """Give who brings files, by the scheme of their addresses; one server's listing and files share its limits."""
    limits = archive.door.limits if isinstance(archive, FtpArchive) else Limits(settings.snooppix.limits, clock=clock)
    growth = Growth(most=settings.snooppix.segments)
    http = Downloader(wire, limits=limits, growth=growth, clock=clock)
    carriers: dict[str, Carrier] = {"http": http, "https": http}
    if settings.archive.kind == "ftp":
        ftp = FtpDownloader(_door(settings, wire, limits=limits), growth=growth, clock=clock)
        carriers |= {"ftp": ftp, "ftps": ftp}
    return carriers


def _door(settings: Settings, wire: Wire, *, limits: Limits) -> Door:
    door = Door(settings.archive, settings.snooppix, wire.credential, limits=limits, keep=KEPT)
    wire.at_end(door.close)
    return door
