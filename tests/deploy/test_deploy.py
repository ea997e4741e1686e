"""The deployment files work: every setting they name exists, and the hardening options are in place."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from bots.adapters import SETTINGS_SECTIONS
from core.settings import load_settings, setting_variables

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


VARIABLES = setting_variables(SETTINGS_SECTIONS)


def test_example_settings_load() -> None:
    settings = load_settings(SETTINGS_SECTIONS, ROOT / "parley.example.toml")
    assert settings.core.access == "pairing"
    assert settings.core.turns_at_once == 200


@pytest.mark.slow
def test_systemd_unit_is_valid() -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed")
    text = (DEPLOY / "parley.service").read_text().replace("/opt/parley/bin/parley", "/bin/true")
    unit = ROOT / "build" / "parley-test.service"
    unit.parent.mkdir(exist_ok=True)
    unit.write_text(text)
    done = subprocess.run([verify, "verify", str(unit)], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_systemd_unit_variables_and_restart_policy() -> None:
    text = (DEPLOY / "parley.service").read_text()
    assert set(re.findall(r"^Environment=(\w+)=", text, re.MULTILINE)) <= VARIABLES
    assert "RestartPreventExitStatus=78" in text
    assert "DynamicUser=yes" in text


def test_compose_file_is_hardened_and_complete() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    service = compose["services"]["parley"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service["environment"]) <= VARIABLES
    assert set(service["secrets"]) == set(compose["secrets"])
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()


def test_image_copies_existing_files_and_is_unprivileged() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    copied = [
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    ]
    assert copied
    assert all((ROOT / name).exists() for name in copied)
    assert any(line.startswith("USER parley") for line in lines)
    assert sum(line.startswith("FROM ") for line in lines) == 2
