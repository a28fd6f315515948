"""Frames that are not public yet: who may read them does, who may not waits, and what is public comes all the same."""

from pathlib import Path

import pytest

from dbclient.records import FrameRecord
from dbclient.schema import FrameState, Level, RequestKind
from dbclient.stores import Requests
from snooppix.standin.site import Access
from terapix.clock import SystemClock
from terapix.sections import Settings
from terapix.settings import load
from tests.snooppix.desk import at_work
from tests.support.archive import ServedArchive
from tests.support.origin import written

LATER = "2099-08-31T00:00:00"
MAY_READ, MAY_NOT = "one-of-the-proposal", "of-another-proposal"


@pytest.fixture
def tokens() -> dict[str, frozenset[str] | None]:
    """Whom the archive knows, and for which runs; may change while it answers."""
    return {MAY_READ: frozenset({"08AC14"}), MAY_NOT: frozenset({"08AC99"})}


@pytest.fixture
def served_with_care(tmp_path: Path, tokens: dict[str, frozenset[str] | None]) -> ServedArchive:
    """An archive with a public frame and one that is not."""
    directory = tmp_path / "archive"
    directory.mkdir()
    archive = ServedArchive(directory, clock=SystemClock(), access=Access(tokens))
    archive.offer("979412p", REL_DATE=LATER)
    archive.offer("979413p")
    return archive


def settings_for(directory: Path, archive: ServedArchive, token: Path | None) -> Settings:
    return load(
        environment={},
        overrides={
            "paths": {"directory": str(directory)},
            "archive": {"registry": archive.registry, "credential": str(token) if token else None},
            "snooppix": {"poll": 0.2, "reserve": 0, "read_timeout": 2.0},
        },
    ).settings


def waits(frame: FrameRecord | None) -> bool:
    return frame is not None and frame.state is FrameState.SPOTTED and frame.reason is not None


async def test_a_token_that_ran_out_holds_up_only_what_needs_it(
    served_with_care: ServedArchive, tmp_path: Path
) -> None:
    token = written(tmp_path / "token", "ran out last night")
    async with served_with_care.standin, at_work(settings_for(tmp_path / "host", served_with_care, token)) as desk:
        await desk.until_state("979413p", FrameState.VALID)
        waiting = await desk.until(waits, "979412p")
        written(token, MAY_READ)
        await desk.until_state("979412p", FrameState.VALID)
        events = await desk.events()

    assert waiting.attempts == 0
    assert "waits for a credential" in (waiting.reason or "")
    told = [event for event in events if event.kind.startswith("credential")]
    assert [(event.kind, event.level) for event in told] == [
        ("credential-refused", Level.ERROR),
        ("credential-resumed", Level.INFO),
    ]
    assert all("ran out last night" not in event.message for event in events)


async def test_an_operator_has_a_paused_token_tried_again(
    served_with_care: ServedArchive, tokens: dict[str, frozenset[str] | None], tmp_path: Path
) -> None:
    """The archive forgot the token for a while, as while its own database is away."""
    token = written(tmp_path / "token", "known-again-soon")
    async with served_with_care.standin, at_work(settings_for(tmp_path / "host", served_with_care, token)) as desk:
        await desk.until(waits, "979412p")
        tokens["known-again-soon"] = None
        async with desk.database.write() as session:
            await Requests().ask(
                session,
                RequestKind.RETRY,
                {"frame": "979412p"},
                by="wilma",
                now=SystemClock().now(),
            )
        await desk.until_state("979412p", FrameState.VALID)


async def test_who_may_not_read_a_frame_waits_for_its_date(served_with_care: ServedArchive, tmp_path: Path) -> None:
    token = written(tmp_path / "token", MAY_NOT)
    async with served_with_care.standin, at_work(settings_for(tmp_path / "host", served_with_care, token)) as desk:
        waiting = await desk.until(waits, "979412p")
        await desk.until_state("979413p", FrameState.VALID)

    assert waiting.retry_at == waiting.release
    assert "not public before 2099-08-31" in (waiting.reason or "")
    assert waiting.attempts == 0
    assert not desk.snooppix.standing.credential.paused
