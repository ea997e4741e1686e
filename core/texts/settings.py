"""Texts of /settings, /system and /persona, as Markdown."""

from collections.abc import Iterable

from core.conversation.preferences import Preferences
from core.i18n.translation import gettext, gettext_noop, ngettext
from core.scopes import Scope, ScopeKind
from core.store.preferences import PreferenceName
from core.texts.formatting import code_block, either, format_number, markdown_name, quote, scope_label

MODEL_DEFAULT = gettext_noop("the model's default")
BOT_DEFAULT = gettext_noop("the bot's default")
SHARED = gettext_noop("Share: on. Everyone here shares one conversation from now on.")
NOT_SHARED = gettext_noop("Share: off. Everyone here has their own conversation from now on.")
SHARE_STAYS = gettext_noop("Sharing stays on; `/settings share off` turns it off.")
SHARE_IN_PRIVATE = gettext_noop("Share is for groups; this chat is private.")
NO_SERVER = gettext_noop("This chat isn't on a server.")
ANONYMOUS = gettext_noop(
    "You are writing as the group, so I can't tell you apart from its other anonymous administrators. Turn "
    "anonymity off to change your own settings."
)
RESET_BUTTON = gettext_noop("Reset")
CHANGE_BUTTON = gettext_noop("Change")
PERSONA_REMOVED = gettext_noop("This persona no longer exists. See /persona.")
NO_PERSONAS = gettext_noop("This bot has no personas. Write your own instructions with /system.")


LABELS: dict[str, str] = {
    PreferenceName.MODEL: gettext_noop("Model"),
    PreferenceName.SYSTEM_PROMPT: gettext_noop("Instructions"),
    PreferenceName.PERSONA: gettext_noop("Persona"),
    PreferenceName.SHARED_CONVERSATION: gettext_noop("Share"),
    PreferenceName.TEMPERATURE: gettext_noop("Temperature"),
    PreferenceName.ANSWER_LENGTH: gettext_noop("Length"),
    PreferenceName.REASONING_EFFORT: gettext_noop("Effort"),
    PreferenceName.SHOW_REASONING: gettext_noop("Reasoning"),
    PreferenceName.RICH_MESSAGES: gettext_noop("Rich messages"),
}


def label(name: PreferenceName) -> str:
    return gettext(LABELS[name])


def setting_label(name: PreferenceName) -> str:
    """With the word that people type after /settings, where that is another."""
    text = label(name)
    return text if text.casefold() == name else f"{text} (`{name}`)"


def setting_changed(name: PreferenceName, value: str, scope: Scope) -> str:
    return gettext("{setting}: {value} ({scope})").format(
        setting=label(name), value=markdown_name(value), scope=scope_label(scope)
    )


def setting_reset(name: PreferenceName, scope: Scope) -> str:
    return gettext("{setting} reset ({scope})").format(setting=label(name), scope=scope_label(scope))


def settings_reset(scope: Scope) -> str:
    return gettext("All settings reset ({scope})").format(scope=scope_label(scope))


def several_personas(name: str) -> str:
    """Above buttons."""
    return gettext("Several personas match {name}. Choose one:").format(name=quote(name))


def invalid_setting(name: PreferenceName, accepted_values: str) -> str:
    return gettext("{setting} must be {values}.").format(setting=setting_label(name), values=accepted_values)


def number_range(smallest: int, largest: int) -> str:
    return f"{format_number(smallest)}-{format_number(largest)}"


def unknown_setting(name: str, names: Iterable[str]) -> str:
    return gettext("Unknown setting {name}. Choose {names}.").format(name=quote(name), names=either(names))


def setting_line(label: str, value: str, explanation: str) -> str:
    return gettext("- {setting}: {value} ({explanation})").format(
        setting=label, value=markdown_name(value), explanation=explanation
    )


def without_bullet(line: str) -> str:
    """A `setting_line` that stands alone."""
    return line.removeprefix("- ")


def share_explanation() -> str:
    return gettext("on or off: one conversation for everyone here")


def no_persona() -> str:
    return gettext("none")


def instructions_length(chars: int) -> str:
    return ngettext("{count} character", "{count} characters", chars).format(count=format_number(chars))


def setting_list(lines: Iterable[str]) -> str:
    how_to_change = gettext("Change one with `/settings NAME VALUE`, reset it with `/settings NAME reset`.")
    return "\n".join([*lines, "", how_to_change])


def setting_details(name: PreferenceName, value: str, accepted_values: str) -> str:
    return gettext(
        "{setting}: {value}. Change it with `/settings {name} VALUE` ({values}) or `/settings {name} reset`."
    ).format(setting=label(name), value=value, name=name, values=accepted_values)


def show_instructions(preferences: Preferences) -> str:
    if not preferences.system_prompt:
        return gettext("The model has no instructions. Write some with `/system TEXT`.")
    scope = preferences.values[PreferenceName.SYSTEM_PROMPT].scope
    origin = scope_label(scope) if scope else gettext("the default")
    if preferences.persona:
        origin = gettext("the persona {name}").format(name=markdown_name(preferences.persona))
    head = gettext("Instructions for the model ({origin}):").format(origin=origin)
    return f"{head}\n\n{code_block(preferences.system_prompt)}"


def remaining_instructions(preferences: Preferences) -> str:
    """What applies after a reset; empty if that is the default."""
    if preferences.persona:
        return gettext("The persona {name} applies. Remove it with `/persona reset`.").format(
            name=markdown_name(preferences.persona)
        )
    scope = preferences.values[PreferenceName.SYSTEM_PROMPT].scope
    if scope is None:
        return ""
    return gettext("The instructions for {scope} apply. Show them with /system.").format(scope=scope_label(scope))


def instructions_changed(scope: Scope) -> str:
    return gettext("Instructions changed ({scope})").format(scope=scope_label(scope))


def changed_by(name: str, scope: Scope) -> str:
    text = (
        gettext("Changed by {name} for everyone on this server")
        if scope.kind is ScopeKind.SERVER
        else gettext("Changed by {name} for everyone here")
    )
    return text.format(name=markdown_name(name))


def managers_only(scope: Scope) -> str:
    if scope.kind is ScopeKind.SERVER:
        return gettext("Only server managers can change this for everyone.")
    return gettext("Only managers of this chat can change this for everyone.")


def instructions_too_long(max_chars: int) -> str:
    return gettext("Instructions can have at most {count} characters.").format(count=format_number(max_chars))


def persona_list(names: Iterable[str], current: str) -> str:
    head = gettext("Choose a persona with `/persona NAME`, or none with `/persona reset`:")
    return "\n".join([head, "", *(_persona_line(name, is_current=name == current) for name in names)])


def _persona_line(name: str, *, is_current: bool) -> str:
    line = f"- {markdown_name(name)}"
    return gettext("{entry} ← current").format(entry=line) if is_current else line


def unknown_persona(name: str) -> str:
    return gettext("Unknown persona {name}. See /persona.").format(name=quote(name))
