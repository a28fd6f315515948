"""Who may read, who may act, and what a stranger's page cannot make a browser do."""

import re

import pytest

from dbclient.schema import RequestKind, RequestState
from dbclient.stores import Events, Frames, Nodes, Requests, Sighting
from spica import accounts
from spica.web.policy import local_path, same_origin
from tests.support.console import console
from tests.support.full_night import NOW


@pytest.fixture
async def page(tmp_path):
    async with console(tmp_path, seeded=False) as running:
        yield running


@pytest.fixture
async def closed(tmp_path):
    async with console(tmp_path, seeded=False, reading="closed") as running:
        yield running


async def sight(page, *names):
    async with page.database.write() as session:
        for name in names:
            sighting = Sighting(
                name=name, uri=f"cadc:CFHT/{name}.fits.fz", size=1000, runid="08AC14", filter="r.MP9601"
            )
            await Frames().sight(session, sighting, now=NOW, source="test")


async def asked(page):
    async with page.database.read() as session:
        return await Requests().open(session)


async def test_an_empty_console_says_what_to_do_next(page):
    text = await page.text("/")
    assert "No daemon has run yet: terapix up starts them, terapix demo shows a night." in text
    for path in ("/frames", "/runs", "/nodes", "/transfer"):
        assert "terapix demo" in await page.text(path) or "terapix up" in await page.text(path)


async def test_closed_reading_leads_to_the_sign_in(closed):
    snooppix = ("/snooppix", "/snooppix/log", "/snooppix/configuration", "/snooppix/lists/waiting")
    for path in ("/", "/frames", "/runs", "/nodes", "/history", "/transfer", "/frames/1p", "/products/1", *snooppix):
        answer = await closed.get(path)
        assert (answer.status, answer.headers["Location"]) == (303, f"/login?next={path}")
    assert (await closed.get("/static/console.css")).status == 200


async def test_closed_reading_refuses_programs(closed):
    for path in ("/api/v1/summary", "/api/v1/frames", "/api/v1/snooppix", "/api/v1/events", "/events"):
        answer = await closed.get(path)
        assert answer.status == 401
        assert "sign in" in (await answer.text()).lower()


async def test_closed_reading_opens_with_the_session_and_closes_with_it(closed):
    token = await closed.sign_in()
    await closed.text("/frames")
    answer = await closed.post("/logout", {"csrf": token})
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert (await closed.get("/frames")).status == 303


async def test_a_live_part_of_a_lost_session_leads_to_the_sign_in(closed):
    answer = await closed.get("/", headers={"HX-Request": "true"})
    assert (answer.status, answer.headers["HX-Redirect"]) == (401, "/login")


