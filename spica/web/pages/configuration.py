"""The editor of SNOOPPIX' settings: checked by the code that reads them, compared, commented, kept for ever."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow, Outdated
from dbclient.records import ConfigurationRecord
from dbclient.stores import Configurations, Controls, Events
from snooppix.archives import prove
from spica.follower import NAME, judge
from spica.web.console import Console, console_of, render, who_is
from spica.web.gate import Access, access
from spica.web.pages.snooppix import heard
from terapix.errors import TerapixError
from terapix.overlay import SECTIONS, Overlay, settable
from terapix.settings import KEYS, Loaded, SettingsError, load, rows

VERSIONS: Final = 12
"""Versions listed."""
LONGEST_COMMENT: Final = 200
BEGIN: Final = """\
# Settings of SNOOPPIX, in TOML. What stands here wins over the file; the environment wins over both.
# [selection] and [snooppix] may be set, and of [archive] what is asked, not whom.
"""
"""What the editor shows before the first version."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that the page shows."""

    key: str
    value: str
    origin: str
    meaning: str
    settable: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that would have another value."""

    key: str
    now: str
    then: str
    origin: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A text that somebody wants to save: what is wrong with it, or what it would change."""

    text: str
    problems: tuple[str, ...]
    difference: tuple[str, ...]
    """Lines of a unified diff against the version in force."""
    changes: tuple[Change, ...]


def under(config: Path | None, version: ConfigurationRecord | None) -> Loaded | SettingsError:
    """Load the settings with a version laid over the file."""
    try:
        return load(config, overlay=Overlay(version.text, version.id) if version else None)
    except SettingsError as failure:
        return failure


def attempt(text: str, newest: ConfigurationRecord | None, config: Path | None) -> Trial:
    """Try a text as SNOOPPIX would, and compare it with the version in force."""
    before = newest.text if newest else ""
    name = f"version {newest.id}, the newest" if newest else "nothing"
    difference = tuple(difflib.unified_diff(before.splitlines(), text.splitlines(), name, "as edited", lineterm=""))
    try:
        fresh = load(config, overlay=Overlay(text))
        prove(fresh.settings)
    except SettingsError as failure:
        return Trial(text, tuple(_by_line(problem) for problem in failure.problems), difference, ())
    except TerapixError as problem:
        return Trial(text, (f"SNOOPPIX could not work with it: {problem}",), difference, ())
    held = under(config, newest)
    changes = _changes(held, fresh) if isinstance(held, Loaded) else ()
    return Trial(text, (), difference, changes)


def _by_line(problem: str) -> str:
    """Write a problem as ``line 3: …``."""
    found = re.fullmatch(r"(?s)the edited text(?::(\d+))?: (.*)", problem)
    if found is None:
        return problem
    return f"line {found[1]}: {found[2]}" if found[1] else found[2]


def _changes(before: Loaded, after: Loaded) -> tuple[Change, ...]:
    held = {row.key: row.value for row in rows(before)}
    return tuple(
        Change(row.key, held[row.key], row.value, row.origin.replace("the edited text:", "line "))
        for row in rows(after)
        if row.value != held[row.key]
    )


def shown(loaded: Loaded) -> list[Setting]:
    """Give the settings of the page's sections, with their meaning."""
    return [
        Setting(row.key, row.value, row.origin, " ".join((KEYS[row.key].description or "").split()), settable(row.key))
        for row in rows(loaded)
        if row.key.partition(".")[0] in SECTIONS
    ]


def _number(said: str) -> int | None:
    return int(said) if said.isdecimal() and len(said) < 19 else None


async def _version(session: AsyncSession, number: int) -> ConfigurationRecord:
    try:
        return await Configurations().get(session, NAME, number)
    except NoSuchRow:
        raise web.HTTPNotFound(text=f"There is no version {number} of these settings.") from None


async def _show(
    request: web.Request,
    *,
    trial: Trial | None = None,
    comment: str = "",
    complaint: str | None = None,
    status: int = 200,
    live: bool = True,
) -> web.Response:
    console = console_of(request)
    restored = _number(request.query.get("from", ""))
    async with console.database.read() as session:
        facts = await heard(session, console.now())
        versions = await Configurations().history(session, NAME, limit=VERSIONS + 1)
        old = await _version(session, restored) if restored is not None else None
        newest = await Events().newest_id(session)
    if old is not None and trial is None:
        trial = attempt(old.text, facts.newest, console.config)
        comment = comment or f"Restores version {old.id}: {old.comment}"[:LONGEST_COMMENT]
    held = under(console.config, facts.newest)
    context: dict[str, Any] = {"newest": newest} if live else {}
    return render(
        request,
        "configuration.html",
        status=status,
        facts=facts,
        health=judge(facts),
        trial=trial,
        text=trial.text if trial else facts.newest.text if facts.newest else BEGIN,
        comment=comment,
        complaint=complaint,
        versions=versions[:VERSIONS],
        more=len(versions) > VERSIONS,
        settings=shown(held) if isinstance(held, Loaded) else shown(load(console.config)),
        broken=held.problems if isinstance(held, SettingsError) else (),
        saved=_number(request.query.get("saved", "")),
        longest_comment=LONGEST_COMMENT,
        **context,
    )


@access(Access.READER)
async def page(request: web.Request) -> web.Response:
    """``GET /snooppix/configuration``; ``?from=N`` puts version N into the editor."""
    return await _show(request)


@access(Access.OPERATOR)
async def edit(request: web.Request) -> web.Response:
    """``POST /snooppix/configuration``: check a text and show what it changes; save it; save it and reload."""
    console, who = console_of(request), who_is(request)
    if who is None:
        raise web.HTTPForbidden(text="Sign in first.")
    form = {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
    text = form.get("text", "").replace("\r\n", "\n").replace("\r", "\n").rstrip() + "\n"
    comment, step = " ".join(form.get("comment", "").split()), form.get("step", "check")
    async with console.database.read() as session:
        newest = await Configurations().newest(session, NAME)
    trial = attempt(text, newest, console.config)
    if trial.problems:
        return await _show(request, trial=trial, comment=comment, status=422, live=False)
    if step not in {"save", "take"}:
        return await _show(request, trial=trial, comment=comment, live=False)
    complaint = _complaint(trial, comment)
    if complaint:
        return await _show(request, trial=trial, comment=comment, complaint=complaint, status=422, live=False)
    try:
        number = await _save(console, text, comment, who.name, over=_number(form.get("over", "")), take=step == "take")
    except Outdated as problem:
        complaint = f"Nothing was saved: {problem}. Below is what your text changes in the newest."
        return await _show(request, trial=trial, comment=comment, complaint=complaint, status=409, live=False)
    raise web.HTTPSeeOther(f"/snooppix/configuration?saved={number}")


def _complaint(trial: Trial, comment: str) -> str | None:
    if not trial.difference:
        return "Nothing was saved: the text is that of the newest version."
    if not comment or len(comment) > LONGEST_COMMENT:
        return f"Say why, in 1 to {LONGEST_COMMENT} characters: whoever reads the history will want to know."
    return None


async def _save(console: Console, text: str, comment: str, who: str, *, over: int | None, take: bool) -> int:
    now = console.now()
    async with console.database.write() as session:
        number = await Configurations().save(session, NAME, text, comment=comment, by=who, now=now, over=over)
        if take:
            await Controls().ask_reload(session, NAME, by=who, now=now)
    return number
