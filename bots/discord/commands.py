"""Translates the core's commands to Discord's application commands, registers them, and reads their arguments."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import discord
import msgspec
import structlog

from bots.discord.errors import PERMANENT_FAILURES
from bots.discord.http_client import HttpClient, Json
from bots.discord.localised_names import CHOICE_NAMES, COMMAND_NAMES, MAX_NAME_CHARS, OPTION_NAMES, to_name
from bots.discord.timings import DiscordTimings
from core.backoff import Backoff
from core.commands.declarations import Argument, Command
from core.errors import DeliveryError, StoreError
from core.i18n.translation import catalogues_digest, gettext_noop, read_translations
from core.port import StateStore

MAX_OPTION_CHARS = 6000
MAX_DESCRIPTION_CHARS = 100
MAX_MESSAGE_COMMAND_CHARS = 32
MAX_CHOICE_CHARS = 100
ALL_CONTEXTS = [0, 1, 2]
"""Servers, direct messages with the bot, other private channels."""
SERVER_CONTEXTS = [0]
ALL_INTEGRATION_TYPES = [0, 1]
"""Installed to a server, installed to a user."""

ASK_ABOUT_MESSAGE = gettext_noop("Ask about this message")
CONTINUE_FROM_HERE = gettext_noop("Continue from here")
MESSAGE_COMMANDS = (ASK_ABOUT_MESSAGE, CONTINUE_FROM_HERE)
"""The names of the commands in the context menu of messages."""

PRIVATE_OPTION = "private"
PRIVATE_QUESTION = gettext_noop("Only you see the question and the answer")
PRIVATE_CONVERSATION = gettext_noop("For your private questions in this channel")
PRIVATE_DESCRIPTIONS: Mapping[str, str] = {
    **dict.fromkeys(("ask", "compare", "new", "retry"), PRIVATE_QUESTION),
    **dict.fromkeys(("stop", "context", "remember", "memory", "export", "import"), PRIVATE_CONVERSATION),
}
"""By command, for those that concern one conversation: the option by which it is the one that only the person sees. A
model, settings and instructions hold for it, too, and need no option."""

LOCALES: Mapping[str, tuple[str, ...]] = {
    "de": ("de",),
    "es": ("es-ES", "es-419"),
    "pt": ("pt-BR",),
    "ru": ("ru",),
    "uk": ("uk",),
    "ja": ("ja",),
    "zh": ("zh-CN", "zh-TW"),
}
"""By the bot's language, Discord's locales whose clients use it."""

log = structlog.get_logger(__name__)

Translations = Mapping[str, Mapping[str, str]]
"""By language, and by English text."""
OnCommandIds = Callable[[Mapping[str, str]], object]
"""Gets the IDs of the slash commands, by name, whenever they become known or change."""


@dataclass(frozen=True, slots=True)
class FocusedArgument:
    """The argument that a person is typing, and its text so far."""

    argument: Argument
    text: str


def commands_payload(commands: Sequence[Command], translations: Translations) -> list[Json]:
    """The body of `PUT /applications/{id}/commands`. Clients show all names in their own language."""
    slash_commands: list[Json] = [
        {
            "type": discord.AppCommandType.chat_input.value,
            "name": command.name,
            "name_localizations": _command_names(command.name, translations),
            **_description(command.description, translations),
            "contexts": SERVER_CONTEXTS if command.needs_threads else ALL_CONTEXTS,
            "integration_types": ALL_INTEGRATION_TYPES,
            # Discord demands that required options come first.
            "options": [
                _option(argument, translations)
                for argument in sorted(command.arguments, key=lambda argument: not argument.is_required)
            ]
            + _private_options(command, translations),
        }
        for command in commands
    ]
    message_commands: list[Json] = [
        {
            "type": discord.AppCommandType.message.value,
            "name": name,
            "name_localizations": _localizations(name, MAX_MESSAGE_COMMAND_CHARS, translations),
            "contexts": ALL_CONTEXTS,
            "integration_types": ALL_INTEGRATION_TYPES,
        }
        for name in MESSAGE_COMMANDS
    ]
    return slash_commands + message_commands


def commands_digest(commands: Sequence[Command]) -> str:
    """Changes when the payload does."""
    payload = msgspec.json.encode(commands_payload(commands, {}), order="sorted")
    return hashlib.sha256(payload + catalogues_digest().encode()).hexdigest()


def join_arguments(command: Command | None, options: Sequence[Mapping[str, Any]]) -> str:
    """The values of the options in the order of declaration, joined by spaces.

    Where several are models, each is one word: "llama 3.3" and "phi 4" become "llama-3.3 phi-4", which name the same.
    `command` is None if it is no longer declared but a client still offers it.
    """
    values = {str(option.get("name")): str(option.get("value", "")) for option in options}
    if command is None:
        return " ".join(filter(None, values.values())).strip()
    models = [argument.name for argument in command.arguments if argument.autocompletes_models]
    if len(models) > 1:
        values |= {name: "-".join(values.get(name, "").split()) for name in models}
    names = [argument.name for argument in command.arguments if not argument.is_file]
    return " ".join(values[name] for name in names if values.get(name)).strip()


def focused_argument(command: Command | None, options: Sequence[Mapping[str, Any]]) -> FocusedArgument | None:
    for option in options:
        if not option.get("focused"):
            continue
        for argument in command.arguments if command else ():
            if argument.name == option.get("name"):
                return FocusedArgument(argument, str(option.get("value", "")))
    return None


def _read_translations(commands: Sequence[Command]) -> Translations:
    arguments = [argument for command in commands for argument in command.arguments]
    return read_translations(
        {command.description for command in commands}
        | {argument.description for argument in arguments}
        | {*MESSAGE_COMMANDS, *COMMAND_NAMES, *OPTION_NAMES, *CHOICE_NAMES, *PRIVATE_DESCRIPTIONS.values()}
    )


def _description(text: str, translations: Translations) -> dict[str, object]:
    localizations = _localizations(text, MAX_DESCRIPTION_CHARS, translations)
    return {"description": text[:MAX_DESCRIPTION_CHARS], "description_localizations": localizations}


def _localizations(text: str, max_chars: int, translations: Translations) -> dict[str, str]:
    return {
        locale: translated[text][:max_chars]
        for language, translated in translations.items()
        if text in translated
        for locale in LOCALES[language]
    }


def _option(argument: Argument, translations: Translations) -> dict[str, object]:
    types = discord.AppCommandOptionType
    option: dict[str, object] = {
        "type": (types.attachment if argument.is_file else types.string).value,
        **_option_name(argument.name, translations),
        **_description(argument.description, translations),
        "required": argument.is_required,
    }
    if argument.is_file:
        return option
    if argument.choices:
        labels = argument.choice_labels or argument.choices
        option["choices"] = [
            {"name": label, "value": choice, "name_localizations": _choice_names(label, translations)}
            for label, choice in zip(labels, argument.choices, strict=True)
        ]
        return option
    option["max_length"] = MAX_OPTION_CHARS
    if argument.autocompletes_models:
        option["autocomplete"] = True
    return option


def _private_options(command: Command, translations: Translations) -> list[Json]:
    if command.name not in PRIVATE_DESCRIPTIONS:
        return []
    description = _description(PRIVATE_DESCRIPTIONS[command.name], translations)
    return [
        {
            "type": discord.AppCommandOptionType.boolean.value,
            **_option_name(PRIVATE_OPTION, translations),
            **description,
        }
    ]


def _command_names(name: str, translations: Translations) -> dict[str, str]:
    names = _localizations(f"/{name}", MAX_NAME_CHARS + 1, translations)
    return {locale: to_name(text.removeprefix("/")) for locale, text in names.items()}


def _option_name(name: str, translations: Translations) -> dict[str, object]:
    names = _localizations(name, MAX_NAME_CHARS, translations)
    return {"name": name, "name_localizations": {locale: to_name(text) for locale, text in names.items()}}


def _choice_names(label: str, translations: Translations) -> dict[str, str]:
    if f"/{label}" in COMMAND_NAMES:
        return _command_names(label, translations)
    return _localizations(label, MAX_CHOICE_CHARS, translations) if label in CHOICE_NAMES else {}


class _Registration(msgspec.Struct, frozen=True):
    """What is stored about the commands that Discord has."""

    digest: str
    ids: dict[str, str]
    """The IDs of the slash commands, by name."""


class CommandSync:
    """Overwrites all commands if their digest differs from the stored one, and passes their IDs to `on_ids`.

    Runs independently of the connection, so that the bot can chat even if this fails. A process that never logs in,
    because others serve all shards, gets the IDs from the database.
    """

    def __init__(
        self,
        http: HttpClient,
        state: StateStore,
        account: str,
        commands: Sequence[Command],
        timings: DiscordTimings,
        on_ids: OnCommandIds,
    ) -> None:
        self._http = http
        self._state = state
        self._state_name = f"discord.commands.{account}"
        self._commands = commands
        self._on_ids = on_ids
        self._timings = timings
        self._digest: str | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._is_registering = False

    def start(self) -> None:
        """Wait in the background until Discord has the current commands, for their IDs, or until `register`."""
        self._run(self._load_ids, self._timings.max_command_poll_interval)

    def register(self, application_id: str) -> None:
        """Start in the background; further calls have no effect."""
        if self._is_registering:
            return
        self._is_registering = True
        for loading in self._tasks:
            loading.cancel()  # registering loads the IDs, too
        self._run(partial(self._register, application_id), self._timings.max_retry_delay)

    async def stop(self) -> None:
        self._is_registering = False
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _run(self, attempt: Callable[[], Awaitable[bool]], max_delay: float) -> None:
        backoff = Backoff(self._timings.first_retry_delay, max_delay)
        self._tasks.append(asyncio.create_task(self._retry(attempt, backoff)))

    async def _retry(self, attempt: Callable[[], Awaitable[bool]], backoff: Backoff) -> None:
        """Repeat `attempt` until it returns True, or if Discord refuses it for good."""
        while True:
            retry_after: float | None = None
            try:
                if await attempt():
                    return
            except DeliveryError as error:
                log.warning("discord.commands_not_synced", failure=error.failure)
                if error.failure in PERMANENT_FAILURES:
                    return
                retry_after = error.retry_after
            except StoreError:
                log.warning("discord.commands_not_synced", failure="store")
            await self._timings.clock.sleep(retry_after or backoff.next_delay())

    async def _load_ids(self) -> bool:
        """Returns whether the stored IDs are those of the current commands."""
        stored = _read_registration(await self._state.load_state(self._state_name))
        if stored is None:
            return False
        self._on_ids(stored.ids)  # before an update, too: the ID belongs to the name
        return stored.digest == await self._current_digest()

    async def _register(self, application_id: str) -> bool:
        if await self._load_ids():
            return True
        translations = await asyncio.to_thread(_read_translations, self._commands)
        payload = commands_payload(self._commands, translations)
        commands = await self._http.put_list(f"/applications/{application_id}/commands", payload)
        registration = _Registration(await self._current_digest(), _command_ids(commands))
        self._on_ids(registration.ids)
        await self._state.save_state(self._state_name, msgspec.json.encode(registration).decode())
        log.info("discord.commands_synced", commands=len(payload))
        return True

    async def _current_digest(self) -> str:
        if self._digest is None:
            self._digest = await asyncio.to_thread(commands_digest, self._commands)
        return self._digest


def _read_registration(state: str | None) -> _Registration | None:
    """None if there is none, or if an earlier version has stored only the digest."""
    try:
        return msgspec.json.decode(state or "", type=_Registration)
    except msgspec.DecodeError:
        return None


def _command_ids(commands: Sequence[Json]) -> dict[str, str]:
    """By name, the IDs of the slash commands that Discord has registered."""
    slash = discord.AppCommandType.chat_input.value
    return {str(command["name"]): str(command["id"]) for command in commands if command.get("type") == slash}
