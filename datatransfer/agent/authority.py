"""The private certificate authority of an installation: made once, it issues a certificate for each host.

A certificate names its holder (common name) and what the holder may do
(organisational unit): ``coordinator`` may read, write and delete, ``agent`` may
read. Keys are files that only their owner may read, and are never printed.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from terapix.errors import TerapixError

ORGANISATION: Final = "TERAPIX"
LIFE: Final = timedelta(days=3650)
"""Of the authority: as long as an installation stands."""
TERM: Final = timedelta(days=825)
"""Of a host's certificate; the longest that clients commonly accept."""
SKEW: Final = timedelta(hours=1)
"""By how much clocks of hosts may differ."""
OWN: Final = 0o600
"""Mode of a key: its owner alone."""


class AuthorityError(TerapixError):
    """The authority cannot be made or used."""


@dataclass(frozen=True, slots=True)
class Issued:
    """Files of one certificate."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; its own key should lie on the coordinator's host alone."""

    def __init__(self, directory: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.directory = directory
        self._certificate = certificate
        self._key = key

    @classmethod
    def make(cls, directory: Path, *, now: datetime) -> Self:
        """Make a new authority; one that is there already is never replaced.

        Raises
        ------
        AuthorityError
            When there is one.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"{ORGANISATION} authority", None)
        certificate = (
            _builder(name, name, key.public_key(), now=now, term=LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(directory / "authority.key", _pem(key), mode=OWN)
        _write(directory / "authority.pem", certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
        return cls(directory, certificate, key)

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Read the authority from its directory.

        Raises
        ------
        AuthorityError
        """
        try:
            certificate = x509.load_pem_x509_certificate((directory / "authority.pem").read_bytes())
            key = serialization.load_pem_private_key((directory / "authority.key").read_bytes(), password=None)
        except (OSError, ValueError) as problem:
            raise AuthorityError(f"{directory} holds no authority: terapix nodes init-ca makes one") from problem
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityError(f"the key in {directory} is of another kind than ours")
        return cls(directory, certificate, key)

    def issue(self, name: str, *, role: str, hosts: Sequence[str], now: datetime) -> Issued:
        """Issue a certificate for a host; an older one of the same name is replaced.

        Parameters
        ----------
        name : of the node or host
        role : ``coordinator`` or ``agent``
        hosts : host names and addresses by which others reach it
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(name, role), self._certificate.subject, key.public_key(), now=now, term=TERM)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName([_general(host) for host in hosts]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        issued = Issued(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        for file in (issued.key, issued.certificate):
            file.unlink(missing_ok=True)
        _write(issued.key, _pem(key), mode=OWN)
        _write(issued.certificate, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
        return issued


def _name(name: str, role: str | None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION)]
    if role:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role))
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, now: datetime, term: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + term)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, content: bytes, *, mode: int) -> None:
    """Write a new file that nobody else could read even for a moment."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    except FileExistsError as problem:
        raise AuthorityError(f"{file} is there already: it is not replaced, since every certificate hangs on it") from (
            problem
        )
    with os.fdopen(handle, "wb") as out:
        out.write(content)
