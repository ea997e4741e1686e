"""What a message on Discord can carry, apart from text."""

from bots.sandbox.stand_in import Json

COMPONENTS_V2 = 1 << 15
ACTION_ROW, BUTTON, SECTION, TEXT_DISPLAY, SEPARATOR, CONTAINER_TYPE = 1, 2, 9, 10, 14, 17


def _button(label: str, custom_id: str) -> Json:
    return {"type": BUTTON, "style": 2, "label": label, "custom_id": custom_id}


CONTAINER: Json = {
    "type": CONTAINER_TYPE,
    "accent_color": 0x5865F2,
    "components": [
        {
            "type": SECTION,
            "components": [{"type": TEXT_DISPLAY, "content": "In a section"}],
            "accessory": _button("Beside it", "section:1"),
        },
        {"type": SEPARATOR, "divider": True, "spacing": 2},
        {"type": TEXT_DISPLAY, "content": "After the line, **bold**"},
        {"type": ACTION_ROW, "components": [_button("In a row", "row:1")]},
    ],
}
EMBED: Json = {
    "title": "The title",
    "url": "https://example.org/",
    "description": "The description",
    "color": 0x57F287,
    "author": {"name": "The author"},
    "fields": [{"name": "The field", "value": "The value", "inline": True}],
    "footer": {"text": "The footer"},
}
