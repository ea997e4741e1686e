"""The core's commands in Discord's form."""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from core.commands.declarations import Argument, Command

__all__ = ["commands_digest", "commands_payload", "focused_argument", "join_arguments"]

STRING_OPTION, ATTACHMENT_OPTION = 3, 11
"""Types of options."""
MAX_OPTION_CHARS = 6000
"""Characters Discord allows in a string option."""
ALL_CONTEXTS = [0, 1, 2]
"""Servers, direct messages with the bot, other private channels."""
ALL_INTEGRATION_TYPES = [0, 1]
"""Installed to a server, installed to a person."""


def commands_payload(commands: Sequence[Command]) -> list[dict[str, object]]:
    """The whole set for `PUT /applications/{id}/commands`."""
    return [
        {
            "type": 1,
            "name": command.name,
            "description": command.description[:100],
            "contexts": ALL_CONTEXTS,
            "integration_types": ALL_INTEGRATION_TYPES,
            # Discord wants what is required first.
            "options": [
                _option(argument) for argument in sorted(command.arguments, key=lambda one: not one.is_required)
            ],
        }
        for command in commands
    ]


def commands_digest(commands: Sequence[dict[str, object]]) -> str:
    return hashlib.sha256(msgspec.json.encode(commands, order="sorted")).hexdigest()


def join_arguments(command: Command | None, options: Sequence[Mapping[str, object]]) -> str:
    """A command's argument: what was given, in declared order, joined by spaces.

    `command` None: it is not declared any more, yet somebody's client still offers it.
    """
    values = {str(option.get("name")): str(option.get("value", "")) for option in options}
    names = [a.name for a in command.arguments if not a.is_file] if command else list(values)
    return " ".join(values[name] for name in names if values.get(name)).strip()


def focused_argument(command: Command | None, options: Sequence[Mapping[str, object]]) -> tuple[Argument, str] | None:
    """The argument being typed, and what is there of it."""
    for option in options:
        if not option.get("focused"):
            continue
        for argument in command.arguments if command else ():
            if argument.name == option.get("name"):
                return argument, str(option.get("value", ""))
    return None


def _option(argument: Argument) -> dict[str, object]:
    option: dict[str, object] = {
        "type": ATTACHMENT_OPTION if argument.is_file else STRING_OPTION,
        "name": argument.name,
        "description": argument.description[:100],
        "required": argument.is_required,
    }
    if argument.is_file:
        return option
    if argument.choices:
        option["choices"] = [{"name": choice, "value": choice} for choice in argument.choices]
        return option
    option["max_length"] = MAX_OPTION_CHARS
    if argument.autocomplete:
        option["autocomplete"] = True
    return option
