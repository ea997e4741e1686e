"""Pitfalls of the Bot API and defects known from other Telegram bots, tested on the whole product.

Pitfalls that concern a single module are tested in tests/bots/telegram.
"""

import asyncio
import contextlib
import re
import sqlite3
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from bots.sandbox.model import ScriptedAnswer
from bots.sandbox.model.faults import stall
from bots.sandbox.model.script import long_document
from bots.sandbox.telegram import Call, Chat, Fault, FaultKind
from core.commands.declarations import COMMANDS
from core.store import grants
from core.store.database import Store
from core.store.schema import turns
from core.texts import answers as texts
from core.turns.engine import MAX_ATTEMPTS
from tests.end_to_end.harness import Harness, bot_texts, letters_only


async def test_429_on_previews_does_not_stall_stream(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 100
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    text = "A steady stream. " * 30

    def flood(call: Call) -> Fault | None:
        return Fault(FaultKind.RATE_LIMITED, 4) if call.method.lower() == "sendmessagedraft" else None

    telegram.fault_hook = flood
    await telegram.send_message(ann, chat, f"repeat: {text}")
    await model.wait_for(lambda: bool(model.requests) and model.requests[-1].is_completed)
    assert len(telegram.calls_with_status(429)) == 1, "the reader waits for no preview"
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == [text.strip()], 15)
    assert telegram.early_calls() == []


async def test_rate_limited_chat_does_not_stall_stream(
    harness: Harness,
) -> None:
    """The answer is read completely and stored while the chat is blocked for ten minutes."""
    telegram, model = harness.telegram, harness.model
    go_on = asyncio.Event()
    model.answer = lambda _body: ScriptedAnswer("A steady stream. " * 30, hold_until=go_on)
    ann = telegram.create_user("Ann")
    telegram.fault_hook = lambda call: (
        Fault(FaultKind.RATE_LIMITED, 600) if "steady" in str(call.params.get("text")) else None
    )
    await telegram.send_message(ann, telegram.open_private_chat(ann), "hello")
    await telegram.wait_for(telegram.calls_with_status)
    go_on.set()
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'delivering'")
    assert len(telegram.calls_with_status()) == 1
    await harness.kill()


async def test_429_on_last_edit_is_retried(
    harness: Harness,
) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    group = telegram.create_supergroup("Friends", ann)
    text = "whole at last " * 12
    refused: list[Call] = []
    go_on = asyncio.Event()
    harness.model.answer = lambda _body: ScriptedAnswer(text, hold_until=go_on)

    def last_edit(call: Call) -> Fault | None:
        is_complete = letters_only(str(call.params.get("text"))) == letters_only(text)
        if call.method.lower() != "editmessagetext" or not is_complete or refused:
            return None
        refused.append(call)
        return Fault(FaultKind.RATE_LIMITED, 2)

    telegram.fault_hook = last_edit
    await telegram.send_message(ann, group, f"@{telegram.bot.username} hello")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(group)))
    go_on.set()
    await telegram.wait_for(lambda: bot_texts(telegram.messages(group)) == [text.strip()], 20)
    assert refused
    assert telegram.early_calls() == []


async def test_history_keeps_split_answer_whole(
    harness: Harness,
) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 20_000
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    expected = long_document(9_000)
    await telegram.send_message(ann, chat, "long 9000")
    await telegram.wait_for(
        lambda: letters_only("\n".join(bot_texts(telegram.messages(chat)))) == letters_only(expected),
        30,
    )
    await telegram.send_message(ann, chat, "repeat: next")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1] == "next")
    answers = [m["content"] for m in model.requests[-1].body["messages"] if m["role"] == "assistant"]
    assert [letters_only(text) for text in answers] == [letters_only(expected)]


