"""`parley doctor` finds each fault that is planted in a healthy setup, and nothing in the healthy one."""

import shutil
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console
from sqlalchemy import Connection, insert

import core
from bots.maintenance.doctor import diagnose, exit_code, print_findings, print_json
from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.refusals import refuse
from bots.sandbox.stand_in import Fault, FaultKind
from bots.sandbox.telegram import TelegramStandIn
from core.clock import SystemClock
from core.conversation.learned_facts import service_name
from core.conversation.ledger import key_id_of
from core.conversation.vault import open_vault
from core.diagnosis.finding import Finding, Severity
from core.errors import ModelError, ModelFailure
from core.settings.model import DEFAULT_MODEL
from core.store.database import Store
from core.store.grants import Role, grant
from core.store.model_pauses import save_pause
from core.store.personal_keys import save_encrypted_key
from core.store.schema import conversations
from core.timings import Timings
from tests.clock import FixedTimeClock
from tests.ports import free_port
from tests.sqlite import sqlite_url

WARNING, ERROR, UNAVAILABLE = Severity.WARNING, Severity.ERROR, Severity.UNAVAILABLE
WEBHOOK_URL = "http://127.0.0.1:9/telegram"


class FastClock(SystemClock):
    """An hour ahead."""

    def time(self) -> float:
        return super().time() + 3600


@dataclass
class Setup:
    """A healthy bot, and what `diagnose` is called with."""

    folder: Path
    telegram: TelegramStandIn
    discord: DiscordStandIn
    model: ModelStandIn
    monkeypatch: pytest.MonkeyPatch
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.folder / "parley.sqlite3"

    def set(self, **environment: str) -> None:
        for name, value in environment.items():
            self.monkeypatch.setenv(name, value)

    async def findings(self) -> list[Finding]:
        return await diagnose(None, **self.options)

    async def write(self, function: Callable[..., object], *arguments: Any) -> None:
        store = Store(f"sqlite:///{self.database}")
        await store.write(function, *arguments)
        await store.close()


@pytest.fixture
async def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setup]:
    monkeypatch.chdir(tmp_path)
    telegram, discord, model = TelegramStandIn(), DiscordStandIn(), ModelStandIn()
    for stand_in in (telegram, discord, model):
        await stand_in.start()
    discord.create_guild("Home", discord.create_user("Ann"))
    created = Setup(tmp_path, telegram, discord, model, monkeypatch)
    created.set(
        **telegram.environment(), **discord.environment(), **model.environment(), DATABASE_URL=sqlite_url(tmp_path)
    )
    await created.write(grant, "telegram:person:1", Role.OPERATOR, "Ann")
    yield created
    for stand_in in (telegram, discord, model):
        await stand_in.close()


async def test_healthy_setup_has_no_findings(setup: Setup) -> None:
    findings = await setup.findings()
    assert [finding for finding in findings if finding.severity is not Severity.OK] == []
    assert {finding.check for finding in findings} >= {
        "settings.platforms",
        "machine.clock",
        "database.disk",
        "database.schema",
        "model.service",
        "model.key",
        "model.names",
        "model.quota",
        "telegram.token",
        "telegram.privacy",
        "telegram.webhook",
        "discord.token",
        "discord.intents",
        "discord.sessions",
    }
    assert exit_code(findings) == 0


@pytest.mark.parametrize(("inline", "guests"), [(True, False), (False, True)])
async def test_doctor_says_whether_people_can_ask_in_other_chats(setup: Setup, *, inline: bool, guests: bool) -> None:
    setup.telegram.supports_inline, setup.telegram.supports_guests = inline, guests
    (finding,) = (finding for finding in await setup.findings() if finding.check == "telegram.other_chats")
    states = ["on" if enabled else "off" for enabled in (inline, guests)]
    assert f"(/setinline) are {states[0]}, guest mode is {states[1]};" in finding.text
    assert finding.severity is Severity.OK


PlantFault = Callable[[Setup], Awaitable[None]]
FAULTS: list[tuple[PlantFault, str, Severity, str]] = []
"""Function that plants the fault, the check and the severity that it is reported with, and words of the report."""


