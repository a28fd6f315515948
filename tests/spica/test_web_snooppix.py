"""The page of SNOOPPIX: its sentence, both directions, what is asked and read back, its log and its settings."""

import json
import re
import socket
from collections import Counter
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from dbclient.records import HostRecord
from dbclient.schema import HostState, RequestKind, Wish
from dbclient.stores import Configurations, Controls, Events, Exchange, Frames, Hosts, Nodes, Requests, Sighting
from snooppix.completeness import as_of_last_difference
from spica.web.pages.daemonlog import LOGGED
from spica.web.pages.snooppix import completeness
from terapix.logfile import LogFile, place
from tests.support.console import Page, console, plain
from tests.support.exchange import FIGURES
from tests.support.full_night import NOW


@pytest.fixture
async def empty(tmp_path):
    async with console(tmp_path, seeded=False) as running:
        yield running


def section(text: str, head: str) -> str:
    """Give the words of the section with a heading."""
    found = re.search(rf'<section aria-labelledby="{head}">(.*?)</section>', text, re.DOTALL)
    assert found, head
    return plain(found[1])


async def beats(page: Page, *, age: float = 2, **figures):
    told = {**FIGURES, "credential_days_left": 300, "looked_at": (NOW - timedelta(minutes=2)).isoformat(), **figures}
    async with page.database.write() as session:
        await Nodes().heartbeat(
            session, name="snooppix", host=socket.gethostname(), pid=7, status="waits for new frames", endpoint=None,
            started_at=NOW - timedelta(hours=1), now=NOW - timedelta(seconds=age), figures=told,
        )  # fmt: skip


async def sentence(page: Page) -> str:
    found = re.search(r'<p id="sentence".*?</p>', await page.text("/snooppix"), re.DOTALL)
    return plain(found[0])


async def test_an_empty_page_says_what_fills_it(empty):
    text = plain(await empty.text("/snooppix"))
    assert "SNOOPPIX does not run" in text
    for words in (
        "systemctl start snooppix starts the service", "terapix up starts all daemons by hand",
        "Nothing is on the line",
        "No frame waits", "The queue is empty", "Nothing is set aside", "The archive has listed nothing yet",
        "No file has arrived yet", "No host was ever in trouble", "None yet. Once a day",
        "Runs appear with their first frame", "Nothing is published yet", "none: anonymous",
    ):  # fmt: skip
        assert words in text, words


async def test_the_page_begins_with_the_sentence_that_answers_the_question(empty):
    await beats(empty)
    assert await sentence(empty) == "SNOOPPIX is well: looked 2 min ago, no frame arrives, none waits."
    await beats(empty, archive_answers=False)
    assert (await sentence(empty)).startswith("SNOOPPIX needs you: ")
    await beats(empty, age=600)
    assert "SNOOPPIX is silent since 2026-11-24 06:13:10 UTC, 10 min: it died, or its host did." in await sentence(
        empty
    )


async def test_the_next_look_is_the_daemons_own_and_is_counted_down(empty):
    for ahead, words in ((180, "06:26:10 in 3 min"), (0.4, "06:23:10 in 0 s"), (-90, "06:21:40 now"),
                         (-300, "06:18:10 5 min late")):  # fmt: skip
        await beats(empty, next_look=(NOW + timedelta(seconds=ahead)).isoformat())
        text = await empty.text("/snooppix")
        assert plain(re.search(r'<dd id="next-look">(.*?)<span class="why">', text)[1]) == words
        assert 'data-due="2026-11-24T06:' in text
    await beats(empty, next_look=(NOW + timedelta(seconds=60)).isoformat(), wish_seen="rest")
    assert "none while it rests" in await empty.text("/snooppix")
    await beats(empty, next_look="soon")
    assert "Next look –" in plain(await empty.text("/snooppix"))


async def test_a_host_that_rests_for_a_while_is_told_and_needs_nobody(empty):
    await beats(empty)
    for rests, well in ((1, True), (4, False)):
        async with empty.database.write() as session:
            host = HostRecord("a.example", HostState.OPEN, 5, rests, "503", NOW + timedelta(minutes=1), None, NOW)
            await Hosts().put(session, host)
        assert (await sentence(empty)).startswith("SNOOPPIX is well") is well
        assert "1 host not asked at present: a.example" in await empty.text("/snooppix")


async def test_rest_is_told_with_whose_wish_it_is(empty):
    async with empty.database.write() as session:
        await Controls().set_wish(session, "snooppix", Wish.REST, by="ann", now=NOW - timedelta(minutes=5))
    await beats(empty, wish_seen="rest")
    assert await sentence(empty) == (
        "SNOOPPIX rests since 2026-11-24 06:18 UTC as ann wished: "
        "it neither looks nor begins anything new; no frame arrives."
    )