async def test_button_press_of_denied_user_is_ignored(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann, eve = telegram.create_user("Ann"), telegram.create_user("Eve")
    group = telegram.create_supergroup("Friends", ann, eve)
    at = f"@{telegram.bot.username}"
    await telegram.send_message(ann, group, f"{at} error 401")
    await telegram.wait_for(lambda: "[Retry]" in telegram.transcript(group))
    answer = next(m for m in telegram.messages(group) if m.from_bot)
    assert answer.reply_markup is not None
    retry = answer.reply_markup["inline_keyboard"][0][0]["callback_data"]
    await harness.stop()
    await harness.start(access="pairing")
    asked = len(model.requests)
    await telegram.press_button(eve, answer, retry)
    await telegram.send_message(eve, group, f"{at} repeat: mine")
    await telegram.wait_for(lambda: not telegram.updates.pending)
    await harness.stop()
    assert len(model.requests) == asked
    assert set(bot_texts(telegram.messages(group))[1:]) <= {texts.ACCESS_DENIED}


async def test_blocking_the_bot_stops_its_answers(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 20
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, f"repeat: {'on and on ' * 100}")
    await telegram.wait_for(lambda: any("on and on" in draft.text for draft in telegram.draft_log))
    await telegram.block_bot(ann)
    await model.wait_for(lambda: model.requests[-1].disconnected_at is not None)
    assert not model.requests[-1].is_completed


async def test_unclosed_markup_loses_nothing(harness: Harness) -> None:
    telegram = harness.telegram
    harness.model.tokens_per_second = 200
    ann = telegram.create_user("Ann")
    group = telegram.create_supergroup("Friends", ann)
    text = "vector<int> *open _under [link]( `tick if a<b and c>d ||spoiler <b>bold\n```py\nx = 1"
    await telegram.send_message(ann, group, f"@{telegram.bot.username} repeat: {text}")
    await telegram.wait_for(
        lambda: letters_only("".join(bot_texts(telegram.messages(group)))) == letters_only(text), 20
    )
    assert telegram.calls_with_status(400) == []
    assert not any("parse_mode" in call.params for call in telegram.calls)


async def test_long_answer_stays_in_topic(harness: Harness) -> None:
    telegram = harness.telegram
    telegram.has_rich_messages = False
    harness.model.tokens_per_second = 20_000
    ann = telegram.create_user("Ann")
    forum = telegram.create_forum("Forum", ann)
    topic = telegram.create_topic(forum, "Long")
    expected = long_document(9_000)
    await telegram.send_message(ann, forum, f"@{telegram.bot.username} long 9000", thread=topic)

    def there() -> list[str]:
        return bot_texts(telegram.messages(forum, topic))

    await telegram.wait_for(lambda: letters_only("\n".join(there())) == letters_only(expected), 30)
    assert len(there()) >= 3
    assert len(bot_texts(telegram.messages(forum))) == len(there())


async def test_draft_continues_beyond_4096_characters(harness: Harness) -> None:
    telegram = harness.telegram
    telegram.has_rich_messages = False
    harness.model.tokens_per_second = 900
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    expected = long_document(9_000)
    await telegram.send_message(ann, chat, "long 9000")
    await telegram.wait_for(
        lambda: letters_only("\n".join(bot_texts(telegram.messages(chat)))) == letters_only(expected),
        40,
    )
    beyond = letters_only(bot_texts(telegram.messages(chat))[1])[:40]
    assert any(letters_only(draft.text).startswith(beyond) for draft in telegram.draft_log)


async def test_deleting_growing_answer_stops_it(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 20
    ann = telegram.create_user("Ann")
    group = telegram.create_supergroup("Friends", ann)
    at = f"@{telegram.bot.username}"
    await telegram.send_message(ann, group, f"{at} repeat: {'on and on ' * 100}")
    await telegram.wait_for(lambda: "on and on" in "".join(bot_texts(telegram.messages(group))))
    growing = next(m for m in telegram.messages(group) if m.from_bot)
    await telegram.delete_message(growing)
    await model.wait_for(lambda: model.requests[-1].disconnected_at is not None)
    model.tokens_per_second = 2000
    await telegram.send_message(ann, group, f"{at} repeat: next")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(group))[-1:] == ["next"])


