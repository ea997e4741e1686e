"""Checks of request bodies. Every check raises `ApiError` as Discord would answer."""

import re
from collections.abc import Callable
from typing import Any

from bots.sandbox.discord.components import check_card, check_rows
from bots.sandbox.discord.enums import CommandType, ComponentType
from bots.sandbox.discord.errors import ApiError, bad_choice, empty_message, invalid_form
from bots.sandbox.discord.form_checks import check_length, check_unique
from bots.sandbox.discord.state import COMPONENTS_V2
from bots.sandbox.stand_in import Json

MAX_NONCE_CHARS = 25
MAX_COMMANDS = 100
MAX_COMMAND_CHARS = 8000
"""Of names, descriptions and choices together."""
MAX_INPUT_CHARS = 4000
MENTION_TYPES = ("users", "roles", "everyone")
MAX_FILE_BYTES = 10 * 1024 * 1024
LOCALES = (
    *(
        "bg",
        "cs",
        "da",
        "de",
        "el",
        "en-GB",
        "en-US",
        "es-419",
        "es-ES",
        "fi",
        "fr",
        "hi",
        "hr",
        "hu",
        "id",
        "it",
        "ja",
    ),
    *("ko", "lt", "nl", "no", "pl", "pt-BR", "ro", "ru", "sv-SE", "th", "tr", "uk", "vi", "zh-CN", "zh-TW"),
)
COMMAND_NAME = re.compile(r"[-_\w]{1,32}")
"""Discord's documentation allows apostrophes, but its API refuses them (discord/discord-api-docs#7371)."""


def check_message(body: Json, *, is_new: bool, is_loading: bool = False, is_card: bool = False) -> None:
    """The body of a message. `is_loading`: a deferred response, which may be empty. `is_card`: the message consists of
    components V2 already.
    """
    content = body.get("content")
    if not isinstance(content, str | None):
        raise invalid_form("content", "STRING_TYPE_CONVERT", "Could not interpret as string.")
    check_length(body, "content", 0, 2000)
    is_card = is_card or bool(int(body.get("flags") or 0) & COMPONENTS_V2)
    if is_new and not is_card and not is_loading and not ((content or "").strip() or body.get("attachments")):
        raise empty_message()
    if len(str(body.get("nonce", ""))) > MAX_NONCE_CHARS:
        raise invalid_form("nonce", "NONCE_TYPE_TOO_LONG", "Nonce must be 25 or fewer in length.")
    _check_allowed_mentions(body.get("allowed_mentions") or {})
    if body.get("embeds"):
        raise invalid_form("embeds", "BASE_TYPE_MAX_LENGTH", "The stand-in has no embeds.")
    if is_card:
        check_card(body, is_new=is_new)
    else:
        check_rows(body)


def _check_allowed_mentions(allowed: Json) -> None:
    parse = allowed.get("parse") or []
    for kind in ("users", "roles"):
        if kind in parse and allowed.get(kind):
            text = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            raise invalid_form("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", text)
        check_length(allowed, kind, 0, 100, "allowed_mentions.")
    if not set(parse) <= set(MENTION_TYPES):
        raise bad_choice("allowed_mentions.parse", MENTION_TYPES)


def check_files(files: list[bytes]) -> None:
    """The files of a message."""
    check_length({"attachments": files}, "attachments", 0, 10)
    if any(len(content) > MAX_FILE_BYTES for content in files):
        raise ApiError(413, 40005, "Request entity too large")


def check_choices(form: Json, path: str) -> int:
    """The choices of an option, or those that an autocomplete offers. Returns how many characters they have."""
    check_length(form, "choices", 0, 25, path)
    choices = form.get("choices") or []
    for number, choice in enumerate(choices):
        for name in ("name", "value"):
            check_length(choice, name, 1, 100, f"{path}choices.{number}.")
    return sum(len(str(choice["name"])) + len(str(choice["value"])) for choice in choices)


def check_modal(data: Json) -> None:
    """A form. Here it has only text inputs."""
    check_length(data, "custom_id", 1, 100, "data.")
    check_length(data, "title", 1, 45, "data.")
    check_length(data, "components", 1, 5, "data.")
    for index, label in enumerate(data["components"]):
        path = f"data.components.{index}."
        field = label.get("component") or {}
        if (label.get("type"), field.get("type")) != (ComponentType.LABEL, ComponentType.TEXT_INPUT):
            raise bad_choice(f"{path}type", [ComponentType.LABEL.value])
        check_length(label, "label", 1, 45, path)
        check_length(label, "description", 0, 100, path)
        for name, minimum, maximum in (("custom_id", 1, 100), ("value", 0, MAX_INPUT_CHARS), ("placeholder", 0, 100)):
            check_length(field, name, minimum, maximum, f"{path}component.")


