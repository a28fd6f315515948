"""How the engine's processes know each other: by certificate between hosts, by a key on one host."""

import hmac
import json
import os
from dataclasses import asdict, dataclass
from typing import Final, Self

from datatransfer.agent.trust import Trust, is_loopback
from spica.pipeline.channel import SCHEME, new_key
from terapix.errors import TerapixError
from terapix.sections import Settings

KEY: Final = "TERAPIX_ENGINE_KEY"
"""Environment in which a worker finds how to join."""


class NoAccess(TerapixError):
    """The scheduler would listen to a network without knowing who calls."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"spica.scheduler_host is {host}: beyond this host the workers need certificates, see [agent] and "
            f"terapix nodes init-ca"
        )


@dataclass(frozen=True, slots=True)
class Access:
    """What every process of one engine shares."""

    key: str = ""
    """Of the keyed channel, as hexadecimal text; empty: certificates are used."""
    authority: str = ""
    certificate: str = ""
    certificate_key: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the certificate of [agent], else a key from its token, else a new one for this engine alone.

        Raises
        ------
        NoAccess, NoTrust
        """
        section = settings.agent
        trust = Trust.of(settings)
        if trust is not None and trust.server is not None:
            files = (section.authority, section.certificate, section.key)
            return cls("", *(os.fspath(settings.at(file)) for file in files if file))
        if not is_loopback(settings.spica.scheduler_host):
            raise NoAccess(settings.spica.scheduler_host)
        if trust is not None:
            return cls(hmac.digest(trust.token.encode(), b"terapix engine", "sha256").hex())
        return cls(new_key())

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what `written` wrote."""
        return cls(**json.loads(text))

    @property
    def written(self) -> str:
        """As it is handed to a worker, in its environment."""
        return json.dumps(asdict(self))

    @property
    def scheme(self) -> str:
        """With which addresses begin."""
        return SCHEME if self.key else "tls"

    @property
    def dask(self) -> dict[str, object]:
        """Settings of Dask under which it speaks TLS and nothing else; none for the keyed channel."""
        if self.key:
            return {}
        ends = {
            f"distributed.comm.tls.{role}.{name}": file
            for role in ("scheduler", "worker", "client")
            for name, file in (("cert", self.certificate), ("key", self.certificate_key))
        }
        return {
            "distributed.comm.require-encryption": True,
            "distributed.comm.tls.ca-file": self.authority,
            "distributed.comm.tls.min-version": 1.3,
            **ends,
        }
