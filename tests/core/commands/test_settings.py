"""/settings, /system and /persona, and their effect on requests."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from tests.core.turns.fake_adapter import running_engine


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
        ("/settings length 5", "Length must be 16-100,000."),
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
