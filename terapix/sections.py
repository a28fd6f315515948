"""Every setting of TERAPIX, with its unit, its default and what it means.

Each section of ``terapix.toml`` is one frozen class. How a file, the
environment and these defaults are put together stands in `terapix.settings`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic.fields import FieldInfo

from terapix import bounds
from terapix.hosts import AgentSection, DatatransferSection, NodeSection, RetentionSection
from terapix.section import CLOCK, NODE_NAME, Bytes, Hour, Port, Seconds, Section

DATABASES = "an address that begins with postgresql+asyncpg:// or sqlite+aiosqlite://, or nothing"


class DiskSection(Section):
    """One reception disk of several."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", title=NODE_NAME)]
    """Name of the disk, as fc1."""
    directory: Path
    """Root of the disk."""
    reserve: Bytes = 2_000_000_000
    """Bytes that are never filled."""


class Paths(Section):
    """Where TERAPIX keeps its files on this host."""

    directory: Path = Path("demo")
    """Root of everything below that is not given as an absolute path."""
    reception: Path = Path("reception")
    """Reception disk: incoming/, from_CADC/ and to_CADC/ live here."""
    disks: tuple[DiskSection, ...] = ()
    """Reception disks where there are several, each a table [[paths.disks]] with name, directory and reserve."""
    cache: Path = Path("cache")
    """Compiled kernels and small caches; may be deleted at any time."""


class DatabaseSection(Section):
    """The one database at which the daemons meet."""

    url: Annotated[str, Field(pattern=r"^$|^(postgresql\+asyncpg|sqlite\+aiosqlite)://", title=DATABASES)] = ""
    """SQLAlchemy address, as postgresql+asyncpg://user@host/terapix; empty: SQLite in paths.directory."""


class ArchiveSection(Section):
    """The archive that SNOOPPIX follows."""

    kind: Literal["caom2", "obscore", "ftp"] = "caom2"
    """caom2: TAP over caom2 with locator, as CADC; obscore: any TAP with ObsCore; ftp: a directory on an FTP server."""
    address: str = ""
    """Address of the TAP service where no registry names it (https://…/tap), or of the directory (ftp://host/dir)."""
    registry: Annotated[str, Field(pattern="^https?://", title="an address that begins with https:// or http://")] = (
        "https://cadc-west-01.canfar.net/reg/resource-caps"
    )
    """Address of the registry that names the archive's services; the stand-in has it at /reg/resource-caps."""
    tap: str = "ivo://cadc.nrc.ca/argus"
    """Identity of the TAP service that lists observations."""
    locator: str = "ivo://cadc.nrc.ca/global/raven"
    """Identity of the service that says where a file is."""
    collection: str = "CFHT"
    """Collection of the observations to follow."""
    instrument: str = "MegaPrime"
    """Instrument name as the archive writes it."""
    table: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,63}$", title="a table name")] = "ivoa.obscore"
    """Table that an ObsCore archive is asked for."""
    offers: Literal["frames", "products"] = "frames"
    """frames: what a camera took; products: what another TERAPIX made and publishes, to which we are the archive."""
    acknowledge: str = ""
    """Address to which each verified product is acknowledged; empty: nobody is told."""
    sign_in: Literal["bearer", "certificate", "cookie", "basic"] = "bearer"
    """What credential is: a bearer token, an X.509 proxy certificate, or a netrc for a cookie or for Basic."""
    credential: Annotated[Path | None, Field(examples=["/etc/terapix/archive-token"])] = None
    """File with the credential, readable by the service's user only; none: anonymous."""
    login: str = "ivo://cadc.nrc.ca/gms"
    """Identity of the service, or address, that gives a cookie for name and password."""
    authority: Annotated[Path | None, Field(examples=["/etc/terapix/archive-ca.pem"])] = None
    """Certificates to trust beside the system's; none: the system's alone."""
    proxy: str = ""
    """HTTP proxy towards the archive, as http://proxy:3128; empty: none."""
    ftp_security: Literal["explicit", "none"] = "explicit"
    """explicit: FTPS with AUTH TLS; none: plain FTP, where nothing secret is sent."""
    ftp_quiet: Seconds = 300.0
    """Seconds without a change, by our clock, after which a file on an FTP server counts as complete."""
    hosts: tuple[str, ...] = (".canfar.net", ".nrc-cnrc.gc.ca")
    """Hosts that redirects may lead to beside the registry's own; a leading dot allows a domain."""


