"""What the coordinator makes of an agent that dies at an awkward moment."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from datatransfer.agent.courier import Courier
from datatransfer.agent.receiver import Parcel
from datatransfer.agent.trust import Trust
from datatransfer.errors import LinkBroken, NodeUnreachable
from terapix.http import bind
from terapix.sections import Settings
from tests.support.agents import shared_token

PARCEL = Parcel(
    "http://127.0.0.1:1", "nodes/node1/frames/1p.fits", "nodes/node2", "frames/1p.fits", "md5:" + "0" * 32, 1
)


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Courier]:
    trust = Trust.of(Settings.model_validate({"agent": shared_token(tmp_path)}))
    assert trust is not None
    courier = Courier(trust)
    yield courier
    await courier.close()


async def dies_at_once(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await asyncio.sleep(0)
    assert request.transport is not None
    request.transport.abort()
    return answer


async def test_an_agent_that_dies_before_its_first_word_has_broken_the_link_and_keeps_its_room(asked: Courier) -> None:
    app = web.Application()
    app.router.add_post("/v1/bring", dies_at_once)
    runner = web.AppRunner(app)
    await runner.setup()
    bound = bind("127.0.0.1", 0)
    await web.SockSite(runner, bound).start()
    try:
        with pytest.raises(LinkBroken):
            await asked.bring(f"http://127.0.0.1:{bound.getsockname()[1]}", [PARCEL], progress=lambda _: None)
    finally:
        await runner.cleanup()


async def test_an_agent_that_is_not_there_is_unreachable(asked: Courier) -> None:
    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    bound.close()
    with pytest.raises(NodeUnreachable):
        await asked.bring(f"http://127.0.0.1:{port}", [PARCEL], progress=lambda _: None)