async def test_what_was_asked_stands_beside_what_the_daemon_says(snooped):
    text = await snooped.text("/snooppix")
    said = section(text, "daemon-head")
    assert "Work to work by bob" in said
    assert "Settings version 3 by ann" in said
    assert "version 2, read 2026-11-24 06:19:10 UTC" in said
    assert "not since 06:20:10" in said


async def test_a_wish_that_is_not_obeyed_is_a_warning(empty):
    async with empty.database.write() as session:
        await Controls().set_wish(session, "snooppix", Wish.REST, by="ann", now=NOW - timedelta(minutes=5))
    await beats(empty)
    assert "Work: it was asked to rest and says it works" in await empty.text("/snooppix")


async def test_every_direction_and_state_is_on_the_page(snooped):
    text = await snooped.text("/snooppix")
    assert "certificate ends in 5.4 days" in plain(text)
    assert "2 hosts not asked at present: mirror.example, ws-uv.canfar.net" in plain(text)
    coming = section(text, "in-head")
    assert "979421p from ws-cadc.canfar.net 30 %" in coming
    assert "30 % of 341 MB, 11.7 MB/s, 20 s left" in coming
    for number, words in ((2, "on the line now"), (3, "set aside"), (1, "given up")):
        assert f"{number} {words}" in coming
    waits = section(text, "waits-head")
    assert "979424p 503 Service Unavailable of ws-cadc.canfar.net: it asked for a rest 1 06:27:10 in 4 min" in waits
    assert "979427p" in section(text, "queue-head")
    rejected = section(text, "rejected-head")
    assert "979430p digest the digest is md5:5f1d…, and md5:77aa… was promised" in rejected
    assert "terapix retry 979430p" in rejected
    assert "terapix snooppix accept 979430p --because" in rejected
    assert "979415p not at the archive for 48 hours" in rejected
    assert "<b>and</b>" not in text
    assert "979431p new rejected" in plain(text)
    assert "ws-uv.canfar.net rests connection refused five times in a row" in section(text, "hosts")
    assert "listing at 812 004 rows clock" in section(text, "differences")
    runs = section(text, "runs-head")
    assert re.search(r"08AC14 lacks 11 19 8 11 \d+ to come , 2 rejected , 1 given up 0", runs)
    assert re.search(
        r"Listed by https://reg.example/resource-caps CFHT in the full difference that ended \d\d:\d\d", runs
    )
    back = section(text, "out-head")
    assert "10 acknowledged" in back
    assert "08AC14 2 2 5 0 1" in back


async def test_a_frame_that_was_processed_again_says_its_cause(snooped):
    async with snooped.database.write() as session:
        again = Sighting(name="979427p", uri="cadc:CFHT/979427p.fits.fz", digest="md5:" + "7" * 32)
        await Frames().sight(session, again, now=NOW, source="snooppix")
        again = Sighting(name="979427p", uri="cadc:CFHT/979427p.fits.fz", digest="md5:" + "8" * 32)
        await Frames().sight(session, again, now=NOW, source="snooppix")
    assert re.search(r"979427p re-processed", section(await snooped.text("/snooppix"), "found-head"))


async def test_what_is_drawn_is_also_a_table(snooped):
    text = await snooped.text("/snooppix")
    drawn = re.findall(r'<svg viewBox="0 0 (\d+) 100" preserveAspectRatio="none" role="img" aria-label="([^"]+)"', text)
    assert [int(width) for width, _ in drawn] == [24, 31, 12]
    assert re.search(r"The last 24 hours, by hour: \d+ files, [\d.]+ GB; at most [\d.]+ [MG]B in an hour", drawn[0][1])
    flow = section(text, "flow-head")
    assert "The last 31 days, by day as a table" in flow
    assert "2026-11-24 06:00" in flow


@pytest.mark.parametrize("what", ["waiting", "queued", "arrived", "released", "differences", "publications", "runs"])
async def test_each_list_is_there_whole(snooped, what):
    text = await snooped.text(f"/snooppix/lists/{what}")
    assert "<tbody>" in text
    assert f"/snooppix/lists/{what}" in await snooped.text("/snooppix")
    assert "There is none." in await snooped.text(f"/snooppix/lists/{what}?page=9")


