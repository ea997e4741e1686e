"""Registration of the bot's commands, by scope and language."""

import re

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.client import ClientBackend
from bots.sandbox.telegram.errors import bad_request

COMMAND_NAME = re.compile(r"[a-z0-9_]{1,32}")
LANGUAGE_CODE = re.compile(r"[a-z]{2}")
MAX_COMMANDS = 100
MAX_DESCRIPTION_CHARS = 256
SCOPES = frozenset({"default", "all_private_chats", "all_group_chats", "all_chat_administrators"})
"""Those of single chats are unknown here."""


class CommandRegistry:
    def __init__(self) -> None:
        self.commands_by_scope: dict[tuple[str, str], list[Json]] = {}

    def set(self, _backend: ClientBackend, params: Json) -> bool:
        key = _scope_key(params)
        definitions = params.get("commands") or []
        if not isinstance(definitions, list):
            raise bad_request("expected an Array of BotCommand")
        if len(definitions) > MAX_COMMANDS:
            raise bad_request("BOT_COMMANDS_TOO_MUCH")
        commands = []
        for command in definitions:
            if not isinstance(command, dict):
                raise bad_request("can't parse BotCommand: expected an Object")
            name, description = command.get("command"), command.get("description")
            for field, value in (("command", name), ("description", description)):
                if not isinstance(value, str):
                    raise bad_request(f'can\'t parse BotCommand: Field "{field}" must be of type String')
            name, description = str(name).removeprefix("/"), str(description)
            if not COMMAND_NAME.fullmatch(name):
                raise bad_request("BOT_COMMAND_INVALID")
            if not 1 <= len(description.strip()) <= MAX_DESCRIPTION_CHARS:
                raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
            commands.append({"command": name, "description": description})
        self.commands_by_scope[key] = commands
        return True

    def get(self, _backend: ClientBackend, params: Json) -> list[Json]:
        return self.commands_by_scope.get(_scope_key(params), [])


def _scope_key(params: Json) -> tuple[str, str]:
    scope = params.get("scope") or {"type": "default"}
    language = str(params.get("language_code") or "")
    if not isinstance(scope, dict):
        raise bad_request("can't parse BotCommandScope: BotCommandScope must be an Object")
    scope_type = scope.get("type")
    if scope_type not in SCOPES:
        raise bad_request("can't parse BotCommandScope: Unsupported type specified")
    if language and not LANGUAGE_CODE.fullmatch(language):
        raise bad_request("invalid language code specified")
    return str(scope_type), language
