"""What has been chosen for a place and a person, and what holds where nothing was."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from core.conversation.models import Models
from core.conversation.scope import Scope, chat_scope, resolve, scopes
from core.port import Place, Sender
from core.settings import Settings
from core.store.conversations import Choice, all_choices

__all__ = [
    "EFFORT",
    "EFFORTS",
    "LONGEST",
    "MODEL",
    "PERSONA",
    "REASONING",
    "SHARE",
    "SYSTEM",
    "TEMPERATURE",
    "Choices",
    "Chosen",
    "answering",
    "read_choices",
]

MODEL = "model"
SYSTEM = "system"
PERSONA = "persona"
SHARE = "share"
TEMPERATURE = "temperature"
LONGEST = "length"
EFFORT = "effort"
REASONING = "reasoning"
EFFORTS = ("none", "low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A value, the scope it was made for (None: the default) and who made it."""

    value: str
    scope: Scope | None
    by: str = ""
    instead_of: str = ""
    """What was chosen, where that is not offered and `value` follows it."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything that holds here; what was made can be set back."""

    where: tuple[Scope, ...]
    """The scopes that apply here, narrowest first."""
    made: Mapping[str, Chosen]
    personas: Mapping[str, str]
    shared: bool

    @property
    def model(self) -> str:
        return self.made[MODEL].value

    @property
    def persona(self) -> str:
        """A persona's name, "" for none; one the operator took away is none."""
        name = self.made[PERSONA].value
        return name if name in self.personas else ""

    @property
    def system(self) -> str:
        """The instructions: what was written here, else the persona's, else the default."""
        written = self.made[SYSTEM]
        if written.scope is None and self.persona:
            return self.personas[self.persona]
        return written.value

    @property
    def temperature(self) -> float | None:
        return float(given) if (given := self.made[TEMPERATURE].value) else None

    @property
    def longest(self) -> int:
        """Of an answer, in tokens; 0: the model's own limit."""
        return int(self.made[LONGEST].value or 0)

    @property
    def effort(self) -> str | None:
        return self.made[EFFORT].value or None

    @property
    def shows_reasoning(self) -> bool:
        return self.made[REASONING].value == "on"


def read_choices(
    connection: Connection, place: Place, sender: Sender, settings: Settings
) -> Choices:
    where = scopes(place, sender)
    stored = all_choices(connection, [scope.key for scope in where])
    defaults = {
        MODEL: settings.default_model,
        SYSTEM: settings.system_prompt,
        PERSONA: "",
        TEMPERATURE: "",
        LONGEST: str(settings.max_answer_tokens or ""),
        EFFORT: "",
        REASONING: "on",
    }
    made = {}
    for name, default in defaults.items():
        found = resolve(stored, where, name)
        made[name] = (
            Chosen(default, None)
            if found is None
            else Chosen(found[0].value, found[1], found[0].chosen_by)
        )
    shared = stored.get((chat_scope(place), SHARE), Choice("off", "")).value == "on"
    return Choices(where, made, settings.personas, shared=shared)


def answering(choices: Choices, models: Models, settings: Settings) -> Choices:
    """`choices` with the model that really answers, where the chosen one is not offered."""
    chosen = choices.made[MODEL]
    follows = models.successor(chosen.value, settings)
    if follows is None:
        return choices
    made = replace(chosen, value=follows, instead_of=chosen.value)
    return replace(choices, made={**choices.made, MODEL: made})
