"""The log contains no secrets and no message texts, even at level debug."""

from functools import partial
from pathlib import Path

import pytest

from bots.sandbox.telegram import Chat, TelegramStandIn
from tests.end_to_end.harness import bot_texts, running_harness

PERSONAL_KEY = "sk-somebodys-own-key-0001"
WORDS = "a very private sentence"


def _answered(telegram: TelegramStandIn, chat: Chat, messages: int) -> bool:
    return len(bot_texts(telegram.messages(chat))) >= messages


async def test_debug_log_holds_no_secrets_or_messages(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with running_harness(tmp_path) as harness:
        telegram = harness.telegram
        ann = telegram.create_user("Ann")
        chat = telegram.open_private_chat(ann)
        async with harness.run_process(PARLEY_LOG_LEVEL="debug", PARLEY_SECRET_KEY="the operator's own secret"):
            for text in (f"repeat: {WORDS}", f"/remember {WORDS}", f"/key {PERSONAL_KEY}"):
                answered = len(bot_texts(telegram.messages(chat))) + 1
                await telegram.send_message(ann, chat, text)
                await telegram.wait_for(partial(_answered, telegram, chat, answered), 20)
        logged = capfd.readouterr().err
    assert '"turn.accepted"' in logged
    secrets = (harness.model.api_key, harness.discord.token, telegram.token.partition(":")[2])
    for secret in (*secrets, WORDS, PERSONAL_KEY, "the operator's own secret"):
        assert secret not in logged
