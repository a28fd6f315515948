"""Followers: who may read products and acknowledge them. Pixels are not public."""

import hashlib
import hmac
import ipaddress
import re
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from terapix.errors import TerapixError
from terapix.http import is_local

SHORTEST: Final = 20
"""Characters of a token."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
READS: Final = "reads"
"""Third word of a line: this follower only reads."""
LOCAL: Final = "loopback"
"""What a reader on this host is called where no followers are named."""


class FollowersUnreadable(TerapixError):
    """The file of followers does not hold what it should."""


class OpenToAll(TerapixError):
    """The publisher would be served to a network whose readers nobody has named."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"publisher.host = {host} is not loopback and publisher.followers names nobody: "
            "products are not public, so name the followers, or serve them on 127.0.0.1"
        )


class Followers:
    """The followers of one file, or whoever is on this host where it names none."""

    def __init__(self, tokens: Mapping[str, str], *, readers: Collection[str] = ()) -> None:
        self._known = {name: _hash(token) for name, token in tokens.items()}
        self.awaited = frozenset(tokens) - frozenset(readers)
        """Those who acknowledge what they hold, and without whom no file goes."""

    def __bool__(self) -> bool:
        return bool(self._known)

    @classmethod
    def read(cls, path: Path | None) -> "Followers":
        """Read lines ``name token`` or ``name token reads``; empty ones and those that begin with # say nothing.

        Who only reads acknowledges nothing, and is not waited for.

        Raises
        ------
        FollowersUnreadable
        """
        if path is None:
            return cls({})
        try:
            mode, text = stat.S_IMODE(path.stat().st_mode), path.read_text()
        except (OSError, UnicodeDecodeError) as problem:
            raise FollowersUnreadable(f"publisher.followers: {path} cannot be read: {problem}") from problem
        if mode & 0o077:
            raise FollowersUnreadable(f"publisher.followers: {path} can be read by others: chmod 600 {path}")
        tokens: dict[str, str] = {}
        readers: set[str] = set()
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            where = f"publisher.followers: line {number} of {path}"
            if words[2:] not in ([], [READS]) or len(words) < 2 or not _NAME.fullmatch(words[0]):
                raise FollowersUnreadable(f"{where} is not 'name token' or 'name token {READS}'")
            if len(words[1]) < SHORTEST:
                raise FollowersUnreadable(f"{where}: a token has at least {SHORTEST} characters")
            if words[0] in tokens or words[1] in tokens.values():
                raise FollowersUnreadable(f"{where} repeats a name or a token")
            tokens[words[0]] = words[1]
            readers |= {words[0]} if words[2:] else set()
        return cls(tokens, readers=readers)

    def may_acknowledge(self, name: str) -> bool:
        """Tell whether a follower's word counts: of any on this host, where nobody is named."""
        return not self or name in self.awaited

    def named(self, token: str) -> str | None:
        """Give the follower of a token; none if it is nobody's. All are compared, each in the same time."""
        given, found = _hash(token), None
        for name, known in self._known.items():
            if hmac.compare_digest(given, known):
                found = name
        return found

    def check_host(self, host: str) -> None:
        """Refuse to serve a network where nobody is named.

        Raises
        ------
        OpenToAll
        """
        if not self and not is_loopback(host):
            raise OpenToAll(host)


def is_loopback(host: str | None) -> bool:
    """Tell whether an address, or the name localhost, leads nowhere but to this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def comes_from_here(remote: str | None, host: str, *, forwarded: bool) -> bool:
    """Tell whether a request was made on this machine: not by a proxy for somebody, nor by a foreign site's name."""
    return is_loopback(remote) and is_local(host) and not forwarded


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
