"""Text with entities, counted and checked as Telegram does: in UTF-16 code units."""

import re
from bisect import bisect_left
from typing import Any

from bots.sandbox.telegram.markup import parse
from bots.sandbox.telegram.refusal import bad
from bots.sandbox.telegram.world import Json

__all__ = ["detect", "formatted", "units"]

LONGEST_TEXT = 4096  # UTF-16 units, after parsing
LONGEST_REQUEST = 1 << 15  # bytes, before parsing
MOST_ENTITIES = 100  # more are dropped without a word
TYPES = frozenset({
    "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bold",
    "italic", "underline", "strikethrough", "spoiler", "blockquote", "expandable_blockquote",
    "code", "pre", "text_link", "text_mention", "custom_emoji",
})  # fmt: skip
NOT_GIVEN = frozenset({
    "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number",
})  # fmt: skip
"""Telegram finds these itself and takes no notice of them in a request."""
LITERAL = frozenset({"code", "pre", "text_link", "text_mention"})
FOUND = re.compile(
    r"(?P<url>\bhttps?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]}])"
    r"|(?P<email>(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<bot_command>(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![\w/<>@]))"
    r"|(?P<mention>(?<![\w@/])@[A-Za-z0-9_]{4,32}(?!\w))"
    r"|(?P<hashtag>(?<![\w#])#(?=\w*[^\W\d])\w{1,256})"
)


def units(text: str) -> int:
    """Length as Telegram counts it: UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def detect(text: str, given: list[Json] | None = None) -> list[Json]:
    """`given` and what Telegram marks by itself: commands, mentions, hashtags, links."""
    entities = list(given or ())
    if not any(sign in text for sign in "/@#"):
        return entities
    literal = [
        (entity["offset"], entity["offset"] + entity["length"])
        for entity in entities
        if entity["type"] in LITERAL
    ]
    found = []
    for match in FOUND.finditer(text):
        start, length = units(text[: match.start()]), units(match[0])
        if not any(start < end and begin < start + length for begin, end in literal):
            found.append({"type": match.lastgroup, "offset": start, "length": length})
    return sorted([*entities, *found], key=_order) if found else entities


def formatted(params: Json, *, empty: bool = False) -> tuple[str, list[Json]]:
    """The text of a request as it is shown, with its entities.

    Raises `Refusal` as Telegram does; a blank text only passes where `empty` is.
    """
    text = str(params.get("text") or "")
    if not text and not empty:
        raise bad("message text is empty")
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST_REQUEST:
        raise bad("text is too long")
    mode = str(params.get("parse_mode") or "")
    given: list[Json]
    if text and mode and mode.lower() != "none":
        text, given = parse(text, mode)
    else:
        given = _given(params.get("entities"))
    text, kept = _trimmed(text, _checked(text, given))
    if not text and not empty:
        raise bad("text must be non-empty")
    if units(text) > LONGEST_TEXT:
        raise bad("message is too long")
    return text, detect(text, kept)[:MOST_ENTITIES]


def _order(entity: Json) -> tuple[int, int]:
    return entity["offset"], -entity["length"]


def _given(value: object) -> list[Json]:
    if not isinstance(value, list):
        return []  # Telegram takes no notice of what is not an array
    found = []
    for entity in value:
        if not isinstance(entity, dict):
            raise bad("can't parse MessageEntity: expected an Object")
        for name in ("offset", "length"):
            number = entity.get(name)
            if not isinstance(number, int) or isinstance(number, bool):
                raise bad(f'can\'t parse MessageEntity: Field "{name}" must be of type Number')
        if not isinstance(entity.get("type"), str):
            raise bad('can\'t parse MessageEntity: Field "type" must be of type String')
        if entity["type"] in TYPES - NOT_GIVEN:
            found.append(entity)
    return found


def _checked(text: str, given: list[Json]) -> list[Json]:
    """In order. Raises `Refusal` for one that is out of range, splits a character or overlaps."""
    if not given:
        return []
    entities = sorted((dict(entity) for entity in given), key=_order)
    edges = _edges(text)
    ends: list[int] = []  # of the entities around this one
    for entity in entities:
        start, length = entity["offset"], entity["length"]
        if start < 0 or start > 1_000_000:
            raise bad(f"receive an entity with incorrect offset {start}")
        if length < 0 or length > 1_000_000:
            raise bad(f"receive an entity with incorrect length {length}")
        end = start + length
        if start > edges[-1]:
            raise bad(f"entity begins after the end of the text at UTF-16 offset {start}")
        where = f"entity beginning at UTF-16 offset {start}"
        if end > edges[-1]:
            raise bad(f"{where} ends after the end of the text at UTF-16 offset {end}")
        if edges[bisect_left(edges, start)] != start:
            raise bad(f"entity begins in a middle of a UTF-16 symbol at UTF-16 offset {start}")
        if edges[bisect_left(edges, end)] != end:
            raise bad(f"{where} ends in a middle of a UTF-16 symbol at UTF-16 offset {end}")
        while ends and ends[-1] <= start:
            ends.pop()
        if ends and end > ends[-1]:
            raise bad(f"can't parse entities: {where} overlaps another and is not inside it")
        ends.append(end)
        _arguments(entity)
    return [entity for entity in entities if entity["length"]]


def _edges(text: str) -> list[int]:
    """Where characters begin, and the end, in UTF-16 units."""
    edges = [0]
    for character in text:
        edges.append(edges[-1] + (2 if ord(character) > 0xFFFF else 1))
    return edges


def _arguments(entity: Json) -> None:
    if entity["type"] == "text_link":
        address = str(entity.get("url") or "")
        if not address.startswith(("http://", "https://", "tg://", "ton://", "mailto:", "tel:")):
            raise bad("wrong HTTP URL specified")
    user: Any = entity.get("user")
    if entity["type"] == "text_mention" and not (isinstance(user, dict) and user.get("id")):
        raise bad('can\'t parse MessageEntity: Field "user" must be of type Object')


def _trimmed(text: str, entities: list[Json]) -> tuple[str, list[Json]]:
    """White space at the ends is not kept; entities move with the text."""
    shown = text.strip()
    if shown == text:
        return text, entities
    left = units(text[: len(text) - len(text.lstrip())])
    size = units(shown)
    kept = []
    for entity in entities:
        start = max(0, entity["offset"] - left)
        end = min(size, entity["offset"] + entity["length"] - left)
        if end > start:
            kept.append({**entity, "offset": start, "length": end - start})
    return shown, kept
