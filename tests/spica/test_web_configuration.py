"""The editor of SNOOPPIX' settings: checked, compared, commented, kept, restored; and what it refuses."""

import re

from dbclient.stores import Configurations, Controls
from tests.support.console import Page, plain
from tests.support.full_night import NOW


async def edit(page: Page, text: str, *, step: str = "check", comment: str = "", over: object = 3):
    form = {"text": text, "step": step, "comment": comment, "over": str(over or ""), "csrf": await page.token()}
    return await page.post("/snooppix/configuration", form)


async def newest(page: Page):
    async with page.database.read() as session:
        return await Configurations().newest(session, "snooppix")


async def test_a_text_is_checked_by_the_code_that_reads_it_with_all_errors_at_once(snooped):
    await snooped.sign_in()
    text = '[snooppix]\npol = 7\nattempts = 0\n[archive]\nregistry = "http://evil.example"\n[spica]\nport = 1\n'
    for step in ("check", "save", "take"):
        answer = await edit(snooped, text, step=step, comment="why not")
        assert answer.status == 422
        said = plain(await answer.text())
        assert "4 problems; nothing was saved." in said
        assert "line 2: snooppix.pol is no setting; did you mean snooppix.poll?" in said
        assert "line 3: snooppix.attempts = 0: expected 1 or more" in said
        assert "line 5: archive.registry is not set here" in said
        assert "line 6: spica is not set here" in said
    assert (await newest(snooped)).id == 3


async def test_an_instrument_that_does_not_exist_is_found_out_before(snooped):
    await snooped.sign_in()
    answer = await edit(snooped, '[snooppix]\ninstrument = "hyperprime"\n', step="save", comment="x")
    assert answer.status == 422
    assert "hyperprime" in plain(await answer.text())


async def test_the_difference_is_seen_before_anything_is_saved(snooped):
    await snooped.sign_in()
    assert "Save and let SNOOPPIX reload" not in await snooped.text("/snooppix/configuration")
    answer = await edit(snooped, "[snooppix]\r\npoll = 30.0\r\ndownloads = 6\r\n")
    text = await answer.text()
    assert '<span class="removed">-poll = 60.0' in text
    assert '<span class="added">+poll = 30.0' in text
    assert "snooppix.poll 60.0 30.0 line 2" in plain(text)
    assert "selection.runs" in plain(text)
    assert "Save and let SNOOPPIX reload" in text
    assert (await newest(snooped)).id == 3


async def test_it_is_saved_with_who_when_and_why_and_taken_over_when_asked(snooped):
    await snooped.sign_in()
    answer = await edit(snooped, "[snooppix]\npoll = 30.0\n", step="save")
    assert answer.status == 422
    assert "Say why" in await answer.text()
    answer = await edit(snooped, "[snooppix]\npoll = 30.0\n", step="save", comment="  a look\tmore often ")
    assert (answer.status, answer.headers["Location"]) == (303, "/snooppix/configuration?saved=4")
    held = await newest(snooped)
    assert (held.text, held.comment, held.saved_by, held.saved_at) == (
        "[snooppix]\npoll = 30.0\n",
        "a look more often",
        "operator",
        NOW,
    )
    async with snooped.database.read() as session:
        assert (await Controls().of(session, "snooppix")).reload_at != NOW
    text = plain(await snooped.text("/snooppix/configuration?saved=4"))
    assert "Version 4 is kept. SNOOPPIX takes it over when it is asked to reload" in text
    await edit(snooped, "[snooppix]\npoll = 31.0\n", step="take", comment="again", over=4)
    async with snooped.database.read() as session:
        assert (await Controls().of(session, "snooppix")).reload_at == NOW


async def test_an_older_version_is_restored_as_a_new_one(snooped):
    await snooped.sign_in()
    text = await snooped.text("/snooppix/configuration?from=1")
    assert '<span class="added">+poll = 120.0' in text
    assert 'value="Restores version 1: Look more often while 08A is observed"' in text
    old = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", text, re.DOTALL)[1].replace("&#34;", '"')
    await edit(snooped, old, step="save", comment="back")
    held = await newest(snooped)
    async with snooped.database.read() as session:
        first = await Configurations().get(session, "snooppix", 1)
    assert (held.id, held.text) == (4, first.text)
    await snooped.text("/snooppix/configuration?from=99", status=404)


async def test_what_another_operator_saved_meanwhile_is_not_overwritten(snooped):
    await snooped.sign_in()
    answer = await edit(snooped, "[snooppix]\npoll = 30.0\n", step="save", comment="x", over=2)
    assert answer.status == 409
    assert "another version of the settings was saved meanwhile (3, you had seen 2)" in plain(await answer.text())
    assert (await newest(snooped)).id == 3


async def test_the_same_text_makes_no_version(snooped):
    await snooped.sign_in()
    answer = await edit(snooped, (await newest(snooped)).text, step="save", comment="x")
    assert answer.status == 422
    assert "the text is that of the newest version" in await answer.text()


async def test_what_leads_out_of_the_house_is_shown_with_its_file_and_cannot_be_set(snooped):
    text = plain(await snooped.text("/snooppix/configuration"))
    for key in ("registry", "credential", "authority", "hosts", "login", "proxy", "address", "sign_in", "acknowledge"):
        assert re.search(rf"archive\.{key} (?:(?!archive\.).)* in the file only", text), key
    for key in ("archive.collection", "selection.runs", "snooppix.poll"):
        assert re.search(rf"{re.escape(key)} \S.{{0,80}}can be set", text), key


async def test_an_edited_text_is_shown_and_never_obeyed(snooped):
    await snooped.sign_in()
    answer = await edit(snooped, "# </textarea><script>alert(1)</script>\n", comment='"><img src=x>')
    text = await answer.text()
    assert "<script>alert" not in text
    assert "<img" not in text
