"""What has been chosen for a place and a person, and what holds where nothing was."""

from dataclasses import dataclass

from sqlalchemy import Connection

from core.conversation.scope import Scope, chat_scope, resolve, scopes
from core.port import Place, Sender
from core.settings import Settings
from core.store.conversations import Choice, all_choices

__all__ = ["MODEL", "SHARE", "SYSTEM", "Choices", "Chosen", "read_choices"]

MODEL = "model"
SYSTEM = "system"
SHARE = "share"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A value, the scope it was made for (None: the default) and who made it."""

    value: str
    scope: Scope | None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    where: tuple[Scope, ...]
    """The scopes that apply here, narrowest first."""
    made_model: Chosen
    made_system: Chosen
    shared: bool

    @property
    def model(self) -> str:
        return self.made_model.value

    @property
    def system(self) -> str:
        return self.made_system.value


def read_choices(
    connection: Connection, place: Place, sender: Sender, settings: Settings
) -> Choices:
    where = scopes(place, sender)
    made = all_choices(connection, [scope.key for scope in where])

    def chosen(name: str, default: str) -> Chosen:
        found = resolve(made, where, name)
        if found is None:
            return Chosen(default, None)
        choice, scope = found
        return Chosen(choice.value, scope, choice.chosen_by)

    return Choices(
        where,
        chosen(MODEL, settings.default_model),
        chosen(SYSTEM, settings.system_prompt),
        shared=made.get((chat_scope(place), SHARE), Choice("off", "")).value == "on",
    )
