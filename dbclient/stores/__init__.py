"""The stores: SQL is written here and nowhere else. Services own transactions; a store never commits."""

from dbclient.stores.accounting import Accounting
from dbclient.stores.accounts import Accounts
from dbclient.stores.acknowledgements import Acknowledgements
from dbclient.stores.archives import Archives
from dbclient.stores.audits import Audits, NewFinding
from dbclient.stores.bookmarks import Bookmarks
from dbclient.stores.cargoes import Cargo, Cargoes
from dbclient.stores.chronicles import Chronicle, Chronicles
from dbclient.stores.controls import Configurations, Controls
from dbclient.stores.differences import Differences
from dbclient.stores.events import Events
from dbclient.stores.exchange import Exchange
from dbclient.stores.fillings import Fillings
from dbclient.stores.frames import Frames, Sighted, Sighting
from dbclient.stores.growths import Growths
from dbclient.stores.holdings import Fate, Holding, Holdings, Sort
from dbclient.stores.hosts import Hosts
from dbclient.stores.inventory import Inventory
from dbclient.stores.jobs import Jobs
from dbclient.stores.modes import Modes
from dbclient.stores.nodes import Nodes
from dbclient.stores.pauses import Pauses
from dbclient.stores.products import Products
from dbclient.stores.prospects import Prospects
from dbclient.stores.publications import Publications
from dbclient.stores.receipts import Receipts
from dbclient.stores.replicas import Replicas
from dbclient.stores.requests import Requests
from dbclient.stores.retirees import Retiree, Retirees, Survivor
from dbclient.stores.returns import Returns
from dbclient.stores.rules import Rules
from dbclient.stores.seals import Seals
from dbclient.stores.statistics import Grouping, Statistics, Sums
from dbclient.stores.stocks import Stocks
from dbclient.stores.tallies import Tallies
from dbclient.stores.traffic import Traffic
from dbclient.stores.transfers import Leases, Transfers

__all__ = [
    "Accounting",
    "Accounts",
    "Acknowledgements",
    "Archives",
    "Audits",
    "Bookmarks",
    "Cargo",
    "Cargoes",
    "Chronicle",
    "Chronicles",
    "Configurations",
    "Controls",
    "Differences",
    "Events",
    "Exchange",
    "Fate",
    "Fillings",
    "Frames",
    "Grouping",
    "Growths",
    "Holding",
    "Holdings",
    "Hosts",
    "Inventory",
    "Jobs",
    "Leases",
    "Modes",
    "NewFinding",
    "Nodes",
    "Pauses",
    "Products",
    "Prospects",
    "Publications",
    "Receipts",
    "Replicas",
    "Requests",
    "Retiree",
    "Retirees",
    "Returns",
    "Rules",
    "Seals",
    "Sighted",
    "Sighting",
    "Sort",
    "Statistics",
    "Stocks",
    "Sums",
    "Survivor",
    "Tallies",
    "Traffic",
    "Transfers",
]
