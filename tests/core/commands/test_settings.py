"""/settings, /system and /persona, and their effect on requests."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.commands.settings import MAX_INSTRUCTIONS_CHARS
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

pytestmark = pytest.mark.slow


async def test_length_used_up_by_reasoning_is_reported(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert "/settings length" not in await chat.ask("empty")
        await chat.ask("/settings length 20")
        reply = await chat.ask("think")
        assert "The model returned no answer." in reply
        assert "Answers are limited to 20 tokens here, reasoning included. Change it with /settings length" in reply


async def test_invalid_value_is_refused_and_value_can_be_reset(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert await chat.ask("/settings temperature 9") == "Temperature must be 0-2."
        await chat.ask("/settings temperature 0.2")
        await chat.ask("repeat: one")
        assert model.requests[-1].body["temperature"] == 0.2
        assert "reset it with `/settings NAME reset`" in await chat.ask("/settings")
        await chat.ask("/settings temperature reset")
        await chat.ask("repeat: two")
        assert "temperature" not in model.requests[-1].body


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("/settings temperature reset", "Temperature reset (this chat)"),
        ("/settings temperature 0", "Temperature: 0 (this chat)"),
        ("/settings temperature -0", "Temperature: 0 (this chat)"),
        ("/settings temperature 2", "Temperature: 2 (this chat)"),
        ("/settings temperature 0,25", "Temperature: 0.25 (this chat)"),
        ("/settings temperature 2.1", "Temperature must be 0-2."),
        ("/settings temperature -0.1", "Temperature must be 0-2."),
        ("/settings temperature nan", "Temperature must be 0-2."),
        ("/settings temperature warm", "Temperature must be 0-2."),
        (
            "/settings temperature",
            "Temperature: the model's default. Change it with `/settings temperature VALUE` (0-2) or `/settings temperature reset`.",
        ),
        ("/settings length 15", "Length must be 16-100,000."),
        ("/settings length 16", "Length: 16 (this chat)"),
        ("/settings length 100.000", "Length: 100000 (this chat)"),
        ("/settings length 100,001", "Length must be 16-100,000."),
        ("/settings length many", "Length must be 16-100,000."),
        ("/settings effort LOW", "Effort: low (this chat)"),
        ("/settings REASONING off", "Reasoning: off (this chat)"),
        ("/settings share", "Share must be on or off."),
        ("/settings effort huge", "Effort must be none, low, medium or high."),
        ("/settings reasoning maybe", "Reasoning must be on or off."),
        ("/settings share maybe", "Share must be on or off."),
        ("/settings share on", "Share is for groups; this chat is private."),
        ("/settings tone warm", "Unknown setting “tone”. Choose temperature, length, effort, reasoning or share."),
        ("/persona TEACHER", "Persona: teacher (this chat)"),
        ("/persona reset", "Persona reset (this chat)"),
        ("/persona pirate", "Unknown persona “pirate”. See /persona."),
        ("/system Be brief.", "Instructions changed (this chat)"),
        ("/system reset", "Instructions reset (this chat)"),
    ],
)
async def test_reply_says_what_holds_now(tmp_path: Path, model: ModelStandIn, command: str, reply: str) -> None:
    async with running_engine(tmp_path, model, personas={"teacher": "You teach."}) as chat:
        assert await chat.ask(command) == reply


async def test_longest_instructions_are_taken(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        longest = "x" * MAX_INSTRUCTIONS_CHARS
        assert await chat.ask(f"/system {longest}x") == "Instructions can have at most 20,000 characters."
        assert await chat.ask(f"/system {longest}") == "Instructions changed (this chat)"
        assert "- Instructions: 20,000 characters (/system)" in await chat.ask("/settings")


async def test_instructions_are_shown(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, system_prompt="") as chat:
        assert (await chat.ask("/system")).startswith("The model has no instructions.")
        await chat.ask("/system Be brief.")
        assert await chat.ask("/system") == "Instructions for the model:\n\nBe brief."


async def test_persona_replaces_instructions(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, personas={"teacher": "You teach.", "pirate": "Arr."}) as chat:
        assert "- teacher\n- pirate" in await chat.ask("/persona")
        await chat.ask("/system Be brief.")
        await chat.ask("/persona pirate")
        assert "- teacher\n- pirate ← current" in await chat.ask("/persona")
        assert (await chat.ask("/system")).endswith("Arr.")
        await chat.ask("/persona reset")
        assert "current" not in await chat.ask("/persona")


async def test_no_personas(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert (
            await chat.ask("/persona teacher") == "This bot has no personas. Write your own instructions with /system."
        )


async def ask_in_group(chat: FakeAdapter, text: str, user: str = "5") -> str:
    count = len(chat.messages)
    await chat.say(text, group="-7", user=user)
    await chat.wait_until(lambda: len(chat.messages) > count)
    return chat.texts[-1]


async def test_group_may_share_one_conversation(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert "Share: off (on or off: one conversation for everyone here)" in await ask_in_group(chat, "/settings")
        assert (await ask_in_group(chat, "/settings share on")).startswith("Share: on.")
        assert "Share: on (" in await ask_in_group(chat, "/settings")
        await ask_in_group(chat, "repeat: of Ann")
        await ask_in_group(chat, "repeat: of Bob", user="6")
        assert "of Ann" in str(model.requests[-1].body["messages"])
        assert (await ask_in_group(chat, "/settings share reset")).startswith("Share: off.")
        await ask_in_group(chat, "repeat: again of Bob", user="6")
        assert "of Ann" not in str(model.requests[-1].body["messages"])
        assert "Share" not in "".join((await chat.ask("/settings")).splitlines()[:8]), "a private chat has one person"


async def test_settings_are_listed(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/settings length 500")
        lines = (await chat.ask("/settings")).splitlines()
        assert lines[:5] == [
            "- Temperature: the model's default (0-2)",
            "- Length: 500 (16-100,000)",
            "- Effort: the model's default (none, low, medium or high)",
            "- Reasoning: on (on or off)",
            "- Persona: none (/persona)",
        ]
        assert await chat.ask("/settings length") == (
            "Length: 500. Change it with `/settings length VALUE` (16-100,000) or `/settings length reset`."
        )


async def test_changed_instructions_are_announced_in_a_group(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, personas={"teacher": "Explain."}) as chat:
        for command in ("/system Be rude.", "/system reset", "/persona teacher", "/persona reset"):
            count = len(chat.messages)
            await chat.say(command, group="-7")
            await chat.wait_until(lambda: len(chat.messages) > count)  # noqa: B023 (awaited here)
            assert chat.texts[-1].endswith("Changed by Ann for everyone here")
        assert "Changed by" not in await chat.ask("/system Be kind.")
