"""What Discord refuses, with its codes."""

import re
from typing import Any

from bots.sandbox.discord.world import Json

__all__ = [
    "Refusal", "check_choices", "check_commands", "check_files", "check_message", "check_modal",
    "embedded", "fields_of", "invalid", "unknown",
]  # fmt: skip

LONGEST_CONTENT = 2000
LONGEST_NONCE = 25
MOST_COMMANDS = {1: 100, 2: 15, 3: 15}  # slash commands, on users, on messages
LONGEST_COMMAND = 8000  # names, descriptions and choices together
MENTIONS = ("users", "roles", "everyone")
MOST_EMBEDS = 10
LONGEST_EMBEDS = 6000  # all texts of a message's embeds together
LARGEST_FILE = 10 * 1024 * 1024  # bytes
MOST_FILES = 10
NAMED = re.compile(r"[-_\w]{1,32}")


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
    "user": (10013, "Unknown User"),
    "guild": (10004, "Unknown Guild"),
    "member": (10007, "Unknown Member"),
    "command": (10063, "Unknown application command"),
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
    if content is not None and not isinstance(content, str):
        raise invalid("content", "STRING_TYPE_CONVERT", "Could not interpret as string.")
    if content is not None and len(content) > LONGEST_CONTENT:
        said = f"Must be {LONGEST_CONTENT} or fewer in length."
        raise invalid("content", "BASE_TYPE_MAX_LENGTH", said)
    shows = (content or "").strip() or any(body.get(key) for key in ("embeds", "attachments"))
    if new and not loading and not shows:
        raise Refusal(400, 50006, "Cannot send an empty message")
    nonce = body.get("nonce")
    if nonce is not None and len(str(nonce)) > LONGEST_NONCE:
        raise invalid("nonce", "NONCE_TYPE_TOO_LONG", "Nonce must be 25 or fewer in length.")
    allowed = body.get("allowed_mentions") or {}
    for kind in ("users", "roles"):
        if kind in (allowed.get("parse") or ()) and allowed.get(kind):
            said = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            raise invalid("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", said)
    wrong = [one for one in allowed.get("parse") or () if one not in MENTIONS]
    if wrong:
        said = f"Value must be one of {MENTIONS}."
        raise invalid("allowed_mentions.parse", "BASE_TYPE_CHOICES", said)
    for kind in ("users", "roles"):
        if len(allowed.get(kind) or ()) > 100:
            said = "Must be 100 or fewer in length."
            raise invalid(f"allowed_mentions.{kind}", "BASE_TYPE_MAX_LENGTH", said)
    check_embeds(body.get("embeds") or [])
    check_components(body.get("components") or [])


