"""The commands, declared once: every adapter offers them in its platform's form, /help explains them.

A new command is declared here and gets a handler in `core.commands.handlers`.
"""

import difflib
from dataclasses import dataclass, replace
from enum import StrEnum

from core.conversation.preferences import OFF, ON
from core.i18n.translation import LANGUAGES, gettext_noop
from core.store.preferences import PreferenceName

RESET = "reset"
"""In place of a value: go back to the default."""
REMOVE = "remove"
AUTOMATIC_LANGUAGE = "auto"
SETTING_NAMES = (
    PreferenceName.TEMPERATURE,
    PreferenceName.ANSWER_LENGTH,
    PreferenceName.REASONING_EFFORT,
    PreferenceName.SHOW_REASONING,
    PreferenceName.SHARED_CONVERSATION,
)
MAX_PLACEHOLDER_CHOICES = 7


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
    choice_labels: tuple[str, ...] = ()
    """How a platform's list of choices shows them; () if they speak for themselves."""
    rich_choices: tuple[str, ...] = ()
    """In place of `choices`, where the platform has rich messages."""
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
    """What a person may type; translated if it has a text of theirs."""
    needs_threads: bool = False
    """Only for platforms where the bot can create threads."""
    ephemeral: bool = True
    """Only the person who asked sees the reply, where the platform can do that. Changes for others are announced."""
    ephemeral_without_question: bool = False
    """The same for a command that is `ephemeral` only if it asks the model nothing."""
    is_for_private_chats: bool = False
    """Left out of the menus of groups, on platforms that have such menus."""

    @property
    def usage(self) -> str:
        """The placeholders of all arguments, of which one stands for all files."""
        files = [argument for argument in self.arguments if argument.is_file]
        return " ".join(argument.placeholder for argument in self.arguments if argument not in files[1:])

    def with_rich_choices(self) -> "Command":
        """As it is where the platform has rich messages."""
        choices = (replace(argument, choices=argument.rich_choices or argument.choices) for argument in self.arguments)
        return replace(self, arguments=tuple(choices))


def find_command(name: str) -> Command | None:
    return next((command for command in COMMANDS if command.name == name), None)


def is_ephemeral(command: Command | None, *, has_question: bool) -> bool:
    """Whether only the person who used the command sees the replies, where the platform can do that.

    `command`: None for one that is not declared. `has_question`: it came with a text or a file.
    """
    return command is None or command.ephemeral or (command.ephemeral_without_question and not has_question)


def closest_command(name: str) -> str | None:
    """The command that was probably meant."""
    return next(iter(difflib.get_close_matches(name.casefold(), [command.name for command in COMMANDS], n=1)), None)


