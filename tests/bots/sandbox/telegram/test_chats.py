"""Chats of every kind, as users and bots see them."""

import asyncio

import pytest
from telegram import MessageEntity
from telegram.error import BadRequest
from telegram.ext import ExtBot

from bots.sandbox.telegram import Chat, ChatEvent, Limits, Message, TelegramStandIn, User
from tests.bots.sandbox.telegram.conftest import CallMethod, make_client
from tests.clock import FakeClock


@pytest.fixture
def ann(server: TelegramStandIn) -> User:
    return server.create_user("Ann")


@pytest.fixture
def chat(server: TelegramStandIn, ann: User) -> Chat:
    return server.open_private_chat(ann)


async def received_texts(bot: ExtBot[None]) -> list[str | None]:
    updates = await bot.get_updates(timeout=0)
    if updates:
        await bot.get_updates(offset=updates[-1].update_id + 1, timeout=0)
    return [update.message.text for update in updates if update.message]


async def test_commands_and_mentions_are_marked_in_utf16(
    server: TelegramStandIn, bot: ExtBot[None], ann: User, chat: Chat
) -> None:
    await server.send_message(ann, chat, "😀 @some_bot see https://example.org/x?y=1, mail a@b.org #tag")
    await server.send_message(ann, chat, "/ask@parley_sandbox_bot 1/2 a/b //x")
    first, second = await bot.get_updates(timeout=0)
    assert first.message is not None
    assert second.message is not None
    assert first.message.entities[0] == MessageEntity("mention", 3, 9)
    assert list(first.message.parse_entities().values()) == [
        "@some_bot",
        "https://example.org/x?y=1",
        "a@b.org",
        "#tag",
    ]
    assert list(second.message.parse_entities().values()) == ["/ask@parley_sandbox_bot"]


async def test_bot_text_gets_entities_outside_code(bot: ExtBot[None], chat: Chat) -> None:
    sent = await bot.send_message(chat.id, "@everybody and @nobody1", entities=[MessageEntity("code", 15, 8)])
    assert [(e.type, e.offset) for e in sent.entities] == [("mention", 0), ("code", 15)]


async def test_privacy_mode_filters_messages(server: TelegramStandIn, bot: ExtBot[None], ann: User) -> None:
    group = server.create_supergroup("Friends", ann)
    mine = await bot.send_message(group.id, "hello")
    for text in (
        "chatter",
        "/ask x",
        "/ask@parley_sandbox_bot x",
        "/ask@another_bot x",
        "so /ask x",
        "hi @parley_sandbox_bot",
        "hi @parley_sandbox_bot2",
    ):
        await server.send_message(ann, group, text)
    await server.send_message(ann, group, "a reply", reply_to=mine.message_id)
    assert await received_texts(bot) == [
        "/ask x",
        "/ask@parley_sandbox_bot x",
        "hi @parley_sandbox_bot",
        "a reply",
    ]
    await server.promote_bot(ann, group)
    await server.send_message(ann, group, "an administrator hears all")
    other = server.create_group("Others", ann)
    server.privacy_mode = False
    await server.send_message(ann, other, "and without privacy mode it does")
    assert await received_texts(bot) == [
        "an administrator hears all",
        "and without privacy mode it does",
    ]


async def test_forum_topics_are_separate(server: TelegramStandIn, bot: ExtBot[None], ann: User) -> None:
    forum = server.create_forum("Forum", ann)
    topic = server.create_topic(forum, "one")
    (created,) = await bot.get_updates(timeout=0)
    assert created.message is not None
    assert created.message.forum_topic_created is not None
    await server.send_message(ann, forum, "/in topic", thread=topic)
    await server.send_message(ann, forum, "/in general", thread=1)
    _, inside, general = await bot.get_updates(timeout=0)
    assert inside.message is not None
    assert general.message is not None
    assert (inside.message.message_thread_id, inside.message.is_topic_message) == (topic, True)
    assert inside.message.reply_to_message is not None
    assert inside.message.reply_to_message.message_id == topic
    assert (general.message.message_thread_id, general.message.is_topic_message) == (None, None)
    await bot.send_message(forum.id, "answer", message_thread_id=topic)
    assert [m.text for m in server.messages(forum, topic)] == ["/in topic", "answer"]
    with pytest.raises(BadRequest, match=r"(?i)message thread not found"):
        await bot.send_message(forum.id, "General is not named", message_thread_id=1)
    with pytest.raises(BadRequest, match=r"(?i)message thread not found"):
        await bot.send_message(forum.id, "x", message_thread_id=topic + 1)


