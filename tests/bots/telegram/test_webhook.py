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
from bots.telegram.chat import TelegramChat
from bots.telegram.polling import ALLOWED_UPDATES
from bots.telegram.webhook import HEADER, secret_of
from core.errors import ConfigurationError, UnavailableError
from core.port import Incoming, Part, Place
from tests.balancer import balanced
from tests.bots.telegram.conftest import Inbox

PATH = "/telegram/hook"


@pytest.fixture
async def stand_in() -> AsyncIterator[TelegramStandIn]:
    server = TelegramStandIn(limits=Limits.off())
    await server.start()
    yield server
    await server.close()


def made(stand_in: TelegramStandIn, method: str) -> list[Call]:
    """The calls of `method` that were taken."""
    return [c for c in stand_in.calls if c.method.lower() == method and c.status == 200]


def receiver(stand_in: TelegramStandIn, port: int, url: str | None = None) -> TelegramChat:
    """A chat that listens on `port` for what comes to `url`."""
    address = url or f"http://127.0.0.1:{port}{PATH}"
    return TelegramChat(
        stand_in.token, api_base=stand_in.base_url, webhook=(address, f"127.0.0.1:{port}")
    )


@asynccontextmanager
async def running(
    stand_in: TelegramStandIn, inbox: Inbox, chat: TelegramChat
) -> AsyncIterator[asyncio.Task[None]]:
    set_before = len(made(stand_in, "setwebhook"))
    task = asyncio.create_task(chat.run(inbox))
    try:
        await stand_in.wait(lambda: len(made(stand_in, "setwebhook")) > set_before)
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=10)


@asynccontextmanager
async def listening(stand_in: TelegramStandIn, inbox: Inbox, port: int) -> AsyncIterator[str]:
    """A chat that receives by webhook; its address."""
    async with running(stand_in, inbox, receiver(stand_in, port)):
        yield f"http://127.0.0.1:{port}{PATH}"