class SelectionSection(Section):
    """Which of the archive's frames are followed; every list that is empty lets all through."""

    runs: tuple[str, ...] = ()
    """RUNIDs (identities of proposals); * and ? stand for any letters."""
    camera_runs: tuple[str, ...] = ()
    """Camera runs (CRUNID), with * and ?."""
    investigators: tuple[str, ...] = ()
    """Names of principal investigators, with * and ?."""
    filters: tuple[str, ...] = ()
    """Filters, as r.MP9601, with * and ?."""
    begin: str = ""
    """First day or moment of observation (2008-03-01, UTC); empty: no such bound."""
    end: str = ""
    """Day or moment of observation before which frames are followed; empty: no such bound."""
    box: tuple[float, ...] = ()
    """Sky box in degrees: least and greatest right ascension (least may be the greater across 0), then declination."""
    level: Annotated[int, Field(ge=-1, le=4)] = 2
    """Calibration level; 2 is processed, and what Elixir makes."""

    @field_validator("begin", "end")
    @classmethod
    def _is_a_moment(cls, text: str) -> str:
        bounds.moment(text)
        return text

    _box_bounds_something = field_validator("box")(bounds.box)

    @model_validator(mode="after")
    def _interval_holds_something(self) -> Self:
        bounds.interval(self.begin, self.end)
        return self


class LimitSection(Section):
    """What may be asked of a host, at some hours or always."""

    host: str = "*"
    """Host name, with * and ?."""
    connections: Annotated[int, Field(ge=0, le=64)] = 0
    """Connections at the same time; 0: no limit."""
    rate: Bytes = 0
    """Bytes a second over all connections; 0: no limit."""
    begin: Hour = "00:00"
    """Time of day (UTC) from which it holds."""
    end: Hour = "00:00"
    """Time of day until which it holds; equal to begin: all day."""


class SnooppixSection(Section):
    """How SNOOPPIX looks and fetches."""

    instrument: str = "megacam"
    """Instrument description in etc/instruments that frames must agree with."""
    poll: Seconds = 300.0
    """Seconds between two looks at the archive."""
    look_back: Seconds = 3600.0
    """Seconds before the bookmark that each look covers again: rows are committed late with an older stamp."""
    page: Annotated[int, Field(ge=1)] = 50_000
    """Rows asked of the archive at once."""
    release_look: Seconds = 3600.0
    """Seconds between two looks for what became visible or public by its release date alone."""
    difference: Annotated[str, Field(pattern=r"^$|^([01]\d|2[0-3]):[0-5]\d$", title=CLOCK)] = "04:30"
    """Time of day (UTC) of the full difference of archive, database and disk; empty: on request only."""
    downloads: Annotated[int, Field(ge=1, le=64)] = 4
    """Frames fetched at the same time."""
    segments: Annotated[int, Field(ge=1, le=16)] = 4
    """Connections that one large file may use, as far as each makes it faster."""
    limits: tuple[LimitSection, ...] = ()
    """Limits a host, each a table [[snooppix.limits]] with host, connections, rate, begin and end."""
    breaker_failures: Annotated[int, Field(ge=1)] = 5
    """Failures of a host in a row after which it rests."""
    breaker_rest: Seconds = 60.0
    """Seconds that it rests before one probe; doubled while probes fail, an hour at most."""
    reserve: Bytes = 2_000_000_000
    """Bytes of the reception disk that are never filled."""
    connect_timeout: Seconds = 30.0
    """Seconds to wait for a connection."""
    read_timeout: Seconds = 60.0
    """Seconds without a byte after which a download is cut and resumed."""
    attempts: Annotated[int, Field(ge=1)] = 8
    """Tries of one frame before it counts as failed; an operator may ask for more."""


class PublisherSection(Section):
    """How our products are offered to the archive that follows us."""

    host: str = "127.0.0.1"
    """Address on which they are served."""
    port: Port = 0
    """Port; 0: any free one, told in the log and in the database."""
    kinds: tuple[str, ...] = ("weight", "flag")
    """Kinds of products that are published as they are made; empty: only what is registered by hand."""
    release: str = "T0001"
    """Release that names of stacks carry."""
    followers: Annotated[Path | None, Field(examples=["/etc/terapix/followers"])] = None
    """File of lines 'name token', one a follower; 'name token reads' acknowledges nothing; none: loopback reads."""
    certificate: Annotated[Path | None, Field(examples=["/etc/terapix/publisher.pem"])] = None
    """Certificate and key in one PEM file, to be served by TLS; none: plain, on loopback or behind a proxy here."""
    keep: Annotated[float, Field(ge=0)] = 30.0
    """Days that a file stays in to_CADC/ after it was acknowledged."""
    push: str = ""
    """Address of an archive's file service (minoc) to which products are put; empty: it comes and reads."""
    push_segment: Bytes = 256_000_000
    """Bytes of a file above which it is put in segments of this size, within a transaction."""


class ProcessingSection(Section):
    """How stages run on a node."""

    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that one job may use; 0: one a core."""
    stages: tuple[Literal["weight", "sources"], ...] = ("weight", "sources")
    """What is made of a placed frame: its maps, and after them its catalogue and PSF; weight is always made."""
    recipe: str = "weight"
    """Recipe in etc/recipes of the weight and flag maps."""
    sources_recipe: str = "sources"
    """Recipe in etc/recipes of the catalogue and the PSF."""
    attempts: Annotated[int, Field(ge=1)] = 3
    """Tries of one job before it counts as failed."""
    lease: Seconds = 60.0
    """Seconds without a heartbeat after which a running job is taken for lost and is due again."""
    masks: Path = Path("masks")
    """Directory of what people mark, the same path on each node's host: NAME.reg for a frame, RUNID.reg for a run."""
    star_catalogues: tuple[Path, ...] = ()
    """Tables (RA, Dec, magnitude) of bright stars whose haloes are marked; none: saturated cores tell of them."""


