"""Rules of the page's safety that need no request to be stated: headers, origins, where a redirect may lead."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

CONTENT_SECURITY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
"""Nothing but our own files; no script or style inside a page."""
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": CONTENT_SECURITY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cache-Control": "no-store",
    }
)
"""Headers of every answer that says nothing else."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LOCAL = re.compile(r"/(?![/\\])[^\s\\\x00-\x1f\x7f]*")


def same_origin(headers: Mapping[str, str]) -> bool:
    """Tell whether a form was sent by one of our own pages.

    Browsers say so in Sec-Fetch-Site or Origin; a program that sends neither
    carries no cookie that somebody else's page could have made it send.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == headers.get("Host", "")


def local_path(wanted: str | None, fallback: str = "/") -> str:
    """Give `wanted` if it leads to a page of ours and nowhere else."""
    return wanted if wanted and len(wanted) < 500 and _LOCAL.fullmatch(wanted) else fallback
