"""What the model is shown, how it answers, and what it thought."""

from pathlib import Path

from bots.sandbox.telegram import Chat
from tests.end_to_end.harness import Harness, bot_texts, letters_only, running_harness


def last_text(alive: Harness, chat: Chat) -> str:
    return (bot_texts(alive.telegram.messages(chat)) or [""])[-1]


def answers(alive: Harness) -> list[dict[str, object]]:
    """The requests for answers, without those for summaries."""
    bodies = [one.body for one in alive.model.requests]
    return [b for b in bodies if "You keep the memory" not in str(b["messages"][0]["content"])]


async def test_overflowing_history_is_summarised(alive: Harness) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    said: list[str] = []

    def answer(body: dict[str, object]) -> str:
        messages = body["messages"]
        assert isinstance(messages, list)
        if "You keep the memory" in messages[0]["content"]:
            said.append(messages[1]["content"])
            return "Ann's dog is called Rex."
        return "Noted. " * 40

    model.answer = answer
    await telegram.send_message(ann, chat, "/model AceMath")
    await telegram.wait_for(lambda: "AceMath" in last_text(alive, chat))
    await telegram.send_message(ann, chat, "My dog is called Rex, the password is: hunter2xyz")
    await telegram.wait_for(lambda: last_text(alive, chat).startswith("Noted."))
    number = 0
    while not said:
        number += 1
        assert number < 20
        count = len(bot_texts(telegram.messages(chat)))
        await telegram.send_message(ann, chat, f"{number}: " + "some more words to fill the window " * 40)
        await telegram.wait_for(lambda n=count: len(bot_texts(telegram.messages(chat))) > n)  # type: ignore[misc]
    await alive.wait_until_stored("SELECT 1 FROM summaries")
    assert "Rex" in said[0]
    assert "hunter2xyz" not in said[0], "secrets are not carried into summaries"
    told = [t for t in bot_texts(telegram.messages(chat)) if "a summary stands for them" in t]
    assert len(told) == 1, "told once"
    await telegram.send_message(ann, chat, "What is my dog called?")
    await telegram.wait_for(lambda: len(answers(alive)) >= number + 2)
    system = answers(alive)[-1]["messages"][0]["content"]  # type: ignore[index]
    assert "Ann's dog is called Rex." in system
    await telegram.send_message(ann, chat, "/context")
    await telegram.wait_for(lambda: "sees 4,000 tokens" in last_text(alive, chat))
    assert "summary" in last_text(alive, chat)
    await telegram.send_message(ann, chat, "/model ReaderLM")
    await telegram.wait_for(lambda: "ReaderLM" in last_text(alive, chat))
    await telegram.send_message(ann, chat, "And now with a large window?")
    await telegram.wait_for(lambda: answers(alive)[-1]["model"] == "jinaai/ReaderLM-v2")
    shown = str(answers(alive)[-1]["messages"])
    assert "hunter2xyz" in shown, "the stored history is whole"


async def test_reasoning_is_on_demand_and_not_in_history(alive: Harness) -> None:
    telegram, model = alive.telegram, alive.model
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "/model DeepSeek-R1")
    await telegram.wait_for(lambda: "DeepSeek" in last_text(alive, chat))
    await telegram.send_message(ann, chat, "repeat: thought through")
    await telegram.wait_for(lambda: last_text(alive, chat) == "thought through")
    message = telegram.messages(chat)[-1]
    assert message.reply_markup is not None
    ((button,),) = message.reply_markup["inline_keyboard"]
    assert button["text"] == "Reasoning"
    await telegram.press_button(ann, message, button["callback_data"])
    await telegram.wait_for(lambda: last_text(alive, chat) != "thought through")
    shown = telegram.messages(chat)[-1]
    assert [e["type"] for e in shown.entities] == ["expandable_blockquote"]
    await telegram.send_message(ann, chat, "repeat: next")
    await telegram.wait_for(lambda: last_text(alive, chat) == "next")
    assert letters_only(shown.text)[:40] not in letters_only(str(model.requests[-1].body["messages"]))
    await telegram.send_message(ann, chat, "/settings reasoning off")
    await telegram.wait_for(lambda: "off from now on" in last_text(alive, chat))
    await telegram.send_message(ann, chat, "repeat: silent")
    await telegram.wait_for(lambda: last_text(alive, chat) == "silent")
    assert not telegram.messages(chat)[-1].reply_markup


async def test_parameters_reach_model(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as alive:
        telegram, model = alive.telegram, alive.model
        await alive.start(personas={"pirate": "You speak like a pirate."})
        ann = telegram.create_user("Ann")
        chat = telegram.open_private_chat(ann)
        for said, expected in (
            ("/settings temperature 3", "takes 0 to 2"),
            ("/settings temperature 0.2", "0.2 from now on"),
            ("/settings length 500", "500 from now on"),
            ("/settings effort low", "low from now on"),
            ("/settings nonsense 1", "no setting"),
            ("/persona parrot", "no persona"),
            ("/persona Pirate", "pirate answers from now on"),
        ):
            await telegram.send_message(ann, chat, said)
            await telegram.wait_for(lambda e=expected: e in last_text(alive, chat))  # type: ignore[misc]
        await telegram.send_message(ann, chat, "repeat: arr")
        await telegram.wait_for(lambda: last_text(alive, chat) == "arr")
        body = model.requests[-1].body
        assert body["temperature"] == 0.2
        assert body["max_completion_tokens"] == 500
        assert body["reasoning_effort"] == "low"
        assert body["messages"][0]["content"] == "You speak like a pirate."
        await telegram.send_message(ann, chat, "/settings temperature reset")
        await telegram.wait_for(lambda: "the default again" in last_text(alive, chat))
        await telegram.send_message(ann, chat, "repeat: again")
        await telegram.wait_for(lambda: last_text(alive, chat) == "again")
        assert "temperature" not in model.requests[-1].body
