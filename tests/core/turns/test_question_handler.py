"""Which questions are answered, which are refused, and with what words; files that come with a question."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from bots.sandbox.model import SPEECH_MODEL, ModelStandIn
from bots.sandbox.model.script import ScriptedAnswer
from core.buttons import ButtonAction, encode_action
from core.conversation.transcript import CONTINUE_PROMPT
from core.errors import DeliveryError, DeliveryFailure
from core.port import Attachment, EventKind, Incoming, Place, Sender
from core.scopes import conversation_key
from core.store.database import Store
from core.store.history import load_history
from core.store.inbound import InboundLimits, accept_event
from core.store.schema import turns
from core.texts import answers as texts
from core.texts import memory as memory_texts
from core.texts import speech as speech_texts
from core.timings import Timings
from core.turns.attachment_reader import MAX_FILES_PER_MESSAGE
from core.turns.button_actions import MAX_SHOWN_REASONING_CHARS
from core.turns.file_fetcher import MAX_FETCH_ATTEMPTS
from core.turns.prompt_resolver import MAX_PROMPT_CHARS
from core.turns.turn_start import load_start
from tests.core.turns.fake_adapter import EDITING, FakeAdapter, FilesAdapter, running_engine
from tests.sqlite import sqlite_url

pytestmark = pytest.mark.slow

PLACE = Place("fake", "1", "5", is_private=True)
ANN = Sender("fake", "5", "Ann")
RECORDING = Attachment("voice message", "a.ogg", 10, file_id="recording", is_audio=True)
PATIENT = Timings(first_fetch_retry_delay=0.01, max_fetch_retry_delay=0.05)


def text_file(name: str, content: str = "Rent is due on the 3rd.") -> Attachment:
    return Attachment("file", name, len(content), file_id=content, is_document=True)


async def send(chat: FakeAdapter, text: str, attachments: Sequence[Attachment] = (), *, key: str = "k") -> str:
    """Send a message with files and return the reply."""
    count = len(chat.messages)
    await chat.inbox(Incoming(EventKind.PROMPT, key, PLACE, ANN, text, attachments=tuple(attachments)))
    await chat.wait_until(lambda: len(chat.messages) > count)
    return list(chat.messages.values())[count].strip()


def prompt_of(model: ModelStandIn) -> str:
    return str(model.requests[-1].body["messages"][-1]["content"])


# Prompts


async def test_longest_prompt_is_answered(tmp_path: Path, model: ModelStandIn) -> None:
    model.answer = lambda _body: "read it"
    async with running_engine(tmp_path, model, default_model="jinaai/ReaderLM-v2", quotas={"*": 0}) as chat:
        longest = "word " * (MAX_PROMPT_CHARS // 5 - 1) + "word."
        assert len(longest) == MAX_PROMPT_CHARS
        assert await chat.ask(f"{longest}!") == f"A message can have at most {MAX_PROMPT_CHARS:,} characters."
        assert not model.requests
        assert await chat.ask(f"  {longest}  ") == "read it"
        assert prompt_of(model) == longest


async def test_plain_question_reads_the_database_twice(tmp_path: Path, model: ModelStandIn) -> None:
    timings = Timings(grant_cache_lifetime=3600, service_refresh_interval=3600)
    async with running_engine(tmp_path, model, timings=timings) as chat:
        await chat.ask("repeat: what the process reads once")
        for text in ("repeat: one", "/ask repeat: two"):
            chat.store.reads.clear()
            await chat.ask(text)
            assert chat.store.reads == {load_start.__name__: 1, load_history.__name__: 1}


@pytest.mark.parametrize(
    ("text", "attachments", "reply"),
    [
        (" ", (), texts.EMPTY_MESSAGE),
        ("", (Attachment("sticker"),), texts.unreadable_attachments(["sticker"])),
        (
            "",
            (Attachment("voice message"), Attachment("photo"), Attachment("photo")),
            "I can't read this yet: photo and voice message.",
        ),
    ],
    ids=["empty", "sticker", "several"],
)
async def test_message_without_text_is_refused(
    tmp_path: Path, model: ModelStandIn, text: str, attachments: Sequence[Attachment], reply: str
) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert (await send(chat, text, attachments)).startswith(reply)
    assert not model.requests


async def test_text_beside_a_picture_is_answered(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert await send(chat, "repeat: hello", [Attachment("photo", file_id="1", is_image=True)]) == "hello"


async def test_answer_names_what_came_with_the_text_and_was_not_read(tmp_path: Path, model: ModelStandIn) -> None:
    video, quoted = Attachment("video", file_id="1"), Attachment("dice", file_id="2", is_quoted=True)
    async with running_engine(tmp_path, model) as chat:
        answer = await send(chat, "repeat: hello", [video, video, quoted])
    assert answer == f"hello\n\n{texts.attachments_not_read(['video'])}"


async def test_nothing_to_retry(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert await chat.ask("/retry") == texts.NO_QUESTION_YET


async def test_retry_replaces_the_last_answer(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("repeat: one")
        assert await chat.ask("/retry") == "one"
        await chat.ask("repeat: two")
        contents = [message["content"] for message in model.requests[-1].body["messages"]]
        assert contents[1:] == ["repeat: one", "one", "repeat: two"]


async def test_retry_under_an_older_answer_to_the_same_question_keeps_the_last_one(
    tmp_path: Path, model: ModelStandIn
) -> None:
    async with running_engine(tmp_path, model) as chat:
        for text in ("repeat: one", "repeat: two", "repeat: one"):
            await chat.ask(text)
        await chat.press("retry:1", "1")
        await model.wait_for(lambda: len(model.requests) == 4)
        await chat.wait_for_states(*["done"] * 4)
        await chat.ask("repeat: three")
        assert [m["content"] for m in model.requests[-1].body["messages"][1:]] == [
            *("repeat: one", "one", "repeat: two", "two", "repeat: one", "one", "repeat: one", "one", "repeat: three")
        ]


async def test_retry_under_a_replaced_answer_replaces_the_new_one(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("repeat: one")
        await chat.ask("/retry")
        await chat.press("retry:1", "1")
        await chat.wait_for_states(*["done"] * 3)
        await chat.ask("repeat: two")
        contents = [message["content"] for message in model.requests[-1].body["messages"]]
        assert contents[1:] == ["repeat: one", "one", "repeat: two"]


async def test_refusals_in_private_chats_reply_to_their_question(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.say("x" * (MAX_PROMPT_CHARS + 1), message="9")
        await chat.wait_for_text("A message can have at most")
        assert chat.calls[-1].reply_to == "9"


async def test_progress_with_a_file_replies_to_its_message(tmp_path: Path, model: ModelStandIn) -> None:
    """The report takes its place, and a message cannot become a reply later."""
    adapter = FilesAdapter()
    adapter.private_capabilities = EDITING
    adapter.close_gate("fetch")
    async with running_engine(tmp_path, model, adapter) as chat:
        file = text_file("broken.pdf", "%PDF-1.7 broken")
        await chat.inbox(Incoming(EventKind.PROMPT, "k", PLACE, ANN, "", message_id="9", attachments=(file,)))
        await chat.wait_for_text("Reading broken.pdf")
        adapter.gates["fetch"].set()
        await chat.wait_for_text("broken.pdf is damaged")
        assert [call.reply_to for call in chat.calls if call.method == "send"] == ["9"]
        assert len(chat.messages) == 1


async def test_only_the_last_answer_continues(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("repeat: one")
        await chat.ask("repeat: two")
        await chat.press("more:1", "1")
        await chat.wait_for_text(texts.ONLY_LAST_CONTINUES)
        await chat.press("more:2", "1")
        await model.wait_for(lambda: len(model.requests) == 3)
        assert prompt_of(model) == CONTINUE_PROMPT


async def test_question_of_somebody_else_is_not_retried(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("repeat: one")
        await chat.press("retry:1", "1", user="6")
        await chat.wait_for_text(texts.NOT_YOUR_ANSWER)
    assert len(model.requests) == 1


def make_old(connection: Connection, seconds: float) -> None:
    connection.execute(update(turns).values(created_at=turns.c.created_at - seconds))


async def store_question(folder: Path, age_seconds: float, attachments: tuple[Attachment, ...] = ()) -> None:
    """A question that was asked while the bot was away."""
    store = Store(sqlite_url(folder))
    await store.open()
    question = Incoming(EventKind.PROMPT, "e0", PLACE, ANN, "repeat: hello", attachments=attachments)
    await store.write(
        accept_event,
        question,
        conversation_key=conversation_key(PLACE, ANN, shared=False),
        person_key="fake:5",
        ordered=True,
        limits=InboundLimits(),
    )
    await store.write(make_old, age_seconds)
    await store.close()


async def test_old_question_has_failed_after_another_process_says_so(tmp_path: Path, model: ModelStandIn) -> None:
    await store_question(tmp_path, 110)
    dying, heir = FakeAdapter(), FakeAdapter()
    dying.close_gate("send")
    async with running_engine(tmp_path, model, dying, too_old=100):
        await dying.wait_until(lambda: bool(dying.calls))
        await dying.engine.close(0)
    async with running_engine(tmp_path, model, heir, too_old=100):
        await heir.wait_for_states("failed")
    assert [texts.QUESTION_OUTDATED in text for text in heir.texts] == [True]


@pytest.mark.parametrize("is_old", [False, True])
async def test_old_question_waits_for_retry(tmp_path: Path, model: ModelStandIn, is_old: bool) -> None:
    await store_question(tmp_path, 110 if is_old else 50)
    async with running_engine(tmp_path, model, too_old=100) as chat:
        await chat.wait_until(lambda: len(chat.messages) == 1)
        assert (texts.QUESTION_OUTDATED in chat.texts[0]) is is_old
        await chat.wait_for_states("failed" if is_old else "done")
        assert await chat.ask("/retry") == "hello"
    assert len(model.requests) == 2 - is_old


async def test_stop_while_listening_stops_the_turn(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = FilesAdapter()
    adapter.close_gate("fetch")
    async with running_engine(tmp_path, model, adapter, speech_model=SPEECH_MODEL.id) as chat:
        await chat.inbox(Incoming(EventKind.PROMPT, "k", PLACE, ANN, "", attachments=(RECORDING,)))
        await chat.started["fetch"].wait()
        await chat.say("/stop")
        await chat.wait_for_text(texts.STOPPED)
        await chat.wait_for_states("stopped", "done")
    assert not model.requests


async def test_old_recording_is_not_transcribed(tmp_path: Path, model: ModelStandIn) -> None:
    await store_question(tmp_path, 110, attachments=(RECORDING,))
    async with running_engine(tmp_path, model, FilesAdapter(), too_old=100, speech_model=SPEECH_MODEL.id) as chat:
        await chat.wait_until(lambda: len(chat.messages) == 1)
        assert chat.texts == [speech_texts.RECORDING_OUTDATED]
    assert not model.transcriptions


# Daily limits


async def test_questions_end_at_the_daily_limit(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, person_messages=2) as chat:
        assert await chat.ask("repeat: one") == "one"
        await chat.wait_for_states("done")
        assert await chat.ask("repeat: two") == "two"
        await chat.wait_for_states("done", "done")
        refusal = await chat.ask("repeat: three")
        assert refusal.startswith("You've reached today's limit of 2 questions. It resets in ")
        assert await chat.ask("/retry") == refusal
        assert await chat.ask("repeat: four", user="6") == "four", "others have their own limit"


async def test_chat_has_a_limit_of_its_own(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, chat_messages=1) as chat:
        for user, reply in (("5", "hello"), ("6", "This chat has reached today's limit of 1 question.")):
            await chat.say("repeat: hello", user=user, group="-7")
            await chat.wait_until(lambda text=reply: any(shown.startswith(text) for shown in chat.texts))  # type: ignore[misc]
            await chat.wait_for_states(*["done"] * (1 if user == "5" else 2))
        assert await chat.ask("repeat: in private") == "in private"


# Files


@pytest.mark.slow
async def test_file_without_question_is_stored(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, FilesAdapter()) as chat:
        reply = await send(chat, "", [text_file("lease.txt")])
        assert reply == f"Read lease.txt: 1 section. {memory_texts.ASK_ABOUT_FILE}"
        assert "1 file here." in await chat.ask("/memory")
    assert not model.requests


@pytest.mark.slow
async def test_question_about_a_file_is_answered_with_it(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, FilesAdapter()) as chat:
        assert "repeated" in await send(chat, "repeat: repeated", [text_file("lease.txt")])
        assert "Rent is due on the 3rd." in str(model.requests[-1].body["messages"][0])


@pytest.mark.slow
async def test_question_about_several_files_is_answered_if_one_can_be_read(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, FilesAdapter()) as chat:
        files = [text_file("lease.txt"), text_file("a.zip", "PK\x03\x04\0\0")]
        reply = (await send(chat, "repeat: hello", files)).replace("\\", "")
        assert reply.startswith("hello\n\na.zip is not a type I can read.")
        assert "lease.txt" in reply
    assert "Rent is due" in str(model.requests[0].body)


@pytest.mark.slow
async def test_files_without_a_question_are_all_reported(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, FilesAdapter()) as chat:
        files = [text_file("lease.txt"), text_file("a.zip", "PK\x03\x04\0\0")]
        reply = (await send(chat, "", files)).replace("\\", "")
        assert "Read lease.txt: 1 section." in reply
        assert "a.zip is not a type I can read." in reply
        assert memory_texts.ASK_ABOUT_FILE not in reply
    assert not model.requests


async def test_question_about_unreadable_files_is_refused(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, FilesAdapter()) as chat:
        reply = await send(chat, "repeat: hello", [text_file("a.zip", "PK\x03\x04\0\0")])
        assert reply.startswith("a.zip is not a type I can read.")
    assert not model.requests


async def test_reply_to_an_unreadable_file_is_answered(tmp_path: Path, model: ModelStandIn) -> None:
    file = replace(text_file("a.zip", "PK\x03\x04\0\0"), is_quoted=True)
    async with running_engine(tmp_path, model, FilesAdapter()) as chat:
        assert (await send(chat, "repeat: hello", [file])).startswith("hello\n\na.zip is not a type I can read.")


@pytest.mark.slow
async def test_number_of_files_is_limited(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FilesAdapter()
    async with running_engine(tmp_path, model, chat):
        files = [text_file(f"{number}.txt", f"text {number}") for number in range(MAX_FILES_PER_MESSAGE + 1)]
        reply = await send(chat, "", files)
        assert chat.fetched == [file.name for file in files[:-1]]
        assert texts.file_limit_reached(MAX_FILES_PER_MESSAGE) in reply
        assert memory_texts.ASK_ABOUT_FILE not in reply
        assert memory_texts.ASK_ABOUT_FILE in await send(chat, "", files[:-1], key="k2")
        answer = await send(chat, "repeat: hello", files, key="k3")
        assert answer.startswith(f"hello\n\n{texts.file_limit_reached(MAX_FILES_PER_MESSAGE)}")


@pytest.mark.slow
@pytest.mark.parametrize("failure", DeliveryFailure)
async def test_download_is_repeated_if_that_may_help(
    tmp_path: Path, model: ModelStandIn, failure: DeliveryFailure
) -> None:
    passes = failure in (DeliveryFailure.TRANSIENT, DeliveryFailure.RATE_LIMITED, DeliveryFailure.UNKNOWN)
    chat = FilesAdapter()
    chat.fail_next("fetch", *[DeliveryError("The file is gone.", failure)] * (MAX_FETCH_ATTEMPTS - 1))
    async with running_engine(tmp_path, model, chat, timings=PATIENT):
        reply = await send(chat, "", [text_file("lease.txt")])
        assert reply.startswith("Read lease.txt" if passes else "I couldn't download lease.txt.")
        assert "The file is gone." not in reply
        assert len(chat.fetched) == (MAX_FETCH_ATTEMPTS if passes else 1)


async def test_download_is_not_repeated_for_ever(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FilesAdapter()
    chat.errors["fetch"] = DeliveryError("Away", DeliveryFailure.TRANSIENT)
    async with running_engine(tmp_path, model, chat, timings=PATIENT):
        notice = f"I couldn't download lease.txt. {memory_texts.CONNECTION_FAILED} \\[1\\]"
        assert await send(chat, "", [text_file("lease.txt")]) == notice
        assert len(chat.fetched) == MAX_FETCH_ATTEMPTS


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "attempts"), [(0.05, 2), (0.06, 1)])
async def test_download_waits_for_limited_time(
    tmp_path: Path, model: ModelStandIn, seconds: float, attempts: int
) -> None:
    chat = FilesAdapter()
    chat.fail_next("fetch", DeliveryError("Wait", DeliveryFailure.RATE_LIMITED, retry_after=seconds))
    async with running_engine(tmp_path, model, chat, timings=PATIENT):
        await send(chat, "", [text_file("lease.txt")])
        assert len(chat.fetched) == attempts


async def test_files_that_cannot_be_downloaded_are_not_read(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FilesAdapter()
    async with running_engine(tmp_path, model, chat):
        picture = replace(text_file("a.png"), kind="photo", is_document=False)
        without_id = replace(text_file("b.txt"), file_id="")
        answer = await send(chat, "repeat: hello", [picture, without_id])
    assert answer == f"hello\n\n{texts.attachments_not_read(['file', 'photo'])}"
    assert chat.fetched == []


# Buttons


@pytest.mark.parametrize("length", [MAX_SHOWN_REASONING_CHARS, MAX_SHOWN_REASONING_CHARS + 1])
async def test_long_reasoning_is_cut(tmp_path: Path, model: ModelStandIn, length: int) -> None:
    chat = FakeAdapter()
    async with running_engine(tmp_path, model, chat):
        model.answer = lambda _body: ScriptedAnswer("an answer", reasoning="x" * length)
        await chat.ask("hello")
        await chat.press(encode_action(ButtonAction.SHOW_REASONING, 1), "1")
        await chat.wait_until(lambda: len(chat.messages) > 1)
        assert chat.texts[1].count("x") == min(length, MAX_SHOWN_REASONING_CHARS)
        assert ("…" in chat.texts[1]) is (length > MAX_SHOWN_REASONING_CHARS)