async def test_a_list_is_read_page_by_page_and_nonsense_is_told(snooped, monkeypatch):
    monkeypatch.setattr("spica.web.pages.snooppix.PAGE", 10)
    text = await snooped.text("/snooppix/lists/publications?state=acknowledged")
    assert 'rel="next"' not in text
    text = await snooped.text("/snooppix/lists/waiting")
    first = set(re.findall(r'id="wait-(\d+)"', text))
    second = set(re.findall(r'id="wait-(\d+)"', await snooped.text("/snooppix/lists/waiting?page=2")))
    assert len(first) == len(second) == 10
    assert not first & second
    await snooped.text("/snooppix/lists/passwords", status=404)
    await snooped.text("/snooppix/lists/publications?state=lost", status=400)
    await snooped.text("/snooppix/lists/waiting?page=x")


async def test_a_run_says_what_it_lacks_and_why(snooped):
    text = plain(await snooped.text("/snooppix/runs/08AC14"))
    assert "08AC14 is not complete: 8 of 19 held, 11 missing, 0 extra." in text
    assert "979415p failed not at the archive for 48 hours" in text
    assert "in the last full difference" in text
    await snooped.text("/snooppix/runs/99ZZ99", status=404)


async def test_the_table_of_runs_counts_by_the_rules_of_the_proof(snooped):
    async with snooped.database.write() as session:
        numbers = {name: (await Frames().named(session, name)).id for name in ("979400p", "979423p")}
        await Frames().withdraw(session, list(numbers.values()), now=NOW, source="test")
    async with snooped.database.read() as session:
        counted = completeness(await Exchange().tallies(session))
    assert any(run.extra for run in counted)
    for run in counted:
        proof = await as_of_last_difference(snooped.database, run.runid)
        found = (run.expected, run.held, run.missing, run.extra, run.whole)
        assert found == (proof.expected, proof.held, len(proof.missing), len(proof.extra), proof.complete), run.runid
        reasons = Counter(one.state for one in proof.missing)
        assert (reasons["rejected"], reasons["failed"]) == (run.rejected, run.failed)
        assert reasons["spotted"] + reasons["fetched"] == run.coming


async def test_programs_read_the_same_as_json(snooped):
    facts = await (await snooped.get("/api/v1/snooppix")).json()
    assert facts["well"] is False
    assert facts["sentence"] in plain(await snooped.text("/snooppix"))
    assert [line["what"] for line in facts["readback"]] == ["Work", "Settings"]
    assert {host["state"] for host in facts["hosts"]} == {"open", "half-open", "closed"}


# asking


async def test_nobody_but_the_operator_asks_and_only_with_the_forms_token(snooped):
    for path, form in (
        ("/snooppix/control", {"ask": "rest"}),
        ("/snooppix/configuration", {"text": "[snooppix]\npoll = 1.0\n", "step": "take", "comment": "x"}),
        ("/actions/look", {}),
        ("/actions/accept", {"frame": "979430p", "because": "x"}),
    ):
        answer = await snooped.post(path, form)
        assert (answer.status, answer.headers["Location"][:6]) == (303, "/login")
    assert "/snooppix/control" not in await snooped.text("/snooppix")
    assert "<textarea" not in await snooped.text("/snooppix/configuration")
    await snooped.sign_in()
    for path, form in (("/snooppix/control", {"ask": "rest"}), ("/snooppix/configuration", {"text": "x"})):
        assert (await snooped.post(path, form | {"csrf": "wrong"})).status == 403
        assert (await snooped.post(path, form, headers={"Sec-Fetch-Site": "cross-site"})).status == 403
    async with snooped.database.read() as session:
        assert await Controls().wish(session, "snooppix") is Wish.RUN
        assert (await Configurations().newest(session, "snooppix")).id == 3
        assert await Requests().open(session) == []


async def test_start_stop_and_reload_are_wishes(snooped):
    token = await snooped.sign_in()
    for ask, wish in (("rest", Wish.REST), ("run", Wish.RUN)):
        answer = await snooped.post("/snooppix/control", {"ask": ask, "csrf": token})
        assert (answer.status, answer.headers["Location"]) == (303, "/snooppix")
        async with snooped.database.read() as session:
            control = await Controls().of(session, "snooppix")
        assert (control.wish, control.changed_by) == (wish, "operator")
    await snooped.post("/snooppix/control", {"ask": "reload", "csrf": token})
    async with snooped.database.read() as session:
        assert (await Controls().of(session, "snooppix")).reload_at == NOW
        assert (await Events().latest(session, limit=1))[0].kind == "wish-reload"
    assert (await snooped.post("/snooppix/control", {"ask": "kill", "csrf": token})).status == 400
    assert (await snooped.post("/snooppix/control", {"ask": "rest", "daemon": "spica", "csrf": token})).status == 400
    await snooped.post("/snooppix/control", {"ask": "rest", "daemon": "publisher", "csrf": token})
    async with snooped.database.read() as session:
        assert await Controls().wish(session, "publisher") is Wish.REST
        assert await Controls().wish(session, "snooppix") is Wish.RUN


