"""The bot behind a webhook, end to end."""

from core.texts.answers import ACCESS_DENIED
from tests.end_to_end.harness import Harness, bot_texts


async def test_switching_webhook_and_polling_loses_nothing(harness: Harness, unused_tcp_port: int) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await harness.stop()
    await telegram.send_message(ann, chat, "repeat: while away")
    by_webhook = {
        "telegram_webhook_url": f"http://127.0.0.1:{unused_tcp_port}/telegram",
        "telegram_webhook_listen": f"127.0.0.1:{unused_tcp_port}",
    }
    await harness.start(**by_webhook)
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == ["while away"])
    await telegram.send_message(ann, chat, "repeat: by webhook")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[1:] == ["by webhook"])
    await harness.stop()
    await telegram.send_message(ann, chat, "repeat: by polling")
    await harness.start()
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[2:] == ["by polling"], 20)
    assert not telegram.calls_with_status(409)
    assert len(harness.model.requests) == 3


async def test_denied_user_is_ignored_by_webhook(harness: Harness, unused_tcp_port: int) -> None:
    telegram = harness.telegram
    eve = telegram.create_user("Eve")
    chat = telegram.open_private_chat(eve)
    await harness.stop()
    await harness.start(
        access="pairing",
        telegram_webhook_url=f"http://127.0.0.1:{unused_tcp_port}/telegram",
        telegram_webhook_listen=f"127.0.0.1:{unused_tcp_port}",
    )
    await telegram.send_message(eve, chat, "repeat: let me in")
    await telegram.wait_for(lambda: not telegram.updates.pending)
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)))
    await harness.stop()
    assert bot_texts(telegram.messages(chat)) == [ACCESS_DENIED]
    assert not harness.model.requests
