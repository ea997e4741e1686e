"""Modals: the forms that Discord shows over the chat. Builds them, and reads what people entered.

A form has one field. Its custom ID says what the text is for, so that any process can handle it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import discord

from bots.discord.http_client import Json

ASK_MODAL = "parley-ask"
"""Argument: the interaction of the command and the message, `INTERACTION:MESSAGE`, with which the question goes."""
INSTRUCTIONS_MODAL = "parley-system"
EDIT_MODAL = "parley-edit"
"""Argument: the turn whose question is edited."""
MODAL_NAMES = (ASK_MODAL, INSTRUCTIONS_MODAL, EDIT_MODAL)
"""`tests/end_to_end/test_entry_points.py` sends forged submissions of each."""
FIELD_CUSTOM_ID = "text"
MAX_TITLE_CHARS = 45
MAX_LABEL_CHARS = 45
MAX_PLACEHOLDER_CHARS = 100
MAX_FIELD_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Modal:
    name: str
    argument: str
    title: str
    label: str
    placeholder: str = ""
    text: str = ""
    """The initial text of the field."""


@dataclass(frozen=True, slots=True)
class ModalSubmission:
    """Untrusted: a modified client can send any values."""

    name: str
    argument: str
    text: str


def modal_payload(modal: Modal) -> Json:
    field: Json = {
        "type": discord.ComponentType.text_input.value,
        "custom_id": FIELD_CUSTOM_ID,
        "style": discord.TextStyle.paragraph.value,
        "required": False,
        "max_length": MAX_FIELD_CHARS,
    }
    if modal.placeholder:
        field["placeholder"] = modal.placeholder[:MAX_PLACEHOLDER_CHARS]
    if modal.text:
        field["value"] = modal.text
    label = {
        "type": discord.ComponentType.label.value,
        "label": modal.label[:MAX_LABEL_CHARS],
        "component": field,
    }
    return {
        "custom_id": f"{modal.name}:{modal.argument}",
        "title": modal.title[:MAX_TITLE_CHARS],
        "components": [label],
    }


def read_submission(data: Mapping[str, Any]) -> ModalSubmission:
    """What a person entered. `data` is the data of the interaction."""
    name, _, argument = str(data.get("custom_id", "")).partition(":")
    texts = (str(field.get("value") or "") for field in _fields(data) if field.get("custom_id") == FIELD_CUSTOM_ID)
    return ModalSubmission(name, argument, next(texts, "").strip())


def _fields(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for label in data.get("components") or ():
        component = label.get("component")
        if isinstance(component, Mapping):
            yield component