async def test_look_compare_retry_and_accept_become_requests_and_are_read_back(snooped):
    token = await snooped.sign_in()
    for kind, form, arguments in (
        ("look", {}, {}),
        ("difference", {}, {}),
        ("retry", {"frame": "979430p", "back": "/snooppix"}, {"frame": "979430p"}),
        ("accept", {"frame": "979431p", "because": "seen by eye", "back": "/snooppix"},
         {"frame": "979431p", "because": "seen by eye"}),
    ):  # fmt: skip
        answer = await snooped.post(f"/actions/{kind}", form | {"csrf": token})
        assert answer.headers["Location"].startswith("/snooppix?request=")
        async with snooped.database.read() as session:
            asked = (await Requests().open(session))[-1]
        assert (asked.kind, asked.arguments) == (RequestKind(kind), arguments)
        assert "No daemon has answered yet" in await snooped.text(answer.headers["Location"])


async def test_a_rejected_frame_is_accepted_on_its_own_page_too(snooped):
    token = await snooped.sign_in()
    assert 'action="/actions/accept"' in await snooped.text("/frames/979430p")
    assert 'action="/actions/accept"' not in await snooped.text("/frames/979400p")
    answer = await snooped.post("/actions/accept", {"frame": "979430p", "because": "x", "back": "", "csrf": token})
    assert answer.headers["Location"] == "/frames/979430p?request=1"


@pytest.mark.parametrize(
    "form",
    [
        {"frame": "979430p", "because": ""}, {"frame": "979430p", "because": "x" * 201}, {"frame": "979430p"},
        {"frame": "979430p", "because": "a\nb"}, {"frame": "979400p", "because": "it is fine"},
        {"frame": "000000p", "because": "x"}, {"frame": "../x", "because": "x"},
    ],
)  # fmt: skip
async def test_only_a_rejected_frame_is_accepted_and_only_with_a_reason(snooped, form):
    token = await snooped.sign_in()
    assert (await snooped.post("/actions/accept", form | {"csrf": token})).status == 400


# log


async def test_lines_are_shown_by_level_and_by_letters(snooped):
    text = await snooped.text("/snooppix/log")
    assert "The latest 60 lines of level info or graver, newest first." in plain(text)
    assert text.index("certificate is refused") < text.index("frame verified")
    graver = await snooped.text("/snooppix/log?level=error")
    assert "certificate is refused" in graver
    assert "frame verified" not in graver
    found = plain(await snooped.text("/snooppix/log?text=RESPROCESSED"))
    assert "No such line is kept." in found
    assert "reprocessed 1" in plain(await snooped.text("/snooppix/log?text=REprocessed"))
    assert "journal.level" in await snooped.text("/snooppix/log?level=debug")


async def test_a_hostile_line_is_shown_and_never_obeyed(snooped, tmp_path):
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    file = LogFile(place(tmp_path / "log", "snooppix"), keep=1_000_000)
    for line in (evil, json.dumps({"event": evil, "part": evil, "level": evil, evil: evil, "timestamp": evil})):
        file.write(line)
    text = await snooped.text("/snooppix/log")
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(
    "query", [{"daemon": "../../etc/passwd"}, {"daemon": "worker"}, {"level": "all"}, {"daemon": "snooppix\0"}]
)
async def test_only_our_own_daemons_and_levels_are_read(snooped, query):
    await snooped.text(f"/snooppix/log?{urlencode(query)}", status=400)
    assert all(re.fullmatch("[a-z-]+", name) for name in LOGGED)


async def test_a_paused_log_stands_still_and_goes_on_by_a_link(snooped):
    text = await snooped.text("/snooppix/log?level=warning&text=rest")
    assert 'hx-trigger="log from:body"' in text
    assert "topics=tick,log&amp;" in text
    pause = re.search(r'id="pause" href="([^"]+)"', text)[1].replace("&amp;", "&")
    assert pause == "/snooppix/log?daemon=snooppix&level=warning&text=rest&pause=1"
    paused = await snooped.text(pause)
    assert 'hx-trigger="never"' in paused
    assert "Go on" in paused


async def test_a_log_that_is_on_another_host_is_told(snooped):
    async with snooped.database.write() as session:
        await Nodes().heartbeat(
            session, name="snooppix", host="far.example", pid=7, status="x", endpoint=None, started_at=NOW, now=NOW,
            figures={},
        )  # fmt: skip
    assert "snooppix runs on far.example, this page on" in plain(await snooped.text("/snooppix/log"))
    assert "has kept no line in" in await snooped.text("/snooppix/log?daemon=publisher")
