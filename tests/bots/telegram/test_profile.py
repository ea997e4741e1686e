"""The texts that strangers read about the bot, and the mark of a question that has arrived."""

import pytest

from bots.sandbox.telegram import ScriptedReply, TelegramStandIn
from bots.telegram.profile import BotProfile
from bots.telegram.settings import TelegramSettings
from core.commands.declarations import COMMANDS
from core.errors import AccessDeniedError, DeliveryError, DeliveryFailure
from tests.bots.telegram.conftest import FakeInbox, RunAdapter, params_of, push_update, wait_for_calls
from tests.bots.telegram.payloads import BOB, GROUP, PRIVATE, command, mention_message, message

PROFILE = BotProfile("Ask me anything.", "An assistant")


async def test_changed_texts_are_published_once(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    for _ in range(2):
        async with run_adapter(profile=PROFILE):
            await bot_api.wait_for(lambda: bot_api.profile.get("short_description") == "An assistant")
    assert bot_api.profile["description"] == "Ask me anything."
    assert len(params_of(bot_api, "setMyDescription")) == 1
    assert len(params_of(bot_api, "setMyShortDescription")) == 1


async def test_texts_of_the_operator_at_telegram_stay(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    bot_api.profile["description"] = "Written in @BotFather"
    async with run_adapter():
        pass
    assert bot_api.profile == {"description": "Written in @BotFather"}
    assert params_of(bot_api, "getMyDescription") == []


async def test_question_in_a_group_is_marked_as_seen(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox
) -> None:
    ada = bot_api.users[42]
    question = await bot_api.send_message(ada, bot_api.chats[GROUP["id"]], "@parley_bot hello")
    async with run_adapter(seen_reaction="👀"):
        await wait_for_calls(bot_api, "setMessageReaction")
        push_update(bot_api, message=message(PRIVATE, "hello"))
        push_update(bot_api, message=command(GROUP, "/model@parley_bot"))
        await inbox.wait_for_events(3)
    assert question.reactions == ["👀"]
    assert len(params_of(bot_api, "setMessageReaction")) == 1


async def test_commands_that_ask_are_marked_as_seen(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox
) -> None:
    ada, group = bot_api.users[42], bot_api.chats[GROUP["id"]]
    texts = ["/ask why?", "/new why?", "/retry", "/compare llama qwen why?", "/new", "/compare", "/model"]
    async with run_adapter(seen_reaction="👀", commands=COMMANDS):
        sent = [await bot_api.send_message(ada, group, text) for text in texts]
        await inbox.wait_for_events(len(texts))
        await wait_for_calls(bot_api, "setMessageReaction", 4)
    assert [message.text for message in sent if message.reactions] == texts[:4]


async def test_group_without_reactions_is_asked_once(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox
) -> None:
    ada, group = bot_api.users[42], bot_api.chats[GROUP["id"]]
    group.allows_reactions = False
    async with run_adapter(seen_reaction="👀"):
        await bot_api.send_message(ada, group, "@parley_bot hello")
        await bot_api.wait_for(lambda: any(call.status for call in bot_api.calls_to("setMessageReaction")))
        await inbox.wait_for_events(1)
        await bot_api.send_message(ada, group, "@parley_bot hello again")
        await inbox.wait_for_events(2)
    assert len(params_of(bot_api, "setMessageReaction")) == 1


@pytest.mark.parametrize("seen_reaction", ["", "👀"])
async def test_group_without_reactions_shows_no_mark(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox, seen_reaction: str
) -> None:
    ada, group = bot_api.users[42], bot_api.chats[GROUP["id"]]
    group.allows_reactions = False
    async with run_adapter(seen_reaction=seen_reaction) as adapter:
        question = await bot_api.send_message(ada, group, "@parley_bot hello")
        (incoming,) = await inbox.wait_for_events(1)
        if seen_reaction:
            await bot_api.wait_for(lambda: any(call.status for call in bot_api.calls_to("setMessageReaction")))
        for _ in range(2):
            with pytest.raises(DeliveryError) as caught:
                await adapter.mark_waiting(incoming.place, str(question.id), is_waiting=True)
            assert caught.value.failure is DeliveryFailure.FORBIDDEN
        await adapter.mark_waiting(incoming.place, str(question.id), is_waiting=False)
    assert len(params_of(bot_api, "setMessageReaction")) == 1


async def test_failed_reaction_says_nothing_about_the_group(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox
) -> None:
    ada, group = bot_api.users[42], bot_api.chats[GROUP["id"]]
    bot_api.script.add(
        "setMessageReaction", ScriptedReply.error(429, "Too Many Requests: retry after 3", retry_after=3)
    )
    async with run_adapter(seen_reaction="👀"):
        await bot_api.send_message(ada, group, "@parley_bot hello")
        await wait_for_calls(bot_api, "setMessageReaction")
        second = await bot_api.send_message(ada, group, "@parley_bot hello again")
        await wait_for_calls(bot_api, "setMessageReaction", 2)
        await inbox.wait_for_events(2)
    assert second.reactions == ["👀"]


async def test_deleted_question_says_nothing_about_the_group(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox
) -> None:
    ada, group = bot_api.users[42], bot_api.chats[GROUP["id"]]
    bot_api.script.add("setMessageReaction", ScriptedReply.error(400, "Bad Request: message to react not found"))
    async with run_adapter(seen_reaction="👀"):
        await bot_api.send_message(ada, group, "@parley_bot hello")
        await wait_for_calls(bot_api, "setMessageReaction")
        second = await bot_api.send_message(ada, group, "@parley_bot hello again")
        await wait_for_calls(bot_api, "setMessageReaction", 2)
        await inbox.wait_for_events(2)
    assert second.reactions == ["👀"]


async def test_stranger_gets_no_reaction(bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox) -> None:
    inbox.failures.append(AccessDeniedError("no"))
    async with run_adapter(seen_reaction="👀"):
        push_update(bot_api, message=mention_message(GROUP, "@parley_bot hello", **{"from": BOB}))
        await inbox.wait_until(lambda: inbox.attempts == 1)
        push_update(bot_api, message=message(PRIVATE, "hello"))
        await inbox.wait_for_events(1)
    assert params_of(bot_api, "setMessageReaction") == []


def test_reaction_must_be_one_of_telegrams() -> None:
    assert TelegramSettings(seen_reaction="👀").seen_reaction == "👀"
    with pytest.raises(ValueError, match="not an emoji that Telegram allows"):
        TelegramSettings(seen_reaction="🦥")


async def test_profile_is_published_after_failed_requests(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    for method in ("getMyDescription", "setMyDescription", "getMyShortDescription", "setMyShortDescription"):
        bot_api.script.add(method, ScriptedReply.error(502, "Bad Gateway"))
    async with run_adapter(profile=PROFILE):
        await bot_api.wait_for(lambda: bot_api.profile.get("short_description") == "An assistant")
    assert bot_api.profile["description"] == "Ask me anything."
