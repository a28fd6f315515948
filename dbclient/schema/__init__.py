"""The tables, one file a noun."""

from dbclient.schema.accounts import Account, LoginFailure, LoginSession
from dbclient.schema.archives import Archive, ArchiveKind
from dbclient.schema.audits import Audit, AuditFinding, AuditState, Discrepancy
from dbclient.schema.base import Base
from dbclient.schema.bookmarks import Bookmark
from dbclient.schema.controls import Configuration, Control, Wish
from dbclient.schema.differences import Difference, DifferenceState
from dbclient.schema.events import Event, Level
from dbclient.schema.fillings import Filling
from dbclient.schema.frames import URGENT, Frame, FrameKind, FrameState
from dbclient.schema.growths import Growth
from dbclient.schema.hosts import Host, HostState
from dbclient.schema.jobs import Job, JobState
from dbclient.schema.modes import Mode
from dbclient.schema.nodes import Daemon, Node, NodeState
from dbclient.schema.products import Product, ProductState
from dbclient.schema.publications import Publication, PublicationState
from dbclient.schema.receipts import Receipt
from dbclient.schema.replicas import Replica, ReplicaState
from dbclient.schema.requests import Request, RequestKind, RequestState
from dbclient.schema.rules import Rule
from dbclient.schema.seals import Seal
from dbclient.schema.stocks import Stock, StockKind
from dbclient.schema.tallies import Tally, TallyChange, TallyLevel, TallyMark
from dbclient.schema.transfers import Lease, Transfer, TransferKind, TransferMode, TransferState

__all__ = [
    "URGENT",
    "Account",
    "Archive",
    "ArchiveKind",
    "Audit",
    "AuditFinding",
    "AuditState",
    "Base",
    "Bookmark",
    "Configuration",
    "Control",
    "Daemon",
    "Difference",
    "DifferenceState",
    "Discrepancy",
    "Event",
    "Filling",
    "Frame",
    "FrameKind",
    "FrameState",
    "Growth",
    "Host",
    "HostState",
    "Job",
    "JobState",
    "Lease",
    "Level",
    "LoginFailure",
    "LoginSession",
    "Mode",
    "Node",
    "NodeState",
    "Product",
    "ProductState",
    "Publication",
    "PublicationState",
    "Receipt",
    "Replica",
    "ReplicaState",
    "Request",
    "RequestKind",
    "RequestState",
    "Rule",
    "Seal",
    "Stock",
    "StockKind",
    "Tally",
    "TallyChange",
    "TallyLevel",
    "TallyMark",
    "Transfer",
    "TransferKind",
    "TransferMode",
    "TransferState",
    "Wish",
]