_FILE = Argument("file", gettext_noop("A file the question is about"), is_file=True)
_START = Command(
    "start",
    gettext_noop("Say hello"),
    (Argument("code", gettext_noop("A pairing code, if you were given one")),),
    details=gettext_noop("Whoever sends the pairing code in a private chat becomes an operator of this bot."),
    is_for_private_chats=True,
)
_OTHERS = (
    Command(
        "ask",
        gettext_noop("Ask the model"),
        (
            Argument("prompt", gettext_noop("Your question"), is_required=True),
            _FILE,
            Argument("file2", gettext_noop("Another file"), is_file=True),
            Argument("file3", gettext_noop("Another file"), is_file=True),
        ),
        details=gettext_noop(
            "In a private chat a message without a command does the same. In a group you can also reply to me or "
            "mention me."
        ),
        example=gettext_noop("/ask Why is the sky blue?"),
        ephemeral=False,
    ),
    Command(
        "model",
        gettext_noop("Show or change the model"),
        (
            Argument("name", gettext_noop("A model's name, or part of it"), autocompletes_models=True),
            Argument(
                "scope",
                gettext_noop("Where to use it: here, in all your chats, or on the server"),
                choices=tuple(ScopeName),
            ),
        ),
        details=gettext_noop(
            "Without a name it shows the current model and a menu. `me` means all your chats, `chat` everyone in "
            "this chat, `server` everyone on the server. `here`, the default, means this chat or thread: for everyone "
            "in it if you manage it, otherwise only for your own messages. `/model reset`, with or without one of "
            "these words, removes the choice made there."
        ),
        example="/model llama-3.3 me",
    ),
    Command(
        "models",
        gettext_noop("List all models"),
        (Argument("search", gettext_noop("Part of a name")),),
        details=gettext_noop(
            "Shows each model's context window, its features and the tokens left of today's quota. `/models reasons` "
            "lists those that reason, `/models vision` those that see pictures, `/models 128k` those with at least "
            "that large a context window."
        ),
        example="/models llama 128k",
    ),
    Command(
        "compare",
        gettext_noop("Ask two models the same question"),
        (
            Argument("first", gettext_noop("A model's name"), is_required=True, autocompletes_models=True),
            Argument("second", gettext_noop("Another model's name"), is_required=True, autocompletes_models=True),
            Argument("question", gettext_noop("Your question; without it, your last one")),
            _FILE,
        ),
        details=gettext_noop(
            "Both answers are written side by side. The button under each one chooses its model for this chat."
        ),
        example=gettext_noop("/compare phi-4 llama-3.3 Why is the sky blue?"),
        ephemeral=False,
    ),
    Command(
        "new",
        gettext_noop("Start a new conversation"),
        (Argument("question", gettext_noop("Your first question")), _FILE),
        details=gettext_noop(
            "The model no longer sees earlier messages. Notes, files and settings stay. With a question, the new "
            "conversation begins with it."
        ),
        example=gettext_noop("/new Why is the sky blue?"),
        ephemeral=False,
        ephemeral_without_question=True,
    ),
    Command(
        "thread",
        gettext_noop("Create a thread for a long conversation"),
        (Argument("title", gettext_noop("The thread's title; without it, your last question")),),
        details=gettext_noop(
            "The thread has its own conversation. The model and the settings are those of the channel."
        ),
        example=gettext_noop("/thread Our trip to Lisbon"),
        needs_threads=True,
    ),
    Command(
        "stop",
        gettext_noop("Stop the current answer"),
        details=gettext_noop("Your messages that wait for an answer are dropped."),
    ),
    Command(
        "retry",
        gettext_noop("Answer your last message again"),
        details=gettext_noop(
            "The earlier answer stays: buttons under the new one show it again. The model sees the one that is shown."
        ),
        ephemeral=False,
    ),
    Command(
        "system",
        gettext_noop("Show or set the model's instructions"),
        (Argument("text", gettext_noop("The instructions, or reset")),),
        details=gettext_noop(
            "The instructions apply to this chat; in a group, only to your own messages unless you manage it. "
            "`/system reset` goes back to the default."
        ),
        example=gettext_noop("/system Answer in one sentence."),
    ),
    Command(
        "persona",
        gettext_noop("List or choose a persona"),
        (Argument("name", gettext_noop("A persona's name, or reset")),),
        details=gettext_noop(
            "A persona is a set of instructions that the operator prepared. It replaces those of /system."
        ),
        example="/persona teacher",
    ),
    Command(
        "context",
        gettext_noop("Show what fills the model's context window"),
        details=gettext_noop("A model sees only as many tokens of a conversation as its context window holds."),
    ),
    Command(
        "remember",
        gettext_noop("Store a note"),
        (Argument("text", gettext_noop("What to remember"), is_required=True),),
        details=gettext_noop("The model sees the note whenever it is relevant to a question in this conversation."),
        example=gettext_noop("/remember My bicycle is green."),
    ),
    Command(
        "memory",
        gettext_noop("Show, delete or turn off what I remember"),
        (
            Argument(
                "action",
                gettext_noop("on also recalls past messages, off recalls nothing"),
                choices=tuple(MemoryAction),
            ),
            Argument("number", gettext_noop("The note or file to delete")),
        ),
        details=gettext_noop(
            "I remember notes and files of this conversation, and with `/memory on` past messages too."
        ),
        example="/memory delete 3",
    ),
    Command(
        "export",
        gettext_noop("Send this conversation as files"),
        details=gettext_noop("One file is for reading, the other one for /import."),
    ),
    Command(
        "import",
        gettext_noop("Continue an exported conversation"),
        (Argument("file", gettext_noop("The file from /export"), is_file=True),),
        details=gettext_noop(
            "Send the file with this command, or reply to it. I ask before I replace this conversation."
        ),
    ),
    Command(
        "usage",
        gettext_noop("Show the tokens used today"),
        details=gettext_noop("Shows them for each model, with what is left of its quota."),
    ),
    Command(
        "key",
        gettext_noop("Use your own API key"),
        (Argument("key", gettext_noop("Your key, or remove")),),
        details=gettext_noop(
            "Your questions then use your own IO Intelligence key and its quota. Send it only in a private chat. "
            "`/key remove` deletes it."
        ),
        example="/key remove",
        is_for_private_chats=True,
    ),
    Command(
        "settings",
        gettext_noop("Show or change how the model answers here"),
        (
            Argument(
                "name",
                gettext_noop("The setting"),
                choices=(*SETTING_NAMES, RESET),
                rich_choices=(*SETTING_NAMES, PreferenceName.RICH_MESSAGES, RESET),
            ),
            Argument("value", gettext_noop("The new value, or reset")),
        ),
        details=gettext_noop(
            "`temperature` sets how varied answers are, `length` their maximum length in tokens, `effort` how much "
            "the model reasons, `reasoning` whether a button shows its reasoning, and `share` whether everyone in a "
            "group shares one conversation. Where there are rich messages, with tables and formulas, `rich` sets when "
            "answers use them. `/settings reset` goes back to the defaults, except for `share`."
        ),
        example="/settings temperature 0.2",
    ),
    Command(
        "privacy",
        gettext_noop("Show what I store about you, export or delete it"),
        details=gettext_noop("The buttons to export and to delete your data appear in a private chat with me."),
        is_for_private_chats=True,
    ),
)
_LANGUAGE = Command(
    "language",
    gettext_noop("Choose my language"),
    (
        Argument(
            "name",
            gettext_noop("A language, or auto for your app's language"),
            choices=(AUTOMATIC_LANGUAGE, *LANGUAGES),
            choice_labels=(AUTOMATIC_LANGUAGE, *LANGUAGES.values()),
        ),
    ),
    details=gettext_noop(
        "It is the language of my own messages to you, in all your chats. The model answers in the language of your "
        "question. `/language auto` goes back to the language of your app."
    ),
    example="/language English",
)
_HELP = Command(
    "help",
    gettext_noop("Show all commands, or explain one"),
    (
        Argument(
            "command",
            gettext_noop("The command to explain"),
            choices=("start", "help", *(other.name for other in _OTHERS), "language"),
        ),
    ),
    example="/help model",
)

COMMANDS: tuple[Command, ...] = (_START, _HELP, *_OTHERS, _LANGUAGE)
