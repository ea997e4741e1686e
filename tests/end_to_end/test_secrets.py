"""No secret and no message text in the log, however much is logged."""

from functools import partial
from pathlib import Path

import pytest

from bots.sandbox.telegram import Chat, TelegramStandIn
from tests.end_to_end.world import texts, world

OWN = "sk-somebodys-own-key-0001"
WORDS = "a very private sentence"


def _answered(telegram: TelegramStandIn, chat: Chat, messages: int) -> bool:
    return len(texts(telegram.messages(chat))) >= messages


async def test_a_log_of_everything_tells_no_secret_and_no_message(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path) as made:
        telegram = made.telegram
        ann = telegram.person("Ann")
        chat = telegram.private(ann)
        async with made.process(
            PARLEY_LOG_LEVEL="debug", PARLEY_SECRET_KEY="the operator's own secret"
        ):
            for said in (f"repeat: {WORDS}", f"/remember {WORDS}", f"/key {OWN}"):
                answered = len(texts(telegram.messages(chat))) + 1
                await telegram.say(ann, chat, said)
                await telegram.wait(partial(_answered, telegram, chat, answered), 20)
        logged = capfd.readouterr().err
    assert '"kept"' in logged
    secrets = (made.model.api_key, made.discord.token, telegram.token.partition(":")[2])
    for secret in (*secrets, WORDS, OWN, "the operator's own secret"):
        assert secret not in logged
