"""Checks of request bodies. Every check raises `ApiError` as Discord would answer."""

import re
from typing import Any

from bots.sandbox.discord.enums import CommandType, ComponentType
from bots.sandbox.discord.errors import ApiError, bad_choice, bad_length, empty_message, invalid_form, too_long
from bots.sandbox.discord.state import Json

__all__ = [
    "check_choices",
    "check_commands",
    "check_files",
    "check_message",
    "check_modal",
    "command_type",
    "normalise_embeds",
    "text_inputs",
]

MAX_CONTENT_CHARS = 2000
MAX_NONCE_CHARS = 25
MAX_COMMANDS_BY_TYPE = {CommandType.CHAT_INPUT: 100, CommandType.USER: 15, CommandType.MESSAGE: 15}
MAX_COMMAND_CHARS = 8000
"""Of names, descriptions and choices together."""
MENTION_TYPES = ("users", "roles", "everyone")
MAX_EMBEDS = 10
MAX_EMBEDS_CHARS = 6000
"""Of all embeds of a message together."""
MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_FILES = 10
LINK_BUTTON_STYLE = 5
COMMAND_NAME = re.compile(r"[-_\w]{1,32}")


def check_message(body: Json, *, is_new: bool, is_loading: bool = False) -> None:
    """The body of a message. `is_loading`: a deferred response, which may be empty."""
    content = body.get("content")
    if content is not None and not isinstance(content, str):
        raise invalid_form("content", "STRING_TYPE_CONVERT", "Could not interpret as string.")
    if content is not None and len(content) > MAX_CONTENT_CHARS:
        raise too_long("content", MAX_CONTENT_CHARS)
    has_content = (content or "").strip() or any(body.get(key) for key in ("embeds", "attachments"))
    if is_new and not is_loading and not has_content:
        raise empty_message()
    nonce = body.get("nonce")
    if nonce is not None and len(str(nonce)) > MAX_NONCE_CHARS:
        raise invalid_form("nonce", "NONCE_TYPE_TOO_LONG", "Nonce must be 25 or fewer in length.")
    allowed = body.get("allowed_mentions") or {}
    for kind in ("users", "roles"):
        if kind in (allowed.get("parse") or ()) and allowed.get(kind):
            text = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            raise invalid_form("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", text)
    if not set(allowed.get("parse") or ()) <= set(MENTION_TYPES):
        raise bad_choice("allowed_mentions.parse", MENTION_TYPES)
    for kind in ("users", "roles"):
        if len(allowed.get(kind) or ()) > 100:
            raise too_long(f"allowed_mentions.{kind}", 100)
    check_embeds(body.get("embeds") or [])
    check_components(body.get("components") or [])


def check_embeds(embeds: list[Json]) -> None:
    if len(embeds) > MAX_EMBEDS:
        raise too_long("embeds", MAX_EMBEDS)
    total = 0
    for index, embed in enumerate(embeds):
        texts = [
            ("title", embed.get("title"), 256),
            ("description", embed.get("description"), 4096),
            ("footer.text", (embed.get("footer") or {}).get("text"), 2048),
            ("author.name", (embed.get("author") or {}).get("name"), 256),
        ]
        fields = embed.get("fields") or []
        if len(fields) > 25:
            raise bad_length(f"embeds.{index}.fields", 0, 25)
        for field_index, field in enumerate(fields):
            for key, max_length in (("name", 256), ("value", 1024)):
                if not str(field.get(key) or "").strip():
                    path = f"embeds.{index}.fields.{field_index}.{key}"
                    raise invalid_form(path, "BASE_TYPE_REQUIRED", "This field is required")
                texts.append((f"fields.{field_index}.{key}", field[key], max_length))
        for path, text, max_length in texts:
            total += len(text or "")
            if len(text or "") > max_length:
                raise too_long(f"embeds.{index}.{path}", max_length)
    if total > MAX_EMBEDS_CHARS:
        reason = f"Embed size exceeds maximum size of {MAX_EMBEDS_CHARS}"
        raise invalid_form("embeds", "MAX_EMBED_SIZE_EXCEEDED", reason)


def normalise_embeds(embeds: list[Json]) -> list[Json]:
    """Embeds as Discord returns them."""
    return [
        {**embed, "type": "rich", "fields": [{"inline": False, **field} for field in embed.get("fields") or []]}
        for embed in embeds
    ]


def check_modal(modal: Json) -> None:
    """A form: up to five text inputs, each in a row or a label."""
    for key, max_length in (("title", 45), ("custom_id", 100)):
        if not 1 <= len(str(modal.get(key) or "")) <= max_length:
            raise bad_length(f"data.{key}", 1, max_length)
    if not 1 <= len(modal.get("components") or []) <= 5:
        raise bad_length("data.components", 1, 5)
    custom_ids = [field.get("custom_id") for field in text_inputs(modal)]
    if not all(isinstance(name, str) and 1 <= len(name) <= 100 for name in custom_ids):
        raise bad_length("data.components", 1, 100)
    if len(set(custom_ids)) != len(custom_ids):
        raise duplicate_custom_id("data.components")


def duplicate_custom_id(path: str) -> ApiError:
    return invalid_form(path, "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")


def text_inputs(modal: Json) -> list[Json]:
    components: list[Json] = []
    for row in modal["components"]:
        components += row.get("components") or [row.get("component") or {}]
    return [field for field in components if field.get("type", ComponentType.TEXT_INPUT) == ComponentType.TEXT_INPUT]


def check_files(sizes: list[int]) -> None:
    """The files of a message, by their sizes in bytes."""
    if len(sizes) > MAX_FILES:
        raise too_long("attachments", MAX_FILES)
    if any(size > MAX_FILE_BYTES for size in sizes):
        raise ApiError(413, 40005, "Request entity too large")


