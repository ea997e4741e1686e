"""Mutated HTTP: requests to the webhook over a real socket, and answers to `getUpdates`.

FUZZ_EVENTS is the number of each, FUZZ_SEED the seed; `make fuzz` runs the long form.
"""

import asyncio
import json
import random
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from telegram import Bot, Update

from bots.sandbox.telegram import TelegramStandIn
from bots.telegram.http_client import PollingRequest
from bots.telegram.polling import Poller
from bots.telegram.webhook import SECRET_HEADER, derive_secret
from tests.bots.telegram.conftest import FAST_TIMINGS, TOKEN, FakeInbox
from tests.bots.telegram.payloads import PRIVATE, message
from tests.bots.telegram.test_webhook import running_webhook
from tests.fuzz.cases import SEED, Run, case_count, time_limit
from tests.fuzz.mutations import mutate_bytes

REQUESTS = case_count("FUZZ_EVENTS", 60)
ANSWER_TIMEOUT_SECONDS = 0.3
"""Some requests never end: the server waits for more of them."""
STATUSES = (200, 200, 200, 200, 204, 302, 400, 403, 409, 500, 502)
"""Of answers to `getUpdates`; others end the process or make it wait."""
LENGTHS = (b"0", b"1", b"10000000", b"-1", b"", b"x", b"9" * 400, b"1, 2", b"0x10")
SECRET = derive_secret(TOKEN).encode()


def update_json(update_id: int, text: str) -> bytes:
    return json.dumps({"update_id": update_id, "message": message(PRIVATE, text)}).encode()


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    path: bytes
    body: bytes
    secret: bytes = SECRET
    method: bytes = b"POST"
    length: bytes | None = None
    more_headers: bytes = b""

    def encode(self) -> bytes:
        length = str(len(self.body)).encode() if self.length is None else self.length
        return (
            b"%b %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
            b"%b: %b\r\nContent-Length: %b\r\n%b\r\n%b"
        ) % (
            *(self.method, self.path, SECRET_HEADER.encode(), self.secret, length),
            *(self.more_headers, self.body),
        )

    def mutate(self, random_source: random.Random) -> "WebhookRequest":
        match random_source.randrange(6):
            case 0:
                return replace(self, secret=mutate_bytes(random_source, self.secret).replace(b"\n", b""))
            case 1:
                return replace(self, length=random_source.choice(LENGTHS))
            case 2:
                return replace(
                    self, method=random_source.choice([b"GET", b"PUT", b"HEAD", b"OPTIONS", b"post", b"X" * 99])
                )
            case 3:
                return replace(
                    self, path=random_source.choice([b"/", b"*", b"/healthz", self.path * 3000, b"http://x/"])
                )
            case 4:
                headers = (
                    b"Transfer-Encoding: chunked\r\n",
                    b"Content-Encoding: gzip\r\n",
                    b"Expect: x\r\n",
                    b"A: b\r\n" * 200,
                )
                return replace(self, more_headers=random_source.choice(headers))
            case _:
                return replace(self, body=mutate_bytes(random_source, self.body))


async def exchange(port: int, content: bytes) -> bytes:
    """The status line with which the server answers; empty if it waits for more, or closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(content)
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            return await reader.readline()
    except (TimeoutError, OSError, ValueError):
        return b""
    finally:
        writer.close()


@pytest.mark.slow
@pytest.mark.timeout(time_limit(REQUESTS))
async def test_mutated_requests_store_nothing_without_the_secret(
    bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    random_source = random.Random(SEED)
    async with running_webhook(bot_api, inbox, unused_tcp_port) as url:
        path = urlsplit(url).path.encode()
        with Run("webhook requests") as run:
            for number in range(1, REQUESTS + 1):
                request = WebhookRequest(path, update_json(number, "hostile"))
                for _ in range(random_source.randint(1, 2)):
                    request = request.mutate(random_source)
                content = request.encode()
                if random_source.random() < 0.2:
                    content = mutate_bytes(random_source, content)
                attempts = inbox.attempts
                with run.case(number, content):
                    status_line = await exchange(unused_tcp_port, content)
                    assert b" 500 " not in status_line
                    if SECRET not in content:
                        assert b" 200 " not in status_line or request.path == b"/healthz"
                        assert inbox.attempts == attempts
                    assert inbox.attempts <= attempts + 1
        valid = WebhookRequest(path, update_json(REQUESTS + 1, "still there"))
        assert b" 200 " in await exchange(unused_tcp_port, valid.encode())
        await inbox.wait_until(lambda: inbox.stored[-1].text == "still there")
    assert "Error handling request" not in caplog.text


class AnswerFeed(PollingRequest):
    """Answers each `getUpdates` with the next of `answers`."""

    def __init__(self) -> None:
        super().__init__("http://unused", FAST_TIMINGS, read_timeout=1, max_connections=1)
        self.answers: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()

    async def do_request(
        self, url: str, method: str, request_data: Any = None, *_: object, **__: object
    ) -> tuple[int, bytes]:
        return await self.answers.get() if url.endswith("getUpdates") else (200, b'{"ok":true,"result":true}')


@pytest.mark.slow
@pytest.mark.timeout(time_limit(REQUESTS))
async def test_mutated_answers_to_polling_lose_no_later_update() -> None:
    random_source = random.Random(SEED)
    feed = AnswerFeed()
    received: asyncio.Queue[Update] = asyncio.Queue()
    bot = Bot(TOKEN, request=feed, get_updates_request=feed)
    timings = replace(FAST_TIMINGS, first_retry_delay=0.001, max_retry_delay=0.001)
    polling = asyncio.create_task(Poller(bot, received.put, timings).run())
    with Run("answers to polling") as run:
        for number in range(1, REQUESTS + 1):
            content = b'{"ok":true,"result":[%b]}' % update_json(2 * number, "hostile")
            content = mutate_bytes(random_source, content)
            with run.case(number, content):
                feed.answers.put_nowait((random_source.choice(STATUSES), content))
                feed.answers.put_nowait(
                    (200, b'{"ok":true,"result":[%b]}' % update_json(2 * number + 1, f"valid {number}"))
                )
                await wait_for_text(received, f"valid {number}", polling)
    polling.cancel()
    feed.answers.put_nowait((200, b'{"ok":true,"result":[]}'))
    await asyncio.wait({polling})


async def wait_for_text(received: "asyncio.Queue[Update]", text: str, polling: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(10):
        while True:
            update = asyncio.ensure_future(received.get())
            await asyncio.wait({update, polling}, return_when=asyncio.FIRST_COMPLETED)
            if polling.done():
                update.cancel()
                await polling
            current = (await update).message
            if current is not None and current.text == text:
                return
