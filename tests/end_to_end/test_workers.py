"""`parley run --workers 2`: several processes behind one webhook."""

import psutil
import pytest

from bots.sandbox.telegram.state import Message
from core.texts import answers as texts
from tests.end_to_end.harness import Harness, bot_texts
from tests.postgresql import postgresql_url

pytestmark = pytest.mark.slow


def answers(messages: list[Message]) -> list[str]:
    """What the bot wrote, without notices that a worker was killed while it sent."""
    return [text for text in bot_texts(messages) if text != texts.DELIVERY_UNCERTAIN]


async def test_workers_share_the_questions_and_survive_a_kill(harness: Harness, unused_tcp_port: int) -> None:
    await harness.stop()
    telegram = harness.telegram
    people = [telegram.create_user(f"Person {number}") for number in range(6)]
    chats = [telegram.open_private_chat(person) for person in people]
    environment = {
        "DATABASE_URL": postgresql_url(),
        "TELEGRAM_WEBHOOK_URL": f"http://127.0.0.1:{unused_tcp_port}/telegram",
        "TELEGRAM_WEBHOOK_LISTEN": f"127.0.0.1:{unused_tcp_port}",
    }
    async with harness.run_process("--workers", "2", **environment) as process:
        for person, chat in zip(people, chats, strict=True):
            await telegram.send_message(person, chat, "repeat: first")
        await telegram.wait_for(lambda: all(bot_texts(telegram.messages(chat)) == ["first"] for chat in chats), 60)
        workers = psutil.Process(process.pid).children()
        assert len(workers) == 2
        for person, chat in zip(people, chats, strict=True):
            await telegram.send_message(person, chat, "repeat: second")
        workers[0].kill()
        await telegram.wait_for(
            lambda: all(answers(telegram.messages(chat)) == ["first", "second"] for chat in chats), 60
        )
    assert process.returncode == 0
    assert not any(worker.is_running() for worker in workers)
