"""Mutated updates, from the bytes of `getUpdates` through python-telegram-bot to the core's answer.

FUZZ_EVENTS is the number of updates, FUZZ_SEED the seed; `make fuzz` runs the long form.
"""

import asyncio
import itertools
import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from telegram import Bot, User

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram import TelegramStandIn
from bots.telegram.http_client import PollingRequest
from bots.telegram.polling import Poller
from bots.telegram.receiving import UpdateReceiver
from bots.telegram.timings import TelegramTimings
from core.commands.declarations import COMMANDS
from core.port import Place, Sender
from core.throttled_log import ThrottledLog
from tests.bots.telegram.payloads import ADA, BOB, BOT, FORUM, GROUP, PRIVATE, command, mention_message, message
from tests.fuzz.cases import SEED, Run, case_count, time_limit
from tests.fuzz.checked_core import CheckedAdapter, CheckedCore, choose_evenly, running_checked_core
from tests.fuzz.mutations import JsonMutator

EVENTS = case_count("FUZZ_EVENTS", 60)
EVENTS_PER_CORE = 300
TOKEN = "123456:AAsecret-Token_value"
ME = User(BOT["id"], BOT["first_name"], is_bot=True, username=BOT["username"])
BOBS_CHAT: Json = {"id": BOB["id"], "type": "private", "first_name": "Bob"}
BY_BOB: dict[str, Any] = {"from": BOB}
BY_BOT: dict[str, Any] = {"from": BOT}
FILE: Json = {"file_id": "f", "file_unique_id": "u", "file_name": "a.txt", "mime_type": "text/plain", "file_size": 3}
ADA_SENDER = Sender("telegram", str(ADA["id"]), "Ada")
PRIVATE_PLACE = Place("telegram", str(BOT["id"]), str(PRIVATE["id"]), is_private=True)
GROUP_PLACE = Place("telegram", str(BOT["id"]), str(GROUP["id"]))
TIMINGS = TelegramTimings(first_retry_delay=0.001, max_retry_delay=0.001)


class UpdateFeed(PollingRequest):
    """Answers `getUpdates` with one update until it is confirmed, as Telegram does."""

    def __init__(self) -> None:
        super().__init__("http://unused", TIMINGS, read_timeout=1, max_connections=1)
        self._update = ""
        self._next_id = 0
        self._arrived = asyncio.Event()
        self._confirmed = asyncio.Event()

    async def do_request(
        self, url: str, method: str, request_data: Any = None, *_: Any, **__: Any
    ) -> tuple[int, bytes]:
        if not url.endswith("getUpdates"):
            return 200, b'{"ok":true,"result":true}'
        offset = int(str(request_data.parameters.get("offset", 0))) if request_data else 0
        while offset >= self._next_id:
            self._confirmed.set()
            self._arrived.clear()
            await self._arrived.wait()
        last = json.dumps({"update_id": self._next_id - 1})
        return 200, f'{{"ok":true,"result":[{self._update},{last}]}}'.encode("utf-8", "surrogatepass")

    async def deliver(self, update: str, update_id: int) -> None:
        """Returns when the update and an empty one after it are confirmed."""
        self._update, self._next_id = update, update_id + 2
        self._confirmed.clear()
        self._arrived.set()
        await self._confirmed.wait()


async def valid_updates(core: CheckedCore) -> list[Json]:
    """Updates of Bob, and of the group and the private chats."""
    answer = message(GROUP, "An answer.", message_id=int(next(iter(core.adapter.messages))), **BY_BOT)
    contents: list[Json] = [
        *await stand_in_updates(),
        *({"message": message(BOBS_CHAT, text, **BY_BOB)} for text in ("hello", "x" * 3600)),
        *({"message": command(BOBS_CHAT, text, **BY_BOB)} for text in COMMAND_TEXTS),
        *({"message": command(GROUP, text, **BY_BOB)} for text in ("/stop", "/model@parley_bot llama")),
        {"message": mention_message(GROUP, "@parley_bot what is this?", **BY_BOB)},
        {"message": message(GROUP, "go on", reply_to_message=answer, **BY_BOB)},
        {
            "message": mention_message(
                FORUM, "@parley_bot hi", **(BY_BOB | {"is_topic_message": True, "message_thread_id": 55})
            )
        },
        {"message": message(BOBS_CHAT, caption="see", document=FILE, media_group_id="7", **BY_BOB)},
        {"message": message(BOBS_CHAT, quote={"text": "a\nb", "position": 0, "is_manual": True}, **BY_BOB)},
        {"message": message(GROUP, migrate_to_chat_id=-1009)},
        *(callback(GROUP, data, core) for data in core.actions),
        *(callback(BOBS_CHAT, data, core) for data in core.actions[::3]),
        *(pressed_inline(data) for data in (*core.actions[::3], "ask:1")),
        {"chosen_inline_result": {"result_id": "ask", "from": BOB, "query": "why?", "inline_message_id": "x1"}},
        {"guest_message": mention_message(GROUP, "@parley_bot why?", guest_query_id="g1", **BY_BOB)},
        {"inline_query": {"id": "1", "from": BOB, "query": "why?", "offset": ""}},
        *({"stopped_message_generation": {"chat": BOBS_CHAT, "draft_id": id_}} for id_ in core.draft_ids),
        {
            "my_chat_member": {
                "chat": GROUP,
                "from": BOB,
                "date": 1,
                "old_chat_member": MEMBER,
                "new_chat_member": MEMBER,
            }
        },
    ]
    return contents


