"""Texts of /settings, /system and /persona, as Markdown."""

from collections.abc import Iterable

from core.conversation.preferences import Preferences
from core.scopes import Scope, ScopeKind
from core.store.preferences import PreferenceName
from core.texts.formatting import code_block, either, escape_markdown, quote, scope_label

MODEL_DEFAULT = "the model's default"
SHARED = "Share: on. Everyone here shares one conversation from now on."
NOT_SHARED = "Share: off. Everyone here has their own conversation from now on."
SHARE_IN_PRIVATE = "Share is for groups; this chat is private."
NO_SERVER = "This chat isn't on a server."
ANONYMOUS = (
    "You write as the group, so I can't tell you from its other anonymous administrators. Turn anonymity off to "
    "change your own settings."
)
NO_PERSONAS = "This bot has no personas. Write your own instructions with /system."


def setting_changed(name: str, value: str, scope: Scope) -> str:
    return f"{_label(name)}: {escape_markdown(value)} ({scope_label(scope)})"


def setting_reset(name: str, scope: Scope) -> str:
    return f"{_label(name)} reset ({scope_label(scope)})"


def _label(name: str) -> str:
    return "Instructions" if name == PreferenceName.SYSTEM_PROMPT else name.capitalize()


def invalid_setting(label: str, accepted_values: str) -> str:
    return f"{label} must be {accepted_values}."


def unknown_setting(name: str, names: Iterable[str]) -> str:
    return f"Unknown setting {quote(name)}. Choose {either(names)}."


def setting_line(label: str, value: str, explanation: str) -> str:
    return f"- {label}: {escape_markdown(value)} ({explanation})"


def setting_list(lines: Iterable[str]) -> str:
    return "\n".join([*lines, "", "Change one with `/settings NAME VALUE`, reset it with `/settings NAME reset`."])


def setting_details(label: str, value: str, name: str, accepted_values: str) -> str:
    return f"{label}: {value}. Change it with `/settings {name} VALUE` ({accepted_values}) or `/settings {name} reset`."


def show_instructions(preferences: Preferences) -> str:
    if not preferences.system_prompt:
        return "The model has no instructions. Write some with `/system TEXT`."
    scope = preferences.values[PreferenceName.SYSTEM_PROMPT].scope
    origin = scope_label(scope) if scope else "the default"
    if preferences.persona:
        origin = f"the persona {escape_markdown(preferences.persona)}"
    return f"Instructions for the model ({origin}):\n\n{code_block(preferences.system_prompt)}"


def remaining_instructions(preferences: Preferences) -> str:
    """What applies after a reset; empty if that is the default."""
    if preferences.persona:
        return f"The persona {escape_markdown(preferences.persona)} applies. Remove it with `/persona reset`."
    scope = preferences.values[PreferenceName.SYSTEM_PROMPT].scope
    return f"The instructions of {scope_label(scope)} apply. Show them with /system." if scope else ""


def instructions_changed(scope: Scope) -> str:
    return f"Instructions changed ({scope_label(scope)})"


def changed_by(name: str, scope: Scope) -> str:
    place = "on this server" if scope.kind is ScopeKind.SERVER else "here"
    return f"Changed by {escape_markdown(name)} for everyone {place}"


def managers_only(scope: Scope) -> str:
    managers = "server managers" if scope.kind is ScopeKind.SERVER else "managers of this chat"
    return f"Only {managers} can change this for everyone."


def instructions_too_long(max_chars: int) -> str:
    return f"Instructions can have at most {max_chars:,} characters."


def persona_list(names: Iterable[str], current: str) -> str:
    lines = [f"- {escape_markdown(name)}{' ← current' if name == current else ''}" for name in names]
    return "\n".join(["Choose a persona with `/persona NAME`, or none with `/persona reset`:", "", *lines])


def unknown_persona(name: str) -> str:
    return f"Unknown persona {quote(name)}. See /persona."