async def test_429_answer_is_booked(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    refused: list[Call] = []

    def once(call: Call) -> Fault | None:
        if call.method.lower() != "sendmessage" or refused:
            return None
        refused.append(call)
        return Fault(FaultKind.RATE_LIMITED, 2)

    telegram.fault_hook = once
    await telegram.send_message(ann, chat, "repeat: counted all the same")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == ["counted all the same"])
    await telegram.send_message(ann, chat, "/usage")
    await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) == 2)
    assert refused
    used = re.search(r"(\d+)  Llama\S+ \(1\b", bot_texts(telegram.messages(chat))[-1])
    assert used is not None, "one answer"
    assert int(used[1]) > 0


async def test_a_new_conversation_keeps_the_model(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "/model phi-4")
    await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) == 1)
    await telegram.send_message(ann, chat, "/new")
    await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) == 2)
    await telegram.send_message(ann, chat, "repeat: hi")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1:] == ["hi"])
    assert model.requests[-1].body["model"] == "microsoft/phi-4"


async def test_stop_and_retry_are_personal(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 20
    owner, ann, bob = (telegram.create_user(name) for name in ("Owner", "Ann", "Bob"))
    group = telegram.create_supergroup("Friends", owner, ann, bob)
    at = f"@{telegram.bot.username}"
    texts_of = {person.name: f"{person.name} goes on " * 40 for person in (ann, bob)}
    for person in (ann, bob):
        await telegram.send_message(person, group, f"{at} repeat: {texts_of[person.name]}")
    await telegram.wait_for(
        lambda: all(f"{name} goes" in "".join(bot_texts(telegram.messages(group))) for name in texts_of)
    )
    bobs = next(m for m in telegram.messages(group) if m.from_bot and "Bob goes" in m.text)
    assert bobs.reply_markup is not None
    stop = bobs.reply_markup["inline_keyboard"][0][0]["callback_data"]
    assert stop.startswith("stop:")
    await telegram.press_button(ann, bobs, stop)
    await telegram.wait_for(lambda: texts.NOT_YOUR_ANSWER in bot_texts(telegram.messages(group)))
    await telegram.send_message(ann, group, "/stop")
    await telegram.wait_for(lambda: texts_of["Bob"].strip() in bot_texts(telegram.messages(group)), 30)
    anns = next(t for t in bot_texts(telegram.messages(group)) if "Ann goes" in t)
    assert "Stopped" in anns
    assert [request.is_completed for request in model.requests].count(False) == 1


async def test_answer_uses_minimal_calls(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    group = telegram.create_supergroup("Friends", ann)
    before = len(telegram.calls)
    await telegram.send_message(ann, group, "not for the bot")
    await telegram.send_message(ann, group, f"@{telegram.bot.username} repeat: hello")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(group))[-1:] == ["hello"])
    at_start = {"getupdates", "setmycommands"}  # the menus of other languages may still be on their way
    methods = {call.method.lower() for call in list(telegram.calls)[before:]} - at_start
    assert methods <= {"sendchataction", "sendmessage", "editmessagetext"}
    sent = [c for c in list(telegram.calls)[before:] if c.method.lower() in ("sendmessage", "editmessagetext")]
    assert len(sent) <= 3


def exhaust_attempts(connection: Connection) -> None:
    connection.execute(update(turns).values(failed_attempts=MAX_ATTEMPTS))


async def test_internal_error_shows_reference_number(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    model.fail_next(stall())
    await telegram.send_message(ann, chat, "repeat: hello")
    await model.wait_for(lambda: bool(model.requests))
    await harness.kill()
    store = Store(harness.settings().core.database_url)
    await store.write(exhaust_attempts)
    await store.close()
    await harness.start()
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)))
    (notice,) = bot_texts(telegram.messages(chat))
    assert notice.startswith(texts.INTERNAL_ERROR)
    assert "Traceback" not in notice


