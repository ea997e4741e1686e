"""Privacy mode is a fault only where people use the bot in a group in which it needs more."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, insert

from bots.sandbox.telegram import TelegramStandIn
from bots.sandbox.telegram.state import MemberStatus
from bots.telegram.diagnosis import diagnose_telegram
from bots.telegram.settings import TelegramSettings
from core.diagnosis.finding import Finding, Severity
from core.store.database import Store
from core.store.schema import conversations
from tests.sqlite import sqlite_url

PRIVACY_IS_ON = "Privacy mode is on: in groups, the bot sees only commands and replies to it."


def add_conversation(connection: Connection, key: str) -> None:
    connection.execute(insert(conversations).values(key=key))


async def privacy_finding(bot_api: TelegramStandIn, database: Store) -> Finding:
    settings = TelegramSettings(token=SecretStr(bot_api.token), api_base=bot_api.api_base)
    findings = await diagnose_telegram(settings, database)
    return next(finding for finding in findings if finding.check == "telegram.privacy")


async def use_groups(bot_api: TelegramStandIn, store: Store, *statuses: MemberStatus) -> None:
    """Ann has used the bot in groups and in her private chat. Now the bot has these statuses in the groups."""
    ann = bot_api.create_user("Ann")
    chats = [str(ann.id)]
    for status in statuses:
        group = bot_api.create_supergroup("Home", ann)
        group.bot_status = status
        chats.append(str(group.id))
    await store.open()
    for chat in (*chats, "guest"):
        await store.write(add_conversation, f"telegram:{bot_api.bot.id}:{chat}::{ann.id}")


@pytest.mark.parametrize(
    ("statuses", "severity"),
    [
        ((), Severity.OK),
        ((MemberStatus.ADMINISTRATOR, MemberStatus.LEFT, MemberStatus.KICKED), Severity.OK),
        ((MemberStatus.MEMBER, MemberStatus.ADMINISTRATOR), Severity.WARNING),
    ],
)
async def test_privacy_mode_is_a_fault_where_the_bot_is_an_ordinary_member(
    tmp_path: Path, bot_api: TelegramStandIn, statuses: tuple[MemberStatus, ...], severity: Severity
) -> None:
    store = Store(sqlite_url(tmp_path))
    await use_groups(bot_api, store, *statuses)
    finding = await privacy_finding(bot_api, store)
    await store.close()
    assert (finding.severity, finding.text) == (severity, PRIVACY_IS_ON)
    assert ("/setprivacy" in finding.advice) == (severity is Severity.WARNING)


async def test_privacy_mode_is_no_fault_before_the_first_start(tmp_path: Path, bot_api: TelegramStandIn) -> None:
    path = tmp_path / "missing.sqlite3"
    finding = await privacy_finding(bot_api, Store(f"sqlite:///{path}"))
    assert (finding.severity, finding.text) == (Severity.OK, PRIVACY_IS_ON)
    assert not path.exists()


async def test_bot_without_privacy_mode_is_healthy_in_groups(tmp_path: Path, bot_api: TelegramStandIn) -> None:
    bot_api.privacy_mode = False
    store = Store(sqlite_url(tmp_path))
    await use_groups(bot_api, store, MemberStatus.MEMBER)
    finding = await privacy_finding(bot_api, store)
    await store.close()
    assert (finding.severity, finding.text) == (
        Severity.OK,
        "Privacy mode is off: in groups, the bot sees mentions.",
    )
