"""Every setting of TERAPIX, with its unit, its default and what it means.

Each section of ``terapix.toml`` is one frozen class. How a file, the
environment and these defaults are put together stands in `terapix.settings`.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

Bytes = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]

DATABASES = "an address that begins with postgresql+asyncpg:// or sqlite+aiosqlite://, or nothing"
NODE_NAME = "1 to 32 letters, digits, _ or -, beginning with a letter or digit"


class Section(BaseModel):
    """A part of the settings: frozen, strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Paths(Section):
    """Where TERAPIX keeps its files on this host."""

    directory: Path = Path("demo")
    """Root of everything below that is not given as an absolute path."""
    reception: Path = Path("reception")
    """Reception disk: incoming/, from_CADC/ and to_CADC/ live here."""
    cache: Path = Path("cache")
    """Compiled kernels and small caches; may be deleted at any time."""


class DatabaseSection(Section):
    """The one database at which the daemons meet."""

    url: Annotated[str, Field(pattern=r"^$|^(postgresql\+asyncpg|sqlite\+aiosqlite)://", title=DATABASES)] = ""
    """SQLAlchemy address, as postgresql+asyncpg://user@host/terapix; empty: SQLite in paths.directory."""


class ArchiveSection(Section):
    """The archive that SNOOPPIX follows."""

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
    runs: tuple[str, ...] = ()
    """RUNIDs (proposal identities) to follow; empty: all."""
    credential: Annotated[Path | None, Field(examples=["/etc/terapix/archive-token"])] = None
    """File that holds a bearer token, readable by the service's user only; none: anonymous."""
    hosts: tuple[str, ...] = (".canfar.net", ".nrc-cnrc.gc.ca")
    """Hosts that redirects may lead to beside the registry's own; a leading dot allows a domain."""


class SnooppixSection(Section):
    """How SNOOPPIX looks and fetches."""

    instrument: str = "megacam"
    """Instrument description in etc/instruments that frames must agree with."""
    poll: Seconds = 300.0
    """Seconds between two looks at the archive."""
    look_back: Seconds = 3600.0
    """Seconds before the bookmark that each look covers again: rows are committed late with an older stamp."""
    page: Annotated[int, Field(ge=1)] = 1000
    """Rows asked of the archive at once."""
    downloads: Annotated[int, Field(ge=1, le=64)] = 4
    """Frames fetched at the same time."""
    reserve: Bytes = 2_000_000_000
    """Bytes of the reception disk that are never filled."""
    connect_timeout: Seconds = 30.0
    """Seconds to wait for a connection."""
    read_timeout: Seconds = 60.0
    """Seconds without a byte after which a download is cut and resumed."""
    attempts: Annotated[int, Field(ge=1)] = 8
    """Tries of one frame before it counts as failed; an operator may ask for more."""


class NodeSection(Section):
    """A processing node: a directory with a capacity."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", title=NODE_NAME)]
    """Name of the node, and of its worker."""
    directory: Path
    """Root of the node's disk."""
    capacity: Bytes = 0
    """Bytes that TERAPIX may use there; 0: the whole disk."""
    reserve: Bytes = 1_000_000_000
    """Bytes that are never promised."""


class DatatransferSection(Section):
    """Where frames go, and how."""

    interval: Seconds = 600.0
    """Seconds between two passes when nothing calls for one earlier; a change in the database starts a pass at once."""
    policy: Literal["together", "most-room", "balance"] = "together"
    """together: a run shares a node while there is room; most-room: the emptiest; balance: the least filled share."""
    moves: Annotated[int, Field(ge=1, le=64)] = 2
    """Frames moved at the same time."""
    compression: Annotated[float, Field(gt=0, le=1)] = 0.30
    """Share of its unpacked size that a tile-compressed weight map takes, until products were measured."""


class ProcessingSection(Section):
    """How stages run on a node."""

    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that one job may use; 0: one a core."""
    recipe: str = "weight"
    """Recipe in etc/recipes that a placed frame is due for."""
    attempts: Annotated[int, Field(ge=1)] = 3
    """Tries of one job before it counts as failed."""
    lease: Seconds = 60.0
    """Seconds without a heartbeat after which a running job is taken for lost and is due again."""


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


class Settings(Section):
    """All sections."""

    paths: Paths = Paths()
    database: DatabaseSection = DatabaseSection()
    archive: ArchiveSection = ArchiveSection()
    snooppix: SnooppixSection = SnooppixSection()
    datatransfer: DatatransferSection = DatatransferSection()
    nodes: tuple[NodeSection, ...] = (
        NodeSection(name="node1", directory=Path("nodes/node1")),
        NodeSection(name="node2", directory=Path("nodes/node2")),
    )
    """The processing nodes, a table each."""
    processing: ProcessingSection = ProcessingSection()
    spica: SpicaSection = SpicaSection()
    status: StatusSection = StatusSection()
    journal: JournalSection = JournalSection()

    @model_validator(mode="after")
    def _nodes_are_apart(self) -> Self:
        for what, listed in (
            ("named", Counter(node.name for node in self.nodes)),
            ("in directory", Counter(str(self.at(node.directory)) for node in self.nodes)),
        ):
            for value, count in listed.items():
                if count > 1:
                    raise ValueError(f"nodes: {count} nodes are {what} {value}; each needs its own")
        return self

    def at(self, path: Path) -> Path:
        """Return `path` as an absolute one, below paths.directory unless it is absolute already."""
        return (self.paths.directory / path).absolute()

    @property
    def reception(self) -> Path:
        return self.at(self.paths.reception)

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
