"""Replies about one setting, and about instructions and personas."""

import pytest

from core.conversation.preferences import EffectivePreference, Preferences
from core.scopes import Scope, ScopeKind
from core.store.preferences import PreferenceName
from core.texts import settings as texts

CHAT, SERVER = Scope(ScopeKind.CHAT, "7"), Scope(ScopeKind.SERVER, "8")
PERSONAS = {"pirate_1": "Talk like a pirate."}


def preferences(prompt: str = "", scope: Scope | None = None, persona: str = "") -> Preferences:
    values = {
        PreferenceName.SYSTEM_PROMPT: EffectivePreference(prompt, scope),
        PreferenceName.PERSONA: EffectivePreference(persona, CHAT if persona else None),
    }
    return Preferences((CHAT, SERVER), values, PERSONAS, is_shared=False)


def test_no_instructions() -> None:
    assert texts.show_instructions(preferences()) == ("The model has no instructions. Write some with `/system TEXT`.")


@pytest.mark.parametrize(
    ("values", "origin", "shown"),
    [
        (preferences("Be brief."), "the default", "Be brief."),
        (preferences("Be brief.", CHAT), "this chat", "Be brief."),
        (preferences(persona="pirate_1"), "the persona pirate\\_1", "Talk like a pirate."),
    ],
)
def test_instructions_are_shown_with_their_origin(values: Preferences, origin: str, shown: str) -> None:
    assert texts.show_instructions(values) == f"Instructions for the model ({origin}):\n\n```\n{shown}\n```"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (preferences("Be brief."), ""),
        (preferences("Be brief.", SERVER), "The instructions for this server apply. Show them with /system."),
        (preferences(persona="pirate_1"), "The persona pirate\\_1 applies. Remove it with `/persona reset`."),
    ],
)
def test_what_applies_after_a_reset_is_named(values: Preferences, text: str) -> None:
    assert texts.remaining_instructions(values) == text


@pytest.mark.parametrize(("chars", "text"), [(1, "1 character"), (1_200, "1,200 characters")])
def test_length_of_instructions(chars: int, text: str) -> None:
    assert texts.instructions_length(chars) == text


def test_personas_are_listed_with_the_current_one() -> None:
    assert texts.persona_list(["teacher", "pirate_1"], "pirate_1") == (
        "Choose a persona with `/persona NAME`, or none with `/persona reset`:\n\n- teacher\n- pirate\\_1 ← current"
    )
    assert texts.several_personas("p") == "Several personas match “p”. Choose one:"
    assert texts.unknown_persona("p") == "Unknown persona “p”. See /persona."
    assert texts.no_persona() == "none"


def test_setting_is_explained() -> None:
    assert texts.setting_line("Length", "1_000", "tokens") == "- Length: 1\\_000 (tokens)"
    assert texts.without_bullet("- Length: 1 (tokens)") == "Length: 1 (tokens)"
    assert texts.share_explanation() == "on or off: one conversation for everyone here"
    assert texts.setting_details(PreferenceName.TEMPERATURE, "0.2", "0-2") == (
        "Temperature: 0.2. Change it with `/settings temperature VALUE` (0-2) or `/settings temperature reset`."
    )
    assert texts.setting_list(["- a", "- b"]) == (
        "- a\n- b\n\nChange one with `/settings NAME VALUE`, reset it with `/settings NAME reset`."
    )


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (PreferenceName.ANSWER_LENGTH, "Length"),
        (PreferenceName.RICH_MESSAGES, "Rich messages (`rich`)"),
        (PreferenceName.SYSTEM_PROMPT, "Instructions (`system`)"),
    ],
)
def test_wrong_value_names_the_word_to_type(name: PreferenceName, label: str) -> None:
    assert texts.invalid_setting(name, texts.number_range(1, 32_000)) == f"{label} must be 1-32,000."


def test_unknown_setting_gets_the_known_ones() -> None:
    assert texts.unknown_setting("colour", ["length", "effort"]) == (
        "Unknown setting “colour”. Choose length or effort."
    )
    assert texts.instructions_too_long(10_000) == "Instructions can have at most 10,000 characters."


def test_who_may_change_and_who_changed() -> None:
    assert texts.changed_by("Ann_B", SERVER) == "Changed by Ann\\_B for everyone on this server"
    assert texts.managers_only(SERVER) == "Only server managers can change this for everyone."
    assert texts.managers_only(CHAT) == "Only managers of this chat can change this for everyone."
    assert texts.instructions_changed(SERVER) == "Instructions changed (this server)"
