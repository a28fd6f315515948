"""Identities: what a frame, a file and a digest are called, apart from where they lie."""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Self

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,79}")
_EXPOSURE = re.compile(r"(?P<number>\d{1,9})(?P<kind>[a-z])")
_ENDINGS = (".fits.fz", ".fits.gz", ".fits", ".fit", ".header.gz", ".header")


class UnsafeName(ValueError):
    """A name from outside that could lead out of its directory, or that no file should have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is no name for a file: letters, digits and . _ + - only, at most 80 of them")
        self.name = name


def safe_name(name: str) -> str:
    """Return `name` if it can be a file name here; raise `UnsafeName` otherwise."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise UnsafeName(name)
    return name


@dataclass(frozen=True, slots=True, order=True)
class FrameId:
    """The name of a frame or of a calibration: ``979412p``, ``08Am03.flat.r.36.02``."""

    name: str
    """Without directory or file ending."""

    def __post_init__(self) -> None:
        safe_name(self.name)

    @classmethod
    def of_file(cls, path: str) -> Self:
        """Identity of the frame in a file or under an archive URI, as ``cadc:CFHT/979412p.fits.fz``."""
        name = path.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        for ending in _ENDINGS:
            name = name.removesuffix(ending)
        return cls(name)

    @property
    def number(self) -> int | None:
        """Odometer number of the exposure; none for calibrations."""
        found = _EXPOSURE.fullmatch(self.name)
        return int(found["number"]) if found else None

    @property
    def kind(self) -> str:
        """Letter behind the number (``o`` raw, ``p`` processed); empty for calibrations."""
        found = _EXPOSURE.fullmatch(self.name)
        return found["kind"] if found else ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest of bytes, written ``md5:<hex>`` as the archive writes it."""

    algorithm: str
    hexadecimal: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``md5:<hex>``."""
        algorithm, _, hexadecimal = text.strip().lower().partition(":")
        if algorithm not in {"md5", "sha256"} or not re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{64}", hexadecimal):
            raise ValueError(f"{text!r} is no digest: md5:<32 hexadecimal digits> was expected")
        return cls(algorithm, hexadecimal)

    @classmethod
    def of_header(cls, value: str) -> Self | None:
        """Read an HTTP ``Digest: md5=<base64>``, of the 16 bytes or (as the older archive did) of the hex text."""
        name, _, encoded = value.partition("=")
        if name.strip().lower() != "md5":
            return None
        try:
            raw = base64.b64decode(encoded.strip(), validate=True)
        except ValueError:
            return None
        if len(raw) == hashlib.md5(usedforsecurity=False).digest_size:
            return cls("md5", raw.hex())
        text = raw.decode("ascii", errors="replace").strip().lower()
        return cls("md5", text) if re.fullmatch(r"[0-9a-f]{32}", text) else None

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hexadecimal}"