MEMBER: Json = {"user": BOT, "status": "member"}
COMMAND_TEXTS = (
    *(
        "/start",
        "/start ABCDE-FGHJK",
        "/help",
        "/ask why?",
        "/model llama",
        "/models",
        "/stop",
        "/retry",
        "/new",
        "/context",
    ),
    *(
        "/system be brief",
        "/remember the door",
        "/memory",
        "/usage",
        "/key sk-0123456789abcdef01",
        "/settings length 100",
    ),
)


def callback(chat: Json, data: str, core: CheckedCore) -> Json:
    """A press on Ada's answer."""
    pressed = message(chat, "An answer.", message_id=int(list(core.adapter.messages)[-1]), **BY_BOT)
    return {"callback_query": {"id": "9", "from": BOB, "chat_instance": "c", "data": data, "message": pressed}}


def pressed_inline(data: str) -> Json:
    """A press in a chat that the bot is not in."""
    return {"callback_query": {"id": "9", "from": BOB, "chat_instance": "c", "data": data, "inline_message_id": "x1"}}


async def stand_in_updates() -> list[Json]:
    """What the stand-in's clients cause."""
    server = TelegramStandIn(token=TOKEN)
    bob = server.create_user("Bob", id=BOB["id"])
    chat, forum = server.open_private_chat(bob), server.create_forum("Forum", bob)
    await server.send_sticker(bob, chat)
    await server.send_photo(bob, chat, caption="look")
    await server.send_document(bob, chat, "a.txt", b"text", caption="read", media_type="text/plain")
    await server.send_message(bob, forum, f"@{server.bot.username} hi", thread=server.create_topic(forum, "Topic"))
    await server.block_bot(bob)
    return [{key: value for key, value in each.update.items() if key != "update_id"} for each in server.updates.pending]


def interesting_values(core: CheckedCore) -> list[object]:
    return [
        *(
            BOB["id"],
            BOBS_CHAT["id"],
            BOT["id"],
            GROUP["id"],
            FORUM["id"],
            PRIVATE["id"],
            GROUP,
            BOBS_CHAT,
            BOB,
            BOT,
            FILE,
        ),
        *(
            "private",
            "group",
            "supergroup",
            "channel",
            "unheard_of",
            "bot_command",
            "mention",
            "text_mention",
            "custom",
        ),
        *core.actions,
        *core.draft_ids,
        *map(int, core.adapter.messages),
    ]


def kind_of(update: Json) -> object:
    """Messages count twice: some have entities, or are answered by a model."""
    kind = next(iter(update))
    return (kind, "entities" in update[kind]) if kind == "message" else kind


async def run_block(core: CheckedCore, numbers: list[int], random_source: random.Random, run: Run) -> None:
    """Stops early when an event has changed what the checks are about."""
    mutator = JsonMutator(random_source, interesting_values(core), is_parsable=True)
    feed = UpdateFeed()
    bot = Bot(TOKEN, request=feed, get_updates_request=feed)
    receiver = UpdateReceiver(core.inbox, ME, {c.name for c in COMMANDS}, lambda *_: None, ThrottledLog())
    polling = asyncio.create_task(Poller(bot, receiver.receive, TIMINGS).run())
    updates = await valid_updates(core)
    update_ids = itertools.count(1000, 10)
    try:
        while numbers and not core.is_changed:
            number, update_id = numbers.pop(), next(update_ids)
            update: Json = choose_evenly(random_source, updates, kind_of)
            content = {"update_id": update_id, **update}
            if random_source.random() < 0.9:
                content = mutator.mutate(content)
            text = mutator.encode(content)
            with run.case(number, text):
                await core.check(partial(deliver, feed, text, update_id, polling))
    finally:
        polling.cancel()
        await asyncio.wait({polling})


async def deliver(feed: UpdateFeed, text: str, update_id: int, polling: "asyncio.Task[None]") -> None:
    delivery = asyncio.create_task(feed.deliver(text, update_id))
    await asyncio.wait({delivery, polling}, return_when=asyncio.FIRST_COMPLETED)
    if polling.done():
        delivery.cancel()
        await polling
    await delivery


@pytest.mark.slow
@pytest.mark.timeout(time_limit(EVENTS))
async def test_mutated_updates_act_only_as_their_sender_may(tmp_path: Path) -> None:
    random_source = random.Random(SEED)
    numbers = list(range(EVENTS, 0, -1))
    with Run("updates") as run:
        while numbers:
            adapter = CheckedAdapter("telegram", str(BOT["id"]))
            places = (PRIVATE_PLACE, GROUP_PLACE)
            async with running_checked_core(tmp_path / f"{len(numbers)}", adapter, ADA_SENDER, *places) as core:
                block = numbers[-EVENTS_PER_CORE:]
                rest = numbers[: -len(block)]
                await run_block(core, block, random_source, run)
                numbers = rest + block