async def test_the_session_cookie_is_out_of_reach(page):
    answer = await page.post("/login", {"name": "operator", "password": page.password, "next": "/runs"})
    assert (answer.status, answer.headers["Location"]) == (303, "/runs")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("terapix=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert page.password not in cookie


async def test_behind_https_the_cookie_is_bound_to_this_host(page):
    answer = await page.post(
        "/login", {"name": "operator", "password": page.password}, headers={"X-Forwarded-Proto": "https"}
    )
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-terapix=")
    assert "Secure" in cookie
    assert "Domain" not in cookie


async def test_a_wrong_password_is_refused_and_the_sixth_waits(page, monkeypatch):
    monkeypatch.setattr(accounts, "_matches", lambda _, guess: guess == page.password)
    for _ in range(5):
        answer = await page.post("/login", {"name": "operator", "password": "guess"})
        assert answer.status == 403
        assert "do not belong together" in await answer.text()
    answer = await page.post("/login", {"name": "operator", "password": page.password})
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "60"
    page.clock.advance(61)
    answer = await page.post("/login", {"name": "operator", "password": page.password})
    assert answer.status == 303
    async with page.database.read() as session:
        events = await Events().latest(session)
    assert {event.kind for event in events} >= {"sign-in", "sign-in-refused"}
    assert not any("guess" in event.message or page.password in event.message for event in events)


async def test_nothing_is_done_without_the_operators_session(page):
    for kind, form in (
        ("retry", {"frame": "979412p"}),
        ("drain", {"node": "node1"}),
        ("transfer", {"runid": "08AC14"}),
    ):
        answer = await page.post(f"/actions/{kind}", form)
        assert answer.status == 303
        assert answer.headers["Location"].startswith("/login")
    assert await asked(page) == []


async def test_nothing_is_done_without_the_forms_token(page):
    await sight(page, "979412p")
    await page.sign_in()
    for token in (None, "", "wrong", "ü"):
        form = {"frame": "979412p"} | ({} if token is None else {"csrf": token})
        answer = await page.post("/actions/retry", form)
        assert answer.status == 403
        assert "reload the page" in await answer.text()
    assert await asked(page) == []


async def test_a_form_of_somebody_elses_page_is_refused(page):
    token = await page.sign_in()
    form = {"frame": "979412p", "csrf": token, "name": "operator", "password": page.password, "theme": "dark"}
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        for path in ("/actions/fetch", "/login", "/logout", "/theme"):
            answer = await page.client.post(path, data=form, headers=headers, allow_redirects=False)
            assert answer.status == 403
            assert "Set-Cookie" not in answer.headers
    assert await asked(page) == []
    assert await page.token() == token


@pytest.mark.parametrize(
    ("kind", "form", "back"),
    [
        ("retry", {"frame": "979412p"}, "/frames/979412p?request=1"),
        ("reload", {"frame": "979412p", "because": "it is wrong"}, "/frames/979412p?request=1"),
        ("fetch", {"frame": "979499p"}, "/?request=1"),
        ("drain", {"node": "node1"}, "/nodes?request=1"),
        ("undrain", {"node": "node1"}, "/nodes?request=1"),
        ("transfer", {"runid": "08AC14", "node": "node1", "filter": "r.MP9601"}, "/transfer?request=1"),
    ],
)
async def test_each_action_becomes_a_request_and_is_read_back(page, kind, form, back):
    await sight(page, "979412p")
    async with page.database.write() as session:
        await Nodes().upsert(session, name="node1", directory="/n1", capacity=10**9, reserve=0, now=NOW)
    token = await page.sign_in()
    answer = await page.post(f"/actions/{kind}", form | {"csrf": token})
    assert (answer.status, answer.headers["Location"]) == (303, back)
    (request,) = await asked(page)
    assert (request.kind, request.arguments, request.asked_by) == (RequestKind(kind), form, "operator")
    assert "No daemon has answered yet" in await page.text(back)
    async with page.database.write() as session:
        await Requests().answer(session, request.id, RequestState.DONE, "It is <done>.", now=NOW)
    assert "It is &lt;done&gt;." in await page.text(back)


async def test_a_request_for_what_does_not_exist_is_told(page):
    await sight(page, "979412p")
    token = await page.sign_in()
    for kind, form in (
        ("retry", {"frame": "../../etc/passwd"}),
        ("retry", {"frame": "979499p"}),
        ("fetch", {"frame": ""}),
        ("fetch", {"frame": "a" * 81}),
        ("drain", {"node": "node9"}),
        ("transfer", {"runid": "08AC99", "node": "node1"}),
        ("transfer", {}),
    ):
        answer = await page.post(f"/actions/{kind}", form | {"csrf": token})
        assert answer.status == 400, (kind, form)
    assert await asked(page) == []


async def test_there_are_no_other_actions(page):
    token = await page.sign_in()
    for kind in ("format", "x" * 21, "..%2fdrain"):
        assert (await page.post(f"/actions/{kind}", {"csrf": token})).status == 404


async def test_actions_take_forms_only_and_small_ones(page):
    token = await page.sign_in()
    assert (await page.get("/actions/retry")).status == 405
    answer = await page.post("/actions/retry", {"csrf": token, "frame": "a" * 100_000})
    assert answer.status == 413


async def test_the_theme_is_a_form_and_comes_back_at_once(page):
    answer = await page.post("/theme", {"theme": "dark", "next": "/frames?state=failed"})
    assert (answer.status, answer.headers["Location"]) == (303, "/frames?state=failed")
    assert 'data-theme="dark"' in await page.text("/")
    await page.post("/theme", {"theme": '"><script>'})
    assert 'data-theme="dark"' in await page.text("/")


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        None,
        "/a\r\nb",
        "\t/x",
        "/a b",
    ],
)
def test_redirects_lead_only_to_our_own_pages(path):
    assert local_path(path) == "/"
    assert local_path("/" + "x" * 600) == "/"
    assert local_path("/frames?state=failed&name=97#header") == "/frames?state=failed&name=97#header"


async def test_signing_in_leads_only_to_our_own_pages(page):
    form = {"name": "operator", "password": page.password}
    for path in ("//evil.example", "https://evil.example"):
        assert (await page.post("/login", form | {"next": path})).headers["Location"] == "/"
        assert f'name="next" value="{path}"' not in await (await page.get(f"/login?next={path}")).text()


def test_a_form_without_a_browser_needs_no_origin():
    assert same_origin({"Host": "127.0.0.1:8080"})
    assert same_origin({"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8080"})
    assert not same_origin({"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:9090"})


async def test_what_operators_and_archives_write_is_shown_and_never_obeyed(page):
    async with page.database.write() as session:
        sighting = Sighting(
            name="979412p", uri='cadc:CFHT/"><script>alert(1)</script>', runid="<img src=x>", object="<svg onload=x>",
            filter="'\"><b>",
        )  # fmt: skip
        await Frames().sight(session, sighting, now=NOW, source="test")
    for path in ("/", "/frames", "/frames/979412p", "/runs", "/transfer", "/history"):
        text = await page.text(path)
        assert not re.search(r"<script>alert|<img src=x|<svg onload|<b>", text), path
