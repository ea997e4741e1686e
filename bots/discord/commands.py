"""The core's commands in Discord's form."""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from core.commands.declared import Argument, Command

__all__ = ["argument_text", "digest", "focused", "payload"]

STRING, ATTACHMENT = 3, 11
"""Types of options."""
LONGEST = 6000
"""Characters Discord allows in a string option."""
EVERYWHERE = [0, 1, 2]
"""Servers, direct messages with the bot, other private channels."""
INSTALLS = [0, 1]
"""Installed to a server, installed to a person."""


def payload(commands: Sequence[Command]) -> list[dict[str, object]]:
    """The whole set for `PUT /applications/{id}/commands`."""
    return [
        {
            "type": 1,
            "name": command.name,
            "description": command.summary[:100],
            "contexts": EVERYWHERE,
            "integration_types": INSTALLS,
            # Discord wants what is required first.
            "options": [
                _option(argument)
                for argument in sorted(command.arguments, key=lambda one: not one.required)
            ],
        }
        for command in commands
    ]


def digest(commands: Sequence[dict[str, object]]) -> str:
    return hashlib.sha256(msgspec.json.encode(commands, order="sorted")).hexdigest()


def argument_text(command: Command | None, options: Sequence[Mapping[str, object]]) -> str:
    """A command's argument: what was given, in declared order, joined by spaces.

    `command` None: it is not declared any more, yet somebody's client still offers it.
    """
    given = {str(option.get("name")): str(option.get("value", "")) for option in options}
    names = [a.name for a in command.arguments if not a.file] if command else list(given)
    return " ".join(given[name] for name in names if given.get(name)).strip()


def focused(
    command: Command | None, options: Sequence[Mapping[str, object]]
) -> tuple[Argument, str] | None:
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
        "type": ATTACHMENT if argument.file else STRING,
        "name": argument.name,
        "description": argument.summary[:100],
        "required": argument.required,
    }
    if argument.file:
        return option
    if argument.choices:
        option["choices"] = [{"name": choice, "value": choice} for choice in argument.choices]
        return option
    option["max_length"] = LONGEST
    if argument.suggests:
        option["autocomplete"] = True
    return option