def check_embeds(embeds: list[Json]) -> None:
    if len(embeds) > MOST_EMBEDS:
        raise invalid("embeds", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    total = 0
    for number, embed in enumerate(embeds):
        texts = [
            ("title", embed.get("title"), 256),
            ("description", embed.get("description"), 4096),
        ]
        texts.append(("footer.text", (embed.get("footer") or {}).get("text"), 2048))
        texts.append(("author.name", (embed.get("author") or {}).get("name"), 256))
        fields = embed.get("fields") or []
        if len(fields) > 25:
            raise _length(f"embeds.{number}.fields", 0, 25)
        for index, one in enumerate(fields):
            for key, most in (("name", 256), ("value", 1024)):
                if not str(one.get(key) or "").strip():
                    where = f"embeds.{number}.fields.{index}.{key}"
                    raise invalid(where, "BASE_TYPE_REQUIRED", "This field is required")
                texts.append((f"fields.{index}.{key}", one[key], most))
        for where, text, most in texts:
            total += len(text or "")
            if len(text or "") > most:
                said = f"Must be {most} or fewer in length."
                raise invalid(f"embeds.{number}.{where}", "BASE_TYPE_MAX_LENGTH", said)
    if total > LONGEST_EMBEDS:
        said = f"Embed size exceeds maximum size of {LONGEST_EMBEDS}"
        raise invalid("embeds", "MAX_EMBED_SIZE_EXCEEDED", said)


def embedded(embeds: list[Json]) -> list[Json]:
    """Embeds as Discord gives them back."""
    return [
        {
            **embed,
            "type": "rich",
            "fields": [{"inline": False, **one} for one in embed.get("fields") or []],
        }
        for embed in embeds
    ]


def check_modal(modal: Json) -> None:
    """A form: up to five text inputs, each in a row or a label."""
    for key, most in (("title", 45), ("custom_id", 100)):
        if not 1 <= len(str(modal.get(key) or "")) <= most:
            raise _length(f"data.{key}", 1, most)
    if not 1 <= len(modal.get("components") or []) <= 5:
        raise _length("data.components", 1, 5)
    names = [field.get("custom_id") for field in fields_of(modal)]
    if not all(isinstance(name, str) and 1 <= len(name) <= 100 for name in names):
        raise _length("data.components", 1, 100)
    if len(set(names)) != len(names):
        said = "Component custom id cannot be duplicated"
        raise invalid("data.components", "COMPONENT_CUSTOM_ID_DUPLICATED", said)


def fields_of(modal: Json) -> list[Json]:
    """The text inputs of a form."""
    found: list[Json] = []
    for row in modal["components"]:
        found += row.get("components") or [row.get("component") or {}]
    return [field for field in found if field.get("type", 4) == 4]


def check_files(sizes: list[int]) -> None:
    """The sizes of the files sent with a message, in bytes."""
    if len(sizes) > MOST_FILES:
        raise invalid("attachments", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    if any(size > LARGEST_FILE for size in sizes):
        raise Refusal(413, 40005, "Request entity too large")


def check_choices(choices: list[Json]) -> None:
    """What an autocomplete offers."""
    if len(choices) > 25:
        raise _length("data.choices", 0, 25)
    for number, choice in enumerate(choices):
        for key in ("name", "value"):
            if not 1 <= len(str(choice.get(key, ""))) <= 100:
                raise _length(f"data.choices.{number}.{key}", 1, 100)


def _length(where: str, least: int, most: int) -> Refusal:
    said = f"Must be between {least} and {most} in length."
    return invalid(where, "BASE_TYPE_BAD_LENGTH", said)


def check_components(rows: list[Json]) -> None:
    if len(rows) > 5:
        raise _length("components", 1, 5)
    seen: set[str] = set()
    for number, row in enumerate(rows):
        items = row.get("components") or []
        where = f"components.{number}.components"
        menus = [item for item in items if item.get("type") == 3]
        if row.get("type") != 1 or not 1 <= len(items) <= 5 or (menus and len(items) > 1):
            raise _length(where, 1, 5)
        for index, item in enumerate(items):
            _check_component(item, f"{where}.{index}", seen)


def _check_component(item: Json, where: str, seen: set[str]) -> None:
    if item.get("type") not in (2, 3):
        said = 'Value of field "type" must be one of (2, 3).'
        raise invalid(f"{where}.type", "UNION_TYPE_CHOICES", said)
    custom = str(item.get("custom_id", ""))
    if item.get("style") != 5:
        if not 1 <= len(custom) <= 100:
            raise _length(f"{where}.custom_id", 1, 100)
        if custom in seen:
            said = "Component custom id cannot be duplicated"
            raise invalid(f"{where}.custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", said)
        seen.add(custom)
    if len(str(item.get("label") or "")) > 80:
        raise invalid(f"{where}.label", "BASE_TYPE_MAX_LENGTH", "Must be 80 or fewer in length.")
    if item["type"] == 2 and not (item.get("label") or item.get("emoji")):
        raise invalid(where, "BUTTON_COMPONENT_INVALID", "A button needs a label or an emoji")
    if item["type"] == 3:
        _check_options(item, where)


def _check_options(menu: Json, where: str) -> None:
    options = menu.get("options") or []
    if not 1 <= len(options) <= 25:
        raise _length(f"{where}.options", 1, 25)
    if len(str(menu.get("placeholder") or "")) > 150:
        said = "Must be 150 or fewer in length."
        raise invalid(f"{where}.placeholder", "BASE_TYPE_MAX_LENGTH", said)
    for number, option in enumerate(options):
        for key in ("label", "value"):
            if not 1 <= len(str(option.get(key, ""))) <= 100:
                raise _length(f"{where}.options.{number}.{key}", 1, 100)
        if len(str(option.get("description") or "")) > 100:
            raise _length(f"{where}.options.{number}.description", 1, 100)
    values = [option.get("value") for option in options]
    if len(values) != len(set(values)):
        said = "The specified option value is already used"
        raise invalid(f"{where}.options", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", said)


def check_commands(commands: Any) -> None:
    if not isinstance(commands, list):
        raise invalid("0", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
    for kind, most in MOST_COMMANDS.items():
        if sum(command.get("type", 1) == kind for command in commands) > most:
            said = f"Maximum number of application commands reached ({most})."
            raise Refusal(400, 30032, said)
    names = [(command.get("type", 1), command.get("name")) for command in commands]
    if len(set(names)) != len(names):
        raise invalid("0", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Command names must be unique.")
    for number, command in enumerate(commands):
        if command.get("type", 1) == 1:
            _check_command(command, str(number))
        elif not 1 <= len(str(command.get("name", ""))) <= 32:
            raise _length(f"{number}.name", 1, 32)


def _check_command(command: Json, where: str) -> None:
    length = _check_named(command, where)
    options = command.get("options") or []
    if len(options) > 25:
        raise _length(f"{where}.options", 0, 25)
    names = [option.get("name") for option in options]
    if len(set(names)) != len(names):
        said = "Option names must be unique"
        raise invalid(f"{where}.options", "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", said)
    optional = False
    for index, option in enumerate(options):
        at = f"{where}.options.{index}"
        length += _check_named(option, at)
        if option.get("required") and optional:
            said = "Required options must be placed before non-required options"
            raise invalid(at, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", said)
        optional = optional or not option.get("required")
        choices = option.get("choices") or []
        if len(choices) > 25:
            raise _length(f"{at}.choices", 0, 25)
        if choices and option.get("autocomplete"):
            said = "Autocomplete and choices are mutually exclusive"
            raise invalid(at, "APPLICATION_COMMAND_OPTION_AUTOCOMPLETE_CHOICES", said)
        for number, choice in enumerate(choices):
            for key in ("name", "value"):
                if not 1 <= len(str(choice.get(key, ""))) <= 100:
                    raise _length(f"{at}.choices.{number}.{key}", 1, 100)
                length += len(str(choice[key]))
    if length > LONGEST_COMMAND:
        said = "Command exceeds maximum size (8000)"
        raise invalid(where, "APPLICATION_COMMAND_TOO_LARGE", said)


def _check_named(thing: Json, where: str) -> int:
    """How long name and description are together."""
    name, description = str(thing.get("name", "")), str(thing.get("description", ""))
    if not NAMED.fullmatch(name) or name != name.lower():
        said = f"Command name is invalid: {name}"
        raise invalid(f"{where}.name", "APPLICATION_COMMAND_INVALID_NAME", said)
    if not 1 <= len(description) <= 100:
        raise _length(f"{where}.description", 1, 100)
    return len(name) + len(description)
