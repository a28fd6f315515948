"""The publisher's own certificate, where no proxy in front of it speaks TLS."""

import ssl
from datetime import datetime
from pathlib import Path
from typing import Final

from dbclient.schema import Level
from snooppix.credentials import private
from snooppix.errors import ArchiveError
from snooppix.validity import CertificateBroken, Countdown, not_after
from terapix.errors import TerapixError
from terapix.journal import logger

log = logger("publisher")

DAY: Final = 86_400.0
"""Seconds."""
Signature = tuple[int, int, int]


class CertificateUnreadable(TerapixError):
    """publisher.certificate is no certificate with its key."""

    def __init__(self, path: Path, why: object) -> None:
        super().__init__(f"publisher.certificate: {path} is no certificate with its key, both in PEM: {why}")


class ServerCertificate:
    """What is shown to followers; a new one in its place is shown from the next connection on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._seen: Signature | None = None
        self._countdown = Countdown()
        self._load()

    def renew(self) -> bool:
        """Show the file's present certificate; False where it is the old one, or makes no sense."""
        if self._signature() == self._seen:
            return False
        try:
            self._load()
        except CertificateUnreadable as problem:
            self._seen = self._signature()
            log.warning("the old certificate stays", why=str(problem))
            return False
        log.info("another certificate is shown from now on", path=str(self.path))
        return True

    def days_left(self, now: datetime) -> float | None:
        """Days until it ends; none where the file cannot be read."""
        try:
            return (not_after(private(self.path)) - now).total_seconds() / DAY
        except (ArchiveError, CertificateBroken):
            return None

    def reminder(self, now: datetime) -> tuple[Level, str] | None:
        """Say once at each reminder that it ends; after that followers refuse us."""
        left = self.days_left(now)
        due = self._countdown.due(left)
        if left is None or due is None:
            return None
        if due <= 0:
            return Level.ERROR, f"our certificate in {self.path} has ended, and followers refuse it: renew it"
        return Level.WARNING, f"our certificate in {self.path} ends in {left:.1f} days: renew it"

    def _load(self) -> None:
        """Read the file.

        Raises
        ------
        CertificateUnreadable
        """
        seen = self._signature()
        try:
            private(self.path)
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.path, password="")
            self.context.load_cert_chain(self.path, password="")
        except (OSError, ArchiveError) as problem:
            raise CertificateUnreadable(self.path, problem) from problem
        self._seen = seen

    def _signature(self) -> Signature | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
