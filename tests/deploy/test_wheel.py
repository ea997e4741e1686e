"""A wheel of the project contains everything, and runs where pip, pipx and `uv tool` install it."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from tests.core.store.test_database import PREVIOUS_VERSION
from tests.deploy.tools import ROOT, run_tool
from tests.end_to_end.harness import running_harness
from tests.end_to_end.private_chat import PrivateChat
from tests.sqlite import sqlite_url

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PACKAGES = ("bots", "core")
CONSTRAINTS = ROOT / "constraints.txt"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing of an earlier build is in it."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run_tool("uv", "build", "--quiet", "--wheel", "--out-dir", output, source)
    (built,) = output.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The environment into which `uv tool` installed the wheel with all that it requires and nothing else."""
    folder = tmp_path_factory.mktemp("uv")
    environment = {"UV_TOOL_DIR": str(folder), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    run_tool("uv", "tool", "install", "--quiet", "--constraints", CONSTRAINTS, wheel, **environment)
    yield folder / "parley"
    shutil.rmtree(folder)


def check_commands(parley: Path, folder: Path) -> None:
    """`parley` runs outside the project, from its own environment."""

    def output(*arguments: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TELEGRAM_BOT_TOKEN": "1:token"}
        done = subprocess.run(
            [parley, *arguments], check=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=100
        )
        return done.stdout

    assert output("--version") == "parley 0.1.0\n"
    assert "TELEGRAM_BOT_TOKEN" in output("config", "show")


async def check_answer(parley: Path, folder: Path) -> None:
    """`parley run` answers a question on each platform, and ends when it is told to."""
    async with running_harness(folder) as harness:
        process = await asyncio.create_subprocess_exec(
            parley, "run", cwd=folder, env={"PATH": os.environ["PATH"], "HOME": str(folder), **harness.environment()}
        )
        try:
            await harness.discord.wait_until_ready(60)  # it sends nothing to a bot that is not connected
            for platform in ("telegram", "discord"):
                await PrivateChat(harness, platform).ask("repeat: it works", "it works", 60)
        finally:
            process.terminate()
            status = await asyncio.wait_for(process.wait(), 60)
    assert status == 0


def test_wheel_contains_every_file(wheel: Path) -> None:
    """Catalogues, migrations, prompts and pages too, and nothing from outside the packages."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sorted(files - names) == []
    assert sorted(names - files) == []


def test_uv_tool_installs_the_wheel(installed: Path, tmp_path: Path) -> None:
    check_commands(installed.parent / "bin" / "parley", tmp_path)


def test_pipx_installs_the_wheel(wheel: Path, tmp_path: Path) -> None:
    environment = {f"PIPX_{name}": str(tmp_path / name) for name in ("HOME", "BIN_DIR", "MAN_DIR")}
    arguments = ("install", "--quiet", f"--pip-args=--constraint {CONSTRAINTS}", wheel)
    run_tool("pipx", *arguments, PIPX_DEFAULT_BACKEND="uv", **environment)
    check_commands(tmp_path / "BIN_DIR" / "parley", tmp_path)


@pytest.mark.skipif(not os.environ.get("PARLEY_REQUIRE_TOOLS"), reason="takes minutes: .ci/run runs it")
async def test_newest_versions_that_pip_finds_work(wheel: Path, tmp_path: Path) -> None:
    """As `pip install` and `pipx install` do it for most people: without constraints, by pip's own resolver."""
    environment = {f"PIPX_{name}": str(tmp_path / name) for name in ("HOME", "BIN_DIR", "MAN_DIR")}
    run_tool("pipx", "install", "--quiet", wheel, PIPX_DEFAULT_BACKEND="pip", **environment)
    parley = tmp_path / "BIN_DIR" / "parley"
    check_commands(parley, tmp_path)
    await check_answer(parley, tmp_path)


def test_pip_installs_the_wheel(wheel: Path, installed: Path, tmp_path: Path) -> None:
    """What it requires comes from uv, for which pip would need a minute; pip finds it complete."""
    pip = (sys.executable, "-m", "pip", "--python", installed / "bin" / "python")
    install = ("install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", wheel)
    for command in (install, ("check",)):
        subprocess.run([*pip, *command], check=True, timeout=100)
    check_commands(installed / "bin" / "parley", tmp_path)


async def test_installed_program_answers(installed: Path, tmp_path: Path) -> None:
    await check_answer(installed.parent / "bin" / "parley", tmp_path)


async def test_installed_program_migrates_a_database(installed: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "parley.sqlite3") as database:
        database.executescript(PREVIOUS_VERSION.read_text())
    model = ModelStandIn()
    await model.start()
    process = await asyncio.create_subprocess_exec(
        installed.parent / "bin" / "parley",
        "models",
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": sqlite_url(tmp_path), **model.environment()},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 100)
    await model.close()
    assert process.returncode == 0
    assert "Llama-3.3-70B-Instruct" in output.decode()
    assert list(tmp_path.glob("parley.sqlite3.*.backup")), "the database before the migration"
