"""What commands reply about models, instructions, personas and tokens, on both platforms."""

import re

import pytest

from tests.end_to_end.chat_with_buttons import PLATFORMS
from tests.end_to_end.harness import Harness
from tests.end_to_end.private_chat import PrivateChat

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
PHI = "microsoft/phi-4"


async def reply_to(chat: PrivateChat, command: str, expected: str) -> str:
    """The reply that contains `expected`, without markup."""
    markup = r"[*`\\]"
    plain = re.sub(markup, "", expected)
    count = len(chat.texts)
    await chat.say(command)

    def found() -> str:
        texts = [re.sub(markup, "", text) for text in chat.texts[count:]]
        return next((text for text in texts if plain in text), "")

    return await chat.wait_until(found)


@PLATFORMS
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/model me", "Add the model's name: /model NAME me."),
        ("/model chat me", "Add the model's name: /model NAME me."),
        ("/model phi-4🙂", "Model: phi-4, 16k tokens of context"),
        ("/model 🦙", "No model matches “🦙”. See /models."),
        ("/model use-phi-4-from-now-on", "No model matches “use-phi-4-from-now-on”."),
    ],
)
async def test_model_is_chosen_by_the_words_of_its_name(
    harness: Harness, platform: str, command: str, expected: str
) -> None:
    chat = PrivateChat(harness, platform)
    await reply_to(chat, command, expected)
    await chat.ask("repeat: hello", "hello")
    assert harness.model.requests[-1].body["model"] == (PHI if expected.startswith("Model: phi-4") else LLAMA)


@PLATFORMS
async def test_choice_of_a_model_without_quota_says_so(harness: Harness, platform: str) -> None:
    await harness.stop()
    await harness.start(quotas={PHI: 1})
    chat = PrivateChat(harness, platform)
    await reply_to(chat, "/model phi-4", "Model: phi-4")
    await chat.ask("repeat: hello", "hello")
    assert "Its quota for today is used up." in await reply_to(chat, "/model phi-4", "Model: phi-4")
    assert "No tokens" not in await reply_to(chat, "/model llama-3.3", "Model: Llama-3.3")


@PLATFORMS
async def test_persona_and_instructions_say_which_applies(harness: Harness, platform: str) -> None:
    await harness.stop()
    await harness.start(personas={"teacher": "You teach.", "pirate": "Arr."}, system_prompt="Be kind.")
    chat = PrivateChat(harness, platform)
    await reply_to(chat, "/system Be brief.", "Instructions changed (this chat)")
    await reply_to(chat, "/persona pirate", "Persona: pirate (this chat)")
    assert "The persona pirate applies." in await reply_to(chat, "/system reset", "Instructions reset")
    await chat.ask("repeat: one", "one")
    assert harness.model.requests[-1].body["messages"][0]["content"] == "Arr."
    await reply_to(chat, "/system Be brief.", "Instructions changed (this chat)")
    assert "current" not in await reply_to(chat, "/persona", "teacher")
    assert "The instructions for this chat apply." in await reply_to(chat, "/persona reset", "Persona reset")
    for word in ("clear", "off", "none", "reset"):
        await reply_to(chat, f"/system {word}", "Instructions reset (this chat)")
        await chat.ask(f"repeat: {word}", word)
        assert harness.model.requests[-1].body["messages"][0]["content"] == "Be kind."


@PLATFORMS
async def test_usage_and_models_agree_on_what_is_left(harness: Harness, platform: str) -> None:
    await harness.stop()
    await harness.start(quotas={LLAMA: 1000})
    chat = PrivateChat(harness, platform)
    await chat.ask(f"repeat: {'several words ' * 30}", "several words")
    used = sum(harness.model.requests[-1].token_usage)
    usage = await reply_to(chat, "/usage", "Tokens you used today; the bars show what is left")
    row = re.search(r"([█░]+) +(\d+)  Llama-3.3-70B-Instruct \(1 answer; (\d+) left, shared by everyone\)", usage)
    assert row is not None
    assert (int(row[2]), int(row[3])) == (used, 1000 - used)
    assert row[1].count("█") == round((1000 - used) / 1000 * len(row[1])), "the bar shows what is left"
    models = await reply_to(chat, "/models Llama-3.3-70B", "Llama-3.3-70B-Instruct")
    assert f"{1000 - used} tokens left" in models


@PLATFORMS
async def test_context_counts_what_the_request_contains(harness: Harness, platform: str) -> None:
    chat = PrivateChat(harness, platform)
    await reply_to(chat, "/model AceMath-7B", "Model: AceMath-7B-Instruct")
    harness.model.answer = lambda _body: "Noted. " * 40
    asked = 8
    for number in range(asked):
        await chat.ask(f"{number}: {'some more words to fill the window ' * 40}", "Noted")
    context = await reply_to(chat, "/context", "has a context window of")
    shown = re.search(r"messages \((\d+)\)", context)
    left_out = re.search(r"(\d+) older messages no longer fit", context)
    assert shown is not None
    assert left_out is not None
    assert int(shown[1]) + int(left_out[1]) == 2 * asked
    await reply_to(chat, "/remember My dog is called Rex.", "number 1")
    await reply_to(chat, "/context", "Not counted: 1 note")
