"""What every page of the console has at hand, and how it is rendered."""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from dbclient.database import Database
from spica.accounts import Sessions, SignedIn
from spica.web.kept import Kept
from spica.web.live import Live
from spica.web.wording import FILTERS
from terapix.clock import Clock
from terapix.instruments import Instrument
from terapix.sections import Settings

HERE: Final = Path(__file__).parent
THEMES: Final = ("auto", "light", "dark")
WHO = web.RequestKey("who", SignedIn)
"""The operator whose session the request carries; absent for other readers."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that every page may load."""

    body: bytes
    content_type: str
    version: str
    """Beginning of its SHA-256: another content has another address."""


@dataclass(frozen=True, slots=True)
class Console:
    """The parts of the console; one for each application."""

    database: Database
    settings: Settings
    clock: Clock
    sessions: Sessions
    live: Live
    instrument: Instrument
    assets: Mapping[str, Asset]
    templates: Environment
    config: Path | None = None
    """File of the settings; none: where they are looked for."""
    kept: Kept = field(default_factory=Kept)
    """Sums over all frames."""

    @property
    def logs(self) -> Path:
        """Directory of the daemons' latest lines on this host."""
        return self.settings.at(self.settings.journal.directory)

    def now(self) -> datetime:
        return self.clock.now()


CONSOLE = web.AppKey("console", Console)


def read_assets() -> dict[str, Asset]:
    """Read all static files: what is not among them cannot be asked for."""
    root = HERE / "static"
    assets = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            body = path.read_bytes()
            kind = mimetypes.guess_type(path.name)[0] or "text/plain"
            assets[path.relative_to(root).as_posix()] = Asset(body, kind, hashlib.sha256(body).hexdigest()[:12])
    return assets


def make_templates(assets: Mapping[str, Asset]) -> Environment:
    """Make the template environment: everything is escaped, and a missing value is an error."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals["asset"] = lambda name: f"/static/{name}?v={assets[name].version}"
    environment.globals["parts"] = environment.get_template("parts.html").module
    environment.globals["moves"] = environment.get_template("transfer_parts.html").module
    environment.globals["bits"] = environment.get_template("snooppix_parts.html").module
    return environment


def console_of(request: web.Request) -> Console:
    return request.app[CONSOLE]


def who_is(request: web.Request) -> SignedIn | None:
    """Give the operator whose session the request carries."""
    return request.get(WHO)


def is_fragment(request: web.Request) -> bool:
    """Tell whether htmx asks for the live part of a page only."""
    return request.headers.get("HX-Request") == "true"


def theme_of(request: web.Request) -> str:
    theme = request.cookies.get("theme", "auto")
    return theme if theme in THEMES else "auto"


def render(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    """Render a page, or only its live part if htmx asks for that."""
    console = console_of(request)
    text = console.templates.get_template(template).render(
        {
            "who": who_is(request),
            "now": console.now(),
            "theme": theme_of(request),
            "themes": THEMES,
            "path": request.path,
            "here": request.path_qs,
            "shell": "fragment.html" if is_fragment(request) else "base.html",
            **context,
        }
    )
    return web.Response(text=text, status=status, content_type="text/html", headers={"Vary": "HX-Request, Cookie"})
