"""Every page: what it says, how it is made, and that nothing comes in from elsewhere."""

import hashlib
import re
import tomllib
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
import pytest_asyncio

from dbclient.records import NewProduct
from dbclient.schema import ArchiveKind
from dbclient.stores import Archives, Frames, Jobs, Nodes
from spica.web.app import routes
from spica.web.console import HERE
from spica.web.gate import Access, access_of
from spica.web.pages import frames as frames_page
from tests.support.console import console
from tests.support.full_night import NOW

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGES = [
    "/",
    "/frames",
    "/frames/979400p",
    "/frames/979415p",
    "/frames/979401p",
    "/runs",
    "/nodes",
    "/history",
    "/statistics",
    "/statistics?by=week&since=2026-11-01",
    "/transfer",
    "/transfer/history",
    "/transfer/history?run=08AC14&node=node1&mode=automatic&kind=move&state=done&before=99",
    "/flow",
    "/filters",
    "/help",
    "/help/rules",
    "/transfer?runid=08AC14&node=node1&filter=r.MP9601",
    "/snooppix",
    "/snooppix/log",
    "/snooppix/configuration",
    "/snooppix/lists/publications",
    "/login",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def page(tmp_path_factory):
    async with console(tmp_path_factory.mktemp("night")) as running:
        yield running


class Outline(HTMLParser):
    """What must hold for any page of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.headings = 0
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if given.get("id") else []
        self.headings += tag == "h1"
        if tag == "script" and not (given.get("src") or "").startswith("/static/"):
            self.faults.append("a script that is not our own file")
        if tag == "style" or "style" in given or any(name.startswith("on") for name in given):
            self.faults.append(f"inline style or script in <{tag}>")
        for name in ("src", "href", "action"):
            if (given.get(name) or "/").startswith(("http", "//", "javascript", "data")):
                self.faults.append(f"<{tag} {name}={given[name]}> leads out")
        if tag == "img" and not given.get("alt"):
            self.faults.append("a picture without words")
        if tag in {"input", "select"} and given.get("type") != "hidden" and "label" not in self.open:
            self.faults.append(f"<{tag} name={given.get('name')}> has no label")
        if tag == "th" and not given.get("scope"):
            self.faults.append("a header cell without scope")
        if tag not in {"meta", "link", "input", "img", "br", "use", "path", "rect", "circle", "ellipse", "polygon"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_whole_and_keeps_to_itself(page, path):
    text = await page.text(path)
    outline = Outline()
    outline.feed(text)
    assert outline.faults == []
    assert outline.headings == 1
    assert len(set(outline.ids)) == len(outline.ids)
    assert text.count("<caption>") == text.count("<table")
    assert text.startswith("<!doctype html>\n<html lang=")


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/api/v1/summary", "/static/console.css", "/frames?state=lost"])
async def test_every_answer_carries_the_guards(page, path):
    headers = (await page.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"]


async def test_a_foreign_host_name_is_refused(page):
    answer = await page.get("/", headers={"Host": "evil.example"})
    assert answer.status == 421


async def test_each_address_says_whom_it_serves_and_forms_serve_the_operator():
    served = {(route.method, route.path): access_of(route.handler) for route in routes()}
    assert {place for place, whom in served.items() if whom is Access.ANYBODY} == {
        ("GET", "/login"),
        ("POST", "/login"),
        ("POST", "/theme"),
        ("GET", "/static/{path:[a-z0-9./-]{1,80}}"),
        ("GET", "/favicon.ico"),
    }
    posts = {path for (method, path), whom in served.items() if method == "POST" and whom is Access.OPERATOR}
    assert posts == {
        *("/logout", r"/actions/{kind:[a-z]{1,20}}", "/snooppix/control", "/snooppix/configuration"),
        *("/transfer/modes", "/transfer/orders", "/transfer/queue", "/transfer/rules"),
    }
    assert {method for method, _ in served} == {"GET", "POST"}


async def test_the_overview_answers_first(page):
    text = await page.text("/")
    assert "Something needs you: 11 of 24 frames weighted, 11 frames on the way, 2 set aside." in text
    assert "node3 is down: its directory does not answer" in text
    assert "35 % of 341 MB, 181 MB/s, 1 s left" in text
    assert re.search(r'<progress max="1" value="0\.6200"', text)
    assert "979416p" in text
    assert "datatransfer-node:node3" in text
    assert "node1: 21.5 GB held by frames and products" in text


async def test_the_live_part_comes_alone_when_htmx_asks(page):
    answer = await page.get("/", headers={"HX-Request": "true"})
    text = (await answer.text()).strip()
    assert text.startswith('<div id="live"')
    assert "<html" not in text
    assert "HX-Request" in answer.headers["Vary"]


async def test_frames_are_filtered_by_the_address(page):
    text = await page.text("/frames?state=failed")
    assert "979415p" in text
    assert "979400p" not in text
    text = await page.text("/frames?run=08AF02&filter=g.MP9401&name=97940")
    assert set(re.findall(r'href="/frames/(\d+[a-z])"', text)) == {"979401p", "979405p", "979409p"}
    assert "No frame matches." in await page.text("/frames?name=000000p")


@pytest.mark.parametrize(
    "query", ["state=lost", "name=../etc", "name=%00", "after=x", "after=-1", f"run={'x' * 200}", "filter=a%0d%0ab"]
)
async def test_a_filter_that_makes_no_sense_is_told(page, query):
    text = await page.text(f"/frames?{query}", status=400)
    assert "That could not be understood" in text


async def test_the_table_is_read_page_by_page(page, monkeypatch):
    monkeypatch.setattr(frames_page, "PAGE", 10)
    seen, address, pages = [], "/frames?name=9794", 0
    while address:
        text = await page.text(address)
        seen += re.findall(r'<a href="/frames/(\d+[a-z])">', text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        address, pages = following and following[1].replace("&amp;", "&"), pages + 1
    assert len(seen) == len(set(seen)) == 24
    assert pages == 3


async def test_a_frame_tells_why_it_waits_and_when_it_is_tried_again(page):
    text = await page.text(f"/frames/{page.night.waiting}")
    assert "It is verified and waits for room on a node. Why: no node has room for 1.2 GB" in text
    assert "in 140 s" in text


async def test_a_frame_shows_its_pictures_products_and_header(page):
    text = await page.text(f"/frames/{page.night.weighted}")
    pictures = re.findall(r'<img src="(/products/\d+\?d=\w+)"', text)
    assert len(pictures) == 3
    answer = await page.get(pictures[0])
    assert answer.headers["Content-Type"] == "image/png"
    assert (await answer.read()).startswith(b"\x89PNG")
    assert "sandbox" not in answer.headers
    download = re.search(r'<a href="(/products/\d+)" download>weight</a>', text)
    answer = await page.get(download[1])
    assert answer.headers["Content-Disposition"] == 'attachment; filename="979400p_weight.fits.fz"'
    assert "&lt;b&gt;not a tag&lt;/b&gt;" in text
    assert "<b>not a tag" not in text


async def test_the_header_of_a_ccd_and_a_search_in_it(page):
    text = await page.text(f"/frames/{page.night.weighted}?ccd=1&card=extname")
    assert "Header of ccd01" in text
    assert "CCD01" in text
    assert "BITPIX" not in text
    text = await page.text(f"/frames/{page.night.weighted}?ccd=7")
    assert "its header of extension 8 cannot be read" in text


async def test_a_frame_that_was_processed_again_shows_its_generations(page):
    text = await page.text(f"/frames/{page.night.again}")
    assert "generation 2" in text
    older = await page.text(f"/frames/{page.night.again}?generation=1")
    assert "1 of 2" in older
    await page.text(f"/frames/{page.night.again}?generation=3", status=404)


@pytest.mark.parametrize(
    "path",
    ["/frames/..%2f..%2fetc%2fpasswd", "/frames/a..b", "/frames/x%00y", "/frames/979999p",
     "/static/../app.py", "/static/..%2fapp.py", "/static/vendor/", "/products/99999999", "/products/1%2f..%2f2"],
)  # fmt: skip
async def test_what_is_no_name_leads_nowhere(page, path):
    answer = await page.get(path)
    assert answer.status == 404, await answer.text()
    assert "root:" not in await answer.text()


async def test_a_registered_path_that_leads_out_of_its_node_is_not_served(page):
    secret = page.night.directory / "secret.txt"
    secret.write_text("not for readers")
    async with page.database.write() as session:
        frame = await Frames().named(session, "979420p")
        node = await Nodes().named(session, "node1")
        job = await Jobs().create(session, frame_id=frame.id, node_id=node.id, stage="weight", recipe="r", now=NOW)
        await Jobs().claim(session, job, worker="w", token="t", now=NOW)
        (page.night.directory / "node1" / "link").symlink_to(secret)
        made = [NewProduct("weight", "../secret.txt", 1, "md5:0", {}), NewProduct("flag", "link", 1, "md5:1", {})]
        await Jobs().finish(session, job, "t", products=made, summary={}, now=NOW, source="spica")
    text = await page.text("/frames/979420p")
    numbers = re.findall(r'<a href="(/products/\d+)" download>', text)
    assert len(numbers) == 2
    for number in numbers:
        assert (await page.get(number)).status == 404


async def test_programs_read_the_same_facts_as_json(page):
    summary = await (await page.get("/api/v1/summary")).json()
    assert summary["chain"][0] == {"name": "spotted", "count": 24, "share": 1.0}
    first = await (await page.get("/api/v1/frames?limit=5&state=weighted")).json()
    assert [frame["state"] for frame in first["frames"]] == ["weighted"] * 5
    second = await (await page.get(first["next"])).json()
    assert len(second["frames"]) == 5
    assert {f["id"] for f in first["frames"]} & {f["id"] for f in second["frames"]} == set()
    frame = await (await page.get("/api/v1/frames/979415p")).json()
    assert "404" in frame["frame"]["reason"]
    assert frame["events"][-1]["level"] == "error"
    nodes = await (await page.get("/api/v1/nodes")).json()
    assert [entry["node"]["name"] for entry in nodes["nodes"]] == ["node1", "node2", "node3"]
    events = await (await page.get("/api/v1/events?after=3&limit=2")).json()
    assert [event["id"] for event in events["events"]] == [4, 5]


@pytest.mark.parametrize(
    ("path", "status"), [("/api/v1/frames/000p", 404), ("/api/v1/frames?state=x", 400), ("/api/v1/events?after=x", 400)]
)
async def test_problems_are_json_for_programs(page, path, status):
    answer = await page.get(path)
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert (await answer.json())["detail"]


async def test_static_files_are_kept_by_version_and_those_from_elsewhere_are_what_they_were(page):
    manifest = tomllib.loads((HERE / "static/vendor/MANIFEST.toml").read_text())
    listed = {name: entry["sha256"] for package in manifest["package"] for name, entry in package["files"].items()}
    found = {path.name for path in (HERE / "static/vendor").iterdir()} - {"MANIFEST.toml"}
    assert found == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((HERE / "static/vendor" / name).read_bytes()).hexdigest() == digest
    address = re.search(r'src="(/static/vendor/htmx[^"]+)"', await page.text("/"))[1]
    assert "immutable" in (await page.get(address)).headers["Cache-Control"]
    assert (await page.get("/static/console.css")).headers["Cache-Control"] == "no-cache"


async def test_templates_leave_escaping_on():
    for path in Path(HERE / "templates").glob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape|Markup", path.read_text()), path


async def test_the_history_says_up_to_when_it_lies_in_archives(page):
    async with page.database.write() as session:
        await Archives().add(
            session, kind=ArchiveKind.EVENTS, first=0, last=0, rows=0, begins=NOW, ends=NOW - timedelta(days=900),
            path="events.jsonl.gz", size=1, digest="sha256:0", made_at=NOW, cleared_at=NOW,
        )  # fmt: skip
    text = await page.text("/history?before=1")
    assert "lies in archives: <code>terapix history --archived</code>" in text
