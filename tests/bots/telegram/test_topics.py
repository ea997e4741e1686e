"""Topics of private chats are conversations of their own, named after their first questions."""

import asyncio

import msgspec
import pytest
from telegram import Bot, Update

from bots.sandbox.telegram import ScriptedReply, TelegramStandIn
from bots.telegram.topics import MAX_TITLE_CHARS, TopicTitles
from core.clock import SystemClock
from core.commands.declarations import COMMANDS
from core.errors import AccessDeniedError
from core.texts.threads import make_title
from tests.bots.telegram.conftest import TOKEN, FakeInbox, RunAdapter, params_of, wait_for_calls
from tests.bots.telegram.payloads import PRIVATE, message
from tests.state_store import MemoryState

STATE = "telegram.topics.123456"


class SharedState(MemoryState):
    """Two processes read it before either saves."""

    def __init__(self) -> None:
        super().__init__()
        self._reads = asyncio.Barrier(2)

    async def load_state(self, name: str) -> str | None:
        value = await super().load_state(name)
        await self._reads.wait()
        return value


async def test_topic_without_a_name_gets_one_from_its_first_question(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox
) -> None:
    ada, chat = bot_api.users[42], bot_api.chats[42]
    async with run_adapter():
        topic = bot_api.create_topic(chat, "New topic", is_name_implicit=True)
        await bot_api.send_message(ada, chat, "How do bees\nfind home?", thread=topic)
        await wait_for_calls(bot_api, "editForumTopic")
        await bot_api.send_message(ada, chat, "And wasps?", thread=topic)
        await inbox.wait_for_events(2)
    assert chat.topics[topic] == "How do bees"
    assert len(params_of(bot_api, "editForumTopic")) == 1


async def test_api_key_names_no_topic(bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox) -> None:
    ada, chat = bot_api.users[42], bot_api.chats[42]
    async with run_adapter():
        topic = bot_api.create_topic(chat, "New topic", is_name_implicit=True)
        await bot_api.send_message(ada, chat, f"sk-{'0123456789abcdef' * 2}", thread=topic)
        await bot_api.send_message(ada, chat, "How do bees find home?", thread=topic)
        await wait_for_calls(bot_api, "editForumTopic")
        await inbox.wait_for_events(2)
    assert [params["name"] for params in params_of(bot_api, "editForumTopic")] == ["How do bees find home?"]


async def test_first_question_after_a_restart_names_the_topic(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox
) -> None:
    """Or one that another process receives."""
    ada, chat, state = bot_api.users[42], bot_api.chats[42], MemoryState()
    async with run_adapter(state=state):
        topic = bot_api.create_topic(chat, "New topic", is_name_implicit=True)
        renamed = bot_api.create_topic(chat, "New topic", is_name_implicit=True)
        bot_api.rename_topic(chat, renamed, "Wasps")
        await bot_api.wait_for(lambda: not bot_api.updates.pending)
    async with run_adapter(state=state):
        await bot_api.send_message(ada, chat, "Hello", thread=renamed)
        await bot_api.send_message(ada, chat, "How do bees find home?", thread=topic)
        await wait_for_calls(bot_api, "editForumTopic")
        await inbox.wait_for_events(2)
    assert (chat.topics[topic], chat.topics[renamed]) == ("How do bees find home?", "Wasps")
    assert str(ada.id) not in state.values[STATE], "who writes to the bot"


async def test_processes_notice_topics_at_the_same_time(bot_api: TelegramStandIn) -> None:
    """None overwrites what another stores meanwhile."""
    state = SharedState()
    async with Bot(TOKEN, base_url=f"{bot_api.api_base}/bot") as bot:
        processes = [TopicTitles(bot, state, SystemClock()) for _ in range(2)]
        created = {"name": "New topic", "icon_color": 1, "is_name_implicit": True}
        updates = []
        for thread in (1, 2):
            update = message(PRIVATE, message_thread_id=thread, is_topic_message=True, forum_topic_created=created)
            updates.append(Update.de_json({"update_id": thread, "message": update}, bot))
        await asyncio.gather(*(process.observe(update) for process, update in zip(processes, updates, strict=True)))
    assert len(msgspec.json.decode(state.values[STATE])) == 2


@pytest.mark.parametrize("command", ["/ask", "/new"])
async def test_question_in_a_command_names_the_topic(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox, command: str
) -> None:
    ada, chat = bot_api.users[42], bot_api.chats[42]
    async with run_adapter(commands=COMMANDS):
        topic = bot_api.create_topic(chat, "New topic", is_name_implicit=True)
        for text in ("/model llama", command, f"{command} How do bees find home?"):
            await bot_api.send_message(ada, chat, text, thread=topic)
        await inbox.wait_for_events(3)
        await wait_for_calls(bot_api, "editForumTopic")
    assert chat.topics[topic] == "How do bees find home?"


@pytest.mark.parametrize("stored", ['{"an old topic": 0.0}', "unreadable"])
async def test_topics_that_get_no_question_are_forgotten(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, stored: str
) -> None:
    state = MemoryState()
    state.values[STATE] = stored
    async with run_adapter(state=state):
        bot_api.create_topic(bot_api.chats[42], "New topic", is_name_implicit=True)
        async with asyncio.timeout(10):
            await state.saved.wait()
    assert "an old topic" not in state.values[STATE]
    assert len(msgspec.json.decode(state.values[STATE])) == 1


async def test_other_topics_keep_their_names(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox
) -> None:
    ada, chat = bot_api.users[42], bot_api.chats[42]
    async with run_adapter():
        named = bot_api.create_topic(chat, "Bees")
        await bot_api.send_message(ada, chat, "Hello", thread=named)
        renamed = bot_api.create_topic(chat, "New topic", is_name_implicit=True)
        bot_api.rename_topic(chat, renamed, "Wasps")
        await bot_api.send_message(ada, chat, "Hello", thread=renamed)
        await bot_api.send_message(ada, chat, "Hello", thread=9)
        await inbox.wait_for_events(3)
    assert params_of(bot_api, "editForumTopic") == []


async def test_refused_name_and_denied_person_have_no_effect(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox
) -> None:
    ada, chat = bot_api.users[42], bot_api.chats[42]
    bot_api.script.add("editForumTopic", ScriptedReply.error(400, "Bad Request: not enough rights"))
    async with run_adapter():
        topic = bot_api.create_topic(chat, "New topic", is_name_implicit=True)
        inbox.failures.append(AccessDeniedError("no"))
        await bot_api.send_message(ada, chat, "Let me in", thread=topic)
        await inbox.wait_until(lambda: inbox.attempts == 1)
        assert params_of(bot_api, "editForumTopic") == []
        await bot_api.send_message(ada, chat, "Hello", thread=topic)
        await wait_for_calls(bot_api, "editForumTopic")
        await bot_api.send_message(ada, chat, "Hello again", thread=topic)
        await inbox.wait_for_events(2)
    assert len(params_of(bot_api, "editForumTopic")) == 1


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Why?\nBecause", "Why?"),
        ("word " * 20, "word word word word word word word word word…"),
        ("x" * 60, "x" * 47 + "…"),
        ("第一段：中文", "第一段：中文"),
    ],
)
def test_title_is_the_beginning_of_the_question(text: str, title: str) -> None:
    assert make_title(text, MAX_TITLE_CHARS) == title
