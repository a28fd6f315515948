"""The tables, one file a noun."""

from dbclient.schema.accounts import Account, LoginFailure, LoginSession
from dbclient.schema.base import Base
from dbclient.schema.bookmarks import Bookmark
from dbclient.schema.events import Event, Level
from dbclient.schema.frames import Frame, FrameKind, FrameState
from dbclient.schema.jobs import Job, JobState
from dbclient.schema.nodes import Daemon, Node, NodeState
from dbclient.schema.products import Product, ProductState
from dbclient.schema.replicas import Replica, ReplicaState
from dbclient.schema.requests import Request, RequestKind, RequestState
from dbclient.schema.transfers import Lease, Transfer, TransferKind, TransferState

__all__ = [
    "Account",
    "Base",
    "Bookmark",
    "Daemon",
    "Event",
    "Frame",
    "FrameKind",
    "FrameState",
    "Job",
    "JobState",
    "Lease",
    "Level",
    "LoginFailure",
    "LoginSession",
    "Node",
    "NodeState",
    "Product",
    "ProductState",
    "Replica",
    "ReplicaState",
    "Request",
    "RequestKind",
    "RequestState",
    "Transfer",
    "TransferKind",
    "TransferState",
]
