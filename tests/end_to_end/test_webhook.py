"""The bot behind a webhook, as people live through it."""

from tests.end_to_end.world import World, texts


async def test_nothing_is_lost_or_repeated_between_webhook_and_polling(
    alive: World, unused_tcp_port: int
) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await alive.stop()
    await telegram.say(ann, chat, "repeat: while away")
    by_webhook = {
        "telegram_webhook_url": f"http://127.0.0.1:{unused_tcp_port}/telegram",
        "telegram_webhook_listen": f"127.0.0.1:{unused_tcp_port}",
    }
    await alive.start(**by_webhook)
    await telegram.wait(lambda: texts(telegram.messages(chat)) == ["while away"])
    await telegram.say(ann, chat, "repeat: by webhook")
    await telegram.wait(lambda: texts(telegram.messages(chat))[1:] == ["by webhook"])
    await alive.stop()
    await telegram.say(ann, chat, "repeat: by polling")
    await alive.start()
    await telegram.wait(lambda: texts(telegram.messages(chat))[2:] == ["by polling"], 20)
    assert not telegram.refused(409)
    assert len(alive.model.requests) == 3


async def test_people_who_are_not_let_in_are_not_answered_by_webhook_either(
    alive: World, unused_tcp_port: int
) -> None:
    telegram = alive.telegram
    eve = telegram.person("Eve")
    chat = telegram.private(eve)
    await alive.stop()
    await alive.start(
        access="pairing",
        telegram_webhook_url=f"http://127.0.0.1:{unused_tcp_port}/telegram",
        telegram_webhook_listen=f"127.0.0.1:{unused_tcp_port}",
    )
    await telegram.say(eve, chat, "repeat: let me in")
    await telegram.wait(lambda: not telegram.updates.pending)
    await alive.stop()
    assert texts(telegram.messages(chat)) == []
    assert not alive.model.requests