async def test_what_people_write_arrives_in_order(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    inbox = Inbox()
    ann = stand_in.person("Ann")
    chat = stand_in.private(ann)
    async with listening(stand_in, inbox, unused_tcp_port):
        for number in range(5):
            await stand_in.say(ann, chat, f"{number}")
        kept = await inbox.receives(5)
    assert [one.text for one in kept] == ["0", "1", "2", "3", "4"]


async def test_what_could_not_be_kept_is_delivered_again(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    inbox = Inbox()
    inbox.refuse(times=1)
    ann = stand_in.person("Ann")
    chat = stand_in.private(ann)
    async with listening(stand_in, inbox, unused_tcp_port):
        await stand_in.say(ann, chat, "kept at last")
        kept = await inbox.receives(1)
    assert [one.text for one in kept] == ["kept at last"]
    assert inbox.tries == 2


@pytest.mark.parametrize("secret", ["", "wrong", "x" * 64])
async def test_who_does_not_know_the_secret_is_not_heard(
    stand_in: TelegramStandIn, unused_tcp_port: int, secret: str
) -> None:
    inbox = Inbox()
    headers = {HEADER: secret} if secret else {}
    body = io.BytesIO(b'{"update_id": 1}')
    async with (
        listening(stand_in, inbox, unused_tcp_port) as url,
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as answer,
    ):
        assert (answer.status, await answer.text()) == (401, "")
    assert inbox.kept == []


async def test_an_update_nobody_can_read_and_one_too_large_hold_nothing_up(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    inbox = Inbox()
    right = {HEADER: secret_of(stand_in.token)}
    async with (
        listening(stand_in, inbox, unused_tcp_port) as url,
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


async def test_a_port_that_is_taken_is_told(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", unused_tcp_port)
    chat = TelegramChat(
        stand_in.token,
        api_base=stand_in.base_url,
        webhook=(f"http://127.0.0.1{PATH}", f"127.0.0.1:{unused_tcp_port}"),
    )
    async with taken, asyncio.timeout(10):
        with pytest.raises(UnavailableError, match="TELEGRAM_WEBHOOK_LISTEN"):
            await chat.run(Inbox())


async def test_polling_takes_the_webhook_away(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    inbox = Inbox()
    ann = stand_in.person("Ann")
    private = stand_in.private(ann)
    async with listening(stand_in, inbox, unused_tcp_port):
        pass
    chat = TelegramChat(stand_in.token, api_base=stand_in.base_url)
    task = asyncio.create_task(chat.run(inbox))
    await stand_in.say(ann, private, "by polling")
    await inbox.receives(1)
    task.cancel()
    await asyncio.wait({task}, timeout=10)


async def test_telegram_is_told_what_is_understood_and_the_secret(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    async with listening(stand_in, Inbox(), unused_tcp_port) as url:
        asked = made(stand_in, "setwebhook")[0].params
    assert asked["url"] == url
    assert asked["allowed_updates"] == list(ALLOWED_UPDATES)
    assert asked["secret_token"] == secret_of(stand_in.token)
    assert stand_in.token.partition(":")[2] not in asked["secret_token"]
    assert "drop_pending_updates" not in asked
    assert not made(stand_in, "getupdates")


async def test_a_secret_that_is_no_text_is_refused_as_any_other(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    async with listening(stand_in, Inbox(), unused_tcp_port):
        reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n{HEADER}: "
        writer.write(head.encode() + b"\xff\xfe\xc3\r\n\r\n{}")
        async with asyncio.timeout(5):
            assert (await reader.readline()).split()[1] == b"401"
        writer.close()
        await writer.wait_closed()


async def test_nothing_is_heard_elsewhere(stand_in: TelegramStandIn, unused_tcp_port: int) -> None:
    right = {HEADER: secret_of(stand_in.token)}
    async with (
        listening(stand_in, Inbox(), unused_tcp_port) as url,
        aiohttp.ClientSession(headers=right) as session,
    ):
        async with session.post(url + "/more", json={"update_id": 1}) as answer:
            assert answer.status == 404
        async with session.get(url) as answer:
            assert answer.status == 405


async def test_a_wait_asked_for_when_the_webhook_is_set_is_kept(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    refused: list[float] = []

    def flood(call: Call) -> Fault | None:
        if call.method.lower() != "setwebhook" or refused:
            return None
        refused.append(call.time)
        return Fault("429", 2)

    stand_in.faults = flood
    async with listening(stand_in, Inbox(), unused_tcp_port):
        assert made(stand_in, "setwebhook")[0].time - refused[0] >= 2


async def test_an_address_telegram_will_not_have_is_the_operators_to_change(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    chat = receiver(stand_in, unused_tcp_port, "http://192.0.2.7/hook")
    async with asyncio.timeout(10):
        with pytest.raises(ConfigurationError, match=r"TELEGRAM_WEBHOOK_URL: .*https"):
            await chat.run(Inbox())


async def test_a_host_that_is_not_found_is_waited_for(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    chat = receiver(stand_in, unused_tcp_port, "https://not-yet.invalid/hook")
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(chat.run(Inbox()))
        await stand_in.wait(lambda: len(stand_in.refused(400)) == 2)
    told = [line for line in logs if line["event"] == "telegram.webhook_not_set"]
    assert "resolve host" in told[0]["said"]
    assert not task.done()
    assert chat.last_heard is None, "connecting, not deaf"
    task.cancel()
    await asyncio.wait({task}, timeout=10)


async def test_a_webhook_somebody_took_away_is_set_again(
    stand_in: TelegramStandIn, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "CHECK_EVERY", 0.05)
    inbox = Inbox()
    ann = stand_in.person("Ann")
    private = stand_in.private(ann)
    async with (
        listening(stand_in, inbox, unused_tcp_port),
        aiohttp.ClientSession() as session,
    ):
        await stand_in.wait(lambda: len(made(stand_in, "getwebhookinfo")) >= 3)
        assert len(made(stand_in, "setwebhook")) == 1, "set once, as long as it stays"
        address = f"{stand_in.base_url}/bot{stand_in.token}/deleteWebhook"
        async with session.post(address) as answer:
            assert answer.status == 200
        await stand_in.say(ann, private, "heard all the same")
        assert (await inbox.receives(1))[0].text == "heard all the same"


async def test_what_telegram_complains_about_is_told_once(
    stand_in: TelegramStandIn, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "CHECK_EVERY", 0.02)
    inbox = Inbox()
    inbox.refuse(times=1)
    ann = stand_in.person("Ann")
    private = stand_in.private(ann)
    with structlog.testing.capture_logs() as logs:
        async with listening(stand_in, inbox, unused_tcp_port):
            await stand_in.say(ann, private, "private words")
            await inbox.receives(1)
            looks = len(made(stand_in, "getwebhookinfo"))
            await stand_in.wait(lambda: len(made(stand_in, "getwebhookinfo")) > looks + 3)
    told = [entry for entry in logs if entry["event"] == "telegram.webhook_trouble"]
    assert len(told) == 1
    assert "503" in told[0]["said"]
    assert "words" not in str(logs)


async def test_being_heard_of_is_a_round_trip_and_a_failed_one_is_soon_repeated(
    stand_in: TelegramStandIn, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "CHECK_EVERY", 0.05)
    monkeypatch.setattr(webhook, "CHECK_AGAIN", 0.01)
    chat = receiver(stand_in, unused_tcp_port)
    async with running(stand_in, Inbox(), chat):
        await stand_in.wait(lambda: len(made(stand_in, "getwebhookinfo")) >= 1)
        stand_in.faults = lambda call: Fault("502") if call.method == "getWebhookInfo" else None
        await stand_in.wait(lambda: bool(stand_in.refused(502)))
        heard = chat.last_heard
        await stand_in.wait(lambda: len(stand_in.refused(502)) >= 4)
        assert chat.last_heard == heard
        stand_in.faults = None
        looks = len(made(stand_in, "getwebhookinfo"))
        await stand_in.wait(lambda: len(made(stand_in, "getwebhookinfo")) >= looks + 2)
        assert heard is not None
        assert chat.last_heard is not None
        assert chat.last_heard > heard


async def test_a_token_withdrawn_later_ends_the_run(
    stand_in: TelegramStandIn, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "CHECK_EVERY", 0.05)
    async with running(stand_in, Inbox(), receiver(stand_in, unused_tcp_port)) as task:
        stand_in.token = "123456789:another"
        async with asyncio.timeout(10):
            with pytest.raises(ConfigurationError, match="TELEGRAM_BOT_TOKEN"):
                await task


async def test_what_is_being_kept_when_the_bot_ends_is_answered(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    inbox = Inbox()
    inbox.hold = asyncio.Event()
    ann = stand_in.person("Ann")
    private = stand_in.private(ann)
    async with running(stand_in, inbox, receiver(stand_in, unused_tcp_port)) as task:
        await stand_in.say(ann, private, "the last word")
        await inbox.until(lambda: inbox.tries == 1)
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
        inbox.hold.set()
        await stand_in.wait(lambda: not stand_in.updates.pending)
    assert [one.text for one in inbox.kept] == ["the last word"]
    assert inbox.tries == 1


async def test_what_hangs_does_not_keep_the_bot_from_ending(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    inbox = Inbox()
    inbox.hold = asyncio.Event()
    ann = stand_in.person("Ann")
    private = stand_in.private(ann)
    async with running(stand_in, inbox, receiver(stand_in, unused_tcp_port)) as task:
        await stand_in.say(ann, private, "not kept")
        await inbox.until(lambda: inbox.tries == 1)
        task.cancel()
        async with asyncio.timeout(6):
            await asyncio.wait({task})
    assert stand_in.updates.pending, "it comes again"


@pytest.mark.parametrize("failures", [2, 3])
async def test_updates_that_fail_hold_nobody_up_and_are_tried_three_times_each(
    stand_in: TelegramStandIn, unused_tcp_port: int, failures: int
) -> None:
    stand_in._webhook_delay = 0.01
    people = [stand_in.person(name) for name in ("Ann", "Bob")]
    tries: dict[str, int] = {}
    inbox = Inbox()

    async def failing(incoming: Incoming) -> None:
        tries[incoming.text] = tries.get(incoming.text, 0) + 1
        if incoming.text.startswith("bad") and tries[incoming.text] <= failures:
            raise ValueError("secret words")
        await inbox(incoming)

    chat = receiver(stand_in, unused_tcp_port)
    task = asyncio.create_task(chat.run(failing))
    for person in people:  # in two chats, so that their failures alternate
        await stand_in.say(person, stand_in.private(person), f"bad {person.name}")
    for person in people:
        await stand_in.say(person, stand_in.private(person), f"good {person.name}")
    await inbox.receives(2 if failures == 3 else 4)
    assert tries == {"bad Ann": 3, "bad Bob": 3, "good Ann": 1, "good Bob": 1}
    assert not made(stand_in, "sendmessage"), "nobody knows here whether they may be answered"
    task.cancel()
    await asyncio.wait({task}, timeout=10)


async def test_all_processes_listen_and_one_that_ends_is_not_missed(
    stand_in: TelegramStandIn, unused_tcp_port_factory: Callable[[], int]
) -> None:
    stand_in._webhook_delay = 0.01
    ports = [unused_tcp_port_factory(), unused_tcp_port_factory()]
    inboxes = [Inbox(), Inbox()]
    ann = stand_in.person("Ann")
    private = stand_in.private(ann)
    async with balanced(ports, PATH) as url:
        chats = [receiver(stand_in, port, url) for port in ports]
        async with running(stand_in, inboxes[0], chats[0]):
            async with running(stand_in, inboxes[1], chats[1]):
                for number in range(6):
                    await stand_in.say(ann, private, f"{number}")
                await asyncio.gather(*(inbox.receives(3) for inbox in inboxes))
                place = Place("telegram", chats[0].account, str(private.id), private=True)
                for chat in chats:
                    assert await chat.send(place, Part("hello"), key="k")
            await stand_in.say(ann, private, "to who is left")
            await inboxes[0].receives(4)
    kept = [one.text for inbox in inboxes for one in inbox.kept]
    assert sorted(kept) == ["0", "1", "2", "3", "4", "5", "to who is left"]
