"""What may go wrong at an archive, on order.

Each fault is a frozen record that says what happens, to which files (a shell
pattern over file names) or at which service, and how many times; `Faults`
counts them down. The handlers ask `Faults` at each request, so that faults can
be added while the stand-in runs. Chance has no part in it: a fault with a
probability strikes by a hash of its seed, the file and the number of the
request for that file. From the command line they are read from TOML
(`snooppix.standin.orders`):

    [[fault]]
    kind = "dropped"
    name = "979412p*"
    after = 1000000
    times = 2
"""

import fnmatch
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from snooppix.standin.kinds import ALWAYS, Fault, Standing
from snooppix.standin.orders import FaultsUnreadable, complaint, read_orders

Kind = TypeVar("Kind", bound=Fault)
Matching = Callable[[str], bool]
"""Tells whether what is asked for has a name of this pattern."""


@dataclass(slots=True)
class _Order:
    """A fault with what is left of it."""

    fault: Fault
    left: int
    skip: int
    met: dict[str, bool] = field(default_factory=dict)
    """Files that a standing fault has met, and whether it strikes them."""

    def holds_for(self, name: str) -> bool:
        """Tell whether a standing fault strikes a file; the first `skip` it meets pass, and `times` more are struck."""
        if not name:  # the archive as a whole, its clock for instance, is no share of the files and not counted
            return self.fault.probability >= 1
        if name not in self.met:
            chosen = self.fault.probability >= 1 or _chosen(self.fault, name, 0)
            if chosen and self.skip:
                self.skip -= 1
                chosen = False
            elif chosen and self.fault.times != ALWAYS:
                chosen = self.left > 0
                self.left -= chosen
            self.met[name] = chosen
        return self.met[name]


class Faults:
    """The faults that stand, and those that were committed."""

    def __init__(self, *faults: Fault) -> None:
        self._orders: dict[type[Fault], list[_Order]] = defaultdict(list)
        self._asked: Counter[str] = Counter()
        self.committed: list[tuple[Fault, str]] = []
        """Each fault that happened, with the file or service it happened to."""
        self.version = 0
        """Rises whenever what holds without being asked for (`Standing`) is another."""
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Let these happen from now on.

        Raises
        ------
        FaultsUnreadable
            One of them can not happen; none is added.
        """
        for fault in faults:
            if said := complaint(fault):
                raise FaultsUnreadable(f"{fault.kind}: {said}")
        for fault in faults:
            self._orders[type(fault)].append(_Order(fault, fault.times, fault.skip))
            self.version += isinstance(fault, Standing)

    def clear(self) -> None:
        """Let nothing more happen."""
        self._orders.clear()
        self.version += 1

    @property
    def standing(self) -> tuple[Fault, ...]:
        """Faults that are still to happen, kind by kind."""
        return tuple(order.fault for orders in self._orders.values() for order in orders)

    def expects(self, kind: type[Fault]) -> bool:
        """Tell whether any fault of a kind is still to happen."""
        return bool(self._orders.get(kind))

    def peek(self, kind: type[Kind], name: str, *, at: str = "") -> Kind | None:
        """Find a standing fault of this kind for a file (and a service), without counting it down.

        With a probability, only `Standing` faults are found, and always at the same files.
        """
        for order in self._orders.get(kind, ()):
            fault = order.fault
            if not _strikes(fault, name, at) or not isinstance(fault, kind):
                continue
            if order.holds_for(name) if isinstance(fault, Standing) else fault.probability >= 1 and order.skip == 0:
                return fault
        return None

    def take(self, kind: type[Kind], name: str, *, at: str = "", matching: Matching | None = None) -> Kind | None:
        """Find a standing fault and count it down.

        Parameters
        ----------
        kind : what may happen
        name : of the file that is asked for; empty where none is
        at : the service that is asked
        matching : decides in place of `name` whether a pattern is met, where one request is about many files
        """
        for order in self._matching(kind, name, at, matching):
            fault = order.fault
            if fault.probability < 1:
                self._asked[name or at] += 1
                if not _chosen(fault, name or at, self._asked[name or at]):
                    continue
            if order.skip:
                order.skip -= 1
                continue
            if isinstance(fault, kind):
                self._commit(order, name or at)
                return fault
        return None

    def _matching(self, kind: type[Fault], name: str, at: str, matching: Matching | None) -> Iterator[_Order]:
        for order in self._orders.get(kind, ()):
            fault = order.fault
            if _strikes(fault, name, at) if matching is None else _serves(fault, at) and matching(fault.name):
                yield order

    def _commit(self, order: _Order, where: str) -> None:
        self.committed.append((order.fault, where))
        if order.left != ALWAYS:
            order.left -= 1
            if order.left == 0:
                self._orders[type(order.fault)].remove(order)

    @classmethod
    def read(cls, path: Path) -> "Faults":
        """Read faults from a TOML file.

        Raises
        ------
        FaultsUnreadable
            It is no TOML, or orders what can not happen.
        """
        return cls(*read_orders(path))


def _strikes(fault: Fault, name: str, at: str) -> bool:
    return _serves(fault, at) and (fault.name == "*" or fnmatch.fnmatchcase(name, fault.name))


def _serves(fault: Fault, at: str) -> bool:
    return fault.at == "*" or fnmatch.fnmatchcase(at, fault.at)


def _chosen(fault: Fault, where: str, number: int) -> bool:
    """Decide as a die would, and always the same for the same fault, file and request."""
    thrown = hashlib.blake2b(f"{fault.seed} {fault.kind} {where} {number}".encode(), digest_size=8).digest()
    return int.from_bytes(thrown) < fault.probability * 2**64
