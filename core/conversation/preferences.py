"""What has been chosen for a place and a person, and what holds where nothing was."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from core.conversation.model_registry import ModelRegistry
from core.port import Place, Sender
from core.scopes import Scope, applicable_scopes, chat_scope_key
from core.settings import Settings
from core.store.preferences import Preference, list_preferences

__all__ = [
    "ANSWER_LENGTH",
    "MODEL",
    "OFF",
    "ON",
    "PERSONA",
    "REASONING_EFFORT",
    "REASONING_EFFORTS",
    "SHARED_CONVERSATION",
    "SHOW_REASONING",
    "SYSTEM_PROMPT",
    "TEMPERATURE",
    "EffectivePreference",
    "Preferences",
    "load_preferences",
    "with_available_model",
]

MODEL = "model"
SYSTEM_PROMPT = "system"
PERSONA = "persona"
SHARED_CONVERSATION = "share"
TEMPERATURE = "temperature"
ANSWER_LENGTH = "length"
REASONING_EFFORT = "effort"
SHOW_REASONING = "reasoning"
ON, OFF = "on", "off"
REASONING_EFFORTS = ("none", "low", "medium", "high")


@dataclass(frozen=True, slots=True)
class EffectivePreference:
    """A value, the scope it was made for (None: the default) and who made it."""

    value: str
    scope: Scope | None
    set_by: str = ""
    unavailable_model: str = ""
    """What was chosen, where that is not offered and `value` follows it."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """Everything that holds here; what was made can be set back."""

    scopes: tuple[Scope, ...]
    """The scopes that apply here, narrowest first."""
    values: Mapping[str, EffectivePreference]
    personas: Mapping[str, str]
    is_shared: bool

    @property
    def model(self) -> str:
        return self.values[MODEL].value

    @property
    def persona(self) -> str:
        """A persona's name, "" for none; one the operator took away is none."""
        name = self.values[PERSONA].value
        return name if name in self.personas else ""

    @property
    def system_prompt(self) -> str:
        """The instructions: what was written here, else the persona's, else the default."""
        preference = self.values[SYSTEM_PROMPT]
        if preference.scope is None and self.persona:
            return self.personas[self.persona]
        return preference.value

    @property
    def temperature(self) -> float | None:
        return float(given) if (given := self.values[TEMPERATURE].value) else None

    @property
    def max_answer_tokens(self) -> int:
        """Of an answer, in tokens; 0: the model's own limit."""
        return int(self.values[ANSWER_LENGTH].value or 0)

    @property
    def reasoning_effort(self) -> str | None:
        return self.values[REASONING_EFFORT].value or None

    @property
    def shows_reasoning(self) -> bool:
        return self.values[SHOW_REASONING].value == ON


def load_preferences(connection: Connection, place: Place, sender: Sender, settings: Settings) -> Preferences:
    applicable = applicable_scopes(place, sender)
    stored = list_preferences(connection, [scope.key for scope in applicable])
    defaults = {
        MODEL: settings.default_model,
        SYSTEM_PROMPT: settings.system_prompt,
        PERSONA: "",
        TEMPERATURE: "",
        ANSWER_LENGTH: str(settings.max_answer_tokens or ""),
        REASONING_EFFORT: "",
        SHOW_REASONING: ON,
    }
    values = {name: EffectivePreference(default, None) for name, default in defaults.items()}
    for scope in reversed(applicable):
        for name in defaults:
            if preference := stored.get((scope.key, name)):
                values[name] = EffectivePreference(preference.value, scope, preference.set_by)
    is_shared = stored.get((chat_scope_key(place), SHARED_CONVERSATION), Preference(OFF, "")).value == ON
    return Preferences(applicable, values, settings.personas, is_shared=is_shared)


def with_available_model(preferences: Preferences, models: ModelRegistry, settings: Settings) -> Preferences:
    """Replace a chosen model that is no longer offered by its successor."""
    chosen = preferences.values[MODEL]
    successor = models.successor(chosen.value, settings)
    if successor is None:
        return preferences
    replacement = replace(chosen, value=successor, unavailable_model=chosen.value)
    return replace(preferences, values={**preferences.values, MODEL: replacement})
