"""The page of audits: what differs, what is done about it, and who may ask for more."""

import pytest

from dbclient.schema import AuditState, Discrepancy, RequestKind
from dbclient.stores import Audits, NewFinding, Nodes, Requests
from tests.support.console import console, plain
from tests.support.full_night import NOW

PAGE = "/nodes/audit"


@pytest.fixture
async def page(tmp_path):
    async with console(tmp_path) as running:
        yield running


async def test_before_any_audit_the_page_says_so(page):
    text = plain(await page.text(PAGE))
    assert "No audit was completed yet." in text
    assert "Operators who sign in can ask for an audit here." in text


async def test_findings_are_shown_with_evidence_and_what_was_not_done(page):
    async with page.database.write() as session:
        (node, *_) = await Nodes().all(session)
        number = await Audits().begin(session, asked_by="ada", node=None, runid=None, repair=True, now=NOW)
        findings = [
            NewFinding(
                kind=Discrepancy.FILE_GONE, node_id=node.id, frame_id=None, path="frames/<b>x</b>.fits.fz",
                evidence={"expected_size": 341}, action="brought again", done=done,
            )
            for done in (True, False)
        ]  # fmt: skip
        await Audits().note(session, number, findings)
        await Audits().end(session, number, AuditState.DONE, now=NOW, files=24, bytes_=8_200_000_000)
    raw = await page.text(PAGE)
    text = plain(raw)
    assert "24 files (8.2 GB) were compared: 2 found that differ, 1 put right, 1 as they were." in text
    assert "expected size 341" in text
    assert text.count("not done: brought again") == 1
    assert "<b>x</b>" not in raw


async def test_operators_ask_for_audits_and_for_room(page):
    token = await page.sign_in()
    for kind, form in (
        ("audit", {"node": ""}),
        ("audit", {"node": "node1", "repair": "yes"}),
        ("clear", {"node": "node1"}),
    ):
        answer = await page.post(f"/actions/{kind}", {"csrf": token, **form})
        assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, PAGE)
    for kind, form in (("audit", {"node": "node9"}), ("clear", {"node": ""})):
        assert (await page.post(f"/actions/{kind}", {"csrf": token, **form})).status == 400
    async with page.database.read() as session:
        asked = await Requests().open(session, RequestKind.AUDIT, RequestKind.CLEAR)
    assert [one.arguments for one in asked] == [
        {"node": None, "repair": False},
        {"node": "node1", "repair": True},
        {"node": "node1"},
    ]
    assert "3 requests wait for the Datatransfer daemon: audit for operator" in plain(await page.text(PAGE))