def check_commands(commands: Any) -> None:
    if not isinstance(commands, list):
        raise invalid_form("0", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
    if len(commands) > MAX_COMMANDS:
        raise ApiError(400, 30032, f"Maximum number of application commands reached ({MAX_COMMANDS}).")
    for locale in ("", *sorted({locale for command in commands for locale in command.get("name_localizations") or {}})):
        names = [(command.get("type", CommandType.CHAT_INPUT), _name_in(command, locale)) for command in commands]
        check_unique(names, "0", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Command names must be unique.")
    for index, command in enumerate(commands):
        match command.get("type", CommandType.CHAT_INPUT):
            case CommandType.CHAT_INPUT:
                _check_command(command, f"{index}.")
            case CommandType.MESSAGE:
                _check_message_command(command, f"{index}.")
            case _:
                raise bad_choice(f"{index}.type", [*map(int, CommandType)])


def _name_in(definition: Json, locale: str) -> str:
    return str((definition.get("name_localizations") or {}).get(locale, definition.get("name")))


def _check_localizations(definition: Json, name: str, check: Callable[[str, str], None], path: str) -> None:
    """Call `check` with each translation of a field, and its path."""
    for locale, text in (definition.get(f"{name}_localizations") or {}).items():
        if locale not in LOCALES:
            raise bad_choice(f"{path}{name}_localizations", LOCALES)
        check(text, f"{path}{name}_localizations.{locale}")


def _check_text(minimum: int, maximum: int) -> Callable[[str, str], None]:
    def check(text: str, path: str) -> None:
        parent, _, name = path.rpartition(".")
        check_length({name: text}, name, minimum, maximum, f"{parent}.")

    return check


def _check_command_name(name: str, path: str) -> None:
    if not COMMAND_NAME.fullmatch(name) or name != name.lower():
        raise invalid_form(path, "APPLICATION_COMMAND_INVALID_NAME", f"Command name is invalid: {name}")


def _check_message_command(command: Json, path: str) -> None:
    check_length(command, "name", 1, 32, path)
    _check_localizations(command, "name", _check_text(1, 32), path)
    if command.get("description"):
        text = "Context menu commands cannot have description"
        raise invalid_form(f"{path}description", "APPLICATION_COMMAND_INVALID_DESCRIPTION", text)
    if command.get("options"):
        raise invalid_form(f"{path}options", "APPLICATION_COMMAND_INVALID_OPTIONS", "Context menus have no options")


def _check_command(command: Json, path: str) -> None:
    length = _check_name_and_description(command, path)
    check_length(command, "options", 0, 25, path)
    options = command.get("options") or []
    names = [option.get("name") for option in options]
    code = "APPLICATION_COMMAND_OPTIONS_NAME_INVALID"
    check_unique(names, f"{path}options", code, "Option names must be unique")
    has_optional = False
    for index, option in enumerate(options):
        option_path = f"{path}options.{index}."
        length += _check_name_and_description(option, option_path)
        if option.get("required") and has_optional:
            text = "Required options must be placed before non-required options"
            raise invalid_form(option_path[:-1], "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", text)
        has_optional = has_optional or not option.get("required")
        length += check_choices(option, option_path)
        if option.get("choices") and option.get("autocomplete"):
            text = "Autocomplete and choices are mutually exclusive"
            raise invalid_form(option_path[:-1], "APPLICATION_COMMAND_OPTION_AUTOCOMPLETE_CHOICES", text)
    if length > MAX_COMMAND_CHARS:
        raise invalid_form(path[:-1], "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)")


def _check_name_and_description(definition: Json, path: str) -> int:
    """How many characters name and description have together."""
    name, description = str(definition.get("name", "")), str(definition.get("description", ""))
    _check_command_name(name, f"{path}name")
    _check_localizations(definition, "name", _check_command_name, path)
    check_length(definition, "description", 1, 100, path)
    _check_localizations(definition, "description", _check_text(1, 100), path)
    return len(name) + len(description)
