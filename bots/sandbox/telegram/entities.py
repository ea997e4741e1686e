"""Text and its entities, whose offsets and lengths are UTF-16 code units.

Checks the entities of a request, and finds those that Telegram marks by itself.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.errors import bad_request
from bots.sandbox.telegram.state import BOT_API

MAX_TEXT_UNITS = 4096
MAX_CAPTION_UNITS = 1024
"""UTF-16 code units."""
MAX_REQUEST_TEXT_BYTES = 1 << 15
MAX_ENTITIES = 100
"""Telegram silently drops entities above this number."""
ENTITY_TYPES = BOT_API["entity types"]
"""Telegram ignores all others in a request, because it finds mentions, links and the like itself."""
LITERAL_TYPES = frozenset({"code", "pre", "text_link", "text_mention"})
DETECTED_PATTERN = re.compile(
    r"(?P<url>\bhttps?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]}])"
    r"|(?P<email>(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<bot_command>(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![\w/<>@]))"
    r"|(?P<mention>(?<![\w@/])@[A-Za-z0-9_]{4,32}(?!\w))"
    r"|(?P<hashtag>(?<![\w#])#(?=\w*[^\W\d])\w{1,256})"
)


def utf16_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def detect_entities(text: str, entities: Sequence[Json] = ()) -> list[Json]:
    """`entities` and those that Telegram marks by itself: commands, mentions, hashtags, links."""
    if not any(sign in text for sign in "/@#"):
        return list(entities)
    literal = [
        (entity["offset"], entity["offset"] + entity["length"])
        for entity in entities
        if entity["type"] in LITERAL_TYPES
    ]
    detected = []
    for match in DETECTED_PATTERN.finditer(text):
        start, length = utf16_length(text[: match.start()]), utf16_length(match[0])
        if not any(start < end and begin < start + length for begin, end in literal):
            detected.append({"type": match.lastgroup, "offset": start, "length": length})
    return sorted([*entities, *detected], key=_sort_key) if detected else list(entities)


def parse_text(params: Json, *, allow_empty: bool = False) -> tuple[str, list[Json]]:
    """The text of a request and its entities. Raises `ApiError` as Telegram would answer.

    Markup is refused: bots of this project send entities.
    """
    if not params.get("text") and not allow_empty:
        raise bad_request("message text is empty")
    text, entities = _parse(params, str(params.get("text") or ""), params.get("entities"))
    if not text and not allow_empty:
        raise bad_request("text must be non-empty")
    if utf16_length(text) > MAX_TEXT_UNITS:
        raise bad_request("message is too long")
    return text, entities


def parse_caption(params: Json) -> tuple[str, list[Json]]:
    """Like `parse_text`, for the text under a file."""
    caption, entities = _parse(params, str(params.get("caption") or ""), params.get("caption_entities"))
    if utf16_length(caption) > MAX_CAPTION_UNITS:
        raise bad_request("message caption is too long")
    return caption, entities


def _parse(params: Json, text: str, entities: object) -> tuple[str, list[Json]]:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_REQUEST_TEXT_BYTES:
        raise bad_request("text is too long")
    if params.get("parse_mode"):
        raise bad_request("unsupported parse_mode")
    text, checked = _trim(text, _check_entities(text, _read_entities(entities)))
    return text, detect_entities(text, checked)[:MAX_ENTITIES]


def _sort_key(entity: Json) -> tuple[int, int]:
    return entity["offset"], -entity["length"]


def _read_entities(value: object) -> list[Json]:
    if not isinstance(value, list):
        return []  # Telegram ignores anything but an array
    entities = []
    for entity in value:
        if not isinstance(entity, dict):
            raise bad_request("can't parse MessageEntity: expected an Object")
        for name in ("offset", "length"):
            number = entity.get(name)
            if not isinstance(number, int) or isinstance(number, bool):
                raise bad_request(f'can\'t parse MessageEntity: Field "{name}" must be of type Number')
        if not isinstance(entity.get("type"), str):
            raise bad_request('can\'t parse MessageEntity: Field "type" must be of type String')
        if entity["type"] in ENTITY_TYPES:
            entities.append(entity)
    return entities


def _check_entities(text: str, unchecked: list[Json]) -> list[Json]:
    """The entities in order. Raises `ApiError` when one is out of range, splits a character or overlaps."""
    if not unchecked:
        return []
    entities = sorted((dict(entity) for entity in unchecked), key=_sort_key)
    boundaries = _character_boundaries(text)
    ends: list[int] = []  # of the entities that enclose the current one
    for entity in entities:
        start, length = entity["offset"], entity["length"]
        if start < 0 or start > 1_000_000:
            raise bad_request(f"receive an entity with incorrect offset {start}")
        if length < 0 or length > 1_000_000:
            raise bad_request(f"receive an entity with incorrect length {length}")
        end = start + length
        if start > boundaries[-1]:
            raise bad_request(f"entity begins after the end of the text at UTF-16 offset {start}")
        where = f"entity beginning at UTF-16 offset {start}"
        if end > boundaries[-1]:
            raise bad_request(f"{where} ends after the end of the text at UTF-16 offset {end}")
        if boundaries[bisect_left(boundaries, start)] != start:
            raise bad_request(f"entity begins in a middle of a UTF-16 symbol at UTF-16 offset {start}")
        if boundaries[bisect_left(boundaries, end)] != end:
            raise bad_request(f"{where} ends in a middle of a UTF-16 symbol at UTF-16 offset {end}")
        while ends and ends[-1] <= start:
            ends.pop()
        if ends and end > ends[-1]:
            raise bad_request(f"can't parse entities: {where} overlaps another and is not inside it")
        ends.append(end)
        _check_arguments(entity)
    return [entity for entity in entities if entity["length"]]


def _character_boundaries(text: str) -> list[int]:
    """The UTF-16 offset of every character, and of the end."""
    boundaries = [0]
    for character in text:
        boundaries.append(boundaries[-1] + (2 if ord(character) > 0xFFFF else 1))
    return boundaries


def _check_arguments(entity: Json) -> None:
    if entity["type"] == "text_link":
        url = str(entity.get("url") or "")
        if not url.startswith(("http://", "https://", "tg://", "ton://", "mailto:", "tel:")):
            raise bad_request("wrong HTTP URL specified")
    user: Any = entity.get("user")
    if entity["type"] == "text_mention" and not (isinstance(user, dict) and user.get("id")):
        raise bad_request('can\'t parse MessageEntity: Field "user" must be of type Object')


def _trim(text: str, entities: list[Json]) -> tuple[str, list[Json]]:
    """The text without surrounding white space, and its entities moved accordingly."""
    trimmed = text.strip()
    if trimmed == text:
        return text, entities
    leading_units = utf16_length(text[: len(text) - len(text.lstrip())])
    size = utf16_length(trimmed)
    shifted = []
    for entity in entities:
        start = max(0, entity["offset"] - leading_units)
        end = min(size, entity["offset"] + entity["length"] - leading_units)
        if end > start:
            shifted.append({**entity, "offset": start, "length": end - start})
    return trimmed, shifted
