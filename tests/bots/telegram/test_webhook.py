import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
import structlog

from bots.sandbox.telegram import Call, ScriptedReply, TelegramStandIn
from bots.telegram.adapter import TelegramAdapter
from bots.telegram.updates import ALLOWED_UPDATES
from bots.telegram.webhook import SECRET_HEADER, WebhookAddress, derive_secret
from core.errors import ConfigurationError, UnavailableError
from core.port import ConnectionState, Incoming, Part
from tests.bots.telegram.conftest import FAST_TIMINGS, PRIVATE_PLACE, TOKEN, FakeInbox
from tests.clock import FakeClock
from tests.load_balancer import load_balancer

PATH = "/telegram/hook"


async def send_message(bot_api: TelegramStandIn, text: str) -> None:
    """Ada sends the bot a message."""
    chat = bot_api.chats[42]
    await bot_api.send_message(chat.members[0], chat, text)


def successful_calls(bot_api: TelegramStandIn, method: str) -> list[Call]:
    return [call for call in bot_api.calls_to(method) if call.status == 200]


def webhook_adapter(bot_api: TelegramStandIn, port: int, url: str | None = None, **options: Any) -> TelegramAdapter:
    """An adapter that listens on `port` and tells Telegram `url`, or the listener's own address."""
    webhook = WebhookAddress(url or f"http://127.0.0.1:{port}{PATH}", f"127.0.0.1:{port}")
    options.setdefault("timings", FAST_TIMINGS)
    return TelegramAdapter(TOKEN, api_base=bot_api.api_base, webhook=webhook, **options)


@asynccontextmanager
async def running_adapter(
    bot_api: TelegramStandIn, inbox: FakeInbox, adapter: TelegramAdapter
) -> AsyncIterator[asyncio.Task[None]]:
    count = len(successful_calls(bot_api, "setWebhook"))
    task = asyncio.create_task(adapter.run(inbox))
    try:
        await bot_api.wait_for(lambda: len(successful_calls(bot_api, "setWebhook")) > count)
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=10)


@asynccontextmanager
async def running_webhook(bot_api: TelegramStandIn, inbox: FakeInbox, port: int, **options: Any) -> AsyncIterator[str]:
    """The URL of an adapter that receives by webhook."""
    async with running_adapter(bot_api, inbox, webhook_adapter(bot_api, port, **options)):
        yield f"http://127.0.0.1:{port}{PATH}"


async def run_next_check(bot_api: TelegramStandIn, clock: FakeClock) -> None:
    """Move the clock to the adapter's next `getWebhookInfo`, and wait for the one after that to be due."""
    count = len(bot_api.calls_to("getWebhookInfo"))
    await clock.wait_for_timer()
    await clock.advance(clock.pending()[0])
    await bot_api.wait_for(lambda: len(bot_api.calls_to("getWebhookInfo")) > count)
    await clock.wait_for_timer()


async def test_messages_arrive_in_order(bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int) -> None:
    async with running_webhook(bot_api, inbox, unused_tcp_port):
        for number in range(5):
            await send_message(bot_api, f"{number}")
        stored = await inbox.wait_for_events(5)
    assert [event.text for event in stored] == ["0", "1", "2", "3", "4"]


async def test_unstored_update_is_redelivered(bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int) -> None:
    inbox.fail_next()
    async with running_webhook(bot_api, inbox, unused_tcp_port):
        await send_message(bot_api, "stored at last")
        stored = await inbox.wait_for_events(1)
    assert [event.text for event in stored] == ["stored at last"]
    assert inbox.attempts == 2


@pytest.mark.parametrize("secret", ["", "wrong", "x" * 64])
async def test_wrong_secret_is_rejected(
    bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int, secret: str
) -> None:
    headers = {SECRET_HEADER: secret} if secret else {}
    body = io.BytesIO(b'{"update_id": 1}')
    async with (
        running_webhook(bot_api, inbox, unused_tcp_port) as url,
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as response,
    ):
        assert (response.status, await response.text()) == (401, "")
    assert inbox.stored == []


async def test_wrong_secrets_are_logged_once_a_minute(
    bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int
) -> None:
    clock = FakeClock()
    async with (
        running_webhook(bot_api, inbox, unused_tcp_port, timings=replace(FAST_TIMINGS, clock=clock)) as url,
        aiohttp.ClientSession() as session,
    ):
        with structlog.testing.capture_logs() as logs:
            for _ in range(5):
                async with session.post(url, data=b"{}", headers={SECRET_HEADER: "wrong"}) as response:
                    assert response.status == 401
            await clock.advance(60)
    lines = [entry for entry in logs if entry["event"] == "telegram.webhook_unauthorized"]
    assert [(line["remote"], line["suppressed"]) for line in lines] == [("127.0.0.1", 0), ("127.0.0.1", 4)]
    assert "wrong" not in str(logs)


