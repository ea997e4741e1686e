"""Defects seen in other Telegram bots, and the platform's pitfalls: they must not happen here.

Covered elsewhere, by file and what it tells:

test_telegram: an answer cut, or sent again for each token, beyond 4096 characters (a very long
answer); two quick messages interleaved (in order); answering everything in a group (only when
addressed); stuck without a way out (stop ends a stream).
test_bad_day: a send repeated after a time-out (not sent twice); one chat's wait holding others (a
wait survives a restart); a group that moves (becomes a supergroup; also core/store/test_moves,
core/delivery/test_outbox, bots/telegram/test_translate).
bots/telegram/test_receiving: updates acknowledged before they are kept, one that nobody can read or
that always fails, a second receiver (another receiver is told clearly), no network at the start, a
deaf poll (last_poll; core/test_supervision), privacy mode untold, the token in logs, a press never
acknowledged.
bots/telegram/test_webhook: a secret compared carelessly, a webhook nobody watches.
bots/telegram/test_translate: chains of replies taken for topics, the General topic named, the
topic's first message taken for what is answered, mentions cut in the middle of an emoji, edits
answered again, buttons on messages too old to be seen.
bots/telegram/test_sending: BadRequest and TimedOut taken for any NetworkError (faults), "not
modified" taken for a failure, a question deleted before its answer, a slow answer taken for none,
an older server without drafts, a 429 taken for one.
bots/telegram/test_files: the token in a file's address. core/test_supervision: silent death.
faults/: messages lost or answered twice when processes die, freeze or end.
"""

import contextlib
import re
import sqlite3
import time
from pathlib import Path

import pytest

from bots.sandbox.model.script import long
from bots.sandbox.telegram import Call, Fault
from core.commands.declared import COMMANDS
from core.store import conversations
from core.store.database import Store
from core.turns import words
from tests.end_to_end.world import World, letters, texts


