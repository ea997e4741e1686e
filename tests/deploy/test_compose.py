"""The compose files are valid and hardened, and the settings they name exist."""

import asyncio
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any, cast

import pytest
import typer
import yaml
from compose_spec import PyCompose

from bots.adapters import SETTINGS_SECTIONS
from bots.cli import main as cli
from bots.monitoring_server import serving_monitoring
from core.health import Health
from core.settings import setting_variables
from core.timings import Timings
from tests.bots.test_service_notifier import SwitchedHealth
from tests.deploy.test_deploy import BOT_MEMORY_BYTES, DEPLOY, FILE_READER_BYTES, ROOT, bytes_of
from tests.deploy.tools import run_tool

ONE, MANY, MONITORING = "compose.yaml", "compose.many.yaml", "compose.monitoring.yaml"


def read(name: str) -> dict[str, Any]:
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return compose


def bot_service(name: str) -> dict[str, Any]:
    service: dict[str, Any] = read(name)["services"]["parley"]
    return service


@pytest.mark.parametrize("name", [ONE, MANY])
def test_compose_file_is_valid(name: str) -> None:
    PyCompose.from_yaml((DEPLOY / name).read_text()).validate()


@pytest.mark.parametrize("name", [ONE, MANY])
def test_container_survives_reboot_and_waits_after_configuration_error(name: str) -> None:
    """`on-failure` does not come back after a reboot; `unless-stopped` restarts whatever the exit status."""
    service = bot_service(name)
    assert service["restart"] == "unless-stopped"
    run = typer.main.get_command(cli.app).commands["run"]  # type: ignore[attr-defined]
    command, *options = service["command"]
    assert command == "run"
    assert options == ["--wait-after-configuration-error"]
    assert set(options) <= {name for parameter in run.params for name in parameter.opts}


@pytest.mark.parametrize("name", [ONE, MANY])
def test_every_service_is_hardened(name: str) -> None:
    for service in read(name)["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"] <= 256
        assert "mem_limit" in service
    assert "cap_add" not in bot_service(name)


@pytest.mark.parametrize("name", [ONE, MANY])
def test_bot_service_is_complete(name: str) -> None:
    compose, service = read(name), bot_service(name)
    assert int(service["stop_grace_period"].removesuffix("s")) > Timings().exit_deadline + 5
    assert set(service["environment"]) <= setting_variables(SETTINGS_SECTIONS)
    used = {secret for item in compose["services"].values() for secret in item.get("secrets", [])}
    assert used == set(compose["secrets"])
    files = [value for value in service["environment"].values() if value.startswith("/run/secrets/")]
    assert {f"/run/secrets/{secret}" for secret in service["secrets"]} == set(files)
    assert bytes_of(service["mem_limit"]) >= FILE_READER_BYTES + BOT_MEMORY_BYTES
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()


HEALTH_CHECK = [
    "python",
    "-c",
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/healthz', timeout=5)",
]


@pytest.mark.parametrize("name", [ONE, MANY])
def test_health_check_is_that_of_the_image(name: str) -> None:
    image = (DEPLOY / "Containerfile").read_text()
    assert bot_service(name)["healthcheck"]["test"] == ["CMD", *HEALTH_CHECK]
    assert f"CMD {json.dumps(HEALTH_CHECK)}\n" in image
    assert "PARLEY_MONITORING_LISTEN=9464\n" in image


@pytest.mark.slow
async def test_health_check_finds_out_whether_the_bot_is_alive(unused_tcp_port: int) -> None:
    async def check() -> int:
        command = [argument.replace(":9464/", f":{unused_tcp_port}/") for argument in HEALTH_CHECK[1:]]
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stderr=asyncio.subprocess.DEVNULL)
        return await asyncio.wait_for(process.wait(), 60)

    async def no_metrics() -> bytes:
        return b""

    health = SwitchedHealth()
    assert await check() != 0, "nothing listens"
    address = f"127.0.0.1:{unused_tcp_port}"
    async with serving_monitoring(address, cast("Health", health), render_metrics=no_metrics):
        assert await check() == 0
        health.liveness = ["the event loop was blocked for 31 s"]
        assert await check() != 0


def test_monitoring_is_open_to_a_network_of_its_own() -> None:
    """The health check, which asks at 127.0.0.1, has the same port. The bot still reaches the internet."""
    PyCompose.from_yaml((DEPLOY / MONITORING).read_text()).validate()
    service = bot_service(MONITORING)
    (address,) = service["environment"].values()
    assert set(service["environment"]) <= setting_variables(SETTINGS_SECTIONS)
    assert address == "0.0.0.0:9464"
    assert f":{address.rpartition(':')[2]}/" in HEALTH_CHECK[-1]
    networks = read(MONITORING)["networks"]
    assert set(service["networks"]) == set(networks) == {"default", "monitoring"}
    comment = textwrap.dedent((DEPLOY / MONITORING).read_text().partition("scrape_configs:")[2].replace("#", " "))
    (job,) = yaml.safe_load(comment.partition("\nservices:")[0])
    assert job["dns_sd_configs"] == [{"names": ["parley"], "type": "A", "port": 9464}]
    assert f"network {networks['monitoring']['name']} " in (DEPLOY / MONITORING).read_text()


def test_one_process_has_its_database_on_a_volume() -> None:
    assert bot_service(ONE)["volumes"] == ["data:/data"]
    assert "data" in read(ONE)["volumes"]


def test_many_processes_share_a_database_that_nobody_else_reaches() -> None:
    compose, service = read(MANY), bot_service(MANY)
    assert service["deploy"]["replicas"] > 1
    assert "volumes" not in service
    assert service["environment"]["DATABASE_URL"] == "", "it would override the file"
    assert compose["networks"]["database"] == {"internal": True}
    assert compose["services"]["postgres"]["networks"] == ["database"]
    assert service["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert [name for name, item in compose["services"].items() if "ports" in item] == ["proxy"]


def test_proxy_forwards_only_the_webhook_to_the_processes() -> None:
    caddyfile = (DEPLOY / "Caddyfile").read_text()
    environment = bot_service(MANY)["environment"]
    _, _, port = environment["TELEGRAM_WEBHOOK_LISTEN"].rpartition(":")
    assert f"dynamic a parley {port} {{" in caddyfile
    path = re.fullmatch(r"https://\$\{PARLEY_HOST:\?.*\}(/\w+)", environment["TELEGRAM_WEBHOOK_URL"])
    assert path
    assert re.findall(r"^\thandle (.*) \{$", caddyfile, re.MULTILINE) == [path[1]]
    assert "\n\trespond 404\n" in caddyfile
    assert caddyfile.count("reverse_proxy") == 1


@pytest.mark.slow
def test_proxy_accepts_its_configuration() -> None:
    arguments = ("--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile")
    run_tool("caddy", "validate", *arguments, PARLEY_HOST="bot.example.org")


def test_secrets_stay_out_of_the_repository_and_the_image() -> None:
    files = {
        Path("deploy", secret["file"]).as_posix() for name in (ONE, MANY) for secret in read(name)["secrets"].values()
    }
    assert files <= set((ROOT / ".gitignore").read_text().splitlines())
    first, *kept = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert first == "*"
    assert not any("deploy" in line for line in kept)