class SpicaSection(Section):
    """The console and the pipeline."""

    host: str = "127.0.0.1"
    """Address the page listens on."""
    port: Port = 8080
    """Port of the page; when taken, the next free one is used if port_search allows."""
    port_search: bool = True
    """Try the next ports when the port is taken."""
    reading: Literal["open", "closed"] = "open"
    """open: anybody who reaches the page may read; closed: reading needs the operator's session too."""
    session: Seconds = 43200.0
    """Seconds after which an operator has to sign in again."""
    scheduler_host: str = "127.0.0.1"
    """Address on which the Dask scheduler listens; beyond this host it speaks TLS with the certificate of [agent]."""
    scheduler: str = ""
    """Host and port of the scheduler that this host's workers join (terapix up --role node), as reception:8786."""
    scheduler_port: Port = 0
    """Port of the Dask scheduler that the nodes' workers join; 0: any free one."""
    local_workers: bool = True
    """Start the workers of all nodes on this host; false where each node starts its own."""


class StatusSection(Section):
    """The small status endpoint of each daemon."""

    host: str = "127.0.0.1"
    """Address of the status endpoints."""
    names: tuple[str, ...] = ()
    """Host names under which they may be asked, beside addresses and localhost; others are refused."""
    snooppix: Port = 0
    """Port of snooppix' endpoint; 0: any free one, told in the log and in the database."""
    publish: Port = 0
    """Port of the publisher's endpoint."""
    datatransfer: Port = 0
    """Port of datatransfer's endpoint."""
    node: Port = 0
    """Port of datatransfer-node's endpoint."""
    spica: Port = 0
    """Port of spica's endpoint."""


class JournalSection(Section):
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important level that is written."""
    style: Literal["auto", "json", "terminal"] = "auto"
    """auto: JSON lines unless a person reads them on a terminal."""
    directory: Path = Path("log")
    """Where each daemon also keeps its latest lines, for the console."""
    keep: Bytes = 20_000_000
    """Bytes of them kept for each daemon; 0: none."""


class Settings(Section):
    """All sections."""

    paths: Paths = Paths()
    database: DatabaseSection = DatabaseSection()
    archive: ArchiveSection = ArchiveSection()
    selection: SelectionSection = SelectionSection()
    snooppix: SnooppixSection = SnooppixSection()
    publisher: PublisherSection = PublisherSection()
    datatransfer: DatatransferSection = DatatransferSection()
    retention: RetentionSection = RetentionSection()
    nodes: tuple[NodeSection, ...] = (
        NodeSection(name="node1", directory=Path("nodes/node1")),
        NodeSection(name="node2", directory=Path("nodes/node2")),
    )
    """The processing nodes, a table each."""
    agent: AgentSection = AgentSection()
    processing: ProcessingSection = ProcessingSection()
    spica: SpicaSection = SpicaSection()
    status: StatusSection = StatusSection()
    journal: JournalSection = JournalSection()

    @model_validator(mode="after")
    def _nodes_are_apart(self) -> Self:
        places = (f"{node.address}{self.at(node.directory)}" for node in self.nodes)
        bounds.each_once((node.name for node in self.nodes), "nodes: {count} nodes are named {value}")
        bounds.each_once(places, "nodes: {count} nodes are in directory {value}")
        sharing = "paths.disks: {count} reception disks share {value}"
        bounds.each_once((disk.name for disk in self.paths.disks), sharing)
        bounds.each_once((str(self.at(disk.directory)) for disk in self.paths.disks), sharing)
        return self

    def at(self, path: Path) -> Path:
        """Return `path` as an absolute one, below paths.directory unless it is absolute already."""
        return (self.paths.directory / path).absolute()

    @property
    def reception(self) -> Path:
        """Root of the reception disk; of the first where there are several."""
        return next(iter(self.reception_disks.values())).directory

    @property
    def reception_disks(self) -> dict[str, DiskSection]:
        """The reception disks by name, with absolute directories; one named reception unless paths.disks names some."""
        alone = DiskSection(name="reception", directory=self.paths.reception, reserve=self.snooppix.reserve)
        listed = self.paths.disks or (alone,)
        return {disk.name: disk.model_copy(update={"directory": self.at(disk.directory)}) for disk in listed}

    def received(self, disk: str | None, path: str | Path) -> Path:
        """Absolute path of a file on a reception disk, which is the first unless it is named."""
        disks = self.reception_disks
        root = disks[disk].directory if disk in disks else self.reception
        return root / path

    @property
    def database_url(self) -> str:
        return self.database.url or f"sqlite+aiosqlite:///{self.at(Path('terapix.sqlite'))}"


def declared(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Walk over all settings in order: dotted key and declaration; `nodes` counts as one."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from declared(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field
