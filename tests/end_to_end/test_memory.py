"""Notes, files and past messages, end to end."""

import random
import re
from typing import Any

import pytest

from bots.sandbox.model.script import scripted_answer as scripted
from tests.core.memory.sample_files import encrypt_pdf, make_pdf, make_scanned_pdf
from tests.end_to_end.harness import Harness, bot_texts

PAGES = 300
FACTS = {
    7: (
        "The harbour master of Ostrava is called Benedikt Sloane.",
        "Who is the harbour master of Ostrava?",
    ),
    31: (
        "The warranty of the Kestrel pump ends after 31 months.",
        "When does the warranty of the Kestrel pump end?",
    ),
    58: (
        "Invoices over 9,400 crowns need the signature of two directors.",
        "Which invoices need the signature of two directors?",
    ),
    92: ("The archive door opens with the code 7741-B.", "What code opens the archive door?"),
    123: (
        "Penguins were counted at Sandfly Bay on the 4th of March.",
        "When were penguins counted at Sandfly Bay?",
    ),
    160: (
        "The turbine must never run above 318 degrees Celsius.",
        "How many degrees Celsius may the turbine run at?",
    ),
    199: ("Doctor Amara Okafor leads the glacier expedition.", "Who leads the glacier expedition?"),
    234: (
        "Parcel 55 was lost between Lyon and Turin.",
        "Which parcel was lost between Lyon and Turin?",
    ),
    271: ("The choir rehearses in the old tannery on Thursdays.", "Where does the choir rehearse?"),
    300: (
        "The last page was written by the typist Ida Lindqvist.",
        "Which typist wrote the last page?",
    ),
}
WORDS = [
    "meadow",
    "lantern",
    "copper",
    "ribbon",
    "orchard",
    "gravel",
    "whistle",
    "candle",
    "marble",
    "thicket",
    "saddle",
    "pillow",
    "barrel",
    "cotton",
    "feather",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "ladder",
    "mirror",
    "needle",
    "oyster",
    "pepper",
    "quarry",
    "rocket",
    "silver",
    "ticket",
    "umbrella",
    "velvet",
    "window",
    "yellow",
    "zipper",
    "anchor",
    "bridge",
    "carpet",
    "drawer",
    "engine",
]


def report() -> list[str]:
    """300 pages of filler; ten of them contain one fact each."""
    chance = random.Random(4)
    pages = []
    for number in range(1, PAGES + 1):
        lines = []
        for _ in range(18):
            words = " ".join(chance.choice(WORDS) for _ in range(11))
            lines.append(f"{words.capitalize()}.")
        if number in FACTS:
            lines.insert(chance.randrange(18), FACTS[number][0])
        pages.append("\n".join(lines))
    return pages


def last_text(side: Any, chat: Any) -> str:
    """The bot's latest message."""
    return (bot_texts(side.messages(chat)) or [""])[-1]


def numbered_sources(body: dict[str, Any]) -> dict[int, str]:
    """The numbered sources in a request."""
    system = "\n".join(m["content"] for m in body["messages"] if m["role"] == "system")
    sources = re.findall(r"^\[(\d+)\] [^\n]*\n<<<\n(.*?)\n>>>$", system, re.DOTALL | re.MULTILINE)
    return {int(number): text for number, text in sources}


def quote_first_source(body: dict[str, Any]) -> Any:
    """A model that answers with the source line most similar to the question."""
    question_words = set(re.findall(r"\w+", body["messages"][-1]["content"].lower()))
    lines = [
        (len(question_words & set(re.findall(r"\w+", line.lower()))), number, line)
        for number, text in numbered_sources(body).items()
        for line in text.split("\n")
    ]
    if not lines:
        return scripted(body)
    _, number, line = max(lines)
    return f"{line} [{number}]"


