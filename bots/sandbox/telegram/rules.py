"""What Telegram refuses, in its own words."""

import re
from typing import Any

from bots.sandbox.telegram.world import Json, units

__all__ = ["Refusal", "entities_of", "keyboard_of", "parse_entities", "text_of"]

MARKED = re.compile(r"(?<![\w/])/[a-z0-9_]{1,32}(?:@\w+)?|(?<!\w)@\w{5,32}", re.IGNORECASE)
LONGEST_TEXT = 4096  # UTF-16 units
MOST_ENTITIES = 100  # more are dropped without a word
LONGEST_DATA = 64  # bytes


class Refusal(Exception):  # noqa: N818 (an answer, not an error)
    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters


def bad(description: str) -> Refusal:
    return Refusal(400, f"Bad Request: {description}")


def text_of(params: Json, *, empty: bool = False) -> str:
    text = str(params.get("text") or "")
    if not text.strip() and not empty:
        raise bad("message text is empty")
    if units(text) > LONGEST_TEXT:
        raise bad("message is too long")
    return text


def entities_of(params: Json, text: str) -> tuple[str, list[Json]]:
    """The text as shown and its entities, checked: in range, nested, splitting no character."""
    if params.get("parse_mode"):
        raise bad("can't parse entities: this server takes entities only")
    given = params.get("entities") or []
    if not isinstance(given, list):
        raise bad("can't parse entities: Expected an Array")
    edges = {0}
    at = 0
    for character in text:
        at += 2 if ord(character) > 0xFFFF else 1
        edges.add(at)
    spans: list[tuple[int, int]] = []
    for entity in given:
        start, end = int(entity["offset"]), int(entity["offset"]) + int(entity["length"])
        if start < 0 or end > at or end <= start:
            raise bad(f"ENTITY_BOUNDS_INVALID: {entity['type']} at {start}")
        if start not in edges or end not in edges:
            raise bad("ENTITY_BOUNDS_INVALID: inside a character")
        if any(s < start < e < end or start < s < end < e for s, e in spans):
            raise bad("can't parse entities: they overlap")
        if entity["type"] == "text_link" and not str(entity.get("url", "")).startswith(
            ("http://", "https://", "tg://", "mailto:")
        ):
            raise bad("ENTITY_TEXTURL_INVALID")
        spans.append((start, end))
    # White space at the ends is not kept; entities move with it.
    left = units(text) - units(text.lstrip())
    shown = text.strip()
    size = units(shown)
    kept = []
    for entity in given[:MOST_ENTITIES]:
        start = max(0, int(entity["offset"]) - left)
        end = min(size, int(entity["offset"]) + int(entity["length"]) - left)
        if end > start:
            kept.append({**entity, "offset": start, "length": end - start})
    return shown, kept


def keyboard_of(params: Json) -> Json | None:
    markup = params.get("reply_markup")
    if not markup:
        return None
    rows = markup.get("inline_keyboard") if isinstance(markup, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad('object expected as reply markup: Field "inline_keyboard" must be of type Array')
    buttons: list[Any] = [button for row in rows for button in row]
    if len(buttons) > 100 or any(len(row) > 8 for row in rows):
        raise bad("reply markup is too long")
    for button in buttons:
        data = button.get("callback_data")
        if not button.get("text"):
            raise bad("can't parse inline keyboard button: Field text must be non-empty")
        if data is None and "url" not in button and "copy_text" not in button:
            raise bad("Text buttons are not allowed in the inline keyboard")
        if data is not None and not 1 <= len(str(data).encode()) <= LONGEST_DATA:
            raise bad("BUTTON_DATA_INVALID")
    return {"inline_keyboard": rows} if rows else None


def parse_entities(text: str) -> list[Json]:
    """The commands and mentions that Telegram marks in what people write."""
    found: list[Json] = []
    for match in re.finditer(
        r"(?<![\w/])/[a-z0-9_]{1,32}(?:@\w+)?|(?<!\w)@\w{5,32}", text, re.IGNORECASE
    ):
        kind = "bot_command" if match[0].startswith("/") else "mention"
        found.append(
            {"type": kind, "offset": units(text[: match.start()]), "length": units(match[0])}
        )
    return found
