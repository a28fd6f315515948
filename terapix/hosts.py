"""Settings of the hosts that hold frames: nodes, their agents, and how frames get there."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from terapix.section import NODE_NAME, Bytes, Hour, Port, Seconds, Section

AGENT_ADDRESS = "an address as https://node5:8620, or nothing"


class NodeSection(Section):
    """A processing node: a directory with a capacity."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", title=NODE_NAME)]
    """Name of the node, and of its worker."""
    directory: Path
    """Root of the node's disk, on the host that has it."""
    address: Annotated[str, Field(pattern=r"^$|^https?://[^/?#@]+$", title=AGENT_ADDRESS)] = ""
    """Address of the agent on the node's host, as https://node5:8620; empty: the coordinator's own host."""
    capacity: Bytes = 0
    """Bytes that TERAPIX may use there; 0: the whole disk."""
    reserve: Bytes = 1_000_000_000
    """Bytes that are never promised, on each of its disks."""
    own_disks: tuple[Literal["frames", "calibrations", "products", "scratch"], ...] = ()
    """Directories below the root that are mounts of disks of their own; the node is down while one is not mounted."""
    speed: Annotated[float, Field(ge=0, le=10)] = 0.0
    """How many times as many frames it gets as a node of speed 1 (datatransfer.by_speed); 0: as its last jobs ran."""


class AgentSection(Section):
    """The agent of this host: it serves its files to coordinator and agents, and fetches what it is told to."""

    listen: str = "127.0.0.1"
    """Address on which it listens; it does so only with a certificate, or with a token on loopback."""
    port: Port = 8620
    """Port; 0: any free one, told in the log."""
    address: Annotated[str, Field(pattern=r"^$|^https?://[^/?#@]+$", title=AGENT_ADDRESS)] = ""
    """Address at which other hosts reach it, as https://reception:8620; empty: listen and port."""
    nodes: tuple[str, ...] = ()
    """Nodes of [[nodes]] that it answers for; empty: all whose directory is on this host."""
    authority: Annotated[Path | None, Field(examples=["/etc/terapix/authority.pem"])] = None
    """Certificate of the installation's own authority (terapix nodes init-ca); whom it names is trusted."""
    certificate: Annotated[Path | None, Field(examples=["/etc/terapix/node5.pem"])] = None
    """Certificate of this host (terapix nodes certificate)."""
    key: Annotated[Path | None, Field(examples=["/etc/terapix/node5.key"])] = None
    """Its key, readable by the service's user only."""
    token: Annotated[Path | None, Field(examples=["/etc/terapix/agent-token"])] = None
    """File with a token shared on one machine, readable by the service's user only; works on loopback alone."""
    segments: Annotated[int, Field(ge=1, le=16)] = 4
    """Connections that one large file may use, as far as each makes it faster."""
    rate: Bytes = 0
    """Bytes a second that it fetches from others, all together; 0: no limit."""

    @property
    def own(self) -> str:
        """Address at which others reach it."""
        return self.address or f"{'https' if self.certificate else 'http'}://{self.listen}:{self.port}"

    @property
    def serves(self) -> bool:
        """Whether it listens at all."""
        return bool(self.certificate or self.token)


class LinkSection(Section):
    """What may go over a link between hosts, at some hours or always."""

    source: str = "*"
    """Node that frames leave, or reception, with * and ?."""
    target: str = "*"
    """Node that they go to, with * and ?; source *, target node5: all that comes into node5 from other hosts."""
    moves: Annotated[int, Field(ge=0, le=64)] = 0
    """Frames at the same time, over all links that are meant; 0: no limit."""
    rate: Bytes = 0
    """Bytes a second, over all links that are meant; 0: no limit."""
    begin: Hour = "00:00"
    """Time of day (UTC) from which it holds."""
    end: Hour = "00:00"
    """Time of day until which it holds; equal to begin: all day."""


