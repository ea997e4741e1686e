"""What `parley doctor` finds out from Discord."""

from typing import Any, cast

import pytest
from pydantic import SecretStr

from bots.discord.diagnosis import _check_intents, _check_interactions, _check_servers, _check_sessions
from bots.discord.gateway_supervisor import RESERVED_SESSIONS
from bots.discord.http_client import Json
from bots.discord.settings import DiscordSettings
from bots.discord.spec import DISCORD
from core.diagnosis.finding import Finding, Severity
from core.store.database import Store
from tests.bots.discord.conftest import AdapterHarness

NO_STORE = cast("Store", None)


def settings_for(harness: AdapterHarness, **values: Any) -> DiscordSettings:
    fields: dict[str, Any] = {"token": SecretStr(harness.discord.token), "api_base": harness.discord.api_base}
    return DiscordSettings(**fields | values)


async def diagnose(settings: DiscordSettings) -> list[Finding]:
    assert DISCORD.diagnose is not None
    return list(await DISCORD.diagnose(settings, NO_STORE))


def severities(findings: list[Finding]) -> dict[str, Severity]:
    return {finding.check: finding.severity for finding in findings}


async def test_healthy_bot_is_named_and_fine(harness: AdapterHarness) -> None:
    findings = await diagnose(settings_for(harness))
    checks = ("token", "intents", "interactions", "servers", "sessions")
    assert severities(findings) == {f"discord.{check}": Severity.OK for check in checks}
    assert harness.account in findings[0].text


async def test_bot_without_discord_has_nothing_to_check() -> None:
    assert await diagnose(DiscordSettings(token=None)) == []


async def test_wrong_token_is_the_only_finding(harness: AdapterHarness) -> None:
    settings = settings_for(harness, token=SecretStr(f"{harness.discord.token}x"))
    (finding,) = await diagnose(settings)
    assert (finding.check, finding.severity) == ("discord.token", Severity.ERROR)
    assert finding.text.endswith(".")
    assert finding.advice


async def test_discord_out_of_reach_is_no_wrong_token(harness: AdapterHarness) -> None:
    settings = settings_for(harness, api_base="http://127.0.0.1:1/api/v10")
    (finding,) = await diagnose(settings)
    assert (finding.check, finding.severity) == ("discord.token", Severity.UNAVAILABLE)
    assert "127.0.0.1:1" in finding.text


@pytest.mark.parametrize(
    ("is_needed", "flags", "severity"),
    [
        (False, 0, Severity.OK),
        (True, 0, Severity.ERROR),
        (True, None, Severity.ERROR),
        (True, 1 << 17, Severity.ERROR),
        (True, 1 << 18, Severity.OK),
        (True, 1 << 19, Severity.OK),
    ],
)
def test_intent_is_needed_only_if_the_bot_asks_for_it(is_needed: bool, flags: int | None, severity: Severity) -> None:
    finding = _check_intents(DiscordSettings(message_content=is_needed), {"flags": flags})
    assert finding.severity is severity


def test_endpoint_that_takes_the_interactions_is_an_error() -> None:
    assert _check_interactions({"interactions_endpoint_url": None}).severity is Severity.OK
    finding = _check_interactions({"interactions_endpoint_url": "https://bot.example/hook"})
    assert finding.severity is Severity.ERROR
    assert "bot.example" in finding.text


@pytest.mark.parametrize(("count", "severity"), [(0, Severity.WARNING), (1, Severity.OK), (None, Severity.OK)])
def test_bot_on_no_server_is_invited(count: int | None, severity: Severity) -> None:
    finding = _check_servers({"id": "77", "approximate_guild_count": count})
    assert finding.severity is severity
    assert ("client_id=77" in finding.advice) == (severity is Severity.WARNING)


@pytest.mark.parametrize(
    ("remaining", "severity"), [(RESERVED_SESSIONS, Severity.WARNING), (RESERVED_SESSIONS + 1, Severity.OK)]
)
def test_sessions_that_run_out_are_a_warning(remaining: int, severity: Severity) -> None:
    gateway: Json = {"session_start_limit": {"remaining": remaining, "total": 1000}}
    finding = _check_sessions(gateway)
    assert finding.severity is severity
    assert str(remaining) in finding.text
