"""Receiving by webhook, against the stand-in that delivers as Telegram does."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
import structlog

from bots.sandbox.telegram import Call, Fault, Limits, TelegramStandIn
from bots.telegram import webhook
from bots.telegram.adapter import TelegramAdapter
from bots.telegram.polling import ALLOWED_UPDATES
from bots.telegram.webhook import SECRET_HEADER, derive_secret
from core.errors import ConfigurationError, UnavailableError
from core.port import Incoming, Part, Place
from tests.bots.telegram.conftest import FakeInbox
from tests.load_balancer import load_balancer

PATH = "/telegram/hook"


@pytest.fixture
async def stand_in() -> AsyncIterator[TelegramStandIn]:
    server = TelegramStandIn(limits=Limits.off())
    await server.start()
    yield server
    await server.close()


def successful_calls(stand_in: TelegramStandIn, method: str) -> list[Call]:
    """The calls of `method` that were taken."""
    return [c for c in stand_in.calls if c.method.lower() == method and c.status == 200]


def webhook_adapter(stand_in: TelegramStandIn, port: int, url: str | None = None) -> TelegramAdapter:
    """A chat that listens on `port` for what comes to `url`."""
    address = url or f"http://127.0.0.1:{port}{PATH}"
    return TelegramAdapter(stand_in.token, api_base=stand_in.api_base, webhook=(address, f"127.0.0.1:{port}"))


@asynccontextmanager
async def running_adapter(
    stand_in: TelegramStandIn, inbox: FakeInbox, chat: TelegramAdapter
) -> AsyncIterator[asyncio.Task[None]]:
    set_before = len(successful_calls(stand_in, "setwebhook"))
    task = asyncio.create_task(chat.run(inbox))
    try:
        await stand_in.wait_for(lambda: len(successful_calls(stand_in, "setwebhook")) > set_before)
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=10)


@asynccontextmanager
async def webhook_address(stand_in: TelegramStandIn, inbox: FakeInbox, port: int) -> AsyncIterator[str]:
    """A chat that receives by webhook; its address."""
    async with running_adapter(stand_in, inbox, webhook_adapter(stand_in, port)):
        yield f"http://127.0.0.1:{port}{PATH}"


async def test_messages_arrive_in_order(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    inbox = FakeInbox()
    ann = stand_in.create_user("Ann")
    chat = stand_in.open_private_chat(ann)
    async with webhook_address(stand_in, inbox, unused_tcp_port):
        for number in range(5):
            await stand_in.send_message(ann, chat, f"{number}")
        kept = await inbox.wait_for_events(5)
    assert [one.text for one in kept] == ["0", "1", "2", "3", "4"]


async def test_unstored_update_is_redelivered(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    inbox = FakeInbox()
    inbox.fail_next(times=1)
    ann = stand_in.create_user("Ann")
    chat = stand_in.open_private_chat(ann)
    async with webhook_address(stand_in, inbox, unused_tcp_port):
        await stand_in.send_message(ann, chat, "kept at last")
        kept = await inbox.wait_for_events(1)
    assert [one.text for one in kept] == ["kept at last"]
    assert inbox.attempts == 2


@pytest.mark.parametrize("secret", ["", "wrong", "x" * 64])
async def test_wrong_secret_is_rejected(stand_in: TelegramStandIn, unused_tcp_port: int, secret: str) -> None:
    inbox = FakeInbox()
    headers = {SECRET_HEADER: secret} if secret else {}
    body = io.BytesIO(b'{"update_id": 1}')
    async with (
        webhook_address(stand_in, inbox, unused_tcp_port) as url,
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as answer,
    ):
        assert (answer.status, await answer.text()) == (401, "")
    assert inbox.stored == []


async def test_unreadable_and_oversized_updates_are_skipped(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    inbox = FakeInbox()
    right = {SECRET_HEADER: derive_secret(stand_in.token)}
    async with (
        webhook_address(stand_in, inbox, unused_tcp_port) as url,
        aiohttp.ClientSession(headers=right) as session,
    ):
        for body, status in (
            (b'{"update_id": 5, "message": {"date": "nonsense"}}', 200),
            (b"[]", 400),
            (b'{"a":' * 50_000, 400),
            (b'{"a":"\xff\xfe"}', 400),
            (b"x" * 2_000_000, 413),
        ):
            async with session.post(url, data=io.BytesIO(body)) as answer:
                assert answer.status == status
        async with session.get(url.replace(PATH, "/healthz")) as answer:
            assert answer.status == 200


async def test_port_in_use_is_configuration_error(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", unused_tcp_port)
    chat = TelegramAdapter(
        stand_in.token,
        api_base=stand_in.api_base,
        webhook=(f"http://127.0.0.1{PATH}", f"127.0.0.1:{unused_tcp_port}"),
    )
    async with taken, asyncio.timeout(10):
        with pytest.raises(UnavailableError, match="TELEGRAM_WEBHOOK_LISTEN"):
            await chat.run(FakeInbox())


async def test_polling_removes_webhook(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    inbox = FakeInbox()
    ann = stand_in.create_user("Ann")
    private = stand_in.open_private_chat(ann)
    async with webhook_address(stand_in, inbox, unused_tcp_port):
        pass
    chat = TelegramAdapter(stand_in.token, api_base=stand_in.api_base)
    task = asyncio.create_task(chat.run(inbox))
    await stand_in.send_message(ann, private, "by polling")
    await inbox.wait_for_events(1)
    task.cancel()
    await asyncio.wait({task}, timeout=10)


async def test_set_webhook_sends_update_types_and_secret(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    async with webhook_address(stand_in, FakeInbox(), unused_tcp_port) as url:
        asked = successful_calls(stand_in, "setwebhook")[0].params
    assert asked["url"] == url
    assert asked["allowed_updates"] == list(ALLOWED_UPDATES)
    assert asked["secret_token"] == derive_secret(stand_in.token)
    assert stand_in.token.partition(":")[2] not in asked["secret_token"]
    assert "drop_pending_updates" not in asked
    assert not successful_calls(stand_in, "getupdates")


async def test_non_ascii_secret_is_rejected(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    async with webhook_address(stand_in, FakeInbox(), unused_tcp_port):
        reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n{SECRET_HEADER}: "
        writer.write(head.encode() + b"\xff\xfe\xc3\r\n\r\n{}")
        async with asyncio.timeout(5):
            assert (await reader.readline()).split()[1] == b"401"
        writer.close()
        await writer.wait_closed()


async def test_other_paths_are_404(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    right = {SECRET_HEADER: derive_secret(stand_in.token)}
    async with (
        webhook_address(stand_in, FakeInbox(), unused_tcp_port) as url,
        aiohttp.ClientSession(headers=right) as session,
    ):
        async with session.post(url + "/more", json={"update_id": 1}) as answer:
            assert answer.status == 404
        async with session.get(url) as answer:
            assert answer.status == 405


async def test_set_webhook_respects_retry_after(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    refused: list[float] = []

    def flood(call: Call) -> Fault | None:
        if call.method.lower() != "setwebhook" or refused:
            return None
        refused.append(call.time)
        return Fault("429", 2)

    stand_in.fault_hook = flood
    async with webhook_address(stand_in, FakeInbox(), unused_tcp_port):
        assert successful_calls(stand_in, "setwebhook")[0].time - refused[0] >= 2


async def test_refused_webhook_url_is_configuration_error(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    chat = webhook_adapter(stand_in, unused_tcp_port, "http://192.0.2.7/hook")
    async with asyncio.timeout(10):
        with pytest.raises(ConfigurationError, match=r"TELEGRAM_WEBHOOK_URL: .*https"):
            await chat.run(FakeInbox())


async def test_unresolved_host_is_retried(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    chat = webhook_adapter(stand_in, unused_tcp_port, "https://not-yet.invalid/hook")
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(chat.run(FakeInbox()))
        await stand_in.wait_for(lambda: len(stand_in.calls_with_status(400)) == 2)
    told = [line for line in logs if line["event"] == "telegram.webhook_not_set"]
    assert "resolve host" in told[0]["said"]
    assert not task.done()
    assert chat.last_activity is None, "connecting, not deaf"
    task.cancel()
    await asyncio.wait({task}, timeout=10)


async def test_removed_webhook_is_set_again(
    stand_in: TelegramStandIn, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "CHECK_INTERVAL", 0.05)
    inbox = FakeInbox()
    ann = stand_in.create_user("Ann")
    private = stand_in.open_private_chat(ann)
    async with (
        webhook_address(stand_in, inbox, unused_tcp_port),
        aiohttp.ClientSession() as session,
    ):
        await stand_in.wait_for(lambda: len(successful_calls(stand_in, "getwebhookinfo")) >= 3)
        assert len(successful_calls(stand_in, "setwebhook")) == 1, "set once, as long as it stays"
        address = f"{stand_in.api_base}/bot{stand_in.token}/deleteWebhook"
        async with session.post(address) as answer:
            assert answer.status == 200
        await stand_in.send_message(ann, private, "heard all the same")
        assert (await inbox.wait_for_events(1))[0].text == "heard all the same"


async def test_webhook_error_is_logged_once(
    stand_in: TelegramStandIn, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "CHECK_INTERVAL", 0.02)
    inbox = FakeInbox()
    inbox.fail_next(times=1)
    ann = stand_in.create_user("Ann")
    private = stand_in.open_private_chat(ann)
    with structlog.testing.capture_logs() as logs:
        async with webhook_address(stand_in, inbox, unused_tcp_port):
            await stand_in.send_message(ann, private, "private words")
            await inbox.wait_for_events(1)
            looks = len(successful_calls(stand_in, "getwebhookinfo"))
            await stand_in.wait_for(lambda: len(successful_calls(stand_in, "getwebhookinfo")) > looks + 3)
    told = [entry for entry in logs if entry["event"] == "telegram.webhook_trouble"]
    assert len(told) == 1
    assert "503" in told[0]["said"]
    assert "words" not in str(logs)


async def test_last_activity_needs_round_trip(
    stand_in: TelegramStandIn, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(webhook, "RECHECK_INTERVAL", 0.01)
    chat = webhook_adapter(stand_in, unused_tcp_port)
    async with running_adapter(stand_in, FakeInbox(), chat):
        await stand_in.wait_for(lambda: len(successful_calls(stand_in, "getwebhookinfo")) >= 1)
        stand_in.fault_hook = lambda call: Fault("502") if call.method == "getWebhookInfo" else None
        await stand_in.wait_for(lambda: bool(stand_in.calls_with_status(502)))
        heard = chat.last_activity
        await stand_in.wait_for(lambda: len(stand_in.calls_with_status(502)) >= 4)
        assert chat.last_activity == heard
        stand_in.fault_hook = None
        looks = len(successful_calls(stand_in, "getwebhookinfo"))
        await stand_in.wait_for(lambda: len(successful_calls(stand_in, "getwebhookinfo")) >= looks + 2)
        assert heard is not None
        assert chat.last_activity is not None
        assert chat.last_activity > heard


async def test_revoked_token_ends_run(
    stand_in: TelegramStandIn, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "CHECK_INTERVAL", 0.05)
    async with running_adapter(stand_in, FakeInbox(), webhook_adapter(stand_in, unused_tcp_port)) as task:
        stand_in.token = "123456789:another"
        async with asyncio.timeout(10):
            with pytest.raises(ConfigurationError, match="TELEGRAM_BOT_TOKEN"):
                await task


async def test_update_in_progress_is_answered_on_shutdown(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    inbox = FakeInbox()
    inbox.wait_for = asyncio.Event()
    ann = stand_in.create_user("Ann")
    private = stand_in.open_private_chat(ann)
    async with running_adapter(stand_in, inbox, webhook_adapter(stand_in, unused_tcp_port)) as task:
        await stand_in.send_message(ann, private, "the last word")
        await inbox.wait_until(lambda: inbox.attempts == 1)
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
        inbox.wait_for.set()
        await stand_in.wait_for(lambda: not stand_in.updates.pending)
    assert [one.text for one in inbox.stored] == ["the last word"]
    assert inbox.attempts == 1


async def test_hanging_update_does_not_block_shutdown(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    inbox = FakeInbox()
    inbox.wait_for = asyncio.Event()
    ann = stand_in.create_user("Ann")
    private = stand_in.open_private_chat(ann)
    async with running_adapter(stand_in, inbox, webhook_adapter(stand_in, unused_tcp_port)) as task:
        await stand_in.send_message(ann, private, "not kept")
        await inbox.wait_until(lambda: inbox.attempts == 1)
        task.cancel()
        async with asyncio.timeout(6):
            await asyncio.wait({task})
    assert stand_in.updates.pending, "it comes again"


@pytest.mark.parametrize("failures", [2, 3])
async def test_failing_updates_are_tried_three_times(
    stand_in: TelegramStandIn, unused_tcp_port: int, failures: int
) -> None:
    stand_in.webhook_retry_delay = 0.01
    people = [stand_in.create_user(name) for name in ("Ann", "Bob")]
    tries: dict[str, int] = {}
    inbox = FakeInbox()

    async def failing(incoming: Incoming) -> None:
        tries[incoming.text] = tries.get(incoming.text, 0) + 1
        if incoming.text.startswith("bad") and tries[incoming.text] <= failures:
            raise ValueError("secret words")
        await inbox(incoming)

    chat = webhook_adapter(stand_in, unused_tcp_port)
    task = asyncio.create_task(chat.run(failing))
    for person in people:  # in two chats, so that their failures alternate
        await stand_in.send_message(person, stand_in.open_private_chat(person), f"bad {person.name}")
    for person in people:
        await stand_in.send_message(person, stand_in.open_private_chat(person), f"good {person.name}")
    await inbox.wait_for_events(2 if failures == 3 else 4)
    assert tries == {"bad Ann": 3, "bad Bob": 3, "good Ann": 1, "good Bob": 1}
    assert not successful_calls(stand_in, "sendmessage"), "nobody knows here whether they may be answered"
    task.cancel()
    await asyncio.wait({task}, timeout=10)


async def test_processes_share_webhook(stand_in: TelegramStandIn, unused_tcp_port_factory: Callable[[], int]) -> None:
    stand_in.webhook_retry_delay = 0.01
    ports = [unused_tcp_port_factory(), unused_tcp_port_factory()]
    inboxes = [FakeInbox(), FakeInbox()]
    ann = stand_in.create_user("Ann")
    private = stand_in.open_private_chat(ann)
    async with load_balancer(ports, PATH) as url:
        chats = [webhook_adapter(stand_in, port, url) for port in ports]
        async with running_adapter(stand_in, inboxes[0], chats[0]):
            async with running_adapter(stand_in, inboxes[1], chats[1]):
                for number in range(6):
                    await stand_in.send_message(ann, private, f"{number}")
                await asyncio.gather(*(inbox.wait_for_events(3) for inbox in inboxes))
                place = Place("telegram", chats[0].account, str(private.id), is_private=True)
                for chat in chats:
                    assert await chat.send(place, Part("hello"), key="k")
            await stand_in.send_message(ann, private, "to who is left")
            await inboxes[0].wait_for_events(4)
    kept = [one.text for inbox in inboxes for one in inbox.stored]
    assert sorted(kept) == ["0", "1", "2", "3", "4", "5", "to who is left"]
