"""The context sent to the model, generation parameters, and reasoning."""

from pathlib import Path

from bots.sandbox.telegram import Chat
from core.texts.answers import HISTORY_TRIMMED
from tests.end_to_end.harness import Harness, bot_texts, letters_only, running_harness


def last_text(harness: Harness, chat: Chat) -> str:
    return (bot_texts(harness.telegram.messages(chat)) or [""])[-1]


def answers(harness: Harness) -> list[dict[str, object]]:
    """The requests for answers, without those for summaries."""
    bodies = [request.body for request in harness.model.requests]
    return [b for b in bodies if "You keep the memory" not in str(b["messages"][0]["content"])]


async def test_overflowing_history_is_summarised(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    summarised: list[str] = []

    def answer(body: dict[str, object]) -> str:
        messages = body["messages"]
        assert isinstance(messages, list)
        if "You keep the memory" in messages[0]["content"]:
            summarised.append(messages[1]["content"])
            return "Ann's dog is called Rex."
        return "Noted. " * 40

    model.answer = answer
    await telegram.send_message(ann, chat, "/model AceMath")
    await telegram.wait_for(lambda: "AceMath" in last_text(harness, chat))
    await telegram.send_message(ann, chat, "My dog is called Rex, the password is: hunter2xyz")
    await telegram.wait_for(lambda: last_text(harness, chat).startswith("Noted."))
    number = 0
    while not summarised:
        number += 1
        assert number < 20
        count = len(bot_texts(telegram.messages(chat)))
        await telegram.send_message(ann, chat, f"{number}: " + "some more words to fill the window " * 40)
        await telegram.wait_for(lambda n=count: len(bot_texts(telegram.messages(chat))) > n)  # type: ignore[misc]
    await harness.wait_until_stored("SELECT 1 FROM summaries")
    assert "Rex" in summarised[0]
    assert "hunter2xyz" not in summarised[0], "summaries contain no secrets"
    notices = [t for t in bot_texts(telegram.messages(chat)) if HISTORY_TRIMMED in t]
    assert len(notices) == 1
    await telegram.send_message(ann, chat, "What is my dog called?")
    await telegram.wait_for(lambda: len(answers(harness)) >= number + 2)
    system = answers(harness)[-1]["messages"][0]["content"]  # type: ignore[index]
    assert "Ann's dog is called Rex." in system
    await telegram.send_message(ann, chat, "/context")
    await telegram.wait_for(lambda: "has a context window of 4,000 tokens" in last_text(harness, chat))
    assert "summary" in last_text(harness, chat)
    await telegram.send_message(ann, chat, "/model ReaderLM")
    await telegram.wait_for(lambda: "ReaderLM" in last_text(harness, chat))
    await telegram.send_message(ann, chat, "And now with a large window?")
    await telegram.wait_for(lambda: answers(harness)[-1]["model"] == "jinaai/ReaderLM-v2")
    sent = str(answers(harness)[-1]["messages"])
    assert "hunter2xyz" in sent, "the stored history is complete"


async def test_reasoning_is_on_demand_and_not_in_history(harness: Harness) -> None:
    telegram, model = harness.telegram, harness.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "/model DeepSeek-R1")
    await telegram.wait_for(lambda: "DeepSeek" in last_text(harness, chat))
    await telegram.send_message(ann, chat, "repeat: thought through")
    await telegram.wait_for(lambda: last_text(harness, chat) == "thought through")
    message = telegram.messages(chat)[-1]
    assert message.reply_markup is not None
    (button,) = [button for button in message.buttons if button["text"] == "Reasoning"]
    await telegram.press_button(ann, message, button["callback_data"])
    await telegram.wait_for(lambda: last_text(harness, chat) != "thought through")
    message = telegram.messages(chat)[-1]
    assert [e["type"] for e in message.entities] == ["expandable_blockquote"]
    await telegram.send_message(ann, chat, "repeat: next")
    await telegram.wait_for(lambda: last_text(harness, chat) == "next")
    assert letters_only(message.text)[:40] not in letters_only(str(model.requests[-1].body["messages"]))
    await telegram.send_message(ann, chat, "/settings reasoning off")
    await telegram.wait_for(lambda: "Reasoning: off" in last_text(harness, chat))
    await telegram.send_message(ann, chat, "repeat: silent")
    await telegram.wait_for(lambda: last_text(harness, chat) == "silent")
    assert [button["text"] for button in telegram.messages(chat)[-1].buttons] == ["Retry"]


async def test_parameters_reach_model(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        telegram, model = harness.telegram, harness.model
        await harness.start(personas={"pirate": "You speak like a pirate."})
        ann = telegram.create_user("Ann")
        chat = telegram.open_private_chat(ann)
        for text, expected in (
            ("/settings temperature 3", "Temperature must be 0-2."),
            ("/settings temperature 0.2", "Temperature: 0.2"),
            ("/settings length 500", "Length: 500"),
            ("/settings effort low", "Effort: low"),
            ("/settings nonsense 1", "Unknown setting “nonsense”"),
            ("/persona parrot", "Unknown persona “parrot”"),
            ("/persona Pirate", "Persona: pirate"),
        ):
            await telegram.send_message(ann, chat, text)
            await telegram.wait_for(lambda e=expected: e in last_text(harness, chat))  # type: ignore[misc]
        await telegram.send_message(ann, chat, "repeat: arr")
        await telegram.wait_for(lambda: last_text(harness, chat) == "arr")
        body = model.requests[-1].body
        assert body["temperature"] == 0.2
        assert body["max_completion_tokens"] == 500
        assert body["reasoning_effort"] == "low"
        assert body["messages"][0]["content"] == "You speak like a pirate."
        await telegram.send_message(ann, chat, "/settings temperature reset")
        await telegram.wait_for(lambda: "Temperature reset" in last_text(harness, chat))
        await telegram.send_message(ann, chat, "repeat: again")
        await telegram.wait_for(lambda: last_text(harness, chat) == "again")
        assert "temperature" not in model.requests[-1].body
