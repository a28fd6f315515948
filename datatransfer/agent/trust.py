"""Who may ask what of an agent: by certificate on the network, by a shared token on one machine, else nobody."""

import enum
import hmac
import ipaddress
import os
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from datatransfer.agent.authority import ORGANISATION
from terapix.errors import TerapixError
from terapix.hosts import AgentSection
from terapix.sections import Settings

SHORTEST: Final = 32
"""Characters of a token at least."""


class Role(enum.StrEnum):
    """What the holder of a certificate may do."""

    COORDINATOR = "coordinator"  #: read, have files brought, remove them
    AGENT = "agent"  #: read


class NoTrust(TerapixError):
    """Settings under which no caller could be told from another."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Trust:
    """What proves us to others, and others to us."""

    server: ssl.SSLContext | None = None
    client: ssl.SSLContext | None = None
    token: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Read certificates or the token of the settings; None where [agent] names neither.

        Raises
        ------
        NoTrust
            When files cannot be read, others may read a secret, or a token would travel over a network.
        """
        section = settings.agent
        if section.certificate or section.authority or section.key:
            return cls(*_contexts(settings, section))
        if section.token is None:
            return None
        if not is_loopback(section.listen):
            raise NoTrust(
                f"agent.listen is {section.listen}: a token is for one machine; between hosts certificates are needed, "
                f"see terapix nodes init-ca"
            )
        return cls(token=_secret(settings.at(section.token)))

    @property
    def scheme(self) -> str:
        return "https" if self.server else "http"

    def headers(self) -> dict[str, str]:
        """Give what a request of ours carries."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def caller(self, *, peer: Mapping[str, Any] | None, headers: Mapping[str, str], host: str) -> Caller | None:
        """Tell who asks; None: nobody we know.

        Parameters
        ----------
        peer : the certificate that the TLS layer has verified
        headers : of the request
        host : address from which it comes
        """
        if self.server is not None:
            return _named(peer or {})
        word, _, shown = headers.get("Authorization", "").partition(" ")
        known = word == "Bearer" and hmac.compare_digest(shown.encode(), self.token.encode())
        return Caller("this machine", Role.COORDINATOR) if self.token and known and is_loopback(host) else None


def is_loopback(host: str) -> bool:
    """Tell whether an address never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _named(peer: Mapping[str, Any]) -> Caller | None:
    """Read name and role from a verified certificate."""
    facts = dict(pair for group in peer.get("subject", ()) for pair in group)
    name, role = facts.get("commonName"), facts.get("organizationalUnitName")
    if facts.get("organizationName") != ORGANISATION or not name or role not in set(Role):
        return None
    return Caller(name, Role(role))


def _contexts(settings: Settings, section: AgentSection) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    if not (section.certificate and section.authority and section.key):
        raise NoTrust("agent.authority, agent.certificate and agent.key are needed together")
    authority, certificate, key = map(settings.at, (section.authority, section.certificate, section.key))
    _guarded(key)
    contexts = []
    try:
        for purpose in (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH):
            context = ssl.create_default_context(purpose, cafile=os.fspath(authority))
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_cert_chain(certificate, key)
            contexts.append(context)
    except OSError as problem:
        raise NoTrust(f"certificate {certificate} with authority {authority} cannot be used: {problem}") from problem
    server, client = contexts
    return server, client


def _secret(file: Path) -> str:
    _guarded(file)
    token = file.read_text().strip()
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise NoTrust(f"the token in {file} is too short or has odd characters: {SHORTEST} letters and digits at least")
    return token


def _guarded(file: Path) -> None:
    """Refuse a secret that others may read."""
    try:
        mode = file.stat().st_mode
    except OSError as problem:
        raise NoTrust(f"{file} cannot be read: {problem.strerror}") from problem
    if stat.S_IMODE(mode) & 0o077:
        raise NoTrust(f"{file} may be read by others: chmod 600 {file}")
