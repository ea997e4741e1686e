"""The commands and variables of the containers and of the unit start the real program, beside stand-ins on loopback."""

import asyncio
import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.deploy import test_compose, test_kubernetes
from tests.deploy.systemd_unit import read_unit
from tests.deploy.test_deploy import DEPLOY
from tests.end_to_end.harness import READY_SECONDS, Harness, running_harness
from tests.ports import free_port
from tests.postgresql import empty_postgresql_url
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

HOST = "bot.example.org"
"""The public name that operators put into the manifests, and into the variable of the compose file."""
EXIT_SECONDS = 25
"""`stop_grace_period` of the compose files, and `TimeoutStopSec` of the unit."""


@dataclass(frozen=True, slots=True)
class Command:
    arguments: list[str]
    environment: dict[str, str]


def image_environment() -> dict[str, str]:
    """The variables that the image sets, but for the path of its programs."""
    (line,) = (line for line in (DEPLOY / "Containerfile").read_text().splitlines() if line.startswith("ENV "))
    variables = dict(word.split("=", 1) for word in shlex.split(line)[1:])
    del variables["PATH"]
    return variables


def compose_command(name: str) -> Command:
    service = test_compose.bot_service(name)
    return Command(service["command"], image_environment() | service["environment"])


def kubernetes_command(overlay: str) -> Command:
    arguments = test_kubernetes.container(overlay)["args"]
    return Command(arguments, image_environment() | test_kubernetes.environment(overlay))


def unit_command() -> Command:
    unit = read_unit()
    _, *arguments = shlex.split(unit["ExecStart"][0])
    return Command(arguments, dict(value.split("=", 1) for value in unit["Environment"]))


def adapt(environment: dict[str, str], harness: Harness, folder: Path) -> dict[str, str]:
    """The variables with files and secrets of this test, ports of this machine, and the stand-ins' addresses."""
    stand_ins = harness.environment()
    secrets = {
        "IOINTELLIGENCE_API_KEY": harness.model.api_key,
        "TELEGRAM_BOT_TOKEN": harness.telegram.token,
        "DISCORD_BOT_TOKEN": harness.discord.token,
        "DATABASE_URL": empty_postgresql_url() if "DATABASE_URL_FILE" in environment or is_server(environment) else "",
    }
    adapted = {name: stand_ins[name] for name in stand_ins if name.endswith(("_BASE", "_BASE_URL", "_GATEWAY_URL"))}
    for name, value in environment.items():
        variable = name.removesuffix("_FILE")
        if variable != name:
            file = folder / Path(value).name
            file.write_text(secrets[variable])
            adapted[name] = str(file)
        elif name == "PARLEY_CONFIG":
            adapted[name] = str(folder / "parley.toml")
            (folder / "parley.toml").touch()
        elif name.endswith("_LISTEN"):
            adapted[name] = f"127.0.0.1:{free_port()}"
        elif name == "SQLITE_TMPDIR":
            adapted[name] = str(folder)
        elif value.startswith("sqlite:"):
            adapted[name] = f"sqlite:///{folder / Path(value).name}"
        else:
            adapted[name] = re.sub(r"\$\{PARLEY_HOST:.*?\}", HOST, secrets.get(name, value) if value else "")
    adapted.setdefault("PARLEY_MONITORING_LISTEN", f"127.0.0.1:{free_port()}")
    return adapted


def is_server(environment: dict[str, str]) -> bool:
    return environment["DATABASE_URL"].startswith("postgresql:")


async def is_ready(address: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


@pytest.mark.parametrize(
    ("read_command", "name"),
    [
        *((compose_command, name) for name in (test_compose.ONE, test_compose.MANY)),
        *((kubernetes_command, overlay) for overlay in test_kubernetes.OVERLAYS),
        (lambda _: unit_command(), "parley.service"),
    ],
    ids=["compose", "compose of many", "one pod", "shards", "webhook", "systemd"],
)
async def test_command_serves_until_it_is_stopped(
    tmp_path: Path, read_command: Callable[[str], Command], name: str
) -> None:
    command, folder = read_command(name), tmp_path / "data"
    folder.mkdir()
    async with running_harness(tmp_path) as harness:
        environment = adapt(command.environment, harness, folder)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bots.cli", *command.arguments),
            env={**os.environ, "PYTHONPATH": str(DEPLOY.parent), **environment},
            cwd=folder,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await wait_until(lambda: is_ready(environment["PARLEY_MONITORING_LISTEN"]), READY_SECONDS)
            await harness.discord.wait_until_ready(READY_SECONDS)
            await harness.telegram.wait_for(harness.poll_count, READY_SECONDS)
            process.terminate()
            _, output = await asyncio.wait_for(process.communicate(), EXIT_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        assert process.returncode == 0, output.decode()
        assert b"send it /start" in output, "the log shows the pairing code"
        webhooks = {call.params["url"] for call in harness.telegram.calls_to("setWebhook")}
        assert webhooks == ({f"https://{HOST}/telegram"} if "TELEGRAM_WEBHOOK_URL" in environment else set())
        has_file = (folder / "parley.sqlite3").exists()
        assert has_file == command.environment["DATABASE_URL"].startswith("sqlite:")
