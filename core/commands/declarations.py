"""What people can ask the bot to do, declared once; every adapter offers it in its native form."""

from dataclasses import dataclass

__all__ = ["COMMANDS", "COMMAND_NAMES", "Argument", "Command"]


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    description: str
    is_required: bool = False
    autocomplete: str = ""
    """ "models": the platform may complete it from the model catalogue."""
    choices: tuple[str, ...] = ()
    is_file: bool = False
    """A file that comes with the command, where the platform has room for one."""


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    description: str
    arguments: tuple[Argument, ...] = ()
    ephemeral: bool = True
    """The answer is for the person who asked alone, where the platform can."""


SETTING_NAMES = ("temperature", "length", "effort", "reasoning", "share")
SCOPE_NAMES = ("here", "me", "server", "reset")

COMMANDS: tuple[Command, ...] = (
    Command("start", "Say hello", (Argument("code", "A pairing code, if you were given one"),)),
    Command("help", "What I can do"),
    Command(
        "ask",
        "Ask the model",
        (
            Argument("prompt", "Your question", True),
            Argument("file", "A file the question is about", is_file=True),
        ),
        ephemeral=False,
    ),
    Command(
        "model",
        "See or change the model",
        (
            Argument("name", "A model's name, or the beginning of it", autocomplete="models"),
            Argument("scope", "Where it holds: here, for me everywhere, the server", choices=SCOPE_NAMES),
        ),
    ),
    Command("models", "All models", (Argument("search", "Part of a name"),)),
    Command("new", "Begin a new conversation"),
    Command("stop", "Stop the answer that is being written"),
    Command("retry", "Answer my last message again", ephemeral=False),
    Command(
        "system",
        "See or set the instructions the model follows here",
        (Argument("text", "The instructions; reset to remove them"),),
    ),
    Command(
        "persona",
        "See or pick who answers",
        (Argument("name", "A persona's name; reset for none"),),
    ),
    Command("context", "What the model is shown of this conversation"),
    Command(
        "remember",
        "Keep a note, to be recalled when it fits a question",
        (Argument("text", "What to remember", True),),
    ),
    Command(
        "memory",
        "See, delete and switch what I keep: notes, files, past messages",
        (
            Argument(
                "action",
                "on and off: recall past messages; delete a number; clear all",
                choices=("list", "delete", "clear", "on", "off", "reset"),
            ),
            Argument("number", "Which one to delete"),
        ),
    ),
    Command("usage", "Tokens used today, and what is left"),
    Command(
        "key",
        "Use an API key of your own (in a private chat)",
        (Argument("key", "Your key; remove to take it back"),),
    ),
    Command(
        "settings",
        "See or change how I behave here",
        (
            Argument("name", "What to change", choices=SETTING_NAMES),
            Argument("value", "The new value; reset for the default"),
        ),
    ),
)

COMMAND_NAMES: frozenset[str] = frozenset(command.name for command in COMMANDS)
