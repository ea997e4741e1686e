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
RECORDER = """#!/bin/sh
python3 -c 'import json, sys; json.dump(sys.argv[1:], open("{output}", "w"))' "$@"
"""


@pytest.fixture
def recorded(tmp_path: Path) -> list[str]:
    """What `parley-command allow "two words"` starts with systemd-run."""
    output = tmp_path / "arguments.json"
    programs = {"systemctl": f'#!/bin/sh\nexec cat "{UNIT}"\n', "systemd-run": RECORDER.format(output=output)}
    for name, script in programs.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["sh", str(DEPLOY / "parley-command"), "allow", "two words"]
    subprocess.run(command, check=True, env=environment, timeout=60)
    arguments: list[str] = json.loads(output.read_text())
    return arguments


def test_command_runs_as_the_service_with_its_settings_and_secrets(recorded: list[str]) -> None:
    (unit,) = (argument.removeprefix("--unit=") for argument in recorded if argument.startswith("--unit="))
    properties = [value for flag, value in pairwise(recorded) if flag == "-p"]
    folder = f"/run/credentials/{unit}.service"
    expected = [f"{name}={value}".replace("%d", folder) for name in OPTIONS for value in read_unit()[name]]
    assert sorted(properties) == sorted([*expected, f"User={UNIT.stem}"]), "else the folder would change its owner"
    in_order = [option for option in properties if option.startswith("Environment=")]
    assert in_order == [option for option in expected if option.startswith("Environment=")]
    assert recorded[recorded.index(read_unit()["ExecStart"][0].split()[0]) :][1:] == ["allow", "two words"]
