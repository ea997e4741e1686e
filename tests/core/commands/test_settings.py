"""/settings, /system and /persona, and their effect on requests."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.commands.settings import MAX_INSTRUCTIONS_CHARS
from core.port import EventKind, Incoming, Place, Sender
from core.texts import settings as texts
from tests.core.turns.fake_adapter import running_engine

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
        ("/settings effort\nlow", "Effort: low (this chat)"),
        ("/settings REASONING off", "Reasoning: off (this chat)"),
        ("/settings share", "Share is for groups; this chat is private."),
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


async def test_instructions_are_shown_literally(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, system_prompt="") as chat:
        assert (await chat.ask("/system")).startswith("The model has no instructions.")
        await chat.ask("/system Use **bold**.\n```\ncode")
        assert await chat.ask("/system") == (
            "Instructions for the model (this chat):\n\n````\nUse **bold**.\n```\ncode\n````"
        )


FOREIGN_WORDS = (
    *("no", "null", "zurücksetzen", "Aus.", "«borrar»", "ninguna", "padrão", "nenhum", "сброс", "Нет!"),
    *("скинути", "немає", "リセット", "なし。", "重置", "恢复默认"),
)


@pytest.mark.parametrize(
    "word", ["reset", "Clear", "off", "none", "default", "Off.", "delete", "remove", "-", *FOREIGN_WORDS]
)
async def test_instructions_are_reset_by_other_words(tmp_path: Path, model: ModelStandIn, word: str) -> None:
    async with running_engine(tmp_path, model, system_prompt="Be kind.") as chat:
        await chat.ask("/system Be brief.")
        assert await chat.ask(f"/system {word}") == "Instructions reset (this chat)"
        assert await chat.ask("/system") == "Instructions for the model (the default):\n\n```\nBe kind.\n```"


@pytest.mark.parametrize("word", ["reset", "default", "off", "Standard.", "aus", "по умолчанию"])
async def test_settings_are_reset_by_other_words(tmp_path: Path, model: ModelStandIn, word: str) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/settings temperature 1.5")
        assert (await chat.ask(f"/settings temperature {word}")).startswith("Temperature reset (this chat)")


async def test_words_for_off_reset_no_setting_that_can_be_off(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/settings temperature 1.5")
        assert await chat.ask("/settings reasoning aus") == "Reasoning must be on or off."
        assert await chat.ask("/settings effort off") == "Effort must be none, low, medium or high."
        assert await chat.ask("/settings effort none") == "Effort: none (this chat)"
        assert (await chat.ask("/settings aus")).startswith("Unknown setting “aus”.")
        assert "Temperature: 1.5" in await chat.ask("/settings")
        assert "Effort reset" in await chat.ask("/settings effort standard")
        assert (await chat.ask("/settings сбросить")).startswith("All settings reset (this chat)")


@pytest.mark.parametrize("word", ["delete", "Clear", "remove", "-", "unset", "löschen", "borrar", "清空", "off", "нет"])
async def test_other_words_than_reset_change_no_setting_without_its_name(
    tmp_path: Path, model: ModelStandIn, word: str
) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/settings temperature 1.5")
        assert (await chat.ask(f"/settings {word}")).startswith(f"Unknown setting “{word}”.")
        assert "Temperature: 1.5" in await chat.ask("/settings")


@pytest.mark.parametrize("word", ["reset", "Default.", "Standard", "restablecer", "padrão", "по умолчанию", "リセット"])
async def test_words_for_the_default_reset_all_settings(tmp_path: Path, model: ModelStandIn, word: str) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/settings temperature 1.5")
        assert (await chat.ask(f"/settings {word}")).startswith("All settings reset (this chat)")


async def test_persona_may_have_the_name_of_a_reset_word(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, personas={"standard": "You teach.", "no": "Du hjelper."}) as chat:
        assert await chat.ask("/persona standard") == "Persona: standard (this chat)"
        assert await chat.ask("/persona no") == "Persona: no (this chat)"
        assert await chat.ask("/persona keine") == "Persona reset (this chat)"


async def test_reset_word_may_be_a_part_of_the_name_of_a_persona(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, personas={"noir": "It rains.", "offline": "Do not search."}) as chat:
        assert await chat.ask("/persona no") == "Persona: noir (this chat)"
        assert await chat.ask("/persona off") == "Persona reset (this chat)"
        await chat.ask("/persona noir")
        assert await chat.ask("/persona nein") == "Persona reset (this chat)"


async def test_persona_and_instructions_replace_each_other(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, personas={"teacher": "You teach.", "pirate": "Arr."}) as chat:
        assert "- teacher\n- pirate" in await chat.ask("/persona")
        await chat.ask("/system Be brief.")
        await chat.ask("/persona pirate")
        assert "- teacher\n- pirate ← current" in await chat.ask("/persona")
        assert await chat.ask("/system") == "Instructions for the model (the persona pirate):\n\n```\nArr.\n```"
        reply = await chat.ask("/system reset")
        assert reply.endswith("\nThe persona pirate applies. Remove it with `/persona reset`.")
        await chat.ask("/system Be brief.")
        assert "current" not in await chat.ask("/persona")
        reply = await chat.ask("/persona reset")
        assert reply.endswith("\nThe instructions for this chat apply. Show them with /system.")
        await chat.ask("/persona pirate")
        assert await chat.ask("/persona RESET") == "Persona reset (this chat)"
        assert "(the default)" in await chat.ask("/system")


async def test_no_personas(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert (
            await chat.ask("/persona teacher") == "This bot has no personas. Write your own instructions with /system."
        )


async def test_group_may_share_one_conversation(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        chat.managers = {"5"}
        assert "Share: off (on or off: one conversation for everyone here)" in await chat.ask("/settings", group="-7")
        assert (await chat.ask("/settings share on", group="-7")).startswith("Share: on.")
        assert "Share: on (" in await chat.ask("/settings", group="-7")
        details = "Share: on. Change it with `/settings share VALUE` (on or off: one conversation for everyone here)"
        assert (await chat.ask("/settings share", group="-7")).startswith(details)
        reset = await chat.ask("/settings reset", group="-7")
        assert "\nSharing stays on; `/settings share off` turns it off.\n" in reset
        assert "Share: on (" in await chat.ask("/settings", group="-7")
        await chat.ask("repeat: of Ann", group="-7")
        await chat.ask("repeat: of Bob", user="6", group="-7")
        assert "of Ann" in str(model.requests[-1].body["messages"])
        assert (await chat.ask("/settings share reset", group="-7")).startswith("Share: off.")
        await chat.ask("repeat: again of Bob", user="6", group="-7")
        assert "of Ann" not in str(model.requests[-1].body["messages"])
        assert "Share" not in await chat.ask("/settings reset", group="-7")
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


# Groups: what holds for everyone


EVERYONE = [
    "/system Be rude.",
    "/system reset",
    "/persona teacher",
    "/persona reset",
    "/settings temperature 1",
    "/settings temperature reset",
    "/settings share on",
    "/model phi-4",
    "/model phi-4 chat",
    "/model reset",
    "/memory off",
    "/memory clear confirm",
    "/new",
]


async def test_changes_for_everyone_are_announced(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, personas={"teacher": "Explain."}) as chat:
        chat.managers = {"5"}
        await chat.ask("/settings share on", group="-7")
        for command in EVERYONE:
            reply = await chat.ask(command, group="-7")
            assert reply.splitlines()[-1] == "Changed by Ann for everyone here", command
            assert not chat.calls[-1].ephemeral, command
            assert "Changed by" not in await chat.ask(command), "nobody else is in a private chat"


async def test_others_change_their_own(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, personas={"teacher": "Explain."}) as chat:
        for command in ("/system Be brief.", "/persona teacher", "/settings temperature 1", "/model phi-4"):
            assert "(your messages in this chat)" in await chat.ask(command, group="-7", user="6"), command
            assert chat.calls[-1].ephemeral, command
        for command in ("/system", "/persona", "/new"):
            await chat.ask(command, group="-7", user="6")
            assert chat.calls[-1].ephemeral, command
        await chat.ask("repeat: of Bob", group="-7", user="6")
        request = model.requests[-1].body
        assert (request["model"], request["temperature"]) == ("microsoft/phi-4", 1)
        assert request["messages"][0]["content"].startswith("Explain.")
        await chat.ask("repeat: of Ann", group="-7")
        assert model.requests[-1].body["model"] != "microsoft/phi-4"
        await chat.ask("repeat: elsewhere", group="-8", user="6")
        assert model.requests[-1].body["model"] != "microsoft/phi-4"


@pytest.mark.parametrize("command", ["/settings share on", "/settings share off", "/model phi-4 chat"])
async def test_others_change_nothing_for_everyone(tmp_path: Path, model: ModelStandIn, command: str) -> None:
    async with running_engine(tmp_path, model) as chat:
        refusal = "Only managers of this chat can change this for everyone."
        assert await chat.ask(command, group="-7", user="6") == refusal


@pytest.mark.parametrize("command", ["/memory off", "/memory on", "/memory clear confirm", "/memory delete 1"])
async def test_others_do_not_change_a_shared_memory(tmp_path: Path, model: ModelStandIn, command: str) -> None:
    async with running_engine(tmp_path, model) as chat:
        chat.managers = {"5"}
        await chat.ask("/remember My dog is called Rex.", group="-7", user="6")
        assert not (await chat.ask(command, group="-7", user="6")).startswith("Only managers"), "their own memory"
        await chat.ask("/settings share on", group="-7")
        await chat.ask("/remember My dog is called Rex.", group="-7")
        refusal = "Only managers of this chat can change this for everyone."
        assert await chat.ask(command, group="-7", user="6") == refusal
        assert "Rex" in await chat.ask("/memory", group="-7", user="6")


async def test_shared_memory_is_deleted_by_the_button_of_a_manager_alone(tmp_path: Path, model: ModelStandIn) -> None:
    place = Place("fake", "1", "-7")
    async with running_engine(tmp_path, model) as chat:
        chat.managers = {"5"}
        await chat.ask("/settings share on", group="-7")
        await chat.ask("/remember My dog is called Rex.", group="-7")
        await chat.ask("/memory clear", group="-7")
        turn = len(chat.messages)
        for user, name, reply in (
            ("6", "Bob", "Only managers of this chat can change this for everyone."),
            ("5", "Ann", "All notes and files of this conversation are deleted.\nChanged by Ann for everyone here"),
        ):
            action = encode_action(ButtonAction.CLEAR_MEMORY, turn)
            sender = Sender("fake", user, name, is_manager=user == "5")
            await chat.inbox(Incoming(EventKind.BUTTON, f"press of {name}", place, sender, action, message_id="x"))
            await chat.wait_for_text(reply)
        assert (await chat.ask("/memory", group="-7")).startswith("No notes or files yet.")


async def test_operator_lets_everyone_change_settings(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, shared_settings="everyone") as chat:
        reply = await chat.ask("/system Be kind.", group="-7", user="6")
        assert reply == "Instructions changed (this chat)\nChanged by Ann for everyone here"


async def test_anonymous_managers_change_the_chats_settings_but_have_none_of_their_own(
    tmp_path: Path, model: ModelStandIn
) -> None:
    place, group = Place("fake", "1", "-7"), Sender("fake", "-7", "Engines", is_manager=True, is_anonymous=True)
    async with running_engine(tmp_path, model) as chat:
        for scope, reply in (("me", texts.ANONYMOUS), ("chat", "Changed by Engines for everyone here")):
            await chat.inbox(Incoming(EventKind.COMMAND, scope, place, group, f"phi-4 {scope}", command="model"))
            await chat.wait_for_text(reply)