def fault(check: str, severity: Severity, words: str) -> Callable[[PlantFault], PlantFault]:
    def register(plant: PlantFault) -> PlantFault:
        FAULTS.append((plant, check, severity, words))
        return plant

    return register


@fault("settings", ERROR, "PARLEY_TURNS_AT_ONCE")
async def invalid_setting(setup: Setup) -> None:
    setup.set(PARLEY_TURNS_AT_ONCE="many")


@fault("settings", ERROR, "SOCKS proxy")
async def socks_proxy(setup: Setup) -> None:
    setup.set(HTTPS_PROXY="socks5://127.0.0.1:1080")


@fault("settings.variables", WARNING, "Use PARLEY_DEFAULT_MODEL")
async def misspelt_variable(setup: Setup) -> None:
    setup.set(PARLEY_DEFALT_MODEL="x/y")


@fault("settings.platforms", ERROR, "Set TELEGRAM_BOT_TOKEN or DISCORD_BOT_TOKEN")
async def no_platform(setup: Setup) -> None:
    setup.set(TELEGRAM_BOT_TOKEN="", DISCORD_BOT_TOKEN="")


@fault("settings.traces", ERROR, "install parley[tracing]")
async def missing_package_for_traces(setup: Setup) -> None:
    setup.monkeypatch.delitem(sys.modules, "core.opentelemetry_tracer", raising=False)
    setup.monkeypatch.delattr(core, "opentelemetry_tracer", raising=False)
    setup.monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    setup.set(PARLEY_TRACES_URL="http://127.0.0.1:9/v1/traces")


@fault("settings.files", WARNING, "chmod o=")
async def readable_secret(setup: Setup) -> None:
    secret = setup.folder / "token"
    secret.write_text(setup.telegram.token)
    secret.chmod(0o644)
    setup.set(TELEGRAM_BOT_TOKEN="", TELEGRAM_BOT_TOKEN_FILE=str(secret))


@fault("settings.secret_key", WARNING, "another PARLEY_SECRET_KEY")
async def changed_secret_key(setup: Setup) -> None:
    store = Store(f"sqlite:///{setup.database}")
    vault = await open_vault(store, "a" * 32)
    await store.write(save_encrypted_key, "telegram:1", vault.encrypt("io-v2-own", "telegram:1"))
    await store.close()
    setup.set(PARLEY_SECRET_KEY="b" * 32)


@fault("settings.secret_key", WARNING, "PARLEY_SECRET_KEY is not set")
async def missing_secret_key(setup: Setup) -> None:
    await setup.write(save_encrypted_key, "telegram:1", "v2:x")


@fault("network.proxy", ERROR, "cannot be reached")
async def dead_proxy(setup: Setup) -> None:
    setup.set(HTTPS_PROXY=f"http://user:hunter2@127.0.0.1:{free_port()}")


@fault("machine.clock", WARNING, "seconds fast")
async def wrong_clock(setup: Setup) -> None:
    setup.options["timings"] = Timings(clock=FastClock())


@fault("database.disk", WARNING, "Free space")
async def full_disk(setup: Setup) -> None:
    setup.options["min_free_bytes"] = shutil.disk_usage(setup.folder).total + 1


@fault("database.file", WARNING, "Every user of this machine can read conversations")
async def readable_database(setup: Setup) -> None:
    setup.database.chmod(0o644)


