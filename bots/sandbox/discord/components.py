"""Checks of the components of messages. Every check raises `ApiError` as Discord would answer."""

from bots.sandbox.discord.enums import ComponentType
from bots.sandbox.discord.errors import bad_choice, empty_message, invalid_form, legacy_field
from bots.sandbox.discord.form_checks import check_length, check_unique
from bots.sandbox.discord.state import all_components
from bots.sandbox.stand_in import Json

LINK_BUTTON_STYLE = 5
MAX_COMPONENTS = 40
"""In one message, also inside others."""
MAX_TEXT_CHARS = 4000
"""Of all texts of a message."""
LEGACY_FIELDS = ("content", "embeds", "poll", "sticker_ids")
INNER_TYPES = (ComponentType.ACTION_ROW, ComponentType.SECTION, ComponentType.TEXT_DISPLAY, ComponentType.SEPARATOR)
"""Of those that Discord knows, what a container may contain here."""


def check_card(body: Json, *, is_new: bool) -> None:
    """A message of components V2."""
    for name in LEGACY_FIELDS:
        if body.get(name):
            raise legacy_field(name)
    components = body.get("components") or []
    if not components and (is_new or "components" in body):
        raise empty_message()
    items = list(all_components(components))
    check_length({"components": items}, "components", 0, MAX_COMPONENTS)
    for index, component in enumerate(components):
        _check_layout(component, f"components.{index}.", [*INNER_TYPES, ComponentType.CONTAINER])
    texts = [item["content"] for item in items if item["type"] == ComponentType.TEXT_DISPLAY]
    if sum(map(len, texts)) > MAX_TEXT_CHARS:
        text = f"The total length of displayable text must be {MAX_TEXT_CHARS} or fewer."
        raise invalid_form("components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", text)
    _check_custom_ids([item for item in items if "custom_id" in item])


def _check_layout(component: Json, path: str, allowed: list[ComponentType]) -> None:
    if component.get("type") not in allowed:
        raise bad_choice(f"{path}type", [kind.value for kind in allowed])
    match component["type"]:
        case ComponentType.CONTAINER:
            check_length(component, "components", 1, MAX_COMPONENTS, path)
            for index, nested in enumerate(component["components"]):
                _check_layout(nested, f"{path}components.{index}.", [*INNER_TYPES])
        case ComponentType.ACTION_ROW:
            _check_action_row(component, path)
        case ComponentType.SECTION:
            check_length(component, "components", 1, 3, path)
            for index, nested in enumerate(component["components"]):
                _check_layout(nested, f"{path}components.{index}.", [ComponentType.TEXT_DISPLAY])
            accessory = component.get("accessory") or {}
            if accessory.get("type") != ComponentType.BUTTON:
                raise bad_choice(f"{path}accessory.type", [ComponentType.BUTTON.value])
            _check_item(accessory, f"{path}accessory.")
        case ComponentType.TEXT_DISPLAY:
            check_length(component, "content", 1, MAX_TEXT_CHARS, path)


def check_rows(body: Json) -> None:
    """The components of a message with content."""
    check_length(body, "components", 0, 5)
    items: list[Json] = []
    for number, row in enumerate(body.get("components") or []):
        if row.get("type") != ComponentType.ACTION_ROW:
            raise bad_choice(f"components.{number}.type", [ComponentType.ACTION_ROW.value])
        _check_action_row(row, f"components.{number}.")
        items += row["components"]
    _check_custom_ids(items)


def _check_action_row(row: Json, path: str) -> None:
    items = row.get("components") or []
    has_select = any(item.get("type") == ComponentType.SELECT for item in items)
    check_length(row, "components", 1, 1 if has_select else 5, path)
    for index, item in enumerate(items):
        _check_item(item, f"{path}components.{index}.")


def _check_custom_ids(items: list[Json]) -> None:
    custom_ids = [item["custom_id"] for item in items if item.get("style") != LINK_BUTTON_STYLE]
    text = "Component custom id cannot be duplicated"
    check_unique(custom_ids, "components", "COMPONENT_CUSTOM_ID_DUPLICATED", text)


def _check_item(item: Json, path: str) -> None:
    """A button or a menu."""
    if item.get("type") not in (ComponentType.BUTTON, ComponentType.SELECT):
        text = 'Value of field "type" must be one of (2, 3).'
        raise invalid_form(f"{path}type", "UNION_TYPE_CHOICES", text)
    if item.get("style") != LINK_BUTTON_STYLE:
        check_length(item, "custom_id", 1, 100, path)
    check_length(item, "label", 0, 80, path)
    if item["type"] == ComponentType.SELECT:
        _check_options(item, path)
    elif not (item.get("label") or item.get("emoji")):
        raise invalid_form(path[:-1], "BUTTON_COMPONENT_INVALID", "A button needs a label or an emoji")


def _check_options(menu: Json, path: str) -> None:
    check_length(menu, "options", 1, 25, path)
    check_length(menu, "placeholder", 0, 150, path)
    for index, option in enumerate(menu["options"]):
        for name, minimum in (("label", 1), ("value", 1), ("description", 0)):
            check_length(option, name, minimum, 100, f"{path}options.{index}.")
    values = [option["value"] for option in menu["options"]]
    text = "The specified option value is already used"
    check_unique(values, f"{path}options", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", text)
