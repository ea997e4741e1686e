"""Notes and files that run into limits or are damaged, on both platforms."""

import re

import pytest

from tests.end_to_end.chat_with_buttons import PLATFORMS
from tests.end_to_end.harness import Harness
from tests.end_to_end.private_chat import PrivateChat

EMBEDDER = "mixedbread-ai/mxbai-embed-large-v1"
NOTE = "My dog is called Rex."
LARGE = b"word " * 2000


@PLATFORMS
async def test_one_person_cannot_use_up_the_quota_for_files(harness: Harness, platform: str) -> None:
    await harness.stop()
    await harness.start(quotas={EMBEDDER: 10_000}, messages_a_minute=1000)
    chat, other = PrivateChat(harness, platform), PrivateChat(harness, platform)
    await chat.send_file("one.txt", b"one " + LARGE)
    await chat.wait_for("Ask me about it.", 30)
    used = harness.model.usage[EMBEDDER]
    await chat.send_file("two.txt", b"two " + LARGE)
    reply = await chat.wait_for("Read two.txt", 30)
    assert "words" in reply, "it is stored, and found by its words"
    assert harness.model.usage[EMBEDDER] == used, "estimated before anything is spent"
    await chat.ask("/memory", "2 files here")
    await other.ask(f"/remember {NOTE}", "number 1")
    assert "by its words" not in other.texts[-1]
    assert "Rex" in str(await request_after(harness, other, "repeat: how is my dog called?"))


async def request_after(harness: Harness, chat: PrivateChat, question: str) -> object:
    await chat.ask(question, question.removeprefix("repeat: "))
    return harness.model.requests[-1].body["messages"]


@PLATFORMS
async def test_memory_works_by_words_while_the_quota_is_exhausted(harness: Harness, platform: str) -> None:
    harness.model.quotas[EMBEDDER] = 0
    chat = PrivateChat(harness, platform)
    await chat.ask(f"/remember {NOTE}", "only by its words")
    messages = await request_after(harness, chat, "repeat: how is my dog called?")
    assert "Rex" in str(messages)
    assert harness.model.usage[EMBEDDER] == 0


@PLATFORMS
async def test_question_that_exceeds_the_embedding_quota_is_searched_by_words(harness: Harness, platform: str) -> None:
    await harness.stop()
    await harness.start(quotas={EMBEDDER: 1})
    chat = PrivateChat(harness, platform)
    await chat.ask(f"/remember {NOTE}", "only by its words")
    messages = await request_after(harness, chat, "repeat: how is my dog called?")
    assert "Rex" in str(messages)
    assert harness.model.usage[EMBEDDER] == 0, "one token is left"


@PLATFORMS
async def test_small_file_is_in_the_prompt_without_embedding(harness: Harness, platform: str) -> None:
    chat = PrivateChat(harness, platform)
    await chat.send_file("dentist.txt", b"A line.\nThe number is 555-0142.", "repeat: whom do I call?")
    await chat.wait_for("whom do I call?", 30)
    assert "555-0142" in str(harness.model.requests[-1].body["messages"])
    assert harness.model.usage[EMBEDDER] == 0


@PLATFORMS
async def test_usage_shows_embeddings(harness: Harness, platform: str) -> None:
    chat = PrivateChat(harness, platform)
    await chat.ask(f"/remember {NOTE}", "number 1")
    used = harness.model.usage[EMBEDDER]
    usage = await chat.ask("/usage", "Notes and files on this key: ")
    assert re.search(rf"Notes and files on this key: {used} embedding tokens", usage)


@PLATFORMS
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.txt", b" \n", "is empty"),
        ("broken.pdf", b"%PDF-1.7 broken", "is damaged"),
        ("photo.zip", b"PK\x03\x04" + bytes(range(256)), "is not a type I can read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_unreadable_file_has_its_reason(
    harness: Harness, platform: str, name: str, content: bytes, reason: str
) -> None:
    chat = PrivateChat(harness, platform)
    await chat.send_file(name, content, "What is in it?")
    assert name in (await chat.wait_for(reason, 30)).replace("\\", "")


@PLATFORMS
async def test_renamed_file_is_cited_by_its_new_name(harness: Harness, platform: str) -> None:
    chat = PrivateChat(harness, platform)
    for name in ("draft.txt", "final.txt"):
        await chat.send_file(name, b"the Kestrel K-77 stops after 31 months")
        await chat.wait_for(name, 30)
    listed = await chat.ask("/memory", "1 file here")
    assert "final.txt" in listed.replace("\\", "")
    assert "draft" not in listed
    messages = await request_after(harness, chat, "repeat: when does the Kestrel stop?")
    assert "final.txt" in str(messages)
    assert "draft.txt" not in str(messages)


@PLATFORMS
async def test_memory_is_cleared_only_after_a_confirmation(harness: Harness, platform: str) -> None:
    chat = PrivateChat(harness, platform)
    await chat.ask(f"/remember {NOTE}", "number 1")
    await chat.ask("/memory clear", "This permanently deletes 1 note of this conversation.")
    explanation = await chat.ask("/memory delete", "Which one? Add its number")
    assert NOTE in explanation.replace("\\", "")
    await chat.ask("/memory", "1 note here")
    await chat.ask("/memory clear confirm", "All notes and files of this conversation are deleted.")
    await chat.ask("/memory", "No notes or files yet.")