class DatatransferSection(Section):
    """Where frames go, and how."""

    interval: Seconds = 600.0
    """Seconds between two runs of automatic mode, in which rules and policy give nodes to the frames that came."""
    immediate: Seconds = 60.0
    """Seconds between two runs of immediate mode, in which the orders of operators are carried out."""
    prompt: bool = True
    """Whether news (a frame that is verified, an order) starts a run at once; false: it waits for the countdown."""
    policy: Literal["together", "most-room", "balance"] = "together"
    """together: what is kept together shares a node while there is room; most-room: the emptiest; balance: the least
    filled share."""
    keep: Literal["run", "field", "filter"] = "run"
    """What is kept together: frames of a RUNID, of a field (target, else the square degree), or of a filter."""
    by_speed: bool = False
    """Whether the faster of two nodes gets more: room and filled share are then weighed by the speed of the node."""
    report: Seconds = 10.0
    """Seconds between two looks at a node on another host at least; before room is promised there, it is asked anew."""
    moves: Annotated[int, Field(ge=1, le=64)] = 2
    """Frames moved at the same time."""
    limits: tuple[LinkSection, ...] = ()
    """Limits of links, each a table [[datatransfer.limits]] with source, target, moves, rate, begin and end."""
    scrub_days: Annotated[float, Field(gt=0)] = 30.0
    """Days within which each file on a node is read again from its disk and compared with its digest."""
    scrub_rate: Bytes = 20_000_000
    """Bytes a second that this may read on each node, a tenth of it while frames move; 0: never by itself."""
    missing_days: Annotated[float, Field(ge=0)] = 7.0
    """Days after which a node that is down counts as missing, and what it held as not held; 0: only if told so."""
    audit_days: Annotated[float, Field(ge=0)] = 1.0
    """Days between two audits, which report only; 0: only terapix audit."""
    compression: Annotated[float, Field(gt=0, le=1)] = 0.30
    """Share of its unpacked size that a tile-compressed weight map takes, until products were measured."""


COUNTED_DAYS = 800
"""Days over which pages sum what came: 24 months, the one that is running, and some to spare."""


class RetentionSection(Section):
    """What may go from the nodes: never the last verified file of anything, and by itself only where room is short."""

    automatic: bool = False
    """Whether room is made by itself, on nodes that are filled above high_water; else only terapix retention --now."""
    high_water: Annotated[float, Field(gt=0, le=1)] = 0.90
    """Filled share of a node above which room is made there."""
    low_water: Annotated[float, Field(gt=0, le=1)] = 0.80
    """Filled share down to which room is made."""
    superseded_days: Annotated[float, Field(ge=0)] = 30.0
    """Days for which frames and products are kept that a newer one has replaced; 0: for ever."""
    acknowledged_days: Annotated[float, Field(ge=0)] = 0.0
    """Days for which products are kept that the archive has acknowledged; 0: for ever."""
    scratch_days: Annotated[float, Field(ge=0)] = 2.0
    """Days for which scratch is kept that no job uses; 0: for ever."""
    set_aside_days: Annotated[float, Field(ge=0)] = 0.0
    """Days for which files are kept that were set aside, if what they should have been is held; 0: for ever."""
    events_days: Annotated[float, Field(ge=0)] = 0.0
    """Days for which the history stays in its table; then it goes, sealed, into files of archive; 0: for ever."""
    transfers_days: Annotated[float, Field(ge=0)] = 0.0
    """Days for which transfers that are over stay in their table, with their leases: 800 at least; 0: for ever."""
    archive: Path = Path("history")
    """Directory of the archives, below paths.directory unless absolute."""

    @model_validator(mode="after")
    def _history_is_kept_as_long_as_pages_count_it(self) -> Self:
        if 0 < self.transfers_days < COUNTED_DAYS:
            raise ValueError(
                f"retention.transfers_days is {self.transfers_days}: pages count what came over two years, "
                f"so {COUNTED_DAYS} at least is needed, or 0 to keep all"
            )
        if 0 < self.events_days < 1:
            raise ValueError(f"retention.events_days is {self.events_days}: 1 at least is needed, or 0 to keep all")
        return self

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low_water >= self.high_water:
            raise ValueError(
                f"retention.low_water is {self.low_water} and must be below high_water, which is {self.high_water}"
            )
        return self
