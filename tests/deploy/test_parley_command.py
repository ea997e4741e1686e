"""`deploy/parley-command` gives a command what the systemd unit gives the bot."""

import json
import os
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.deploy.systemd_unit import UNIT, read_unit
from tests.deploy.test_deploy import DEPLOY

pytestmark = pytest.mark.slow

OPTIONS = ("DynamicUser", "Environment", "LoadCredential", "StateDirectory", "UMask")
"""Of the unit, which the command needs, too."""
OUTPUT = "arguments.json"
RECORDER = """#!/bin/sh
python3 -c 'import json, sys; json.dump(sys.argv[1:], open("{output}", "w"))' "$@"
"""


def run_command(folder: Path, systemctl: str) -> "subprocess.CompletedProcess[str]":
    """Run `parley-command allow "two words"`. `systemctl` is a shell command that prints the unit."""
    programs = {"systemctl": f"#!/bin/sh\n{systemctl}\n", "systemd-run": RECORDER.format(output=folder / OUTPUT)}
    for name, script in programs.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    command = ["sh", str(DEPLOY / "parley-command"), "allow", "two words"]
    return subprocess.run(command, check=False, env=environment, timeout=60, capture_output=True, text=True)


def started(folder: Path) -> list[str]:
    """The arguments of systemd-run."""
    arguments: list[str] = json.loads((folder / OUTPUT).read_text())
    return arguments


def test_command_runs_as_the_service_with_its_settings_and_secrets(tmp_path: Path) -> None:
    run_command(tmp_path, f'exec cat "{UNIT}"').check_returncode()
    recorded = started(tmp_path)
    (unit,) = (argument.removeprefix("--unit=") for argument in recorded if argument.startswith("--unit="))
    properties = [value for flag, value in pairwise(recorded) if flag == "-p"]
    folder = f"/run/credentials/{unit}.service"
    expected = [f"{name}={value}".replace("%d", folder) for name in OPTIONS for value in read_unit()[name]]
    assert sorted(properties) == sorted([*expected, f"User={UNIT.stem}"]), "else the folder would change its owner"
    in_order = [option for option in properties if option.startswith("Environment=")]
    assert in_order == [option for option in expected if option.startswith("Environment=")]
    assert recorded[recorded.index(read_unit()["ExecStart"][0].split()[0]) :][1:] == ["allow", "two words"]


def test_command_has_the_settings_and_secrets_of_a_drop_in(tmp_path: Path) -> None:
    drop_in = tmp_path / "override.conf"
    drop_in.write_text(
        "[Service]\n"
        "EnvironmentFile=-/etc/parley/environment\n"
        "LoadCredentialEncrypted=api_key:/etc/parley/api_key.cred\n"
        "SetCredential=telegram_token:1:token\n"
        "SetCredentialEncrypted=discord_token: \\\n        d2Vs \\\n        bA==\n"
        "MemoryMax=5G\n"
    )
    run_command(tmp_path, f'exec cat "{drop_in}"').check_returncode()
    properties = [value for flag, value in pairwise(started(tmp_path)) if flag == "-p"]
    assert [" ".join(value.split()) for value in properties if not value.startswith("User=")] == [
        "EnvironmentFile=-/etc/parley/environment",
        "LoadCredentialEncrypted=api_key:/etc/parley/api_key.cred",
        "SetCredential=telegram_token:1:token",
        "SetCredentialEncrypted=discord_token: d2Vs bA==",
    ]


def test_command_does_not_run_without_the_settings_of_the_service(tmp_path: Path) -> None:
    assert run_command(tmp_path, "exit 1").returncode == 1
    assert not (tmp_path / OUTPUT).exists()
