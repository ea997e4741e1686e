"""The effective preferences of a person in a place: the values set there, or the defaults from the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import Connection

from core.conversation.model_registry import ModelRegistry
from core.i18n.translation import ENGLISH, match_language
from core.port import Incoming, RichMode
from core.scopes import Scope, ScopeKind, applicable_scopes, chat_scope_key
from core.settings import Settings
from core.store.preferences import Preference, PreferenceName, list_preferences, set_preference

ON, OFF = "on", "off"
NOTHING = Preference("", "")


class ReasoningEffort(StrEnum):
    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class EffectivePreference:
    value: str
    scope: Scope | None
    """The scope in which it was set; None for a default."""
    set_by: str = ""
    set_by_key: str = ""
    notified_model: str = ""
    """The last model of which the person was told that it does not accept the value."""
    unavailable_model: str = ""
    """The model that was set, if the service no longer offers it and `value` is its successor."""


@dataclass(frozen=True, slots=True)
class Preferences:
    scopes: tuple[Scope, ...]
    """The scopes that apply here, narrowest first."""
    values: Mapping[PreferenceName, EffectivePreference]
    personas: Mapping[str, str]
    is_shared: bool
    """Whether everyone in this chat shares one conversation."""
    language: str = ENGLISH
    """The language of the bot's own messages to the person: one of `LANGUAGES`."""
    chosen_language: str = ""
    """The language that the person chose with `/language`; "" if they chose none."""
    client_language: str = ""
    """The language of the person's client, as an earlier event named it; "" if none has."""

    @property
    def model(self) -> str:
        return self.values[PreferenceName.MODEL].value

    @property
    def persona(self) -> str:
        """The name of the persona in force. Empty if there is none, if the operator removed it, or if somebody set
        instructions in the same scope or a narrower one.
        """
        name = self.values[PreferenceName.PERSONA].value
        is_in_force = self._rank(PreferenceName.PERSONA) < self._rank(PreferenceName.SYSTEM_PROMPT)
        return name if name in self.personas and is_in_force else ""

    @property
    def system_prompt(self) -> str:
        """The instructions in force: those of a persona, those that somebody set, or the default."""
        return self.personas[self.persona] if self.persona else self.values[PreferenceName.SYSTEM_PROMPT].value

    @property
    def temperature(self) -> float | None:
        value = self.values[PreferenceName.TEMPERATURE].value
        return float(value) if value else None

    @property
    def max_answer_tokens(self) -> int:
        """In tokens; 0: the model's own limit."""
        return int(self.values[PreferenceName.ANSWER_LENGTH].value or 0)

    @property
    def reasoning_effort(self) -> str | None:
        return self.values[PreferenceName.REASONING_EFFORT].value or None

    @property
    def shows_reasoning(self) -> bool:
        return self.values[PreferenceName.SHOW_REASONING].value == ON

    @property
    def rich_mode(self) -> RichMode | None:
        """None: as the operator chose."""
        value = self.values[PreferenceName.RICH_MESSAGES].value
        return RichMode(value) if value else None

    def _rank(self, name: PreferenceName) -> int:
        """0 for a preference of the narrowest scope, the largest for a default."""
        scope = self.values[name].scope
        return len(self.scopes) if scope is None else self.scopes.index(scope)


def load_preferences(connection: Connection, incoming: Incoming, settings: Settings) -> Preferences:
    """The preferences that apply to the sender of `incoming` in its place."""
    applicable = applicable_scopes(incoming.place, incoming.sender)
    preferences = list_preferences(connection, [scope.key for scope in applicable])
    defaults = {
        PreferenceName.MODEL: settings.default_model,
        PreferenceName.SYSTEM_PROMPT: settings.system_prompt,
        PreferenceName.PERSONA: "",
        PreferenceName.TEMPERATURE: "",
        PreferenceName.ANSWER_LENGTH: str(settings.max_answer_tokens or ""),
        PreferenceName.REASONING_EFFORT: "",
        PreferenceName.SHOW_REASONING: ON,
        PreferenceName.RICH_MESSAGES: "",
    }
    values = {name: EffectivePreference(default, None) for name, default in defaults.items()}
    for scope in reversed(applicable):
        for name in defaults:
            if preference := preferences.get((scope.key, name)):
                values[name] = EffectivePreference(
                    preference.value, scope, preference.set_by, preference.set_by_key, preference.notified_model
                )
    shared = preferences.get((chat_scope_key(incoming.place), PreferenceName.SHARED_CONVERSATION), Preference(OFF, ""))
    person = next(scope.key for scope in applicable if scope.kind is ScopeKind.PERSON)
    chosen = preferences.get((person, PreferenceName.LANGUAGE), NOTHING).value
    stored = preferences.get((person, PreferenceName.CLIENT_LANGUAGE), NOTHING).value
    return Preferences(
        applicable,
        values,
        settings.personas,
        is_shared=shared.value == ON,
        language=chosen or match_language(incoming.sender.language or stored or incoming.place_language),
        chosen_language=chosen,
        client_language=stored,
    )


def remember_client_language(connection: Connection, incoming: Incoming, preferences: Preferences) -> None:
    """Store the client's language if it has changed: not every event names it, Discord's messages do not."""
    if not incoming.sender.language:
        return
    language = match_language(incoming.sender.language)
    if language != preferences.client_language:
        person = next(scope.key for scope in preferences.scopes if scope.kind is ScopeKind.PERSON)
        set_preference(connection, person, PreferenceName.CLIENT_LANGUAGE, Preference(language, ""))


def with_model(preferences: Preferences, model: str) -> Preferences:
    """For one answer by another model than the chosen one."""
    values = {**preferences.values, PreferenceName.MODEL: EffectivePreference(model, None)}
    return replace(preferences, values=values)


def with_available_model(preferences: Preferences, models: ModelRegistry) -> Preferences:
    """Replace a chosen model that is no longer offered by its successor."""
    preference = preferences.values[PreferenceName.MODEL]
    successor = models.successor(preference.value)
    if successor is None:
        return preferences
    replacement = replace(preference, value=successor, unavailable_model=preference.value)
    return replace(preferences, values={**preferences.values, PreferenceName.MODEL: replacement})
