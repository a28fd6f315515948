"""What services say of themselves: the registry, capabilities, availability and tables (VOSI)."""

from collections.abc import Mapping
from dataclasses import dataclass

from snooppix.protocol.schema import TABLES
from snooppix.protocol.votable import xml

SERVICES = {
    "argus": "ivo://cadc.nrc.ca/argus",
    "raven": "ivo://cadc.nrc.ca/global/raven",
    "minoc": "ivo://cadc.nrc.ca/minoc",
    "caom2ops": "ivo://cadc.nrc.ca/caom2ops",
    "gms": "ivo://cadc.nrc.ca/gms",
    "data": "ivo://cadc.nrc.ca/data",
}
"""Path of each service and the identity under which the registry has it."""


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that a service does, and where."""

    standard: str
    path: str
    use: str = "full"
    """full: the address as it stands; base: more is put behind it."""


_FILES = Capability("http://www.opencadc.org/std/storage#files-1.0", "files", "base")
CAPABILITIES = {
    "argus": (Capability("ivo://ivoa.net/std/VOSI#tables-1.1", "tables", "base"),),
    "raven": (
        _FILES,
        Capability("http://www.opencadc.org/std/storage#locate-1.0", "locate"),
        Capability("vos://cadc.nrc.ca~vospace/CADC/std/inventory#locate-1.0", "locate"),
    ),
    "minoc": (_FILES,),
    "caom2ops": (Capability("ivo://ivoa.net/std/DataLink#links-1.0", "datalink"),),
    "gms": (
        Capability("ivo://ivoa.net/sso#tls-with-password", "login"),
        Capability("ivo://ivoa.net/std/UMS#login-0.1", "login"),
        Capability("http://www.opencadc.org/std/sso#whoami", "whoami"),
    ),
    "data": (),
}

_VOSI = (
    Capability("ivo://ivoa.net/std/VOSI#capabilities", "capabilities"),
    Capability("ivo://ivoa.net/std/VOSI#availability", "availability"),
)
_METHODS = (
    '<securityMethod/><securityMethod standardID="ivo://ivoa.net/sso#cookie"/>'
    '<securityMethod standardID="ivo://ivoa.net/sso#tls-with-certificate"/>'
    '<securityMethod standardID="ivo://ivoa.net/sso#token"/>'
)
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_TAP = """<capability standardID="ivo://ivoa.net/std/TAP" xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0"
    xsi:type="tr:TableAccess">
<interface xsi:type="vs:ParamHTTP" role="std" version="1.1">
<accessURL use="base">{base}</accessURL>{methods}</interface>
<language><name>ADQL</name><version ivo-id="ivo://ivoa.net/std/ADQL#v2.0">2.0</version>
<description>ADQL-2.0</description></language>
<outputFormat ivo-id="ivo://ivoa.net/std/TAPRegExt#output-votable-td">
<mime>application/x-votable+xml</mime><alias>votable</alias></outputFormat>
<outputFormat><mime>text/xml</mime></outputFormat>
<outputFormat><mime>text/csv</mime><alias>csv</alias></outputFormat>
<outputFormat><mime>text/tab-separated-values</mime><alias>tsv</alias></outputFormat>
<executionDuration><default>600</default><hard>600</hard></executionDuration>
</capability>
"""


def registry(base: str, *, services: Mapping[str, str] = SERVICES, whose: str = "the stand-in archive") -> str:
    """Write the registry: an identity and the address of its capabilities a line."""
    lines = [f"# services of {whose}", ""]
    lines += [f"{identity} = {base}/{path}/capabilities" for path, identity in services.items()]
    return "\n".join([*lines, ""])


def capabilities(base: str, service: str) -> str:
    """Write what a service can do."""
    root = f"{base}/{service}"
    parts = [_opened("capabilities", "VOSICapabilities")]
    for capability in (*CAPABILITIES[service], *_VOSI):
        methods = "" if capability.standard.endswith("VOSI#capabilities") else _METHODS
        parts.append(
            f'<capability standardID="{capability.standard}"><interface xsi:type="vs:ParamHTTP" role="std">'
            f'<accessURL use="{capability.use}">{xml(f"{root}/{capability.path}")}</accessURL>{methods}'
            "</interface></capability>\n"
        )
    if service == "argus":
        parts.append(_TAP.format(base=xml(root), methods=_METHODS))
    return "".join([*parts, "</vosi:capabilities>\n"])


def availability() -> str:
    """Write that a service is up."""
    return (
        f'{_XML}<vosi:availability xmlns:vosi="http://www.ivoa.net/xml/VOSIAvailability/v1.0">'
        "<vosi:available>true</vosi:available><vosi:note>service is accepting requests</vosi:note>"
        "</vosi:availability>\n"
    )


def tables() -> str:
    """Write the tables that queries may read."""
    parts = [_opened("tableset", "VOSITables")]
    for schema in dict.fromkeys(table.schema for table in TABLES):
        parts.append(f"<schema><name>{schema}</name>\n")
        for table in (table for table in TABLES if table.schema == schema):
            parts.append(f'<table type="table"><name>{table.full_name}</name>')
            parts.append(f"<description>{xml(table.meaning)}</description>\n")
            for column in table.columns:
                kind = column.attributes
                size = f' arraysize="{kind["arraysize"]}"' if "arraysize" in kind else ""
                unit = f"<unit>{xml(column.unit)}</unit>" if column.unit else ""
                parts.append(
                    f"<column><name>{column.name}</name><description>{xml(column.meaning)}</description>{unit}"
                    f'<dataType xsi:type="vs:VOTableType"{size}>{kind["datatype"]}</dataType></column>\n'
                )
            parts.append("</table>\n")
        parts.append("</schema>\n")
    return "".join([*parts, "</vosi:tableset>\n"])


def _opened(element: str, namespace: str) -> str:
    """Beginning of a document, with the namespaces of VOSI."""
    return (
        f'{_XML}<vosi:{element} xmlns:vosi="http://www.ivoa.net/xml/{namespace}/v1.0" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1">\n'
    )
