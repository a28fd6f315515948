"""What the page of SNOOPPIX must have: all that its users ask for, and each element of the page of 2003."""

import re

import pytest

from tests.support.console import plain

MAIN, LOG, SETTINGS = "/snooppix", "/snooppix/log", "/snooppix/configuration"
CHECKLIST = {
    "state and heartbeat of the daemon": (MAIN, r"The daemon beats \d+ s ago"),
    "what it says of itself": (MAIN, r"“fetches 2, verifies 1” \S+, pid 4711, since 2026-11-2\d"),
    "start, stop, reload": (MAIN, r"Start Stop Reload settings"),
    "readback of what was asked": (MAIN, r"Work to work by bob.* it works yes Settings version 3 by ann"),
    "log, followed, with a filter of levels": (LOG, r"The latest 60 lines of level info or graver"),
    "log of each daemon can be chosen": (LOG, r"Daemon .*snooppix"),
    "configuration is opened": (SETTINGS, r"Settings of \[archive\], \[selection\] and \[snooppix\]"),
    "configuration is validated, and compared before it is saved": (SETTINGS, r"Check and compare"),
    "configuration has a history": (SETTINGS, r"Versions of the settings, newest first; none is ever deleted"),
    "configuration is restored": (SETTINGS, r"Compare, restore…"),
    "found, new": (MAIN, r"979431p new rejected"),
    "queued": (MAIN, r"Frames that are fetched next, in their order"),
    "downloading: host, rate and time left": (MAIN, r"979421p from ws-cadc\.canfar\.net .*11\.7 MB/s, 20 s left"),
    "downloaded images": (MAIN, r"Files that arrived, the latest first .* 979\d+p ws-cadc\.canfar\.net 3\d\d\.\d"),
    "verified": (MAIN, r"\d+ verified"),
    "how files are verified": (MAIN, r"every file verified by its digest"),
    "rejected, with reason and remedy": (MAIN, r"979430p digest the digest is .* terapix retry 979430p"),
    "given up": (MAIN, r"Given up .* 979415p not at the archive for 48 hours"),
    "waiting, why and until when": (MAIN, r"979424p 503 Service Unavailable .* 06:27:10 in 4 min"),
    "protocol": (MAIN, r"From the archive HTTP,"),
    "both directions": (MAIN, r"Back to the archive .* acknowledged"),
    "the clone acknowledges": (MAIN, r"Offered Acknowledged"),
    "release dates ahead, drawn and listed": (
        MAIN,
        r"Frames that become public, by month .* Frames that become",
    ),
    "days left of the certificate": (MAIN, r"certificate 5\.4 days left"),
    "last and next look, bookmark": (
        MAIN,
        r"Last look 06:21:10 2 min ago Next look 06:26:10 in 3 min .* behind",
    ),
    "throughput of the last day, drawn": (MAIN, r"The last 24 hours, by hour \d+ files, [\d.]+ GB"),
    "throughput of the last month, drawn": (MAIN, r"The last 31 days, by day \d+ files, [\d.]+ GB"),
    "hosts and why they rest": (MAIN, r"ws-uv\.canfar\.net rests connection refused five times in a row"),
    "full differences": (MAIN, r"Full differences of archive, database and disk"),
    "completeness of runs, with its date": (MAIN, r"in the full difference that ended \d\d:\d\d.* 08AC14 lacks 11"),
    "look and difference on request": (MAIN, r"Look now .*Compare now"),
    "the proof of a run": ("/snooppix/runs/08AC14", r"8 of 19 held, 11 missing, 0 extra"),
}


@pytest.mark.parametrize("item", CHECKLIST)
async def test_the_page_has_what_the_list_asks_for(snooped, item):
    path, words = CHECKLIST[item]
    await snooped.sign_in()
    text = plain(await snooped.text(path))
    assert re.search(words, text), text


async def test_what_is_drawn_is_drawn_and_what_can_be_chosen_has_a_control(snooped):
    await snooped.sign_in()
    text = await snooped.text(MAIN)
    for label in ("The last 24 hours, by hour", "The last 31 days, by day", "Frames that become public, by month"):
        drawn = re.search(rf'<svg [^>]*aria-label="{label}:[^"]*">(.*?)</svg>', text, re.DOTALL)
        assert drawn
        assert "<rect" in drawn[1]
    assert 'name="level"' in await snooped.text(LOG)
    assert 'name="text"' in await snooped.text(SETTINGS)
