"""Whatever headers, archives, daemons and logs say: each page shows it as words, and none of it can lead a browser."""

import re
from datetime import timedelta

import pytest

from dbclient.records import HostRecord
from dbclient.schema import Difference, DifferenceState, FrameState, HostState, Publication, PublicationState
from dbclient.stores import Bookmarks, Configurations, Events, Frames, Hosts, Nodes, Sighting
from terapix.logfile import LogFile, place
from tests.support.full_night import NOW

EVIL = "\"'><img src=x onerror=alert(1)>{{7*7}}</script>"
SHORT = "../../x'\"><b>%2f?#"
PAGES = (
    "/", "/snooppix", "/snooppix/log", "/snooppix/log?level=debug&text=%22%3E%3Cb%3E", "/snooppix/configuration",
    "/snooppix/configuration?from=4", "/frames", "/runs", "/history", "/nodes", "/frames/979499p",
    *(f"/snooppix/lists/{what}" for what in ("waiting", "queued", "arrived", "released", "differences", "publications",
                                             "runs")),
)  # fmt: skip
TAG = re.compile(r"<(img|b|script(?! src=))\b")
LINK = re.compile(r'(?:href|action|hx-get|hx-sse:connect)="([^"]*)"')


@pytest.fixture
async def hostile(snooped, tmp_path):
    async with snooped.database.write() as session:
        sighting = Sighting(
            name="979499p", uri=f"cadc:CFHT/{EVIL}", size=1000, runid=SHORT, filter=SHORT, object=EVIL[:80],
            release=NOW + timedelta(days=9),
        )  # fmt: skip
        await Frames().sight(session, sighting, now=NOW, source="snooppix")
        frame = await Frames().named(session, "979499p")
        later = NOW + timedelta(hours=1)
        await Frames().wait(session, frame.id, reason=EVIL, retry_at=later, now=NOW, source="snooppix")
        await Frames().describe(session, frame.id, elixir={EVIL: EVIL, "EL_SYS": EVIL}, flat=EVIL, mask=SHORT)
        for name in ("979430p", "979415p"):
            await Frames().describe(session, (await Frames().named(session, name)).id, reason=EVIL, runid=SHORT)
        await Hosts().put(session, HostRecord(EVIL, HostState.OPEN, 5, 5, EVIL, later, None, NOW))
        session.add(Difference(archive=EVIL, state=DifferenceState.DONE, asked_by=SHORT, reason=EVIL, started_at=NOW,
                               ended_at=NOW))  # fmt: skip
        session.add(Publication(name=EVIL, generation=1, kind="weight", state=PublicationState.FAILED, runid=SHORT,
                                source=EVIL, reason=EVIL, registered_at=NOW))  # fmt: skip
        await Bookmarks().set(session, EVIL, reached=NOW, now=NOW)
        await Events().append(session, source="snooppix", kind="x", message=EVIL, now=NOW)
        newest = await Configurations().newest(session, "snooppix")
        await Configurations().save(session, "snooppix", f"# {EVIL}\n", comment=EVIL, by=SHORT, now=NOW, over=newest.id)
        figures = {
            "archive": EVIL, "archive_answers": EVIL, "poll": EVIL, "looked_at": [EVIL], "next_look": {"x": EVIL},
            "credential_kind": EVIL, "credential_days_left": EVIL, "credential_refused": EVIL, "wish_seen": EVIL,
            "settings_version": EVIL, "settings_problem": EVIL, "reloaded_at": EVIL, "page": "javascript:alert(1)",
        }  # fmt: skip
        for name in ("snooppix", "publisher", "spica"):
            await Nodes().heartbeat(
                session, name=name, host=EVIL, pid=7, status=EVIL, endpoint=EVIL, started_at=NOW, now=NOW,
                figures=figures,
            )  # fmt: skip
    LogFile(place(tmp_path / "log", "snooppix"), keep=10**9).write(EVIL)
    return snooped


@pytest.mark.parametrize("signed_in", [False, True])
async def test_no_page_obeys_what_it_shows_or_breaks_over_it(hostile, *, signed_in):
    if signed_in:
        await hostile.sign_in()
    for path in PAGES:
        text = await hostile.text(path)
        assert not TAG.search(text), (path, TAG.search(text))
        assert "49" not in re.findall(r"alert\(1\)&gt;(.{0,9})", text)
        for link in LINK.findall(text):
            assert link.startswith(("/", "#", "?")) and not link.startswith("//"), (path, link)  # noqa: PT018 - one rule
            assert ".." not in link.lower().replace("%2e", ".").partition("?")[0].split("/"), (path, link)


async def test_a_run_with_a_hostile_name_has_its_page_all_the_same(hostile):
    [link] = {link for link in LINK.findall(await hostile.text("/snooppix")) if link.startswith("/snooppix/runs/..")}
    assert "Completeness of run ../../x" in await hostile.text(link)


async def test_what_programs_read_is_json_whatever_was_said(hostile):
    for path in ("/api/v1/summary", "/api/v1/snooppix", "/api/v1/frames", "/api/v1/events", "/api/v1/nodes"):
        answer = await hostile.get(path)
        assert answer.content_type == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        await answer.json()


@pytest.mark.parametrize(
    "path",
    [
        "/snooppix/runs/..%2F..%2Fetc%2Fpasswd", "/snooppix/runs/%00", "/snooppix/runs/" + "A" * 5000,
        "/snooppix/runs/%22%3E%3Cimg%20src=x%3E", "/snooppix/lists/..%2Fruns", "/snooppix/lists/%2e%2e",
        "/static/..%2f..%2fapp.py", "/static/%2e%2e/console.py", "/static//etc/passwd", "/frames/..%2f..%2fx",
        "/products/..%2f1",
    ],
)  # fmt: skip
async def test_no_address_leads_out(snooped, path):
    answer = await snooped.client.get(path, allow_redirects=False)
    assert answer.status in {400, 404}, await answer.text()
    assert not TAG.search(await answer.text())


@pytest.mark.parametrize(
    "path",
    ["/snooppix?request=9999999999999999999999", "/snooppix?request=x", "/snooppix/lists/waiting?page=999999",
     "/snooppix/lists/waiting?page=%D9%A3", "/snooppix/log?text=" + "x" * 5000, "/snooppix/configuration?from=0",
     "/snooppix/lists/queued?page=99999", "/events?topics=%00&after=99999999999999999999999"],
)  # fmt: skip
async def test_no_question_breaks_a_page(snooped, path):
    answer = await snooped.client.get(path, allow_redirects=False)
    assert answer.status in {200, 400, 404}
    answer.close()


async def test_a_log_of_any_size_costs_what_its_end_costs(snooped, tmp_path):
    path = place(tmp_path / "log", "snooppix")
    with path.open("ab") as file:
        file.truncate(20_000_000_000)  # a hole: takes no room, and would take for ever to read
        file.seek(0, 2)
        file.write(b"\n" + b'{"event": "the last line", "level": "info"}\n' + b"\xff" * 200_000)
    text = await snooped.text("/snooppix/log?text=last")
    assert "the last line" in text


async def test_states_of_every_kind_are_on_no_page_a_surprise(snooped):
    async with snooped.database.write() as session:
        for state in FrameState:
            name = f"97960{list(FrameState).index(state)}p"
            await Frames().sight(session, Sighting(name=name, uri=f"cadc:CFHT/{name}"), now=NOW, source="t")
            await Frames().describe(session, (await Frames().named(session, name)).id, state=state)
    for path in ("/snooppix", "/snooppix/lists/runs"):
        assert "not known yet" in await snooped.text(path)
