"""Who may ask an agent for what: by certificate between hosts, by a token on one machine, else nobody."""

import os
import ssl
from pathlib import Path

import aiohttp
import pytest

from datatransfer.agent.courier import Courier, Silent
from datatransfer.agent.trust import NoTrust, Trust
from datatransfer.errors import (
    NodeUnreachable,
)
from datatransfer.mover import Carried
from terapix.sections import Settings
from tests.support.agents import Agent, agent, certified, courier, shared_token

FRAME = "frames/08AC14/979412p.fits.fz"
BIG = 123_456


async def test_nobody_is_let_in_without_the_token(pair: tuple[Agent, Agent, Courier]) -> None:
    one, _, _ = pair
    one.put(FRAME, b"pixels")
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer wrong"}, {"Authorization": "wrong"}):
        async with aiohttp.ClientSession(headers=headers) as session:
            for method, path in (("GET", "status"), ("GET", f"files/{one.root}/{FRAME}"), ("POST", "bring")):
                async with session.request(method, f"{one.address}/v1/{path}") as answer:
                    assert answer.status == 401


async def test_between_hosts_certificates_say_who_may_do_what(tmp_path: Path) -> None:
    async with (
        agent(tmp_path, "node1", certified(tmp_path, "node1", role="agent")) as one,
        agent(tmp_path, "node2", certified(tmp_path, "node2", role="agent")) as two,
    ):
        one.put(FRAME, content := os.urandom(BIG))
        chief = Settings.model_validate({"agent": certified(tmp_path, "chief", role="coordinator")})
        async with courier(trusted(chief)) as asked:
            assert await asked.bring(two.address, [one.parcel(FRAME, two)], progress=lambda done: None) == [
                Carried(BIG, "brought")
            ]
        assert (two.directory / FRAME).read_bytes() == content
        async with courier(two.trust) as peer:
            assert (await peer.status(one.address))["disks"]
            for refused in (
                peer.remove(one.address, f"{one.root}/{FRAME}", size=BIG),
                peer.sizes(one.address, one.root, [FRAME]),
            ):
                with pytest.raises(Silent, match="for the coordinator alone, and node2 is none"):
                    await refused
            with pytest.raises(NodeUnreachable, match="for the coordinator alone"):
                await peer.bring(one.address, [two.parcel(FRAME, one)], progress=lambda done: None)
        stranger = Settings.model_validate({"agent": certified(tmp_path / "elsewhere", "chief", role="coordinator")})
        async with courier(trusted(stranger)) as asked:
            with pytest.raises(Silent, match=r"not trusted|does not answer"):
                await asked.status(one.address)
        bare = ssl.create_default_context(cafile=str(tmp_path / "authority" / "authority.pem"))
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{one.address}/v1/status", ssl=bare)


def test_secrets_that_others_may_read_and_tokens_on_a_network_are_refused(tmp_path: Path) -> None:
    token = shared_token(tmp_path)
    Path(token["token"]).chmod(0o640)
    with pytest.raises(NoTrust, match="chmod 600"):
        Trust.of(Settings.model_validate({"agent": token}))
    Path(token["token"]).chmod(0o600)
    with pytest.raises(NoTrust, match="certificates are needed"):
        Trust.of(Settings.model_validate({"agent": {**token, "listen": "0.0.0.0"}}))
    held = trusted(Settings.model_validate({"agent": token}))
    assert held.token not in repr(held)
    assert Trust.of(Settings()) is None
    credentials = certified(tmp_path, "node1", role="agent")
    Path(credentials["key"]).chmod(0o644)
    with pytest.raises(NoTrust, match="chmod 600"):
        Trust.of(Settings.model_validate({"agent": credentials}))


def trusted(settings: Settings) -> Trust:
    trust = Trust.of(settings)
    assert trust is not None
    return trust
