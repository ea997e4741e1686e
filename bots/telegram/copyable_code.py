"""Finds the code that a message is about, for a button that copies it."""

from typing import Any

import msgspec
from telegram.constants import InlineKeyboardButtonLimit, MessageEntityType

from bots.telegram.dialect import part_entities, utf16_length
from bots.telegram.rich_dialect import rich_content
from core.port import Part

MAX_CHARS = int(InlineKeyboardButtonLimit.MAX_COPY_TEXT)
ENCODED_TYPE = b'"type":"pre"'
"""In JSON, a text cannot contain it: its quotation marks are escaped."""


def copyable_code(part: Part) -> str:
    """The code block of `part`, if it has exactly one and a button can copy it; otherwise empty."""
    content = rich_content(part)
    if content is None:
        blocks = [entity for entity in part_entities(part) if entity.type == MessageEntityType.PRE]
        code = _slice(part.text, blocks[0].offset, blocks[0].length) if len(blocks) == 1 else ""
    else:
        with_code = [block for block in content.blocks if ENCODED_TYPE in block]
        is_one = len(with_code) == 1 and with_code[0].count(ENCODED_TYPE) == 1
        code = _find_code(msgspec.json.decode(b"[" + with_code[0] + b"]")) if is_one else ""
    return code if utf16_length(code) <= MAX_CHARS else ""


def _slice(text: str, offset: int, length: int) -> str:
    return text.encode("utf-16-le")[2 * offset : 2 * (offset + length)].decode("utf-16-le")


def _find_code(value: Any) -> str:
    if isinstance(value, list):
        return next(filter(None, map(_find_code, value)), "")
    if not isinstance(value, dict):
        return ""
    return str(value["text"]) if value.get("type") == "pre" else _find_code(list(value.values()))