async def test_reply_chain_thread_is_not_topic(server: TelegramStandIn, bot: ExtBot[None], ann: User) -> None:
    group = server.create_supergroup("Friends", ann)
    first = await server.send_message(ann, group, "/one")
    second = await server.send_message(ann, group, "/two", reply_to=first)
    await server.send_message(ann, group, "/three", reply_to=second)
    threads = [
        (update.message.message_thread_id, update.message.is_topic_message)
        for update in await bot.get_updates(timeout=0)
        if update.message
    ]
    assert threads == [(None, None), (first.id, None), (first.id, None)]


async def test_message_ids_are_per_account_and_supergroup(
    server: TelegramStandIn, bot: ExtBot[None], ann: User, chat: Chat
) -> None:
    group, big = server.create_group("Friends", ann), server.create_supergroup("Crowd", ann)
    numbers = [(await bot.send_message(place.id, "x")).message_id for place in (chat, group, chat, big)]
    first = numbers[0]
    assert numbers == [first, first + 1, first + 2, 2]


async def test_draft_ends_with_next_message(server: TelegramStandIn, bot: ExtBot[None], ann: User, chat: Chat) -> None:
    thread = server.create_topic(chat, "t")
    await bot.send_message_draft(chat.id, 1, "a")
    await bot.send_message_draft(chat.id, 1, "ab")
    await bot.send_message_draft(chat.id, 2, "new")
    await bot.send_message_draft(chat.id, 2, "aside", message_thread_id=thread)
    assert [draft.text for draft in server.live_drafts(chat)] == ["new", "aside"]
    await bot.send_message(chat.id, "final")
    assert [draft.text for draft in server.live_drafts(chat)] == ["aside"]
    await server.send_message(ann, chat, "a user's message ends it, too", thread=thread)
    assert server.live_drafts(chat) == []
    assert [draft.text for draft in server.draft_log] == ["a", "ab", "new", "aside"]


async def test_draft_and_typing_expire() -> None:
    clock = FakeClock()
    server = TelegramStandIn(limits=Limits.off(), clock=clock)
    await server.start()
    chat = server.open_private_chat(server.create_user("Ann"))
    async with make_client(server) as bot:
        await bot.send_message_draft(chat.id, 1, "a")
        await bot.send_chat_action(chat.id, "typing")
        assert server.is_typing(chat)
        await clock.advance(5.0)
        assert not server.is_typing(chat)
        events = server.watch(chat)
        await clock.advance(24.9)
        assert server.live_drafts(chat)
        await clock.advance(0.1)
        assert server.live_drafts(chat) == []
        assert (await anext(events)).kind == "draft_gone"
    await server.close()


async def test_only_stoppable_draft_is_stopped(server: TelegramStandIn, bot: ExtBot[None], chat: Chat) -> None:
    await bot.send_message_draft(chat.id, 5, "a")
    with pytest.raises(ValueError, match="no stop button"):
        await server.stop_draft(chat, 5)
    await bot.send_message_draft(chat.id, 5, "ab", api_kwargs={"can_stop": True})
    await server.stop_draft(chat, 5)
    (update,) = await bot.get_updates(timeout=0)
    stopped = update.api_kwargs["stopped_message_generation"]
    assert (stopped["chat"]["id"], stopped["draft_id"]) == (chat.id, 5)
    assert server.live_drafts(chat) == []