async def test_malformed_requests_are_logged_once_a_minute(
    bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    async with running_webhook(bot_api, inbox, unused_tcp_port, timings=replace(FAST_TIMINGS, clock=clock)):
        with structlog.testing.capture_logs() as logs:
            for _ in range(4):
                reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
                writer.write(b"POST /hook HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n")
                assert b" 400 " in await reader.readline()
                writer.close()
                await writer.wait_closed()
            await clock.advance(60)
    assert [entry["suppressed"] for entry in logs if entry["event"] == "telegram.webhook_malformed"] == [0, 3]
    assert "Error handling request" not in caplog.text


@pytest.mark.parametrize(("secret", "status"), [("wrong", 401), (derive_secret(TOKEN), 400)], ids=["wrong", "right"])
async def test_undecodable_body_is_refused_without_traceback(
    bot_api: TelegramStandIn,
    inbox: FakeInbox,
    unused_tcp_port: int,
    caplog: pytest.LogCaptureFixture,
    secret: str,
    status: int,
) -> None:
    headers = {SECRET_HEADER: secret, "Content-Encoding": "gzip"}
    async with (
        running_webhook(bot_api, inbox, unused_tcp_port) as url,
        aiohttp.ClientSession() as session,
        session.post(url, data=b"not compressed", headers=headers) as response,
    ):
        assert response.status == status
    assert not [record for record in caplog.records if record.name == "aiohttp.server"]


async def test_request_that_ends_too_early_leaves_no_traceback(
    bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    headers = f"{SECRET_HEADER}: {derive_secret(TOKEN)}\r\nContent-Length: 100\r\nExpect: 100-continue"
    async with running_webhook(bot_api, inbox, unused_tcp_port):
        reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode())
        assert b" 100 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
        await send_message(bot_api, "still there")
        await inbox.wait_for_events(1)
    assert not [record for record in caplog.records if record.name == "aiohttp.server"]


async def test_unreadable_and_oversized_updates_are_skipped(
    bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int
) -> None:
    async with (
        running_webhook(bot_api, inbox, unused_tcp_port) as url,
        aiohttp.ClientSession(headers={SECRET_HEADER: derive_secret(TOKEN)}) as session,
    ):
        for body, status in (
            (b'{"update_id": 5, "message": {"date": "nonsense"}}', 200),
            (b'{"update_id": ["5"], "stopped_message_generation": {"chat": 1}}', 200),
            (b"[]", 400),
            (b'{"a":' * 50_000, 400),
            (b'{"a":"\xff\xfe"}', 400),
            (b"x" * 2_000_000, 413),
        ):
            async with session.post(url, data=io.BytesIO(body)) as response:
                assert response.status == status
        async with session.get(url.replace(PATH, "/healthz")) as response:
            assert response.status == 200


async def test_port_in_use_ends_run(bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int) -> None:
    other_server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", unused_tcp_port)
    async with other_server, asyncio.timeout(10):
        with pytest.raises(UnavailableError, match="TELEGRAM_WEBHOOK_LISTEN"):
            await webhook_adapter(bot_api, unused_tcp_port).run(inbox)


async def test_polling_removes_webhook(bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int) -> None:
    async with running_webhook(bot_api, inbox, unused_tcp_port):
        pass
    async with asyncio.TaskGroup() as group:
        task = group.create_task(TelegramAdapter(TOKEN, api_base=bot_api.api_base).run(inbox))
        await send_message(bot_api, "by polling")
        await inbox.wait_for_events(1)
        task.cancel()


async def test_set_webhook_sends_update_types_and_secret(
    bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int
) -> None:
    async with running_webhook(bot_api, inbox, unused_tcp_port) as url:
        params = bot_api.calls_to("setWebhook")[0].params
    assert params["url"] == url
    assert params["allowed_updates"] == list(ALLOWED_UPDATES)
    assert params["secret_token"] == derive_secret(TOKEN)
    assert TOKEN.partition(":")[2] not in params["secret_token"]
    assert "drop_pending_updates" not in params
    assert not bot_api.calls_to("getUpdates")


async def test_non_ascii_secret_is_rejected(bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int) -> None:
    async with running_webhook(bot_api, inbox, unused_tcp_port):
        reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n{SECRET_HEADER}: "
        writer.write(head.encode() + b"\xff\xfe\xc3\r\n\r\n{}")
        async with asyncio.timeout(5):
            assert (await reader.readline()).split()[1] == b"401"
        writer.close()
        await writer.wait_closed()


async def test_other_paths_are_404(bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int) -> None:
    async with (
        running_webhook(bot_api, inbox, unused_tcp_port) as url,
        aiohttp.ClientSession(headers={SECRET_HEADER: derive_secret(TOKEN)}) as session,
    ):
        async with session.post(url + "/more", json={"update_id": 1}) as response:
            assert response.status == 404
        async with session.get(url) as response:
            assert response.status == 405


async def test_set_webhook_respects_retry_after(
    bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int
) -> None:
    clock = FakeClock()
    bot_api.script.add("setWebhook", ScriptedReply.error(429, "Too Many Requests: retry after 9", retry_after=9))
    task = asyncio.create_task(
        webhook_adapter(bot_api, unused_tcp_port, timings=replace(FAST_TIMINGS, clock=clock)).run(inbox)
    )
    await clock.wait_for_timer()
    assert clock.pending() == [9]
    await clock.advance(9)
    await bot_api.wait_for(lambda: successful_calls(bot_api, "setWebhook"))
    task.cancel()
    await asyncio.wait({task}, timeout=10)


async def test_refused_webhook_url_is_configuration_error(
    bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int
) -> None:
    adapter = webhook_adapter(bot_api, unused_tcp_port, "http://192.0.2.7/hook")
    async with asyncio.timeout(10):
        with pytest.raises(ConfigurationError, match=r"TELEGRAM_WEBHOOK_URL: .*https"):
            await adapter.run(inbox)


async def test_unresolved_host_is_retried(bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int) -> None:
    adapter = webhook_adapter(bot_api, unused_tcp_port, "https://not-yet.invalid/hook")
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(adapter.run(inbox))
        await bot_api.wait_for(lambda: len(bot_api.calls_with_status(400)) == 2)
    failures = [entry for entry in logs if entry["event"] == "telegram.request_failed"]
    assert failures[0]["method"] == "setWebhook"
    assert "resolve host" in failures[0]["error"]
    assert not task.done()
    assert adapter.last_activity is None, "the adapter is connecting, not silent"
    assert adapter.connection_state is ConnectionState.CONNECTING
    task.cancel()
    await asyncio.wait({task}, timeout=10)


async def test_removed_webhook_is_set_again(bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int) -> None:
    clock = FakeClock()
    async with (
        running_webhook(bot_api, inbox, unused_tcp_port, timings=replace(FAST_TIMINGS, clock=clock)),
        aiohttp.ClientSession() as session,
    ):
        for _ in range(3):
            await run_next_check(bot_api, clock)
        assert len(bot_api.calls_to("setWebhook")) == 1, "it is not set again while it is in place"
        async with session.post(f"{bot_api.api_base}/bot{TOKEN}/deleteWebhook") as response:
            assert response.status == 200
        await send_message(bot_api, "not lost")
        await run_next_check(bot_api, clock)
        assert (await inbox.wait_for_events(1))[0].text == "not lost"


async def test_webhook_error_is_logged_once(bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int) -> None:
    clock = FakeClock()
    inbox.fail_next()
    with structlog.testing.capture_logs() as logs:
        async with running_webhook(bot_api, inbox, unused_tcp_port, timings=replace(FAST_TIMINGS, clock=clock)):
            await send_message(bot_api, "private words")
            await inbox.wait_for_events(1)
            for _ in range(3):
                await run_next_check(bot_api, clock)
    errors = [entry["error"] for entry in logs if entry["event"] == "telegram.webhook_delivery_failed"]
    assert len(errors) == 1
    assert "503" in errors[0]
    assert "words" not in str(logs)


async def test_last_activity_needs_round_trip(bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int) -> None:
    clock = FakeClock()
    adapter = webhook_adapter(bot_api, unused_tcp_port, timings=replace(FAST_TIMINGS, clock=clock))
    async with running_adapter(bot_api, inbox, adapter):
        await run_next_check(bot_api, clock)
        checked_at = adapter.last_activity
        assert checked_at == clock.monotonic()
        bot_api.script.add("getWebhookInfo", *[ScriptedReply(502, body=b"<html>")] * 3)
        for _ in range(3):
            await run_next_check(bot_api, clock)
            assert adapter.last_activity == checked_at
            assert adapter.connection_state is ConnectionState.CONNECTING
            assert clock.pending()[0] == FAST_TIMINGS.webhook_recheck_interval
        await run_next_check(bot_api, clock)
        assert adapter.last_activity == clock.monotonic()
        assert adapter.connection_state is ConnectionState.CONNECTED
        assert clock.pending()[0] == FAST_TIMINGS.webhook_check_interval


async def test_revoked_token_ends_run(bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int) -> None:
    clock = FakeClock()
    async with running_adapter(
        bot_api, inbox, webhook_adapter(bot_api, unused_tcp_port, timings=replace(FAST_TIMINGS, clock=clock))
    ) as task:
        bot_api.token = "123456:another"
        await clock.wait_for_timer()
        await clock.advance(FAST_TIMINGS.webhook_check_interval)
        async with asyncio.timeout(10):
            with pytest.raises(ConfigurationError, match="TELEGRAM_BOT_TOKEN"):
                await task


async def test_update_in_progress_is_answered_on_shutdown(
    bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int
) -> None:
    inbox.hold_until = asyncio.Event()
    async with running_adapter(bot_api, inbox, webhook_adapter(bot_api, unused_tcp_port)) as task:
        await send_message(bot_api, "the last word")
        await inbox.wait_until(lambda: inbox.attempts == 1)
        task.cancel()
        await FakeClock.settle()
        assert not task.done()
        inbox.hold_until.set()
        await bot_api.wait_for(lambda: not bot_api.updates.pending)
    assert [event.text for event in inbox.stored] == ["the last word"]
    assert inbox.attempts == 1


async def test_hanging_update_does_not_block_shutdown(
    bot_api: TelegramStandIn, inbox: FakeInbox, unused_tcp_port: int
) -> None:
    inbox.hold_until = asyncio.Event()
    timings = replace(FAST_TIMINGS, webhook_shutdown_timeout=0.1)
    async with running_adapter(bot_api, inbox, webhook_adapter(bot_api, unused_tcp_port, timings=timings)) as task:
        await send_message(bot_api, "not stored")
        await inbox.wait_until(lambda: inbox.attempts == 1)
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait({task})
    assert bot_api.updates.pending, "Telegram delivers it again"


@pytest.mark.parametrize("failures", [2, 3])
async def test_failing_updates_are_tried_three_times(
    bot_api: TelegramStandIn, unused_tcp_port: int, failures: int
) -> None:
    people = [bot_api.create_user(name) for name in ("Ann", "Bob")]
    attempts: dict[str, int] = {}
    inbox = FakeInbox()

    async def failing_inbox(incoming: Incoming) -> None:
        attempts[incoming.text] = attempts.get(incoming.text, 0) + 1
        if incoming.text.startswith("bad") and attempts[incoming.text] <= failures:
            raise ValueError("secret words")
        await inbox(incoming)

    task = asyncio.create_task(webhook_adapter(bot_api, unused_tcp_port).run(failing_inbox))
    for person in people:  # in two chats, so that their failures alternate
        await bot_api.send_message(person, bot_api.open_private_chat(person), f"bad {person.name}")
    for person in people:
        await bot_api.send_message(person, bot_api.open_private_chat(person), f"good {person.name}")
    await inbox.wait_for_events(2 if failures == 3 else 4)
    assert attempts == {"bad Ann": 3, "bad Bob": 3, "good Ann": 1, "good Bob": 1}
    assert not bot_api.calls_to("sendMessage"), "whether the sender has access is unknown here"
    task.cancel()
    await asyncio.wait({task}, timeout=10)


async def test_processes_share_webhook(bot_api: TelegramStandIn, unused_tcp_port_factory: Callable[[], int]) -> None:
    ports = [unused_tcp_port_factory(), unused_tcp_port_factory()]
    inboxes = [FakeInbox(), FakeInbox()]
    async with load_balancer(ports, PATH) as url:
        adapters = [webhook_adapter(bot_api, port, url) for port in ports]
        async with running_adapter(bot_api, inboxes[0], adapters[0]):
            async with running_adapter(bot_api, inboxes[1], adapters[1]):
                for number in range(6):
                    await send_message(bot_api, f"{number}")
                await asyncio.gather(*(inbox.wait_for_events(3) for inbox in inboxes))
                for adapter in adapters:
                    assert await adapter.send(PRIVATE_PLACE, Part("hello"), key="k")
            await send_message(bot_api, "to the other process")
            await inboxes[0].wait_for_events(4)
    stored = [event.text for inbox in inboxes for event in inbox.stored]
    assert sorted(stored) == ["0", "1", "2", "3", "4", "5", "to the other process"]
