"""The commands, declared once: every adapter offers them in its platform's form, /help explains them.

A new command is declared here and gets a handler in `core.commands.handlers`.
"""

import difflib
from dataclasses import dataclass
from enum import StrEnum

from core.conversation.preferences import OFF, ON
from core.store.preferences import PreferenceName

RESET = "reset"
"""In place of a value: go back to the default."""
REMOVE = "remove"
SETTING_NAMES = (
    PreferenceName.TEMPERATURE,
    PreferenceName.ANSWER_LENGTH,
    PreferenceName.REASONING_EFFORT,
    PreferenceName.SHOW_REASONING,
    PreferenceName.SHARED_CONVERSATION,
)
MAX_PLACEHOLDER_CHOICES = 6


class ScopeName(StrEnum):
    HERE = "here"
    ME = "me"
    CHAT = "chat"
    SERVER = "server"


class MemoryAction(StrEnum):
    LIST = "list"
    DELETE = "delete"
    CLEAR = "clear"
    ON = ON
    OFF = OFF
    RESET = RESET


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    description: str
    is_required: bool = False
    choices: tuple[str, ...] = ()
    autocompletes_models: bool = False
    """The platform may complete it from the list of models."""
    is_file: bool = False
    """A file sent with the command, on platforms where a command can have one."""

    @property
    def placeholder(self) -> str:
        """How /help writes it: `TEXT`, `[NAME]`, `[on|off]`."""
        text = "|".join(self.choices) if 0 < len(self.choices) <= MAX_PLACEHOLDER_CHOICES else self.name.upper()
        return text if self.is_required else f"[{text}]"


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    description: str
    arguments: tuple[Argument, ...] = ()
    details: str = ""
    """Markdown, for `/help NAME`."""
    example: str = ""
    ephemeral: bool = True
    """Only the person who asked sees the reply, where the platform can do that."""

    @property
    def usage(self) -> str:
        """The placeholders of all arguments."""
        return " ".join(argument.placeholder for argument in self.arguments)


def find_command(name: str) -> Command | None:
    return next((command for command in COMMANDS if command.name == name), None)


def is_ephemeral(name: str) -> bool:
    """Whether only the person who used the command sees the replies, where the platform can do that."""
    command = find_command(name)
    return command is None or command.ephemeral


def closest_command(name: str) -> str | None:
    """The command that was probably meant."""
    return next(iter(difflib.get_close_matches(name.casefold(), [command.name for command in COMMANDS], n=1)), None)


_START = Command(
    "start",
    "Say hello",
    (Argument("code", "A pairing code, if you were given one"),),
    details="Whoever sends the pairing code in a private chat becomes an operator of this bot.",
)
_OTHERS = (
    Command(
        "ask",
        "Ask the model",
        (
            Argument("prompt", "Your question", is_required=True),
            Argument("file", "A file the question is about", is_file=True),
        ),
        details="In a private chat a message without a command does the same. In a group you can also reply to me or "
        "mention me.",
        example="/ask Why is the sky blue?",
        ephemeral=False,
    ),
    Command(
        "model",
        "Show or change the model",
        (
            Argument("name", "A model's name, or part of it", autocompletes_models=True),
            Argument("scope", "Where to use it: here, in all your chats, or on the server", choices=tuple(ScopeName)),
        ),
        details="Without a name it shows the current model and a menu. `me` means all your chats, `chat` everyone in "
        "this chat, `server` everyone on the server. `here`, the default, means this chat or thread: for everyone in "
        "it if you manage it, else for your messages. `/model reset`, with or without one of these words, removes "
        "the choice made there.",
        example="/model llama-3.3 me",
    ),
    Command(
        "models",
        "List all models",
        (Argument("search", "Part of a name"),),
        details="Shows each model's context window, its features and the tokens left of today's quota.",
        example="/models llama",
    ),
    Command(
        "new",
        "Start a new conversation",
        details="The model no longer sees earlier messages. Notes, files and settings stay.",
    ),
    Command(
        "stop",
        "Stop the current answer",
        details="Your messages that wait for an answer are dropped.",
    ),
    Command(
        "retry",
        "Answer your last message again",
        details="The new answer replaces the last one in the conversation.",
        ephemeral=False,
    ),
    Command(
        "system",
        "Show or set the model's instructions",
        (Argument("text", "The instructions, or reset"),),
        details="The instructions apply to this chat, in a group to your messages unless you manage it. "
        "`/system reset` goes back to the default.",
        example="/system Answer in one sentence.",
        ephemeral=False,  # everybody in the chat must see that the instructions change
    ),
    Command(
        "persona",
        "List or choose a persona",
        (Argument("name", "A persona's name, or reset"),),
        details="A persona is a set of instructions that the operator prepared. It replaces those of /system.",
        example="/persona teacher",
        ephemeral=False,
    ),
    Command(
        "context",
        "Show what fills the model's context window",
        details="A model sees only as many tokens of a conversation as its context window holds.",
    ),
    Command(
        "remember",
        "Store a note",
        (Argument("text", "What to remember", is_required=True),),
        details="The model sees the note whenever it fits a question in this conversation.",
        example="/remember My bicycle is green.",
    ),
    Command(
        "memory",
        "Show, delete or turn off what I remember",
        (
            Argument("action", "on also recalls past messages, off recalls nothing", choices=tuple(MemoryAction)),
            Argument("number", "The note or file to delete"),
        ),
        details="I remember notes and files of this conversation, and with `/memory on` past messages too.",
        example="/memory delete 3",
    ),
    Command(
        "usage",
        "Show the tokens used today",
        details="Shows them for each model, with what is left of its quota.",
    ),
    Command(
        "key",
        "Use your own API key",
        (Argument("key", "Your key, or remove"),),
        details="Your questions then use your own IO Intelligence key and its quota. Send it only in a private chat. "
        "`/key remove` deletes it.",
        example="/key remove",
    ),
    Command(
        "settings",
        "Show or change how the model answers here",
        (
            Argument("name", "The setting", choices=SETTING_NAMES),
            Argument("value", "The new value, or reset"),
        ),
        details="`temperature` sets how varied answers are, `length` their maximum length in tokens, `effort` how much "
        "the model reasons, `reasoning` whether a button shows its reasoning, and `share` whether everyone in a group "
        "shares one conversation.",
        example="/settings temperature 0.2",
    ),
)
_HELP = Command(
    "help",
    "Show all commands, or explain one",
    (Argument("command", "The command to explain", choices=("start", "help", *(other.name for other in _OTHERS))),),
    example="/help model",
)

COMMANDS: tuple[Command, ...] = (_START, _HELP, *_OTHERS)
