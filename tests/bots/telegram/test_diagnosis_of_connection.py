"""What the check of Telegram reports about the token and the webhook, with what the operator can do."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from telegram import Bot

from bots.sandbox.telegram import TelegramStandIn
from bots.telegram.diagnosis import diagnose_telegram
from bots.telegram.settings import TelegramSettings
from core.diagnosis.finding import Finding, Severity
from core.store.database import Store
from tests.ports import free_port

REGISTERED, OTHER = "http://127.0.0.1:9/telegram", "http://127.0.0.1:8/telegram"


async def diagnose(folder: Path, bot_api: TelegramStandIn, **values: str) -> dict[str, Finding]:
    """The findings by check."""
    settings = {"token": SecretStr(bot_api.token), "api_base": bot_api.api_base, **values}
    store = Store(f"sqlite:///{folder}/parley.sqlite3")
    try:
        findings = await diagnose_telegram(TelegramSettings(**settings), store)  # type: ignore[arg-type]
    finally:
        await store.close()
    return {finding.check: finding for finding in findings}


async def test_bot_is_named(tmp_path: Path, bot_api: TelegramStandIn) -> None:
    bot_api.supports_inline, bot_api.supports_guests = True, False
    findings = await diagnose(tmp_path, bot_api)
    text = f"The bot is @{bot_api.bot.username} ({bot_api.bot.id})."
    assert findings["telegram.token"] == Finding("telegram.token", Severity.OK, text)
    assert findings["telegram.webhook"].text == "The bot polls; 0 updates wait."
    assert findings["telegram.other_chats"].text == (
        "Inline queries (/setinline) are on, guest mode is off; `parley run` learns it when it starts."
    )


async def test_refused_token_is_an_error(tmp_path: Path, bot_api: TelegramStandIn) -> None:
    (finding,) = (await diagnose(tmp_path, bot_api, token="12345:hunter2")).values()
    assert (finding.check, finding.severity) == ("telegram.token", Severity.ERROR)
    assert finding.text == "Telegram does not accept the bot's token."
    assert "@BotFather" in finding.advice


async def test_dead_api_may_come_back(tmp_path: Path, bot_api: TelegramStandIn) -> None:
    port = free_port()
    (finding,) = (await diagnose(tmp_path, bot_api, api_base=f"http://127.0.0.1:{port}")).values()
    assert (finding.check, finding.severity) == ("telegram.token", Severity.UNAVAILABLE)
    assert finding.text.endswith(f" (127.0.0.1:{port}).")
    assert bot_api.token not in finding.text
    assert finding.advice == "Check the network, HTTPS_PROXY and TELEGRAM_API_BASE."


@pytest.mark.parametrize(
    ("registered", "configured", "severity", "text"),
    [
        ("", REGISTERED, Severity.OK, "No webhook is registered yet; `parley run` registers it."),
        (REGISTERED, REGISTERED, Severity.OK, "The webhook is registered; 0 updates wait."),
        (REGISTERED, "", Severity.WARNING, "A webhook is registered (127.0.0.1:9), but the bot polls."),
        (REGISTERED, OTHER, Severity.WARNING, "Another webhook is registered (127.0.0.1:9)."),
    ],
)
async def test_webhook(
    tmp_path: Path, bot_api: TelegramStandIn, registered: str, configured: str, severity: Severity, text: str
) -> None:
    if registered:
        async with Bot(bot_api.token, base_url=f"{bot_api.api_base}/bot") as bot:
            await bot.set_webhook(registered)
    finding = (await diagnose(tmp_path, bot_api, webhook_url=configured))["telegram.webhook"]
    assert (finding.severity, finding.text) == (severity, text)
    assert bool(finding.advice) == (severity is Severity.WARNING)