def check_choices(choices: list[Json]) -> None:
    """The choices that an autocomplete offers."""
    _check_choices(choices, "data.choices")


def _check_choices(choices: list[Json], path: str) -> int:
    """How many characters the choices have together."""
    if len(choices) > 25:
        raise bad_length(path, 0, 25)
    length = 0
    for number, choice in enumerate(choices):
        for key in ("name", "value"):
            text = str(choice.get(key, ""))
            if not 1 <= len(text) <= 100:
                raise bad_length(f"{path}.{number}.{key}", 1, 100)
            length += len(text)
    return length


def check_components(rows: list[Json]) -> None:
    if len(rows) > 5:
        raise bad_length("components", 1, 5)
    custom_ids: set[str] = set()
    for number, row in enumerate(rows):
        items = row.get("components") or []
        path = f"components.{number}.components"
        has_select = any(item.get("type") == ComponentType.SELECT for item in items)
        max_items = 1 if has_select else 5
        if row.get("type") != ComponentType.ACTION_ROW or not 1 <= len(items) <= max_items:
            raise bad_length(path, 1, 5)
        for index, item in enumerate(items):
            _check_component(item, f"{path}.{index}", custom_ids)


def _check_component(item: Json, path: str, custom_ids: set[str]) -> None:
    if item.get("type") not in (ComponentType.BUTTON, ComponentType.SELECT):
        text = 'Value of field "type" must be one of (2, 3).'
        raise invalid_form(f"{path}.type", "UNION_TYPE_CHOICES", text)
    custom_id = str(item.get("custom_id", ""))
    if item.get("style") != LINK_BUTTON_STYLE:
        if not 1 <= len(custom_id) <= 100:
            raise bad_length(f"{path}.custom_id", 1, 100)
        if custom_id in custom_ids:
            raise duplicate_custom_id(f"{path}.custom_id")
        custom_ids.add(custom_id)
    if len(str(item.get("label") or "")) > 80:
        raise too_long(f"{path}.label", 80)
    if item["type"] == ComponentType.BUTTON and not (item.get("label") or item.get("emoji")):
        raise invalid_form(path, "BUTTON_COMPONENT_INVALID", "A button needs a label or an emoji")
    if item["type"] == ComponentType.SELECT:
        _check_options(item, path)


def _check_options(menu: Json, path: str) -> None:
    options = menu.get("options") or []
    if not 1 <= len(options) <= 25:
        raise bad_length(f"{path}.options", 1, 25)
    if len(str(menu.get("placeholder") or "")) > 150:
        raise too_long(f"{path}.placeholder", 150)
    for index, option in enumerate(options):
        for key in ("label", "value"):
            if not 1 <= len(str(option.get(key, ""))) <= 100:
                raise bad_length(f"{path}.options.{index}.{key}", 1, 100)
        if len(str(option.get("description") or "")) > 100:
            raise bad_length(f"{path}.options.{index}.description", 1, 100)
    values = [option.get("value") for option in options]
    if len(values) != len(set(values)):
        text = "The specified option value is already used"
        raise invalid_form(f"{path}.options", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", text)


def command_type(command: Json) -> int:
    return int(command.get("type", CommandType.CHAT_INPUT))


def check_commands(commands: Any) -> None:
    if not isinstance(commands, list):
        raise invalid_form("0", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
    for type_, maximum in MAX_COMMANDS_BY_TYPE.items():
        if sum(command_type(command) == type_ for command in commands) > maximum:
            raise ApiError(400, 30032, f"Maximum number of application commands reached ({maximum}).")
    names = [(command_type(command), command.get("name")) for command in commands]
    if len(set(names)) != len(names):
        raise invalid_form("0", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Command names must be unique.")
    for index, command in enumerate(commands):
        if command_type(command) == CommandType.CHAT_INPUT:
            _check_command(command, str(index))
        elif not 1 <= len(str(command.get("name", ""))) <= 32:
            raise bad_length(f"{index}.name", 1, 32)


def _check_command(command: Json, path: str) -> None:
    length = _check_name_and_description(command, path)
    options = command.get("options") or []
    if len(options) > 25:
        raise bad_length(f"{path}.options", 0, 25)
    names = [option.get("name") for option in options]
    if len(set(names)) != len(names):
        text = "Option names must be unique"
        raise invalid_form(f"{path}.options", "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", text)
    has_optional = False
    for index, option in enumerate(options):
        option_path = f"{path}.options.{index}"
        length += _check_name_and_description(option, option_path)
        if option.get("required") and has_optional:
            text = "Required options must be placed before non-required options"
            raise invalid_form(option_path, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", text)
        has_optional = has_optional or not option.get("required")
        choices = option.get("choices") or []
        length += _check_choices(choices, f"{option_path}.choices")
        if choices and option.get("autocomplete"):
            text = "Autocomplete and choices are mutually exclusive"
            raise invalid_form(option_path, "APPLICATION_COMMAND_OPTION_AUTOCOMPLETE_CHOICES", text)
    if length > MAX_COMMAND_CHARS:
        raise invalid_form(path, "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)")


def _check_name_and_description(definition: Json, path: str) -> int:
    """How many characters name and description have together."""
    name, description = str(definition.get("name", "")), str(definition.get("description", ""))
    if not COMMAND_NAME.fullmatch(name) or name != name.lower():
        raise invalid_form(f"{path}.name", "APPLICATION_COMMAND_INVALID_NAME", f"Command name is invalid: {name}")
    if not 1 <= len(description) <= 100:
        raise bad_length(f"{path}.description", 1, 100)
    return len(name) + len(description)