@fault("database.schema", WARNING, "it migrates the database")
async def older_schema(setup: Setup) -> None:
    with closing(sqlite3.connect(setup.database)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0019'")


@fault("database.schema", ERROR, "a newer version wrote it")
async def newer_schema(setup: Setup) -> None:
    with closing(sqlite3.connect(setup.database)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")


@fault("database.schema", ERROR, "parley restore")
async def damaged_database(setup: Setup) -> None:
    setup.database.write_bytes(b"no database" * 1000)


@fault("database.schema", UNAVAILABLE, "DATABASE_URL")
async def dead_database_server(setup: Setup) -> None:
    setup.set(DATABASE_URL=f"postgresql://parley:hunter2@127.0.0.1:{free_port()}/parley")


@fault("access.operator", WARNING, "parley pair")
async def no_operator(setup: Setup) -> None:
    with closing(sqlite3.connect(setup.database)) as database, database:
        database.execute("DELETE FROM grants")


@fault("model.key", ERROR, "IOINTELLIGENCE_API_KEY")
async def wrong_api_key(setup: Setup) -> None:
    setup.set(IOINTELLIGENCE_API_KEY="io-v2-hunter2")


@fault("model.key", ERROR, "IOINTELLIGENCE_API_KEY is not set")
async def no_api_key(setup: Setup) -> None:
    setup.set(IOINTELLIGENCE_API_KEY="", IOINTELLIGENCE_BASE_URL="")


@fault("model.key", ERROR, "add credit")
async def no_credit(setup: Setup) -> None:
    setup.model.fault_hook = refuse("credit")


@fault("model.service", ERROR, "IOINTELLIGENCE_BASE_URL is probably wrong")
async def wrong_base_url(setup: Setup) -> None:
    setup.set(IOINTELLIGENCE_BASE_URL=setup.model.base_url.replace("/v1", "/v7"))


@fault("model.service", UNAVAILABLE, "Check the network")
async def dead_model_service(setup: Setup) -> None:
    setup.set(IOINTELLIGENCE_BASE_URL=f"http://127.0.0.1:{free_port()}/v1/")


@fault("model.names", WARNING, "PARLEY_DEFAULT_MODEL: the model meta-llama/Lama-3.3-70B-Instruct is not offered")
async def unknown_model(setup: Setup) -> None:
    setup.set(PARLEY_DEFAULT_MODEL="meta-llama/Lama-3.3-70B-Instruct")


@fault("model.quota", WARNING, "has no tokens left for today")
async def used_quota(setup: Setup) -> None:
    clock = FixedTimeClock(time.time())  # midnight does not matter
    setup.options["timings"] = Timings(clock=clock)
    today = datetime.fromtimestamp(clock.time(), UTC).date().isoformat()
    row = (key_id_of(setup.model.api_key), DEFAULT_MODEL, "chat", today, 1, 1, True)
    with closing(sqlite3.connect(setup.database)) as database, database:
        database.execute("INSERT INTO token_usage VALUES (?, ?, ?, ?, ?, ?, ?)", row)


@fault("model.pause", WARNING, "--reset-pauses")
async def paused_model(setup: Setup) -> None:
    failure = ModelError("The service is down", ModelFailure.UNAVAILABLE)
    key_id = key_id_of(setup.model.api_key)
    await setup.write(save_pause, service_name(setup.model.base_url), key_id, DEFAULT_MODEL, failure, 600)


@fault("model.speech", UNAVAILABLE, "PARLEY_SPEECH_URL")
async def dead_speech_service(setup: Setup) -> None:
    setup.set(PARLEY_SPEECH_URL=f"http://127.0.0.1:{free_port()}/v1/")


@fault("telegram.token", ERROR, "@BotFather")
async def revoked_telegram_token(setup: Setup) -> None:
    setup.set(TELEGRAM_BOT_TOKEN="12345:hunter2")


@fault("telegram.token", UNAVAILABLE, "TELEGRAM_API_BASE")
async def dead_telegram(setup: Setup) -> None:
    setup.set(TELEGRAM_API_BASE=f"http://127.0.0.1:{free_port()}")


@fault("telegram.token", UNAVAILABLE, "status 502")
async def failing_telegram(setup: Setup) -> None:
    setup.telegram.fault_hook = lambda _call: Fault(FaultKind.BAD_GATEWAY)


@fault("telegram.privacy", WARNING, "/setprivacy")
async def privacy_mode(setup: Setup) -> None:
    group = setup.telegram.create_supergroup("Home", setup.telegram.create_user("Ann"))
    await setup.write(add_conversation, f"telegram:{setup.telegram.bot.id}:{group.id}::5")


def add_conversation(connection: Connection, key: str) -> None:
    connection.execute(insert(conversations).values(key=key))


async def register_webhook(setup: Setup, url: str) -> None:
    from telegram import Bot

    async with Bot(setup.telegram.token, base_url=f"{setup.telegram.api_base}/bot") as bot:
        await bot.set_webhook(url)


@fault("telegram.webhook", WARNING, "127.0.0.1:9")
async def forgotten_webhook(setup: Setup) -> None:
    await register_webhook(setup, WEBHOOK_URL)


@fault("telegram.webhook", WARNING, "Another webhook is registered (127.0.0.1:9)")
async def foreign_webhook(setup: Setup) -> None:
    await register_webhook(setup, WEBHOOK_URL)
    setup.set(TELEGRAM_WEBHOOK_URL="http://127.0.0.1:8/telegram")


@fault("telegram.webhook", WARNING, "could not deliver")
async def dead_webhook(setup: Setup) -> None:
    await register_webhook(setup, WEBHOOK_URL)
    setup.set(TELEGRAM_WEBHOOK_URL=WEBHOOK_URL)
    ann = setup.telegram.create_user("Ann")
    await setup.telegram.send_message(ann, setup.telegram.open_private_chat(ann), "Hello")
    webhook = setup.telegram.webhook
    assert webhook is not None
    await setup.telegram.wait_for(lambda: webhook.info().get("last_error_message"))


@fault("discord.token", ERROR, "DISCORD_BOT_TOKEN")
async def revoked_discord_token(setup: Setup) -> None:
    setup.set(DISCORD_BOT_TOKEN="MTIz.hunter2.token")


@fault("discord.token", UNAVAILABLE, "DISCORD_API_BASE")
async def dead_discord(setup: Setup) -> None:
    setup.set(DISCORD_API_BASE=f"http://127.0.0.1:{free_port()}/api/v10")


@fault("discord.intents", ERROR, "developer portal")
async def missing_intent(setup: Setup) -> None:
    setup.discord.gateway.is_message_content_allowed = False
    setup.set(DISCORD_MESSAGE_CONTENT="true")


@fault("discord.interactions", ERROR, "example.org")
async def interactions_endpoint(setup: Setup) -> None:
    setup.discord.interactions_endpoint_url = "https://example.org/interactions"


@fault("discord.servers", WARNING, "client_id=")
async def no_server(setup: Setup) -> None:
    setup.discord.guilds.clear()


@fault("discord.sessions", WARNING, "only 3 more starts")
async def used_sessions(setup: Setup) -> None:
    setup.discord.gateway.script.remaining_sessions = 3


@pytest.mark.parametrize(("plant", "check", "severity", "words"), FAULTS, ids=[plant.__name__ for plant, *_ in FAULTS])
async def test_planted_fault_is_found(
    setup: Setup, plant: PlantFault, check: str, severity: Severity, words: str
) -> None:
    await plant(setup)
    findings = [finding for finding in await setup.findings() if finding.severity is not Severity.OK]
    assert [(finding.check, finding.severity) for finding in findings] == [(check, severity)]
    (finding,) = findings
    assert words in f"{finding.text} {finding.advice}"
    assert "hunter2" not in f"{finding.text} {finding.advice}"
    assert ".md" not in finding.advice, "pip installs no documentation"
    assert not finding.advice or finding.text.endswith((".", "?"))
    assert exit_code(findings) == {WARNING: 0, UNAVAILABLE: 69, ERROR: 78}[severity]


async def test_missing_database_is_not_created(setup: Setup) -> None:
    setup.database.unlink()
    findings = await setup.findings()
    assert [finding for finding in findings if finding.severity is not Severity.OK] == []
    assert not setup.database.exists()


async def test_each_finding_is_one_line_with_advice(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    findings = [
        Finding("telegram.privacy", WARNING, "Two\nlines [b].", "Do this."),
        Finding("model.key", ERROR, "Wrong.", "Do that."),
    ]
    print_findings(findings, Console(width=40))
    assert capsys.readouterr().out.splitlines() == [
        "warning      telegram.privacy      Two lines [b]. Do this.",
        "error        model.key             Wrong. Do that.",
    ]
    print_json(findings, Console(width=40))
    report = msgspec.json.decode(capsys.readouterr().out)
    assert report["exit_code"] == 78
    assert report["findings"][1] == {
        "check": "model.key",
        "severity": "error",
        "text": "Wrong.",
        "advice": "Do that.",
    }
