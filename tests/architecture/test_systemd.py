"""The units are what systemd accepts, lock the daemons in, and agree with the code."""

import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from configparser import RawConfigParser
from pathlib import Path

import pytest

from terapix.daemon import BAD_SETTINGS, SILENCE
from terapix.sections import Settings
from terapix.settings import SYSTEM_FILE

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
SERVICES = ("snooppix", "snooppix-publish", "datatransfer", "datatransfer-node", "spica")
SCRIPTS = {"snooppix-publish": "snooppix publish"}
"""What a unit runs, where that is no script of its own name."""
EXPOSURE = {"snooppix": 1.5, "snooppix-publish": 1.5, "datatransfer": 1.5, "datatransfer-node": 2.0, "spica": 2.0}
"""What `systemd-analyze security` may find at most; numba needs memory that it may write and run."""

Program = Callable[[str, str], str]


def service(name: str) -> dict[str, str]:
    """Give the [Service] part of a unit; of a key that stands several times, the last."""
    unit = RawConfigParser(strict=False, interpolation=None, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNITS / f"{name}.service")
    return dict(unit["Service"])


def test_systemd_accepts_every_unit_without_a_word(program: Program, tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "systemd")
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.target")):
        runnable = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(runnable)
    checked = subprocess.run(
        [analyze, "verify", "--man=no", *sorted(map(str, tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    ours = [line for line in checked.stderr.splitlines() if any(f"{unit}." in line for unit in (*SERVICES, "terapix"))]
    assert (checked.returncode, ours) == (0, [])


@pytest.mark.parametrize("name", SERVICES)
def test_little_is_left_that_a_daemon_could_harm(program: Program, name: str) -> None:
    analyze = program("systemd-analyze", "systemd")
    told = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(UNITS / f"{name}.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"exposure level for \S+: ([\d.]+)", told.stdout)
    assert found, told.stdout + told.stderr
    assert float(found[1]) <= EXPOSURE[name], told.stdout
    assert told.stderr == ""


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_agrees_with_the_daemon_it_runs(name: str) -> None:
    unit = service(name)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    script = SCRIPTS.get(name, name)
    assert unit["ExecStart"] == f"/usr/lib/terapix/bin/{script} -c {SYSTEM_FILE}"
    assert script.split()[0] in scripts
    assert unit["Type"] == "notify"
    assert float(unit["WatchdogSec"]) == SILENCE
    assert int(unit["RestartPreventExitStatus"]) == BAD_SETTINGS
    assert (unit["Restart"], unit["ExecReload"]) == ("on-failure", "kill -HUP $MAINPID")


def test_the_tokens_reach_snooppix_and_its_publisher_alone() -> None:
    name, _, path = service("snooppix")["LoadCredential"].partition(":")
    assert f"TERAPIX_ARCHIVE__CREDENTIAL=%d/{name}" == service("snooppix")["Environment"]
    assert "credential" in type(Settings().archive).model_fields
    assert path.startswith(f"{SYSTEM_FILE.parent}/")
    assert [other for other in SERVICES[2:] if "LoadCredential" in service(other)] == []
    publisher = (UNITS / "snooppix-publish.service").read_text()
    assert "LoadCredential=followers:/etc/terapix/followers" in publisher
    assert "Environment=TERAPIX_PUBLISHER__FOLLOWERS=%d/followers" in publisher
    assert "followers" in type(Settings().publisher).model_fields


def test_the_target_wants_the_daemons_of_one_host_and_they_stop_with_it() -> None:
    wanted = re.search(r"^Wants=(.*)$", (UNITS / "terapix.target").read_text(), re.MULTILINE)
    assert wanted
    assert set(wanted[1].split()) == {"snooppix.service", "datatransfer.service", "spica.service"}
    for name in SERVICES:
        assert "PartOf=terapix.target" in (UNITS / f"{name}.service").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give directories to another user")
def test_user_and_directories_are_made(program: Program, tmp_path: Path) -> None:
    sysusers, tmpfiles = program("systemd-sysusers", "systemd"), program("systemd-tmpfiles", "systemd")
    for part, kind in (("sysusers", "sysusers.d"), ("tmpfiles", "tmpfiles.d")):
        place = tmp_path / "usr" / "lib" / kind
        place.mkdir(parents=True)
        (place / "terapix.conf").write_text((UNITS / f"terapix.{part}").read_text())
    for name in ("etc", "var", "srv"):
        (tmp_path / name).mkdir()
    subprocess.run([sysusers, f"--root={tmp_path}"], check=True, capture_output=True)
    subprocess.run([tmpfiles, "--create", f"--root={tmp_path}"], check=True, capture_output=True)
    user = re.search(r"^terapix:x:(\d+):(\d+)", (tmp_path / "etc" / "passwd").read_text(), re.MULTILINE)
    assert user
    for path in ("var/lib/terapix", "var/cache/terapix", "srv/terapix"):
        held = (tmp_path / path).stat()
        assert (held.st_mode & 0o777, held.st_uid, held.st_gid) == (0o750, int(user[1]), int(user[2]))