async def test_a_429_on_previews_does_not_stall_the_models_stream(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 100
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    text = "A steady stream. " * 30

    def flood(call: Call) -> Fault | None:
        return Fault("429", 4) if call.method.lower() == "sendmessagedraft" else None

    telegram.faults = flood
    begun = time.monotonic()
    await telegram.say(ann, chat, f"repeat: {text}")
    await model.wait(lambda: bool(model.requests) and model.requests[-1].completed)
    assert time.monotonic() - begun < 3.5, "the reader waits for nobody"
    await telegram.wait(lambda: texts(telegram.messages(chat)) == [text.strip()], 15)
    assert telegram.early() == []


async def test_a_chat_that_must_wait_does_not_keep_its_answer_from_being_read(
    alive: World,
) -> None:
    """It is read to its end and kept while the chat waits for ten minutes."""
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 100
    ann = telegram.person("Ann")
    telegram.faults = lambda call: (
        Fault("429", 600) if "steady" in str(call.params.get("text")) else None
    )
    await telegram.say(ann, telegram.private(ann), f"repeat: {'A steady stream. ' * 30}")
    await telegram.wait(telegram.refused)
    assert not model.requests[-1].completed
    await alive.stored("SELECT 1 FROM turns WHERE state = 'delivering'")
    assert len(telegram.refused()) == 1
    await alive.kill()


async def test_a_429_on_the_last_edit_is_waited_out_and_the_whole_answer_comes(
    alive: World,
) -> None:
    telegram = alive.telegram
    alive.model.tokens_per_second = 40
    ann = telegram.person("Ann")
    group = telegram.supergroup("Friends", ann)
    text = "whole at last " * 12
    refused: list[Call] = []

    def last_edit(call: Call) -> Fault | None:
        whole = letters(str(call.params.get("text"))) == letters(text)
        if call.method.lower() != "editmessagetext" or not whole or refused:
            return None
        refused.append(call)
        return Fault("429", 2)

    telegram.faults = last_edit
    await telegram.say(ann, group, f"@{telegram.bot.username} repeat: {text}")
    await telegram.wait(lambda: texts(telegram.messages(group)) == [text.strip()], 20)
    assert refused
    assert telegram.early() == []


async def test_the_history_keeps_an_answer_whole_however_many_messages_it_became(
    alive: World,
) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 20_000
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    expected = long(9_000)
    await telegram.say(ann, chat, "long 9000")
    await telegram.wait(
        lambda: letters("\n".join(texts(telegram.messages(chat)))) == letters(expected), 30
    )
    await telegram.say(ann, chat, "repeat: next")
    await telegram.wait(lambda: texts(telegram.messages(chat))[-1] == "next")
    shown = [m["content"] for m in model.requests[-1].body["messages"] if m["role"] == "assistant"]
    assert [letters(one) for one in shown] == [letters(expected)]


async def test_a_button_pressed_by_somebody_who_is_not_allowed_does_nothing(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann, eve = telegram.person("Ann"), telegram.person("Eve")
    group = telegram.supergroup("Friends", ann, eve)
    at = f"@{telegram.bot.username}"
    await telegram.say(ann, group, f"{at} error 401")
    await telegram.wait(lambda: "[Retry]" in telegram.visible(group))
    answer = next(m for m in telegram.messages(group) if m.from_bot)
    assert answer.reply_markup is not None
    retry = answer.reply_markup["inline_keyboard"][0][0]["callback_data"]
    await alive.stop()
    await alive.start(access="pairing")
    asked = len(model.requests)
    await telegram.press(eve, answer, retry)
    await telegram.say(eve, group, f"{at} repeat: mine")
    await telegram.wait(lambda: not telegram.updates.pending)
    await alive.stop()
    assert len(model.requests) == asked
    assert len(texts(telegram.messages(group))) == 1


async def test_a_person_who_blocked_the_bot_costs_no_more_tokens(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 20
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, f"repeat: {'on and on ' * 100}")
    await telegram.wait(lambda: any("on and on" in draft.text for draft in telegram.drafts))
    await telegram.block(ann)
    await model.wait(lambda: model.requests[-1].disconnected_at is not None)
    assert not model.requests[-1].completed


async def test_markup_that_ends_nowhere_is_no_error_and_loses_nothing(alive: World) -> None:
    telegram = alive.telegram
    alive.model.tokens_per_second = 200
    ann = telegram.person("Ann")
    group = telegram.supergroup("Friends", ann)
    text = "vector<int> *open _under [link]( `tick if a<b and c>d ||spoiler <b>bold\n```py\nx = 1"
    await telegram.say(ann, group, f"@{telegram.bot.username} repeat: {text}")
    await telegram.wait(
        lambda: letters("".join(texts(telegram.messages(group)))) == letters(text), 20
    )
    assert telegram.refused(400) == []
    assert not any("parse_mode" in call.params for call in telegram.calls)


async def test_every_part_of_a_long_answer_stays_in_its_topic(alive: World) -> None:
    telegram = alive.telegram
    alive.model.tokens_per_second = 20_000
    ann = telegram.person("Ann")
    forum = telegram.forum("Forum", ann)
    topic = telegram.topic(forum, "Long")
    expected = long(9_000)
    await telegram.say(ann, forum, f"@{telegram.bot.username} long 9000", thread=topic)

    def there() -> list[str]:
        return texts(telegram.messages(forum, topic))

    await telegram.wait(lambda: letters("\n".join(there())) == letters(expected), 30)
    assert len(there()) >= 3
    assert len(texts(telegram.messages(forum))) == len(there())


async def test_a_draft_goes_on_beyond_4096_characters(alive: World) -> None:
    telegram = alive.telegram
    alive.model.tokens_per_second = 900
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    expected = long(9_000)
    await telegram.say(ann, chat, "long 9000")
    await telegram.wait(
        lambda: letters("\n".join(texts(telegram.messages(chat)))) == letters(expected), 40
    )
    beyond = letters(texts(telegram.messages(chat))[1])[:40]
    assert any(letters(draft.text).startswith(beyond) for draft in telegram.drafts)


async def test_a_message_deleted_while_it_grows_ends_what_nobody_sees(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 20
    ann = telegram.person("Ann")
    group = telegram.supergroup("Friends", ann)
    at = f"@{telegram.bot.username}"
    await telegram.say(ann, group, f"{at} repeat: {'on and on ' * 100}")
    await telegram.wait(lambda: "on and on" in "".join(texts(telegram.messages(group))))
    growing = next(m for m in telegram.messages(group) if m.from_bot)
    await telegram.delete(growing)
    await model.wait(lambda: model.requests[-1].disconnected_at is not None)
    model.tokens_per_second = 2000
    await telegram.say(ann, group, f"{at} repeat: next")
    await telegram.wait(lambda: texts(telegram.messages(group))[-1:] == ["next"])


async def test_a_429_does_not_make_an_answer_free(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    refused: list[Call] = []

    def once(call: Call) -> Fault | None:
        if call.method.lower() != "sendmessage" or refused:
            return None
        refused.append(call)
        return Fault("429", 2)

    telegram.faults = once
    await telegram.say(ann, chat, "repeat: counted all the same")
    await telegram.wait(lambda: texts(telegram.messages(chat)) == ["counted all the same"])
    await telegram.say(ann, chat, "/usage")
    await telegram.wait(lambda: len(texts(telegram.messages(chat))) == 2)
    assert refused
    used = re.search(r"(\d+)  Llama\S+ \(1\b", texts(telegram.messages(chat))[-1])
    assert used is not None, "one answer"
    assert int(used[1]) > 0


async def test_a_new_conversation_keeps_the_model(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, "/model phi-4")
    await telegram.wait(lambda: len(texts(telegram.messages(chat))) == 1)
    await telegram.say(ann, chat, "/new")
    await telegram.wait(lambda: len(texts(telegram.messages(chat))) == 2)
    await telegram.say(ann, chat, "repeat: hi")
    await telegram.wait(lambda: texts(telegram.messages(chat))[-1:] == ["hi"])
    assert model.requests[-1].body["model"] == "microsoft/phi-4"


async def test_one_persons_stop_and_retry_are_not_anothers(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 20
    ann, bob = telegram.person("Ann"), telegram.person("Bob")
    group = telegram.supergroup("Friends", ann, bob)
    at = f"@{telegram.bot.username}"
    texts_of = {person.name: f"{person.name} goes on " * 40 for person in (ann, bob)}
    for person in (ann, bob):
        await telegram.say(person, group, f"{at} repeat: {texts_of[person.name]}")
    await telegram.wait(
        lambda: all(f"{name} goes" in "".join(texts(telegram.messages(group))) for name in texts_of)
    )
    bobs = next(m for m in telegram.messages(group) if m.from_bot and "Bob goes" in m.text)
    assert bobs.reply_markup is not None
    stop = bobs.reply_markup["inline_keyboard"][0][0]["callback_data"]
    assert stop.startswith("stop:")
    await telegram.press(ann, bobs, stop)
    await telegram.wait(lambda: words.NOT_YOURS in texts(telegram.messages(group)))
    await telegram.say(ann, group, "/stop")
    await telegram.wait(lambda: texts_of["Bob"].strip() in texts(telegram.messages(group)), 30)
    anns = next(t for t in texts(telegram.messages(group)) if "Ann goes" in t)
    assert "Stopped" in anns
    assert [request.completed for request in model.requests].count(False) == 1


async def test_an_answer_costs_no_more_calls_than_it_needs(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    group = telegram.supergroup("Friends", ann)
    before = len(telegram.calls)
    await telegram.say(ann, group, "not for the bot")
    await telegram.say(ann, group, f"@{telegram.bot.username} repeat: hello")
    await telegram.wait(lambda: texts(telegram.messages(group))[-1:] == ["hello"])
    made = {call.method.lower() for call in list(telegram.calls)[before:]}
    assert made <= {"getupdates", "sendmessage", "editmessagetext"}
    sent = [c for c in list(telegram.calls)[before:] if c.method.lower() != "getupdates"]
    assert len(sent) <= 3


async def test_a_defect_of_ours_is_told_by_a_number_and_not_by_a_stack(
    alive: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)

    monkeypatch.setattr("core.turns.engine.MOST_ATTEMPTS", 0)
    await telegram.say(ann, chat, "repeat: hello")
    await telegram.wait(lambda: texts(telegram.messages(chat)))
    (said,) = texts(telegram.messages(chat))
    assert said.startswith(words.INTERNAL)
    assert "Traceback" not in said


async def test_a_group_that_was_let_in_is_let_in_after_it_moved(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    group = telegram.group("Friends", ann)
    at = f"@{telegram.bot.username}"
    store = Store(alive.settings().database_url)
    await store.write(conversations.grant, f"telegram:chat:{group.id}", "member", "Friends")
    await store.close()
    await alive.stop()
    await alive.start(access="pairing")
    await telegram.say(ann, group, f"{at} repeat: before")
    await telegram.wait(lambda: texts(telegram.messages(group)) == ["before"])
    moved = await telegram.migrate(group)
    await telegram.wait(lambda: not telegram.updates.pending)
    await telegram.say(ann, moved, f"{at} repeat: after")
    await telegram.wait(lambda: texts(telegram.messages(moved)) == ["after"])


async def test_a_text_the_client_had_to_part_is_one_question(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    parts = ["repeat: only this\n" + "word " * 800, "and more " * 400, "the end"]
    for part in parts:
        await telegram.say(ann, chat, part)
    await telegram.wait(lambda: "only this" in "".join(texts(telegram.messages(chat))), 15)
    await telegram.say(ann, chat, "repeat: next")
    await telegram.wait(lambda: texts(telegram.messages(chat))[-1:] == ["next"])
    asked = [m["content"] for m in model.requests[-1].body["messages"] if m["role"] == "user"]
    assert asked == ["\n".join(part.strip() for part in parts), "repeat: next"]
    assert len(model.requests) == 2


async def test_an_album_is_one_question_and_is_there_after_a_kill(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    for number, caption in enumerate(("repeat: both", "")):
        await telegram.send_document(
            ann, chat, f"file{number}.txt", f"The content of file {number}.".encode(),
            caption=caption, media_type="text/plain", media_group_id="8",
        )  # fmt: skip
    await telegram.wait(lambda: not telegram.updates.pending)
    await alive.kill()
    await alive.start()
    await telegram.wait(lambda: "both" in "".join(texts(telegram.messages(chat))), 20)
    asked = str(model.requests[-1].body["messages"])
    assert all(f"content of file {number}" in asked for number in range(2))
    assert len(texts(telegram.messages(chat))) == 1


async def test_two_messages_at_once_do_not_interleave_in_the_history(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 100
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    asked = [f"repeat: {word} {'x ' * 20}".strip() for word in ("one", "two", "three")]
    for text in asked:
        await telegram.say(ann, chat, text)
    await telegram.wait(lambda: len(texts(telegram.messages(chat))) == 3, 20)
    exchanges: list[str] = []
    for request, text in zip(model.requests, asked, strict=True):
        said = [m["content"] for m in request.body["messages"] if m["role"] != "system"]
        assert said == [*exchanges, text]
        exchanges += [text, text.removeprefix("repeat: ")]


async def test_who_is_not_let_in_gets_nothing_by_any_way(alive: World, tmp_path: Path) -> None:
    """One entry that forgets to ask who it is would be enough."""
    telegram = alive.telegram
    ann, eve = telegram.person("Ann"), telegram.person("Eve")
    group = telegram.supergroup("Friends", ann, eve)
    store = Store(alive.settings().database_url)
    await store.write(conversations.grant, f"telegram:person:{ann.id}", "member", "Ann")
    await store.close()
    await alive.stop()
    await alive.start(access="pairing")
    at = f"@{telegram.bot.username}"
    for chat in (telegram.private(eve), group):
        for command in COMMANDS:
            await telegram.say(eve, chat, f"/{command.name}{at} phi-4")
        await telegram.say(eve, chat, f"{at} hello")
        await telegram.send_document(eve, chat, "notes.txt", b"a fact", caption=f"{at} read")
        await telegram.send_photo(eve, chat, caption=f"{at} look")
        await telegram.send_sticker(eve, chat)
    before = len(telegram.calls)
    await telegram.say(ann, group, f"{at} repeat: for Ann")
    await telegram.wait(lambda: texts(telegram.messages(group)) == ["for Ann"])
    assert texts(telegram.messages(telegram.private(eve))) == []
    assert len(alive.model.requests) == 1
    made = {call.method.lower() for call in list(telegram.calls)[before:]}
    assert made <= {"getupdates", "sendmessage", "editmessagetext"}, "nobody is looked up"
    await alive.stop()
    with contextlib.closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        kept = {
            name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name in ("turns", "choices", "memories", "documents", "conversations")
        }
    assert kept == {"turns": 1, "choices": 0, "memories": 0, "documents": 0, "conversations": 1}


async def test_a_question_of_more_than_a_day_ago_counts_its_days(
    alive: World, tmp_path: Path
) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 20
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, f"repeat: {'from yesterday ' * 40}")
    await model.wait(lambda: len(model.requests) == 1)
    await alive.kill()
    with contextlib.closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        database.execute("UPDATE turns SET created = created - 86405")
        database.commit()
    await alive.start()
    await telegram.wait(lambda: texts(telegram.messages(chat)) == [words.TOO_OLD])
    assert len(model.requests) == 1
    model.tokens_per_second = 2000
    await telegram.say(ann, chat, "/retry")
    await telegram.wait(
        lambda: texts(telegram.messages(chat))[-1] == ("from yesterday " * 40).strip()
    )


@pytest.mark.parametrize(("too_old", "answered"), [(200_000.0, True), (30.0, False)])
async def test_how_old_a_question_may_be_is_the_operators_to_say(
    alive: World, tmp_path: Path, too_old: float, *, answered: bool
) -> None:
    telegram, model = alive.telegram, alive.model
    model.tokens_per_second = 20
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    text = ("from before " * 40).strip()
    await telegram.say(ann, chat, f"repeat: {text}")
    await model.wait(lambda: len(model.requests) == 1)
    await alive.kill()
    age = 86405 if answered else 60  # by default: too old, and not
    with contextlib.closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        database.execute("UPDATE turns SET created = created - ?", (age,))
        database.commit()
    model.tokens_per_second = 2000
    await alive.start(too_old=too_old)
    said = text if answered else words.TOO_OLD
    await telegram.wait(lambda: texts(telegram.messages(chat)) == [said])


async def test_a_file_is_fetched_once_and_its_address_is_told_to_nobody(alive: World) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.send_document(
        ann, chat, "facts.txt", b"The pump is green.", caption="repeat: which colour?",
        media_type="text/plain",
    )  # fmt: skip
    await telegram.wait(lambda: "which colour?" in "".join(texts(telegram.messages(chat))))
    await telegram.say(ann, chat, "repeat: and again?")
    await telegram.wait(lambda: "and again?" in texts(telegram.messages(chat))[-1])
    methods = [call.method.lower() for call in telegram.calls]
    assert methods.count("getfile") == 1
    told = "".join(str(request.body) for request in model.requests)
    assert "The pump is green." in told
    assert telegram.token not in told
    assert "/file/bot" not in told


async def test_a_time_out_is_not_followed_by_a_plain_copy(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    met: list[Call] = []

    def once(call: Call) -> Fault | None:
        if call.method.lower() != "sendmessage" or met:
            return None
        met.append(call)
        return Fault("drop_after")

    telegram.faults = once
    await telegram.say(ann, chat, "repeat: **bold** and `code`")
    await telegram.wait(lambda: texts(telegram.messages(chat))[-1:] == [words.DOUBT])
    assert texts(telegram.messages(chat)) == ["bold and code", words.DOUBT]
    assert "entities" in met[0].params
