"""Replies to /settings, /system and /persona."""

from core.scopes import Scope, ScopeKind
from core.store.preferences import PreferenceName
from core.texts import settings as texts

CHAT, SERVER = Scope(ScopeKind.CHAT, "7"), Scope(ScopeKind.SERVER, "8")


def test_replies_name_the_scope() -> None:
    assert texts.settings_reset(CHAT) == "All settings reset (this chat)"
    assert texts.setting_reset(PreferenceName.TEMPERATURE, CHAT) == "Temperature reset (this chat)"
    assert texts.setting_changed(PreferenceName.TEMPERATURE, "0.2", CHAT) == "Temperature: 0.2 (this chat)"
    assert texts.changed_by("Ann", CHAT) == "Changed by Ann for everyone here"
    assert texts.changed_by("Ann", SERVER) != texts.changed_by("Ann", CHAT)
    assert texts.managers_only(SERVER) != texts.managers_only(CHAT)
    assert "this chat" in texts.instructions_changed(CHAT)


def test_wrong_values_are_named_with_what_is_accepted() -> None:
    assert texts.invalid_setting(PreferenceName.TEMPERATURE, texts.number_range(0, 2)) == "Temperature must be 0-2."
    unknown = texts.unknown_setting("colour", ["temperature", "length"])
    assert all(word in unknown for word in ("colour", "temperature", "length"))
    assert "10,000" in texts.instructions_too_long(10_000)
    assert "pirate" in texts.unknown_persona("pirate")


def test_lists_have_every_line() -> None:
    lines = [texts.setting_line(name, "1", "why") for name in ("Length", "Effort")]
    assert all(line in texts.setting_list(lines) for line in lines)
    personas = texts.persona_list(["teacher", "pirate"], "pirate")
    assert "teacher" in personas
    assert "pirate" in personas
