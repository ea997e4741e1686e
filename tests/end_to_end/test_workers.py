"""`parley run --workers 2`: several processes behind one webhook."""

import asyncio

import psutil
import pytest
from sqlalchemy import Connection, select

from bots.sandbox.model import ScriptedAnswer
from core.store.schema import IS_OPEN, turns
from tests.end_to_end.harness import Harness, bot_texts
from tests.postgresql import open_store, postgresql_url
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

SECOND = "second, in a few more words than the first one"


def has_open_turns(connection: Connection) -> bool:
    return connection.scalar(select(turns.c.id).where(IS_OPEN).limit(1)) is not None


async def test_workers_share_the_questions_and_survive_a_kill(harness: Harness, unused_tcp_port: int) -> None:
    await harness.stop()
    telegram, model, url = harness.telegram, harness.model, postgresql_url()
    people = [telegram.create_user(f"Person {number}") for number in range(6)]
    chats = [telegram.open_private_chat(person) for person in people]
    environment = {
        "DATABASE_URL": url,
        "TELEGRAM_WEBHOOK_URL": f"http://127.0.0.1:{unused_tcp_port}/telegram",
        "TELEGRAM_WEBHOOK_LISTEN": f"127.0.0.1:{unused_tcp_port}",
    }

    def all_have(*answers: str) -> bool:
        return all(bot_texts(telegram.messages(chat)) == list(answers) for chat in chats)

    async with open_store(url) as store, harness.run_process("--workers", "2", **environment) as process:

        async def is_settled() -> bool:
            return not await store.read(has_open_turns)

        for person, chat in zip(people, chats, strict=True):
            await telegram.send_message(person, chat, "repeat: first")
        await telegram.wait_for(lambda: all_have("first"), 60)
        await wait_until(is_settled, 30)  # a kill before a message is recorded makes its delivery uncertain
        workers = psutil.Process(process.pid).children()
        assert len(workers) == 2
        go_on = asyncio.Event()
        model.answer = lambda _body: ScriptedAnswer(SECOND, hold_until=go_on)
        for person, chat in zip(people, chats, strict=True):
            await telegram.send_message(person, chat, f"repeat: {SECOND}")
        await model.wait_for(lambda: len(model.requests) == 12, 30)
        assert sum(request.is_completed for request in model.requests) == 6, "no answer is being delivered"
        workers[0].kill()
        go_on.set()
        await telegram.wait_for(lambda: all_have("first", SECOND), 60)
    assert process.returncode == 0
    assert not any(worker.is_running() for worker in workers)