@pytest.mark.parametrize("kind", ["pdf", "txt"])
async def test_long_document_on_telegram(harness: Harness, kind: str) -> None:
    telegram, model = harness.telegram, harness.model
    model.answer = quote_first_source
    content = make_pdf(report()) if kind == "pdf" else "\f".join(report()).encode()
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_document(ann, chat, f"report.{kind}", content)
    await telegram.wait_for(lambda: any("Ask me about it" in t for t in bot_texts(telegram.messages(chat))), 60)
    assert re.fullmatch(rf"Read report\.{kind}: \d+ sections\. Ask me about it\.", last_text(telegram, chat))
    seen = [draft.text for draft in telegram.draft_log]
    assert any(re.search(rf"Reading report\.{kind}: \d+%", text) for text in seen)
    for page, (fact, question) in FACTS.items():
        before = len(bot_texts(telegram.messages(chat)))
        await telegram.send_message(ann, chat, question)
        await telegram.wait_for(lambda n=before: len(bot_texts(telegram.messages(chat))) > n)  # type: ignore[misc]
        sources = numbered_sources(model.requests[-1].body)
        (number,) = [n for n, text in sources.items() if fact in text]
        answer = last_text(telegram, chat)
        assert answer == f"{fact} [{number}]\n\nSources: [{number}] report.{kind}, page {page}"


async def test_long_document_on_discord_is_private(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    model.answer = quote_first_source
    ann, bob = discord.create_user("Ann"), discord.create_user("Bob")
    channel = discord.create_channel(discord.create_guild("Guild", ann, bob), "general")
    at = discord.mention
    # The caption is a question. It is answered once the file has been read.
    question = FACTS[31][1]
    await discord.send_file(
        ann,
        channel,
        "report.pdf",
        make_pdf(report()),
        text=f"{at} {question}",
        media_type="application/pdf",
    )
    await discord.wait_for(lambda: any("Sources:" in t for t in bot_texts(discord.messages(channel))), 60)
    growing = [text for m in discord.messages(channel) for text in m.previous_texts]
    assert any("Reading report.pdf" in text for text in growing)
    for page, (fact, question) in FACTS.items():
        before = len(model.requests)
        cited = f"report.pdf, page {page}"
        if page != 31:  # the caption's
            await discord.send_message(ann, channel, f"{at} {question}")
            await discord.wait_for(lambda c=cited: last_text(discord, channel).endswith(c))  # type: ignore[misc]
            assert len(model.requests) == before + 1
        answer = next(t for t in bot_texts(discord.messages(channel)) if t.endswith(cited))
        assert answer.startswith(fact)
        if page != 31:
            assert any(fact in text for text in numbered_sources(model.requests[-1].body).values())
    # Bob, in the same channel, gets nothing of it, neither in the request nor in the answer.
    for fact, question in list(FACTS.values())[:3]:
        before = len(model.requests)
        await discord.send_message(bob, channel, f"{at} {question} What is in report.pdf?")
        await model.wait_for(
            lambda n=before: len(model.requests) > n and model.requests[-1].is_completed  # type: ignore[misc]
        )
        body = str(model.requests[-1].body)
        assert fact not in body
        assert "sections" not in body
        assert numbered_sources(model.requests[-1].body) == {}
    await discord.use_command(bob, channel, "memory", is_user_installed=False)
    await discord.wait_for(lambda: any("No notes or files yet" in t for t in bot_texts(discord.messages(channel))))


async def test_notes_are_recalled_and_deleted(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob")
    group = telegram.create_supergroup("Friends", ann, bob)
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "/remember The wifi password of the cabin is heron-42.")
    await telegram.wait_for(lambda: "number 1" in last_text(telegram, chat))
    await telegram.send_message(ann, chat, "repeat: what is the wifi password of the cabin?")
    await telegram.wait_for(lambda: "Recalled 1 note." in last_text(telegram, chat))
    assert "heron-42" in model.requests[-1].body["messages"][0]["content"]
    # A note from a private chat is unknown in a group.
    for person in (ann, bob):
        before = len(model.requests)
        await telegram.send_message(person, group, f"@{telegram.bot.username} wifi password of the cabin?")
        await model.wait_for(lambda n=before: len(model.requests) > n)  # type: ignore[misc]
        assert "heron-42" not in str(model.requests[-1].body)
    await telegram.send_message(ann, chat, "/memory")
    await telegram.wait_for(lambda: "1 note here" in last_text(telegram, chat))
    assert "heron-42" in last_text(telegram, chat)
    await telegram.send_message(ann, chat, "/memory delete")
    await telegram.wait_for(lambda: last_text(telegram, chat).startswith("Which one?"))
    await telegram.send_message(ann, chat, "/memory delete 1")
    await telegram.wait_for(lambda: last_text(telegram, chat).startswith("Deleted:"))
    await telegram.send_message(ann, chat, "repeat: and the wifi password now?")
    await telegram.wait_for(lambda: last_text(telegram, chat) == "and the wifi password now?")
    assert "heron-42" not in model.requests[-1].body["messages"][0]["content"]


async def test_past_messages_are_recalled_when_enabled(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)

    async def ask(text: str) -> str:
        before = len(bot_texts(telegram.messages(chat)))
        await telegram.send_message(ann, chat, text)
        await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) > before)
        return last_text(telegram, chat)

    await ask("repeat: my tortoise is called Quintus Maximus")
    await ask("/new")
    assert await ask("repeat: the tortoise is called what?") == "the tortoise is called what?"
    assert "Quintus" not in str(model.requests[-1].body)
    await ask("/memory on")
    await ask("/new")
    answer = await ask("repeat: my tortoise is called how?")
    assert "Recalled" in answer
    assert "Quintus Maximus" in model.requests[-1].body["messages"][0]["content"]
    await ask("/memory off")
    await ask("/new")
    assert await ask("repeat: my tortoise is called how?") == "my tortoise is called how?"
    assert "Quintus" not in str(model.requests[-1].body)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("secret.pdf", encrypt_pdf(make_pdf(["words"]), password="x"), "is encrypted"),
        ("scan.pdf", make_scanned_pdf(2), "has no text"),
        ("broken.pdf", b"%PDF-1.7 broken", "is damaged"),
        ("photo.zip", b"PK\x03\x04" + bytes(range(256)), "is not a type I can read"),
        ("many.pdf", make_scanned_pdf(1001), "is too large"),
        ("@everyone <b>[x](http://evil.example)_.txt", b"", "is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_unreadable_file_is_reported(harness: Harness, name: str, content: bytes, expected: str) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_document(ann, chat, name, content, caption="What is in it?")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)))
    (answer,) = bot_texts(telegram.messages(chat))
    assert expected in answer
    assert "@everyone" not in answer
    assert len(harness.model.requests) == 0


async def test_answers_without_embedding_model(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "/remember My bicycle is green.")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)))
    del model.models["mixedbread-ai/mxbai-embed-large-v1"]
    await telegram.send_message(ann, chat, "repeat: hello")
    await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) > 1)
    assert last_text(telegram, chat) == (
        "hello\n\nYour notes and files were searched by words only: the embedding model failed."
    )
    await telegram.send_message(ann, chat, "/remember And my car is red.")
    await telegram.wait_for(lambda: "only by its words" in last_text(telegram, chat))
    await telegram.send_document(ann, chat, "a.txt", b"words of a file that is not small. " * 400)
    await telegram.wait_for(lambda: "sections. The embedding model is unavailable" in last_text(telegram, chat))


