"""Translates the core's commands to Discord's application commands, and their options to arguments."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord
import msgspec

from core.commands.declarations import Argument, Command

MAX_OPTION_CHARS = 6000
MAX_DESCRIPTION_CHARS = 100
ALL_CONTEXTS = [0, 1, 2]
"""Servers, direct messages with the bot, other private channels."""
ALL_INTEGRATION_TYPES = [0, 1]
"""Installed to a server, installed to a user."""


@dataclass(frozen=True, slots=True)
class FocusedArgument:
    """The argument that a person is typing, and its text so far."""

    argument: Argument
    text: str


def commands_payload(commands: Sequence[Command]) -> list[dict[str, object]]:
    """The body of `PUT /applications/{id}/commands`."""
    return [
        {
            "type": discord.AppCommandType.chat_input.value,
            "name": command.name,
            "description": command.description[:MAX_DESCRIPTION_CHARS],
            "contexts": ALL_CONTEXTS,
            "integration_types": ALL_INTEGRATION_TYPES,
            # Discord demands that required options come first.
            "options": [
                _option(argument)
                for argument in sorted(command.arguments, key=lambda argument: not argument.is_required)
            ],
        }
        for command in commands
    ]


def commands_digest(payload: Sequence[dict[str, object]]) -> str:
    return hashlib.sha256(msgspec.json.encode(payload, order="sorted")).hexdigest()


def join_arguments(command: Command | None, options: Sequence[Mapping[str, Any]]) -> str:
    """The values of the options in the order of declaration, joined by spaces.

    `command` is None if it is no longer declared but a client still offers it.
    """
    values = {str(option.get("name")): str(option.get("value", "")) for option in options}
    names = [argument.name for argument in command.arguments if not argument.is_file] if command else list(values)
    return " ".join(values[name] for name in names if values.get(name)).strip()


def focused_argument(command: Command | None, options: Sequence[Mapping[str, Any]]) -> FocusedArgument | None:
    for option in options:
        if not option.get("focused"):
            continue
        for argument in command.arguments if command else ():
            if argument.name == option.get("name"):
                return FocusedArgument(argument, str(option.get("value", "")))
    return None


def _option(argument: Argument) -> dict[str, object]:
    types = discord.AppCommandOptionType
    option: dict[str, object] = {
        "type": (types.attachment if argument.is_file else types.string).value,
        "name": argument.name,
        "description": argument.description[:MAX_DESCRIPTION_CHARS],
        "required": argument.is_required,
    }
    if argument.is_file:
        return option
    if argument.choices:
        option["choices"] = [{"name": choice, "value": choice} for choice in argument.choices]
        return option
    option["max_length"] = MAX_OPTION_CHARS
    if argument.autocompletes_models:
        option["autocomplete"] = True
    return option