async def test_allowed_group_stays_allowed_after_migration(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    group = telegram.create_group("Friends", ann)
    at = f"@{telegram.bot.username}"
    store = Store(harness.settings().core.database_url)
    await store.write(grants.grant, f"telegram:chat:{group.id}", grants.Role.MEMBER, "Friends")
    await store.close()
    await harness.stop()
    await harness.start(access="pairing")
    await telegram.send_message(ann, group, f"{at} repeat: before")
    await telegram.wait_for(lambda: any("Retry" in str(message.buttons) for message in telegram.messages(group)))
    assert bot_texts(telegram.messages(group)) == ["before"]
    moved = await telegram.migrate_to_supergroup(group)
    await telegram.wait_for(lambda: not telegram.updates.pending)
    await telegram.send_message(ann, moved, f"{at} repeat: after")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(moved)) == ["after"])


async def test_split_text_is_one_question(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    parts = ["repeat: only this\n" + "word " * 800, "and more " * 400, "the end"]
    for part in parts:
        await telegram.send_message(ann, chat, part)
    await telegram.wait_for(lambda: "only this" in "".join(bot_texts(telegram.messages(chat))), 15)
    await telegram.send_message(ann, chat, "repeat: next")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1:] == ["next"])
    asked = [m["content"] for m in model.requests[-1].body["messages"] if m["role"] == "user"]
    assert asked == ["\n".join(part.strip() for part in parts), "repeat: next"]
    assert len(model.requests) == 2


async def test_album_is_one_question_and_survives_kill(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    for number, caption in enumerate(("repeat: both", "")):
        await telegram.send_document(
            ann,
            chat,
            f"file{number}.txt",
            f"The content of file {number}.".encode(),
            caption=caption,
            media_type="text/plain",
            media_group_id="8",
        )
    await telegram.wait_for(lambda: not telegram.updates.pending)
    await harness.kill()
    await harness.start()
    await telegram.wait_for(lambda: "both" in "".join(bot_texts(telegram.messages(chat))), 20)
    asked = str(model.requests[-1].body["messages"])
    assert all(f"content of file {number}" in asked for number in range(2))
    assert len(bot_texts(telegram.messages(chat))) == 1


async def test_concurrent_messages_do_not_interleave(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 100
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    asked = [f"repeat: {word} {'x ' * 120}".strip() for word in ("one", "two", "three")]
    for text in asked:
        await telegram.send_message(ann, chat, text)
    await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) == 3, 20)
    exchanges: list[str] = []
    for request, text in zip(model.requests, asked, strict=True):
        sent = [m["content"] for m in request.body["messages"] if m["role"] != "system"]
        assert sent == [*exchanges, text]
        exchanges += [text, text.removeprefix("repeat: ")]


async def test_denied_user_gets_nothing(harness: Harness, tmp_path: Path) -> None:
    """Every way to reach the bot must check access."""
    telegram = harness.telegram
    ann, eve = telegram.create_user("Ann"), telegram.create_user("Eve")
    group = telegram.create_supergroup("Friends", ann, eve)
    store = Store(harness.settings().core.database_url)
    await store.write(grants.grant, f"telegram:person:{ann.id}", grants.Role.MEMBER, "Ann")
    await store.close()
    await harness.stop()
    await harness.start(access="pairing")
    at = f"@{telegram.bot.username}"
    for chat in (telegram.open_private_chat(eve), group):
        for command in COMMANDS:
            await telegram.send_message(eve, chat, f"/{command.name}{at} phi-4")
        await telegram.send_message(eve, chat, f"{at} hello")
        await telegram.send_document(eve, chat, "notes.txt", b"a fact", caption=f"{at} read")
        await telegram.send_photo(eve, chat, caption=f"{at} look")
        await telegram.send_sticker(eve, chat)
    before = len(telegram.calls)
    await telegram.send_message(ann, group, f"{at} repeat: for Ann")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(group)) == ["for Ann"])
    eves_chat = telegram.open_private_chat(eve)
    await telegram.wait_for(lambda: bot_texts(telegram.messages(eves_chat)))
    assert bot_texts(telegram.messages(eves_chat)) == [texts.ACCESS_DENIED], "once"
    assert len(harness.model.requests) == 1
    at_start = {"getupdates", "setmycommands"}  # the menus of other languages may still be on their way
    methods = {call.method.lower() for call in list(telegram.calls)[before:]} - at_start
    assert methods <= {"sendmessage", "editmessagetext"}, "no profile is requested"
    await harness.stop()
    with contextlib.closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        row_counts = {
            name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name in ("turns", "preferences", "memory_chunks", "memory_entries", "conversations")
        }
    assert row_counts == {"turns": 2, "preferences": 1, "memory_chunks": 0, "memory_entries": 0, "conversations": 2}


