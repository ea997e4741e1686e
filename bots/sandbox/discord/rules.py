"""What Discord refuses, with its codes."""

import re
from typing import Any

from bots.sandbox.discord.world import Json

__all__ = ["Refusal", "check_commands", "check_message", "unknown"]

LONGEST_CONTENT = 2000
LONGEST_NONCE = 25
SUSPECT = re.compile(r"^[-_\w]{1,32}$")


class Refusal(Exception):  # noqa: N818 (an answer, not an error)
    def __init__(self, status: int, code: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"code": code, "message": message, **more}


UNKNOWN = {
    "channel": (10003, "Unknown Channel"),
    "message": (10008, "Unknown Message"),
    "webhook": (10015, "Unknown Webhook"),
    "interaction": (10062, "Unknown interaction"),
    "guild": (10004, "Unknown Guild"),
}


def unknown(what: str) -> Refusal:
    code, said = UNKNOWN[what]
    return Refusal(404, code, said)


def invalid(where: str, code: str, said: str) -> Refusal:
    errors: Json = {"_errors": [{"code": code, "message": said}]}
    for name in reversed(where.split(".")):
        errors = {name: errors}
    return Refusal(400, 50035, "Invalid Form Body", errors=errors)


def check_message(body: Json, *, new: bool, loading: bool = False) -> None:
    """A message's body, as sent by a bot."""
    content = body.get("content")
    if content is not None and len(content) > LONGEST_CONTENT:
        said = f"Must be {LONGEST_CONTENT} or fewer in length."
        raise invalid("content", "BASE_TYPE_MAX_LENGTH", said)
    if new and not loading and not any(body.get(k) for k in ("content", "embeds", "attachments")):
        raise Refusal(400, 50006, "Cannot send an empty message")
    nonce = body.get("nonce")
    if nonce is not None and len(str(nonce)) > LONGEST_NONCE:
        raise invalid("nonce", "NONCE_TYPE_TOO_LONG", "Nonce must be 25 or fewer in length.")
    allowed = body.get("allowed_mentions") or {}
    for kind in ("users", "roles"):
        if kind in (allowed.get("parse") or ()) and allowed.get(kind):
            said = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            raise invalid("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", said)
    check_components(body.get("components") or [])


def check_components(rows: list[Json]) -> None:
    if len(rows) > 5:
        raise invalid("components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    seen: set[str] = set()
    for number, row in enumerate(rows):
        items = row.get("components") or []
        where = f"components.{number}.components"
        menus = [item for item in items if item.get("type") == 3]
        if row.get("type") != 1 or not 1 <= len(items) <= 5 or (menus and len(items) > 1):
            raise invalid(where, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
        for item in items:
            custom = str(item.get("custom_id", ""))
            if item.get("style") != 5 and (not 1 <= len(custom) <= 100 or custom in seen):
                raise invalid(where, "COMPONENT_CUSTOM_ID_DUPLICATED", "Custom id is wrong.")
            seen.add(custom)
            if len(str(item.get("label", ""))) > 80:
                raise invalid(where, "BASE_TYPE_MAX_LENGTH", "Must be 80 or fewer in length.")
            options = item.get("options") or []
            if item.get("type") == 3 and not 1 <= len(options) <= 25:
                raise invalid(where, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 25 in length.")
            for option in options:
                if not all(1 <= len(str(option.get(k, ""))) <= 100 for k in ("label", "value")):
                    raise invalid(where, "BASE_TYPE_BAD_LENGTH", "Must be 1 to 100 in length.")
            values = [option.get("value") for option in options]
            if len(values) != len(set(values)):
                raise invalid(where, "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "Duplicate.")


def check_commands(commands: Any) -> None:
    if not isinstance(commands, list) or len(commands) > 110:
        raise Refusal(400, 30032, "Maximum number of application commands reached (100).")
    names = [(command.get("type", 1), command.get("name")) for command in commands]
    if len(set(names)) != len(names):
        raise invalid("0", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Command names must be unique.")
    for number, command in enumerate(commands):
        if command.get("type", 1) == 1:
            _check_named(command, f"{number}")
            options = command.get("options") or []
            if len(options) > 25:
                raise invalid(f"{number}.options", "BASE_TYPE_BAD_LENGTH", "At most 25.")
            optional = False
            for index, option in enumerate(options):
                where = f"{number}.options.{index}"
                _check_named(option, where)
                if option.get("required") and optional:
                    said = "Required options must be placed before non-required options"
                    raise invalid(where, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", said)
                optional = optional or not option.get("required")
                if len(option.get("choices") or []) > 25:
                    raise invalid(f"{where}.choices", "BASE_TYPE_BAD_LENGTH", "At most 25.")


def _check_named(thing: Json, where: str) -> None:
    name = str(thing.get("name", ""))
    if not SUSPECT.fullmatch(name) or name != name.lower():
        raise invalid(f"{where}.name", "APPLICATION_COMMAND_INVALID_NAME", "Name is invalid")
    if not 1 <= len(str(thing.get("description", ""))) <= 100:
        raise invalid(f"{where}.description", "BASE_TYPE_BAD_LENGTH", "Must be 1 to 100 in length.")
