"""The grammar of button actions: what the core writes into `Button.action` and reads from a press.

An action is `NAME:ARGUMENT`, at most 64 bytes of UTF-8, the limit of the strictest platform. An argument that is
too long is replaced by its digest, `NAME#DIGEST`; whoever reads the press compares it with `encode_action` of each
candidate. Messages keep their buttons for years, so these strings must not change.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

MAX_ACTION_BYTES = 64
ACTION_PATTERN = re.compile(r"([a-z]+)[:#](.*)", re.DOTALL)


class ButtonAction(StrEnum):
    """The argument is what is described here, or a turn (`TURN_ARGUMENT_ACTIONS`)."""

    STOP = "stop"
    RETRY = "retry"
    CONTINUE = "more"
    SEND_AGAIN = "again"
    SHOW_REASONING = "think"
    SEND_FILES = "files"
    SHOW_VARIANT = "v"
    CHOOSE_RETRY_MODEL = "vm"
    USE_MODEL = "use"
    EDIT_QUESTION = "edit"
    IMPORT = "import"
    CLEAR_MEMORY = "clear"
    RETRY_WITH = "with"
    """Argument: the turn and the digest of the model's ID, `TURN:DIGEST`."""
    CHOOSE_MODEL = "m"
    """Argument: the model's ID, or its digest."""
    SHOW_MODEL_MENU = "mp"
    """Argument: the page."""
    SHOW_MODEL_FAMILY = "mf"
    """Argument: the page and the digest of the family, `PAGE:DIGEST`."""
    CHOOSE_MODEL_FOR = "ms"
    """Argument: where it is to answer, as in `/model NAME SCOPE`, and the digest of its ID, `SCOPE:DIGEST`."""
    CHOOSE_LANGUAGE = "lang"
    """Argument: the language's code, or `auto`."""
    CHOOSE_PERSONA = "p"
    """Argument: the persona's name, or its digest."""
    SHOW_SETTING = "s"
    """Argument: the setting's name; empty: all settings."""
    SET_SETTING = "sv"
    """Argument: the setting's name and its new value, `NAME:VALUE`."""
    SHOW_MODEL_LIST = "ml"
    """Argument: the page and what to search for, `PAGE:SEARCH`."""
    APPROVE = "let"
    """Argument: the person, as `parley allow` takes them, as for `REFUSE`."""
    REFUSE = "no"
    SHOW_PRIVACY = "pv"
    """Argument: none, as for the next three."""
    EXPORT_DATA = "pe"
    ASK_TO_ERASE = "pa"
    ERASE_DATA = "px"
    ASK_EXAMPLE = "try"
    """Argument: the position of one of `core.texts.commands.EXAMPLE_QUESTIONS`."""


TURN_ARGUMENT_ACTIONS = frozenset(
    {
        ButtonAction.STOP,
        ButtonAction.RETRY,
        ButtonAction.CONTINUE,
        ButtonAction.SEND_AGAIN,
        ButtonAction.SHOW_REASONING,
        ButtonAction.SEND_FILES,
        ButtonAction.SHOW_VARIANT,
        ButtonAction.CHOOSE_RETRY_MODEL,
        ButtonAction.USE_MODEL,
        ButtonAction.EDIT_QUESTION,
        ButtonAction.IMPORT,
        ButtonAction.CLEAR_MEMORY,
        ButtonAction.RETRY_WITH,
    }
)
"""The actions whose argument is a turn, or begins with one. The numbers of the others are pages and positions."""


@dataclass(frozen=True, slots=True)
class ButtonPress:
    action: ButtonAction
    argument: str

    @property
    def turn_id(self) -> int | None:
        """The turn that the action is for; None for an action that is for none, or an invalid argument."""
        if self.action not in TURN_ARGUMENT_ACTIONS:
            return None
        turn = self.argument.partition(":")[0] if self.action is ButtonAction.RETRY_WITH else self.argument
        return int(turn) if re.fullmatch(r"[0-9]{1,18}", turn) else None

    @property
    def is_retry(self) -> bool:
        """Whether it asks the question of the turn again."""
        return self.action in (ButtonAction.RETRY, ButtonAction.RETRY_WITH)

    @property
    def model_digest(self) -> str:
        """The digest of the model in a press of `RETRY_WITH`; see `short_digest`."""
        return self.argument.partition(":")[2]


def encode_action(action: ButtonAction, argument: int | str) -> str:
    text = f"{action}:{argument}"
    if len(text.encode()) <= MAX_ACTION_BYTES:
        return text
    return f"{action}#{hashlib.blake2b(str(argument).encode(), digest_size=12).hexdigest()}"


def short_digest(text: str) -> str:
    """Stands for `text` in an argument with several values."""
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def parse_action(text: str) -> ButtonPress | None:
    """The press of a button with this action; None for an action that this version does not know."""
    match = ACTION_PATTERN.fullmatch(text)
    return ButtonPress(ButtonAction(match[1]), match[2]) if match and match[1] in set(ButtonAction) else None