async def test_old_question_notice_counts_days(harness: Harness, tmp_path: Path) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 20
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, f"repeat: {'from yesterday ' * 40}")
    await model.wait_for(lambda: len(model.requests) == 1)
    await harness.kill()
    with contextlib.closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        database.execute("UPDATE turns SET created_at = created_at - 86405")
        database.commit()
    await harness.start()
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == [texts.QUESTION_OUTDATED])
    assert len(model.requests) == 1
    model.tokens_per_second = 2000
    await telegram.send_message(ann, chat, "/retry")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1] == ("from yesterday " * 40).strip())


@pytest.mark.parametrize(("too_old", "answered"), [(200_000.0, True), (30.0, False)])
async def test_max_question_age_is_configurable(
    harness: Harness, tmp_path: Path, too_old: float, *, answered: bool
) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 20
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    text = ("from before " * 40).strip()
    await telegram.send_message(ann, chat, f"repeat: {text}")
    await model.wait_for(lambda: len(model.requests) == 1)
    await harness.kill()
    age = 86405 if answered else 60  # the first is older than PARLEY_TOO_OLD
    with contextlib.closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        database.execute("UPDATE turns SET created_at = created_at - ?", (age,))
        database.commit()
    model.tokens_per_second = 2000
    await harness.start(too_old=too_old)
    expected = text if answered else texts.QUESTION_OUTDATED
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)) == [expected])


async def test_file_is_fetched_once_and_url_is_private(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_document(
        ann,
        chat,
        "facts.txt",
        b"The pump is green.",
        caption="repeat: which colour?",
        media_type="text/plain",
    )
    await telegram.wait_for(lambda: "which colour?" in "".join(bot_texts(telegram.messages(chat))))
    await telegram.send_message(ann, chat, "repeat: and again?")
    await telegram.wait_for(lambda: "and again?" in bot_texts(telegram.messages(chat))[-1])
    methods = [call.method.lower() for call in telegram.calls]
    assert methods.count("getfile") == 1
    requests = "".join(str(request.body) for request in model.requests)
    assert "The pump is green." in requests
    assert telegram.token not in requests
    assert "/file/bot" not in requests


async def test_timeout_sends_no_plain_copy(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    met: list[Call] = []

    def once(call: Call) -> Fault | None:
        if call.method.lower() != "sendmessage" or met:
            return None
        met.append(call)
        return Fault(FaultKind.DROP_AFTER)

    telegram.fault_hook = once
    await telegram.send_message(ann, chat, "repeat: **bold** and `code`")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1:] == [texts.DELIVERY_UNCERTAIN])
    assert bot_texts(telegram.messages(chat)) == ["bold and code", texts.DELIVERY_UNCERTAIN]
    assert "entities" in met[0].params


async def test_answer_survives_deleted_topic(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    model.tokens_per_second = 20
    ann = telegram.create_user("Ann")
    forum, private = telegram.create_forum("Forum", ann), telegram.open_private_chat(ann)
    topics = [(chat, telegram.create_topic(chat, "plans")) for chat in (forum, private)]
    text = "it goes on " * 8

    def has_answer(chat: Chat) -> bool:
        return text.strip() in bot_texts(telegram.messages(chat))

    for chat, topic in topics:
        mention = "" if chat.is_private else f"@{telegram.bot.username} "
        await telegram.send_message(ann, chat, f"{mention}repeat: {text}", thread=topic)
    await model.wait_for(lambda: len(model.requests) == 2)
    for chat, topic in topics:
        telegram.delete_topic(chat, topic)
    model.tokens_per_second = 2000
    for chat, _ in topics:
        await telegram.wait_for(partial(has_answer, chat), 20)
