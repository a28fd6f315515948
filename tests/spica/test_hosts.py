"""A night on several hosts: who runs what where, and how workers beyond this host are known."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from spica.cli.application import app
from spica.demo import Night, OtherHosts, hosts_of, prepare
from spica.pipeline.access import Access, NoAccess
from spica.supervisor import NoScheduler, Role, daemons_of
from terapix.sections import Settings
from tests.support.agents import certified, shared_token


def test_a_night_on_three_hosts_has_three_agents_and_two_outposts(tmp_path: Path) -> None:
    night = Night(tmp_path / "demo", 2, 4, hosts=3)
    loaded = prepare(night)
    assert [node.address.rpartition(":")[0] for node in loaded.settings.nodes] == [
        f"http://127.0.0.{number}" for number in (1, 2, 3)
    ]
    assert loaded.settings.nodes[0].address == loaded.settings.agent.own
    assert "datatransfer-node" in daemons_of(loaded.settings)
    others = hosts_of(night, loaded)
    assert [sorted(other.daemons) for other in others] == [
        ["datatransfer-node", "worker-node2"],
        ["datatransfer-node", "worker-node3"],
    ]
    assert [node.address for node in prepare(night).settings.nodes] != []
    with pytest.raises(OtherHosts, match="holds a demo on 3 hosts"):
        prepare(Night(tmp_path / "demo", 2, 4, hosts=2))


def test_a_host_without_agents_runs_what_it_always_ran() -> None:
    assert sorted(daemons_of(Settings())) == ["datatransfer", "snooppix", "spica"]
    with pytest.raises(NoScheduler):
        daemons_of(Settings(), Role.NODE)


def test_a_host_of_nodes_says_when_it_knows_no_scheduler(tmp_path: Path) -> None:
    file = tmp_path / "terapix.toml"
    file.write_text(f'[paths]\ndirectory = "{tmp_path}"\n')
    done = CliRunner().invoke(app, ["up", "--role", "node", "-c", str(file)])
    assert done.exit_code == 1
    assert "spica.scheduler names no scheduler" in " ".join(done.stderr.split())


def test_workers_are_known_by_certificate_beyond_this_host_and_by_a_key_on_it(tmp_path: Path) -> None:
    alone = Access.of(Settings())
    assert alone.key != Access.of(Settings()).key
    assert Access.read(alone.written) == alone
    token = Settings.model_validate({"agent": shared_token(tmp_path)})
    assert Access.of(token) == Access.of(token)
    open_to_all = {"scheduler_host": "0.0.0.0"}
    with pytest.raises(NoAccess, match="need certificates"):
        Access.of(Settings.model_validate({"spica": open_to_all}))
    certificate = certified(tmp_path, "chief", role="coordinator")
    access = Access.of(Settings.model_validate({"agent": certificate, "spica": open_to_all}))
    assert access.scheme == "tls"
    assert access.dask["distributed.comm.require-encryption"] is True
