"""Transfer negotiation (VOSpace 2.1): by which protocols a file is wanted, and at which places it can be had."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from snooppix.protocol.votable import xml
from terapix.errors import TerapixError

VOSPACE = "http://www.ivoa.net/xml/VOSpace/v2.0"
GET = "ivo://ivoa.net/vospace/core#httpsget"
PLAIN_GET = "ivo://ivoa.net/vospace/core#httpget"
PUT = "ivo://ivoa.net/vospace/core#httpsput"
PLAIN_PUT = "ivo://ivoa.net/vospace/core#httpput"
PULL, PUSH = "pullFromVoSpace", "pushToVoSpace"
DIRECTIONS = {PULL: frozenset({GET, PLAIN_GET}), PUSH: frozenset({PUT, PLAIN_PUT})}
"""For each direction, the protocols that can be asked for."""


class BadTransfer(TerapixError):
    """A document that asks for no transfer, or for one that is not offered."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What is asked for."""

    uri: str
    direction: str
    protocols: tuple[str, ...]
    """Of those asked for, the ones that are known, in the order in which they were asked for."""


def read_transfer(document: bytes, *, directions: Sequence[str] = (PULL,)) -> Transfer:
    """Read a transfer document.

    Raises
    ------
    BadTransfer
        It cannot be read, lacks target or direction, or asks for another direction than those offered.
    """
    try:
        root: Element = defusedxml.ElementTree.fromstring(document)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise BadTransfer(f"invalid transfer document: {error}") from error
    space = root.tag.partition("}")[0].strip("{")
    uri = (root.findtext(f"{{{space}}}target") or "").strip()
    direction = (root.findtext(f"{{{space}}}direction") or "").strip()
    if not uri or not direction:
        raise BadTransfer("invalid transfer document: target and direction are needed")
    if direction not in directions:
        raise BadTransfer(f"direction {direction} is not offered here")
    asked = dict.fromkeys(item.get("uri", "") for item in root.findall(f"{{{space}}}protocol"))
    return Transfer(uri, direction, tuple(item for item in asked if item in DIRECTIONS[direction]))


def write_transfer(transfer: Transfer, addresses: Sequence[str]) -> str:
    """Write the answer: each address, the best first, for each protocol that was asked for; no address is no error."""
    places = "".join(
        f'<vos:protocol uri="{xml(item)}"><vos:endpoint>{xml(address)}</vos:endpoint></vos:protocol>'
        for address in addresses
        for item in transfer.protocols
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<vos:transfer xmlns:vos="{VOSPACE}" version="2.1">'
        f"<vos:target>{xml(transfer.uri)}</vos:target><vos:direction>{transfer.direction}</vos:direction>{places}"
        "</vos:transfer>\n"
    )