async def test_photo_is_refused_with_supported_kinds(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_photo(ann, chat)
    await telegram.wait_for(lambda: "can't read this yet: photo." in " ".join(bot_texts(telegram.messages(chat))))


async def test_reading_can_be_stopped(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_document(ann, chat, "report.pdf", make_pdf(report()))
    await telegram.wait_for(lambda: any("Reading" in draft.text for draft in telegram.draft_log))
    await telegram.send_message(ann, chat, "/stop")
    await telegram.wait_for(lambda: any("Stopped" in t for t in bot_texts(telegram.messages(chat))))
    await telegram.send_message(ann, chat, "repeat: go on")
    await telegram.wait_for(lambda: last_text(telegram, chat) == "go on")
    await telegram.send_message(ann, chat, "/memory")
    await telegram.wait_for(lambda: "No notes or files yet" in last_text(telegram, chat))


async def test_interrupted_file_is_read_after_restart(
    harness: Harness,
) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_document(ann, chat, "report.pdf", make_pdf(report()))
    await telegram.wait_for(lambda: any("Reading" in draft.text for draft in telegram.draft_log))
    await harness.kill()
    assert bot_texts(telegram.messages(chat)) == []
    await harness.start()
    await telegram.wait_for(lambda: "Ask me about it" in last_text(telegram, chat), 60)
    await telegram.send_message(ann, chat, "/memory")
    await telegram.wait_for(lambda: "1 file here" in last_text(telegram, chat))
    assert len(bot_texts(telegram.messages(chat))) == 2
