"""The systemd unit and the image work: every setting they name exists, and the hardening options are in place."""

import re
import tomllib
from pathlib import Path

import pytest

from bots.adapters import SETTINGS_SECTIONS
from core.memory.file_reader import MAX_CONCURRENT_READS
from core.memory.worker import MAX_MEMORY_BYTES
from core.settings import load_settings, setting_variables
from tests.deploy.systemd_unit import read_unit
from tests.deploy.tools import run_tool

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BOT_MEMORY_BYTES = 512 << 20
"""Enough for the bot itself."""
FILE_READER_BYTES = MAX_CONCURRENT_READS * MAX_MEMORY_BYTES

VARIABLES = setting_variables(SETTINGS_SECTIONS)


def test_example_settings_load() -> None:
    settings = load_settings(SETTINGS_SECTIONS, ROOT / "parley.example.toml")
    assert settings.core.access == "pairing"
    assert settings.core.turns_at_once == 200


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is installed."""
    path = tmp_path / "parley-test.service"
    path.write_text((DEPLOY / "parley.service").read_text().replace("/opt/parley/bin/parley", "/bin/true"))
    return path


@pytest.mark.slow
def test_systemd_unit_is_valid(unit: Path) -> None:
    run_tool("systemd-analyze", "verify", unit)


@pytest.mark.slow
def test_systemd_unit_is_confined(unit: Path) -> None:
    """systemd rates the exposure from 0 to 100; a unit without restrictions has 96."""
    run_tool("systemd-analyze", "security", "--offline=true", "--threshold=13", unit)


def test_systemd_unit_variables_and_restart_policy() -> None:
    text = (DEPLOY / "parley.service").read_text()
    assert set(re.findall(r"^Environment=(\w+)=", text, re.MULTILINE)) <= VARIABLES
    assert "RestartPreventExitStatus=78" in text
    assert "DynamicUser=yes" in text


def test_systemd_unit_passes_every_credential_to_a_setting() -> None:
    """Comments enable others, in the same way."""
    text = (DEPLOY / "parley.service").read_text()
    credentials = dict(re.findall(r"^#?LoadCredential=(\w+):(\S+)$", text, re.MULTILINE))
    used = re.findall(r"^#?Environment=\w+_FILE=%d/(\w+)$", text, re.MULTILINE)
    assert credentials == {name: f"/etc/parley/{name}" for name in used}
    assert text.count("%d/") == len(used)
    state = read_unit()["StateDirectory"][0]
    assert f"DATABASE_URL=sqlite:////var/lib/{state}/parley.sqlite3" in read_unit()["Environment"]


def test_memory_limits_leave_room_for_file_readers() -> None:
    needed = FILE_READER_BYTES + BOT_MEMORY_BYTES
    unit = read_unit()
    high, maximum = (bytes_of(unit[name][0]) for name in ("MemoryHigh", "MemoryMax"))
    assert needed <= high < maximum
    assert unit["OOMPolicy"] == ["continue"]


def bytes_of(size: str) -> int:
    number, unit = size.lower().removesuffix("i")[:-1], size.lower().removesuffix("i")[-1]
    return int(number) << {"m": 20, "g": 30}[unit]


def test_image_copies_existing_files_and_is_unprivileged() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    copied = [
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    ]
    assert copied
    assert all((ROOT / name).exists() for name in copied)
    assert any(line.startswith("USER 10001") for line in lines)
    assert sum(line.startswith("FROM ") for line in lines) == 2


def test_image_contains_every_optional_package() -> None:
    """Whoever sets `PARLEY_TRACES_URL` in a container cannot install anything into it."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f'-c constraints.txt ".[{",".join(sorted(extras))}]"\n' in (DEPLOY / "Containerfile").read_text()


def test_temporary_files_of_the_database_are_on_its_volume() -> None:
    """To rewrite its file, SQLite needs a second copy, and /tmp of the containers is small."""
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    (variables,) = (line.split()[1:] for line in lines if line.startswith("ENV "))
    (folder,) = (line.split()[1] for line in lines if line.startswith("VOLUME "))
    assert f"SQLITE_TMPDIR={folder}" in variables
    assert any(value.startswith(f"DATABASE_URL=sqlite:///{folder}/") for value in variables)


@pytest.mark.slow
def test_image_follows_the_rules_of_hadolint() -> None:
    run_tool("hadolint", "--failure-threshold", "style", DEPLOY / "Containerfile")