async def test_a_button_is_pressed_and_answered_once(
    server: TelegramStandIn, bot: ExtBot[None], call_method: CallMethod, ann: User, chat: Chat
) -> None:
    markup = {"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}]]}
    await call_method("sendMessage", chat_id=chat.id, text="?", reply_markup=markup)
    message = server.messages(chat)[0]
    with pytest.raises(ValueError, match="no button"):
        await server.press_button(ann, message, "no")
    query = await server.press_button(ann, message, "yes")
    (update,) = await bot.get_updates(timeout=0)
    assert update.callback_query is not None
    assert (update.callback_query.data, update.callback_query.id) == ("yes", query)
    await update.callback_query.answer("Done", show_alert=True)
    assert (server.callback_answers[query].text, server.callback_answers[query].is_alert) == (
        "Done",
        True,
    )
    with pytest.raises(BadRequest, match=r"(?i)query is too old"):
        await update.callback_query.answer("again")
    await server.delete_message(message)
    await server.press_button(ann, message, "yes")
    late = (await bot.get_updates(timeout=0))[-1].callback_query
    assert late is not None
    assert late.message is not None
    assert not late.message.is_accessible


async def test_files_have_ids_and_captions(server: TelegramStandIn, bot: ExtBot[None], ann: User, chat: Chat) -> None:
    await server.send_sticker(ann, chat)
    await server.send_document(ann, chat, "a.pdf", caption="read /this")
    await server.send_photo(ann, chat)
    received = [update.message for update in await bot.get_updates(timeout=0) if update.message]
    assert received[0].sticker is not None
    assert received[1].document is not None
    assert (received[1].document.file_name, received[1].caption) == ("a.pdf", "read /this")
    assert list(received[1].parse_caption_entities().values()) == ["/this"]
    assert received[2].photo[-1].file_id != received[2].photo[0].file_id
    assert all(message.text is None for message in received)


async def test_members_and_administrators(server: TelegramStandIn, bot: ExtBot[None], ann: User) -> None:
    bob, eve = server.create_user("Bob"), server.create_user("Eve")
    group = server.create_supergroup("Friends", ann, bob)
    await server.promote_bot(ann, group)
    statuses = [(await bot.get_chat_member(group.id, user)).status for user in (ann.id, bob.id, eve.id, server.bot.id)]
    assert statuses == ["creator", "member", "left", "administrator"]


async def test_watch_yields_client_events(server: TelegramStandIn, bot: ExtBot[None], ann: User, chat: Chat) -> None:
    watcher = server.watch(chat)
    await server.send_message(ann, chat, "hello")
    await bot.send_chat_action(chat.id, "typing")
    await bot.send_message_draft(chat.id, 1, "h")
    sent = await bot.send_message(chat.id, "hi")
    await bot.edit_message_text("hi!", chat_id=chat.id, message_id=sent.message_id)
    await bot.delete_message(chat.id, sent.message_id)
    events: list[ChatEvent[Message]] = []
    async with asyncio.timeout(10):
        async for event in watcher:
            events.append(event)
            if event.kind == "deleted":
                break
    assert [event.kind for event in events] == [
        "sent",
        "typing",
        "draft",
        "draft_gone",
        "sent",
        "edited",
        "deleted",
    ]


async def test_failed_wait_shows_chats(server: TelegramStandIn, ann: User, chat: Chat) -> None:
    await server.send_message(ann, chat, "is anybody there?")
    with pytest.raises(TimeoutError, match="Ann: is anybody there"):
        await server.wait_for(lambda: len(chat.messages) == 2, timeout=0.05)


async def test_people_cannot_exceed_client_limits(server: TelegramStandIn, ann: User, chat: Chat) -> None:
    group = server.create_group("Friends", ann)
    with pytest.raises(ValueError, match="not in Friends"):
        await server.send_message(server.create_user("Eve"), group, "hi")
    with pytest.raises(ValueError, match="no topic"):
        await server.send_message(ann, chat, "hi", thread=99)
    await server.migrate_to_supergroup(group)
    with pytest.raises(ValueError, match="supergroup now"):
        await server.send_message(ann, group, "hi")
    await server.block_bot(ann)
    with pytest.raises(ValueError, match="blocked"):
        await server.send_message(ann, chat, "hi")


async def test_forwarded_message_keeps_its_formatting(
    server: TelegramStandIn, bot: ExtBot[None], ann: User, chat: Chat
) -> None:
    original = await bot.send_message(chat.id, "very bold", entities=[MessageEntity("bold", 5, 4)])
    sent = chat.find_message(original.message_id)
    assert sent is not None
    await server.forward_message(ann, chat, sent)
    (update,) = await bot.get_updates(timeout=0)
    assert update.message is not None
    assert update.message.entities == (MessageEntity("bold", 5, 4),)
